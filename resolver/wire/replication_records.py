"""What mirrors of the Handle System send each other: changes, and everything a server holds.

Each record is one octet of kind and its fields; ``to_wire`` gives both. Values travel in front of their lengths, other
than in messages, and are kept here as their octets: one that cannot be read must not end a copy of a million
handles, so whoever wants them decodes them one by one. Dates are milliseconds since 1970. They and the numbers of
transactions are signed, as in Java.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from resolver.wire.cursor import Cursor, counted, pack_i64, pack_u32, sized, sized_text
from resolver.wire.values import value_from_wire

if TYPE_CHECKING:
    from resolver.handle.value import HandleValue


class Action(IntEnum):
    """What a transaction does."""

    PLACEHOLDER = 0
    CREATE = 1
    DELETE = 2
    UPDATE = 3
    HOME = 4
    UNHOME = 5
    DELETE_ALL = 6


WITH_VALUES = frozenset({Action.CREATE, Action.UPDATE})
"""Transactions that carry all values the handle has, not only those that changed."""


class StartKind(IntEnum):
    """The part of a dump that a starting point is in, in the order in which the parts come."""

    HANDLE_DATES = 0
    PREFIX_DATES = 1
    HANDLES = 2
    PREFIXES = 3


class Status(IntEnum):
    """What a stream of transactions is."""

    MUST_REDUMP = 1
    SENDING = 2


def values_of(encoded: tuple[bytes, ...]) -> tuple[HandleValue, ...]:
    """The values in the octets of a record. Raises WireError."""
    found = []
    for octets in encoded:
        cursor = Cursor(octets)
        found.append(value_from_wire(cursor))
        cursor.finish("the value")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class TransactionsBegin:
    """The start of transactions: format 1 has one queue, format 2 names the queue that follows."""

    format: int
    status: int

    def to_wire(self) -> bytes:
        """The octets; this one has no kind."""
        return pack_u32(self.format) + pack_u32(self.status)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A change of a handle, or of what is homed. ``values`` is empty but for the actions in ``WITH_VALUES``."""

    KIND = 1

    id: int
    handle: str
    action: int
    date_ms: int
    values: tuple[bytes, ...] = ()

    def to_wire(self) -> bytes:
        """The octets."""
        whole = b"".join(
            (bytes((self.KIND,)), pack_i64(self.id), sized_text(self.handle), bytes((self.action,)))
        ) + pack_i64(self.date_ms)
        return whole + counted(map(sized, self.values)) if self.action in WITH_VALUES else whole


@dataclass(frozen=True, slots=True)
class QueueBegins:
    """The transactions that follow are of this queue, ``SERVER:INDEX:HANDLE`` of the site."""

    KIND = 2

    name: str

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.name)


@dataclass(frozen=True, slots=True)
class QueueEnds:
    """The queue is complete up to this date."""

    KIND = 3

    date_ms: int

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + pack_i64(self.date_ms)


@dataclass(frozen=True, slots=True)
class TransactionsEnd:
    """The end of the stream; format 1 says the date up to which it is complete, format 2 does not (None)."""

    KIND = 0

    date_ms: int | None = None

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + (b"" if self.date_ms is None else pack_i64(self.date_ms))


@dataclass(frozen=True, slots=True)
class DumpBegins:
    """The start of a dump. Version 2 is what is sent; a dump of version 1, of old servers, ends with its position."""

    version: int = 2

    def to_wire(self) -> bytes:
        """The octets; this one has no kind."""
        return pack_u32(self.version)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the transactions of the sending server go on after this dump."""

    KIND = 0

    date_ms: int
    transaction_id: int

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + pack_i64(self.date_ms) + pack_i64(self.transaction_id)


@dataclass(frozen=True, slots=True)
class OtherPositions:
    """The same for the other sites the server follows, as JSON text."""

    KIND = 5

    text: str

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.text)


@dataclass(frozen=True, slots=True)
class HandleDate:
    """When a handle was changed or deleted last; the higher priority wins among equal dates."""

    KIND = 3

    handle: str
    date_ms: int
    priority: int

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.handle) + pack_i64(self.date_ms) + pack_u32(self.priority)


@dataclass(frozen=True, slots=True)
class PrefixDate:
    """When a prefix was homed or unhomed last."""

    KIND = 4

    handle: str
    date_ms: int
    priority: int

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.handle) + pack_i64(self.date_ms) + pack_u32(self.priority)


@dataclass(frozen=True, slots=True)
class DumpedHandle:
    """A handle with all its values, restricted ones included."""

    KIND = 1

    handle: str
    values: tuple[bytes, ...]

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.handle) + counted(map(sized, self.values))


@dataclass(frozen=True, slots=True)
class HomedPrefix:
    """A prefix homed at the server, as its prefix handle."""

    KIND = 2

    handle: str

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,)) + sized_text(self.handle)


@dataclass(frozen=True, slots=True)
class DumpEnds:
    """The end of a dump, the only record that is never signed."""

    KIND = 0xFF

    def to_wire(self) -> bytes:
        """The octets."""
        return bytes((self.KIND,))


TransactionRecord = TransactionsBegin | Transaction | QueueBegins | QueueEnds | TransactionsEnd
DumpRecord = DumpBegins | Position | OtherPositions | HandleDate | PrefixDate | DumpedHandle | HomedPrefix | DumpEnds
Record = TransactionRecord | DumpRecord
