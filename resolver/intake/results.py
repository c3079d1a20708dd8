"""The result file of an import: one line for each row of the input, in its order.

CSV, or JSON lines when the file name ends so. The file only grows; ``tell`` after an acknowledged
chunk is the place that ``resume_at`` cuts back to, so that rows of a chunk that was under way when
the import died are not there twice. Nothing is buffered, so a full disk is told by the call that met
it. The writer does not decide outcomes, it records them.
"""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
from google.rpc import code_pb2

from resolver.intake.rows import IntakeError
from storage.directories import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from resolver.intake.rows import Row
    from resolver.v1 import registration_pb2

COLUMNS = ("row", "name", "code", "reason", "version", "serial", "message")
"""Columns of the CSV form and keys of the JSON form."""

CODE_NAMES: dict[int, str] = {number: name for name, number in code_pb2.Code.items()}
"""Canonical gRPC codes by number."""

_JSON_ENDINGS = frozenset({".jsonl", ".ndjson", ".json"})
_HEADER = ",".join(COLUMNS).encode() + b"\n"


class ResultRow(NamedTuple):
    """The outcome of one input row; ``code`` is a canonical gRPC code number."""

    row: int
    name: str
    code: int
    reason: str
    version: int = 0
    serial: int = 0
    message: str = ""

    @classmethod
    def of_error(cls, row: Row) -> Self:
        """The outcome of a row that was wrong before anything was sent."""
        if row.error is None:
            raise ValueError(f"row {row.number} has no error")
        return cls(row.number, row.name, row.error.code, row.error.reason, message=row.error.message)

    @classmethod
    def of_result(cls, row: Row, result: registration_pb2.RowResult) -> Self:
        """The outcome the node gave a row."""
        name = row.handle.name if row.handle is not None else row.name
        return cls(row.number, name, result.code, result.reason, result.version, result.serial, result.message)


class ResultWriter:
    """Writes a result file. Make it by ``create`` or ``resume_at``, and close it."""

    def __init__(self, stream: io.FileIO, path: Path) -> None:
        self._stream = stream
        self._unnamed: Path | None = path.parent
        """Directory that may not have the file's name durably yet."""
        self._as_json = path.suffix.lower() in _JSON_ENDINGS

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new result file in place of any that is there. Raises IntakeError."""
        try:
            stream = path.open("wb", buffering=0)
        except OSError as error:
            if not path.parent.is_dir():
                raise IntakeError(
                    f"there is no directory {path.parent} for the result file {path.name}: make it, or name another"
                ) from error
            raise IntakeError(f"the result file {path} cannot be written: {error.strerror or error}") from error
        writer = cls(stream, path)
        writer._begin()
        return writer

    @classmethod
    def resume_at(cls, path: Path, octets: int) -> Self:
        """The result file of an earlier run, cut back to its first ``octets`` octets, a value of ``tell``.

        Raises IntakeError when the file is missing, shorter, or has no line end there.
        """
        try:
            stream = path.open("r+b", buffering=0)
        except OSError as error:
            raise IntakeError(
                f"the result file {path} of the earlier run cannot be opened ({error.strerror or error}): put it back, "
                "or start again without --resume"
            ) from error
        writer = cls(stream, path)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, octets - 1))
        if size < octets or (octets > 0 and stream.read(1) != b"\n"):
            stream.close()
            raise IntakeError(
                f"the result file {path} is not the one of the earlier run: no line ends at octet {octets}; put it "
                "back, or start again without --resume"
            )
        stream.truncate(octets)
        stream.seek(octets)
        if octets == 0:
            writer._begin()
        return writer

    def append(self, rows: Iterable[ResultRow]) -> None:
        """Write the outcomes and hand them to the operating system. Raises IntakeError on a full disk."""
        octets = _to_json_lines(rows) if self._as_json else _to_csv_lines(rows)
        self._write(octets)

    def tell(self) -> int:
        """Octets written so far: where ``resume_at`` goes on."""
        return self._stream.tell()

    def sync(self) -> None:
        """Make what was written durable, the first time with the file's name. Raises IntakeError."""
        try:
            os.fsync(self._stream.fileno())
            if self._unnamed is not None:
                sync_directory(self._unnamed)
                self._unnamed = None
        except OSError as error:
            raise IntakeError(
                f"the result file cannot be written ({error.strerror or error}): free space and resume the import"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        if not self._as_json:
            self._write(_HEADER)

    def _write(self, octets: bytes) -> None:
        try:
            rest = memoryview(octets)
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise IntakeError(
                f"the result file cannot be written ({error.strerror or error}): free space and resume the import"
            ) from error


def _to_csv_lines(rows: Iterable[ResultRow]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        (row, _one_line(name), code_name(code), reason, version, serial, _one_line(message))
        for row, name, code, reason, version, serial, message in rows
    )
    return text.getvalue().encode("utf-8", "backslashreplace")


def _one_line(text: str) -> str:
    """The text with control characters escaped, so that a row stays one line."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _to_json_lines(rows: Iterable[ResultRow]) -> bytes:
    encode = msgspec.json.encode
    return b"".join(
        encode(dict(zip(COLUMNS, row._replace(code=code_name(row.code)), strict=True))) + b"\n"  # type: ignore[arg-type]
        for row in rows
    )


def code_name(code: int) -> str:
    """The canonical name of a gRPC code; UNKNOWN for a number that has none."""
    return CODE_NAMES.get(code, "UNKNOWN")
