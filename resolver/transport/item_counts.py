"""How many items a request has, counted in its octets before anything is made of them.

An empty item is two octets on the wire and a hundred in memory: four megabytes of them were a hundred and thirty, and
a fifth of a second for everybody, before the method could say that it takes two thousand. What is counted here is far
more than a method takes, so that its own sentence, with the exact number, is what people meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver import limits, methods
from resolver.errors import TooManyItems
from resolver.registry import template_items
from resolver.wire import bounds

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from resolver.methods import Method

UNCOUNTED_OCTETS_MAX = limits.SMALL_MESSAGE_OCTETS_MAX
"""Octets of a message whose items are not counted: whatever they are, they fill some megabytes."""

BATCH_VALUES_MAX = 200_000
"""Values of all rows of a batch, and references: what fills the largest message with values of twenty octets."""

_SLACK = 4
"""How many times more than a method takes are counted."""

_LOOKED_AT = 1.5
"""Fields that are looked at for each item that may be: a message of nothing but others took the loop half a second."""

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
"""Kinds of fields on the wire (protobuf encoding); others begin and end groups, which have no octets of their own."""


class Bound(NamedTuple):
    """So many items at a place: field numbers from the outermost message on, and what to call them."""

    fields: tuple[int, ...]
    items_max: int
    name: str


_VALUES = (
    Bound((2,), _SLACK * limits.VALUES_MAX, "values"),
    Bound((2, 8), BATCH_VALUES_MAX, "values.references"),
)
_ROWS_MAX = _SLACK * limits.BATCH_CREATE_MAX
_ROWS = (
    Bound((1,), _ROWS_MAX, "handles"),
    Bound((1, 2), BATCH_VALUES_MAX, "handles.values"),
    Bound((1, 2, 8), BATCH_VALUES_MAX, "handles.values.references"),
)
_TEMPLATE = (
    Bound((1, 7), _SLACK * template_items.ITEMS_MAX, "template.items"),
    Bound((1, 7, 9), BATCH_VALUES_MAX, "template.items.options"),
)

BOUNDS: dict[str, tuple[Bound, ...]] = {
    methods.BATCH_RESOLVE.path: (
        Bound((1,), _SLACK * limits.BATCH_RESOLVE_MAX, "names"),
        Bound((2,), _SLACK * limits.BATCH_RESOLVE_MAX, "types"),
    ),
    methods.CREATE_HANDLE.path: _VALUES,
    methods.UPDATE_HANDLE.path: _VALUES,
    methods.PUT_VALUES.path: _VALUES,
    methods.BATCH_CREATE_HANDLES.path: _ROWS,
    methods.BATCH_UPDATE_HANDLES.path: _ROWS,
    methods.BATCH_DELETE_HANDLES.path: (Bound((1,), _ROWS_MAX, "names"),),
    methods.IMPORT_HANDLES.path: (
        Bound((3,), _ROWS_MAX, "handles"),
        Bound((3, 2), BATCH_VALUES_MAX, "handles.values"),
        Bound((3, 2, 8), BATCH_VALUES_MAX, "handles.values.references"),
    ),
    methods.CREATE_TEMPLATE.path: _TEMPLATE,
    methods.UPDATE_TEMPLATE.path: _TEMPLATE,
    methods.CHANGE_SITE.path: (
        Bound((3, 4), _SLACK * bounds.SERVERS_MAX, "next.servers"),
        Bound((4, 4), _SLACK * bounds.SERVERS_MAX, "current.servers"),
    ),
}
"""What is counted, for every method whose messages may be large."""


def require_few(method: Method[Message, Message], octets: bytes) -> None:
    """Raise TooManyItems for a message that is made of items. One that is no message is for the parser to refuse."""
    if len(octets) <= UNCOUNTED_OCTETS_MAX:
        return
    for bound in BOUNDS.get(method.path, ()):
        # Every item begins with the first octet of its tag, which may be written longer than it needs to be.
        tag = bound.fields[-1] << 3 | _LENGTH
        if octets.count(tag) + octets.count(tag | 0x80) <= bound.items_max:
            continue
        try:
            left = [int(_LOOKED_AT * bound.items_max)]
            count = _count(octets, (0, len(octets)), bound.fields, bound.items_max, left)
        except IndexError:
            continue
        if count > bound.items_max:
            raise TooManyItems(
                f"the request has more than {bound.items_max} items in {bound.name}, or beside it: send fewer at once",
                field=bound.name,
            )


def _count(octets: bytes, part: tuple[int, int], fields: tuple[int, ...], most: int, left: list[int]) -> int:
    """Items at a place in a part of a message, counted until there are too many, or no looks ``left``.

    Raises IndexError where it is cut off.
    """
    at, end = part
    wanted, inner = fields[0], fields[1:]
    count = 0
    while at < end and count <= most:
        left[0] -= 1
        if left[0] < 0:
            return most + 1
        key = octets[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(octets, at - 1)
        kind = key & 7
        if kind == _LENGTH:
            length = octets[at]
            at += 1
            if length >= 0x80:
                length, at = _varint(octets, at - 1)
            if key >> 3 == wanted:
                count += _count(octets, (at, min(at + length, end)), inner, most - count, left) if inner else 1
            at += length
        elif kind == _VARINT:
            _, at = _varint(octets, at)
        elif kind == _FIXED_64:
            at += 8
        elif kind == _FIXED_32:
            at += 4
    return count


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises IndexError."""
    number = shift = 0
    while True:
        octet = octets[at]
        at += 1
        number |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80 or shift >= 70:
            return number, at
