"""Handle values as the protocol carries them (RFC 3651 section 3.1).

    index 4 | timestamp 4 | TTL type 1 | TTL 4 | permissions 1 | type | data | references

The last three are byte strings and a list. Values stand back to back: a value says its own length.
Integers that Java peers take as signed (an index or a timestamp with the top bit) are unsigned here.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidValue
from resolver.handle.value import HandleValue, Permission, Ttl
from resolver.wire import bounds
from resolver.wire.cursor import counted, pack_u32, reference_to_wire, text_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.wire.cursor import Cursor

_HEAD = Struct(">IIBIB")
_HEAD_OCTETS = 14
VALUE_OCTETS_MIN = _HEAD_OCTETS + 12
"""Octets of a value with an empty type, no data and no references."""

SIGNED_FROM = 8
"""Octets at the start of a value that signatures do not cover: index and timestamp."""

_NO_REFERENCES = pack_u32(0)
_PERMISSIONS_MASK = 0x0F
_PERMISSIONS = tuple(Permission(bits) for bits in range(16))


def value_from_wire(cursor: Cursor) -> HandleValue:
    """The value at the cursor. Raises MalformedMessage for missing octets, InvalidValue for an impossible TTL."""
    position = cursor.need(_HEAD_OCTETS, "value")
    index, timestamp, ttl_type, ttl, permissions = _HEAD.unpack_from(cursor.octets, position)
    if ttl_type > 1:
        raise InvalidValue(
            f"value {index} has TTL type {ttl_type}: 0 (relative) and 1 (absolute) are known", field="ttl"
        )
    return HandleValue(
        index,
        cursor.take_text("value type"),
        cursor.take_sized("value data"),
        Ttl(ttl, absolute=ttl_type == 1),
        _PERMISSIONS[permissions & _PERMISSIONS_MASK],
        timestamp,
        cursor.take_references("value references", bounds.REFERENCES_MAX),
    )


def value_to_wire(value: HandleValue) -> bytes:
    """The octets of a value."""
    return fields_to_wire(
        value.index,
        text_to_wire(value.type),
        value.data,
        value.ttl.seconds,
        value.permissions.value,
        value.timestamp_s,
        ttl_is_absolute=value.ttl.absolute,
        references=counted(map(reference_to_wire, value.references)) if value.references else _NO_REFERENCES,
    )


def fields_to_wire(
    index: int,
    type_octets: bytes,
    data: bytes,
    ttl_s: int,
    permissions: int,
    timestamp_s: int,
    *,
    ttl_is_absolute: bool = False,
    references: bytes = _NO_REFERENCES,
) -> bytes:
    """The octets of a value from its fields, for callers that have no ``HandleValue``.

    ``references`` are already encoded with their count.
    """
    return b"".join(
        (
            _HEAD.pack(index, timestamp_s, ttl_is_absolute, ttl_s, permissions),
            pack_u32(len(type_octets)),
            type_octets,
            pack_u32(len(data)),
            data,
            references,
        )
    )


def values_from_wire(cursor: Cursor, field: str = "values") -> tuple[HandleValue, ...]:
    """A list of values: four octets of count, then the values back to back."""
    count = cursor.take_count(field, VALUE_OCTETS_MIN, limits.VALUES_MAX)
    return tuple(value_from_wire(cursor) for _ in range(count))


def values_to_wire(values: Iterable[HandleValue]) -> bytes:
    """The octets of a list of values."""
    return counted(map(value_to_wire, values))
