"""One door to every reader: a path or standard input becomes rows.

The format is the one named or the one the file ending tells. The readers know nothing of each
other; which takes a mapping, a sheet or a node prefix stands here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from resolver.intake import csv_rows, hdl_batch, hwids, jsonl, xlsx_rows
from resolver.intake.mapping import Mapping, mapping_from_toml
from resolver.intake.rows import IntakeError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.intake.plan import TableMapping
    from resolver.intake.rows import Row

FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv", ".txt"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "xlsx": (".xlsx", ".xlsm"),
    "hdl": (".hdl", ".batch"),
    "usb-ids": (),
    "pci-ids": (),
}
"""Formats and the file endings that mean them."""

TABLE_FORMATS = frozenset({"csv", "xlsx"})
"""Formats with columns: those that take a mapping or a template."""

_NAMES = {"usb.ids": "usb-ids", "pci.ids": "pci-ids"}
STANDARD_INPUT = "-"


def format_of(path: str | Path, format_: str | None = None) -> str:
    """The format named, else the one the file name tells. Raises IntakeError."""
    if format_ is not None:
        if format_ not in FORMATS:
            raise IntakeError(
                f"unknown format {format_!r}{nearest(format_, FORMATS)}: give one of {', '.join(FORMATS)}"
            )
        return format_
    name = Path(path).name.lower()
    found = _NAMES.get(name) or next((known for known, ends in FORMATS.items() if Path(name).suffix in ends), None)
    if found is None or str(path) == STANDARD_INPUT:
        raise IntakeError(f"{str(path)!r} does not tell its format: add --format with one of {', '.join(FORMATS)}")
    return found


def open_rows(
    path: str | Path,
    format_: str | None = None,
    mapping: TableMapping = None,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    node_prefix: str = "",
    stdin: BinaryIO | None = None,
) -> Iterator[Row]:
    """The rows of a file; ``-`` reads ``stdin``.

    ``mapping`` and ``sheet`` are for tables, ``node_prefix`` for hardware lists. Raises IntakeError at once when the
    file cannot be opened or the options do not fit it, and later when the file turns out to be broken.
    """
    format_ = format_of(path, format_)
    if mapping is not None and format_ not in TABLE_FORMATS:
        raise IntakeError(f"a mapping is for tables, not for {format_}: leave it out")
    if sheet is not None and format_ != "xlsx":
        raise IntakeError(f"a sheet is for workbooks, not for {format_}: leave it out")
    if format_.endswith("-ids"):
        if not node_prefix:
            raise IntakeError(f"{format_} needs the prefix of the node, such as 88.300")
        _open(Path(path)).close()
        return hwids.rows(Path(path), cast("hwids.BusKind", format_.removesuffix("-ids")), node_prefix)
    if str(path) == STANDARD_INPUT:
        if stdin is None or format_ == "xlsx":
            raise IntakeError(f"{format_} cannot be read from standard input: save it as a file")
        return _rows(stdin, None, format_, mapping, sheet, encoding)
    return _closing(_open(Path(path)), Path(path).parent, format_, mapping, sheet, encoding)


def read_mapping(path: Path) -> Mapping:
    """The mapping of a TOML file. Raises IntakeError."""
    try:
        return mapping_from_toml(path.read_text("utf-8-sig"))
    except OSError as error:
        raise IntakeError(f"the mapping {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"the mapping {path} is not UTF-8 ({error}): save it as UTF-8") from error


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise IntakeError(f"{path} cannot be opened: {error.strerror or error}") from error


def _closing(
    stream: BinaryIO, folder: Path, format_: str, mapping: TableMapping, sheet: str | None, encoding: str | None
) -> Iterator[Row]:
    with stream:
        yield from _rows(stream, folder, format_, mapping, sheet, encoding)


def _rows(
    stream: BinaryIO, folder: Path | None, format_: str, mapping: TableMapping, sheet: str | None, encoding: str | None
) -> Iterator[Row]:
    match format_:
        case "csv":
            return csv_rows.rows(stream, mapping, encoding)
        case "jsonl":
            return jsonl.rows(stream, encoding)
        case "xlsx":
            return xlsx_rows.rows(stream, mapping, sheet)
        case _:
            return hdl_batch.rows(stream, folder, encoding)
