"""Octets of a file become lines of text: UTF-8, UTF-16 with a mark, or GB18030.

A byte order mark decides. Without one the first block that is not pure ASCII decides, line by line:
GB18030 text is hardly ever valid UTF-8, whereas UTF-8 text is often valid GB18030, so UTF-8 wins
unless more lines are readable only as GB18030. One damaged line therefore never turns a UTF-8 file
into nonsense. What follows is verified while it streams: a line that cannot be decoded comes out
with a fault that names its octet offset, and the lines after it are read as before.

Only one block and one line are ever in memory. Nothing here knows what the lines mean.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from resolver.intake.rows import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_OCTETS = 1 << 20
"""Octets read at once; the first block is the sample that decides the encoding."""

LINE_OCTETS_MAX = 8 << 20
"""Octets of one line: a record of 1 MiB whose every octet is escaped as ``\\u0000`` is 6 MiB of JSON."""

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
"""Encodings that are read."""

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (b"\x84\x31\x95\x33", "gb18030"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZIP_MAGIC = b"PK\x03\x04"
_BINARY_SAMPLE_OCTETS = 512


class Line(NamedTuple):
    """A line without its line feed; a carriage return before it is kept. ``fault`` says why there is no text."""

    number: int
    text: str
    fault: str = ""


class TextLines:
    """The lines of a binary stream. ``encoding`` is what was found, "ascii" as long as nothing else was needed."""

    def __init__(
        self,
        stream: BinaryIO,
        encoding: str | None = None,
        *,
        line_octets_max: int = LINE_OCTETS_MAX,
        block_octets: int = BLOCK_OCTETS,
    ) -> None:
        if encoding is not None:
            encoding = encoding.lower()
            if encoding not in ENCODINGS:
                raise IntakeError(f"the encoding {encoding!r} is not read: give one of {', '.join(ENCODINGS)}")
        self.encoding = encoding or "ascii"
        self._stream = stream
        self._line_octets_max = line_octets_max
        self._block_octets = block_octets
        self._number = 0
        self._offset = 0

    def __iter__(self) -> Iterator[Line]:
        """The lines from the start of the stream. Raises IntakeError when it is no text or cannot be read."""
        block = self._without_mark(self._read()) or self._read()
        carry = b""
        skipped = 0
        while block:
            held = carry + block
            cut = self._after_last_newline(held)
            if cut == 0 and len(held) > self._line_octets_max:
                skipped += len(held) - len(held) % self._unit
                carry = held[len(held) - len(held) % self._unit :]
            elif cut and skipped:
                first = self._after_first_newline(held)
                yield self._over_long(skipped + first)
                skipped = 0
                yield from self._lines(held[first:cut])
                carry = held[cut:]
            else:
                yield from self._lines(held[:cut])
                carry = held[cut:]
            block = self._read()
        if skipped:
            yield self._over_long(skipped + len(carry))
        elif carry:
            yield from self._lines(carry)

    @property
    def _unit(self) -> int:
        return 2 if self.encoding.startswith("utf-16") else 1

    @property
    def _newline(self) -> bytes:
        return "\n".encode(self.encoding)

    def _read(self) -> bytes:
        try:
            return self._stream.read(self._block_octets)
        except OSError as error:
            raise IntakeError(
                f"reading failed after row {self._number}: {error.strerror or error}; check the disk and resume",
                number=self._number,
            ) from error

    def _without_mark(self, block: bytes) -> bytes:
        if block.startswith(_ZIP_MAGIC):
            raise IntakeError("the file is a zip archive or a workbook, not text: import it with --format xlsx")
        if self.encoding == "ascii" and block.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise IntakeError("the file is UTF-32: save it as UTF-8 and import it again")
        for mark, encoding in _MARKS:
            if block.startswith(mark) and self.encoding in {"ascii", encoding}:
                self.encoding = encoding
                self._offset = len(mark)
                return block[len(mark) :]
        zero = block[:_BINARY_SAMPLE_OCTETS].find(b"\0")
        if zero >= 0 and self._unit == 1:
            raise IntakeError(
                f"the file is not text: octet {zero} is zero; save it as UTF-8 (UTF-16 needs its byte order mark)"
            )
        return block

    def _after_last_newline(self, octets: bytes) -> int:
        newline, unit = self._newline, self._unit
        at = octets.rfind(newline)
        while at % unit and at >= 0:
            at = octets.rfind(newline, 0, at + unit - 1)
        return at + unit if at >= 0 else 0

    def _after_first_newline(self, octets: bytes) -> int:
        newline, unit = self._newline, self._unit
        at = octets.find(newline)
        while at % unit:
            at = octets.find(newline, at + 1)
        return at + unit

    def _over_long(self, octets: int) -> Line:
        self._number += 1
        self._offset += octets
        return Line(
            self._number, "", f"the line has {octets} octets; at most {self._line_octets_max} are read: shorten the row"
        )

    def _lines(self, octets: bytes) -> Iterator[Line]:
        """The lines of whole-line octets."""
        if not octets:
            return
        if self.encoding == "ascii" and not octets.isascii():
            self.encoding = detect(octets)
        try:
            text = octets.decode(self.encoding)
        except UnicodeDecodeError:
            text = ""
        over_long = len(octets) > self._line_octets_max
        if not text or over_long:
            yield from self._careful_lines(octets)
            return
        pieces = text.split("\n")
        if not pieces[-1]:
            pieces.pop()
        self._offset += len(octets)
        number = self._number
        for piece in pieces:
            number += 1
            self._number = number
            yield Line(number, piece)

    def _careful_lines(self, octets: bytes) -> Iterator[Line]:
        """The same, each line decoded for itself, so that a bad one stands alone."""
        start = 0
        while start < len(octets):
            end = self._line_end(octets, start)
            piece = octets[start:end]
            start = end
            if len(piece) > self._line_octets_max:
                yield self._over_long(len(piece))
                continue
            self._number += 1
            try:
                line = Line(self._number, piece.decode(self.encoding).removesuffix("\n"))
            except UnicodeDecodeError as error:
                line = Line(self._number, "", self._fault(piece, error))
            self._offset += len(piece)
            yield line

    def _line_end(self, octets: bytes, start: int) -> int:
        newline, unit = self._newline, self._unit
        at = octets.find(newline, start)
        while at >= 0 and (at - start) % unit:
            at = octets.find(newline, at + 1)
        return at + unit if at >= 0 else len(octets)

    def _fault(self, piece: bytes, error: UnicodeDecodeError) -> str:
        return (
            f"octet {self._offset + error.start} of the file is 0x{piece[error.start]:02x}, which is not "
            f"{self.encoding.upper()} ({error.reason}): write the row again as UTF-8 or GB18030"
        )


def detect(octets: bytes) -> str:
    """The name of the encoding that reads more of the lines, ``utf-8`` or ``gb18030``; UTF-8 when in doubt."""
    as_utf8 = only_gb18030 = 0
    for line in octets.split(b"\n"):
        if line.isascii():
            continue
        if _decodes(line, "utf-8"):
            as_utf8 += 1
        elif _decodes(line, "gb18030"):
            only_gb18030 += 1
    return "gb18030" if only_gb18030 > as_utf8 else "utf-8"


def _decodes(octets: bytes, encoding: str) -> bool:
    try:
        octets.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
