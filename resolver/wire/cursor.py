"""Reading fields in order from octets that cannot be trusted.

Every length and count is held against the octets that remain before anything is taken, so a
four-octet lie cannot make the node allocate. All integers are big-endian. The cursor knows no
messages; a field is named only to be able to say which one is wrong.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.handle.value import Reference
from resolver.wire import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

U16 = Struct(">H")
U32 = Struct(">I")
U64 = Struct(">Q")
I64 = Struct(">q")

_read_u16 = U16.unpack_from
_read_u32 = U32.unpack_from
_read_u64 = U64.unpack_from
pack_u16 = U16.pack
pack_u32 = U32.pack
pack_u64 = U64.pack
pack_i64 = I64.pack


def text_from_wire(octets: bytes) -> str:
    """The text of UTF-8 octets; octets that are not UTF-8 become lone surrogates, so nothing is lost."""
    return octets.decode("utf-8", "surrogateescape")


def text_to_wire(text: str) -> bytes:
    """The octets of a text that ``text_from_wire`` or a person made."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise MalformedMessage(
            f"a text holds an unpaired surrogate at letter {error.start}: it cannot be written as UTF-8"
        ) from None


def sized(octets: bytes) -> bytes:
    """A byte string as the protocol carries it: four octets of length, then the octets."""
    return pack_u32(len(octets)) + octets


def sized_text(text: str) -> bytes:
    """A text as the protocol carries it: a byte string of UTF-8."""
    octets = text_to_wire(text)
    return pack_u32(len(octets)) + octets


def counted(parts: Iterable[bytes]) -> bytes:
    """A list as the protocol carries it: four octets of count, then the items."""
    items = list(parts)
    return pack_u32(len(items)) + b"".join(items)


def reference_to_wire(reference: Reference) -> bytes:
    """A reference: byte string of the handle, then the index."""
    return sized_text(reference.name) + pack_u32(reference.index)


class Cursor:
    """A place in some octets. Every ``take_...`` moves it on; each raises MalformedMessage when octets are missing."""

    __slots__ = ("end", "octets", "position")

    def __init__(self, octets: bytes, position: int = 0, end: int | None = None) -> None:
        self.octets = octets
        self.position = position
        self.end = len(octets) if end is None else end

    @property
    def remaining(self) -> int:
        """Octets not taken yet."""
        return self.end - self.position

    def need(self, octets: int, field: str) -> int:
        """The position of the next ``octets`` octets, having moved behind them."""
        position = self.position
        after = position + octets
        if after > self.end:
            raise MalformedMessage(
                f"{field} needs {octets} octets and {self.end - position} remain: the message is cut short or a "
                "length before it is wrong",
                field=field,
            )
        self.position = after
        return position

    def take(self, octets: int, field: str) -> bytes:
        """The next ``octets`` octets."""
        position = self.need(octets, field)
        return self.octets[position : position + octets]

    def take_rest(self) -> bytes:
        """All octets that remain."""
        position, self.position = self.position, self.end
        return self.octets[position : self.end]

    def take_u8(self, field: str) -> int:
        """One octet as an unsigned integer."""
        return self.octets[self.need(1, field)]

    def take_u16(self, field: str) -> int:
        """Two octets as an unsigned integer."""
        value: int = _read_u16(self.octets, self.need(2, field))[0]
        return value

    def take_u32(self, field: str) -> int:
        """Four octets as an unsigned integer."""
        value: int = _read_u32(self.octets, self.need(4, field))[0]
        return value

    def take_u64(self, field: str) -> int:
        """Eight octets as an unsigned integer."""
        value: int = _read_u64(self.octets, self.need(8, field))[0]
        return value

    def take_i64(self, field: str) -> int:
        """Eight octets as a signed integer."""
        return int.from_bytes(self.octets[(position := self.need(8, field)) : position + 8], "big", signed=True)

    def take_count(self, field: str, item_octets_min: int, items_max: int) -> int:
        """A count of items that have at least ``item_octets_min`` octets each and are at most ``items_max``."""
        count = self.take_u32(field)
        if count > items_max:
            raise MalformedMessage(f"{field} says {count} items; at most {items_max} are allowed", field=field)
        if count * item_octets_min > self.end - self.position:
            raise MalformedMessage(
                f"{field} says {count} items of at least {item_octets_min} octets and {self.remaining} octets remain",
                field=field,
            )
        return count

    def take_sized(self, field: str, octets_max: int = bounds.FIELD_OCTETS_MAX) -> bytes:
        """A byte string: four octets of length, then the octets."""
        octets = self.take_u32(field)
        if octets > octets_max:
            raise MalformedMessage(f"{field} says {octets} octets; at most {octets_max} are allowed", field=field)
        position = self.need(octets, field)
        return self.octets[position : position + octets]

    def take_text(self, field: str, octets_max: int = bounds.FIELD_OCTETS_MAX) -> str:
        """A byte string as text, see ``text_from_wire``."""
        return self.take_sized(field, octets_max).decode("utf-8", "surrogateescape")

    def take_handle(self, field: str = "handle") -> str:
        """A handle as text. It may be any octets: only ``Handle.from_text`` judges it."""
        return self.take_sized(field, limits.NAME_OCTETS_MAX).decode("utf-8", "surrogateescape")

    def take_indexes(self, field: str = "indexes") -> tuple[int, ...]:
        """A list of indexes: four octets of count, then four octets each."""
        count = self.take_count(field, 4, limits.VALUES_MAX)
        position = self.need(4 * count, field)
        return Struct(f">{count}I").unpack_from(self.octets, position)

    def take_references(self, field: str, items_max: int) -> tuple[Reference, ...]:
        """A list of references: handle and index each."""
        count = self.take_count(field, 8, items_max)
        return tuple(Reference(self.take_handle(field), self.take_u32(field)) for _ in range(count))

    def finish(self, field: str) -> None:
        """Raise MalformedMessage when octets remain where none may."""
        if self.position != self.end:
            raise MalformedMessage(f"{self.remaining} octets follow the end of {field}: remove them", field=field)
