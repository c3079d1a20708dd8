"""Bodies of the requests that mirrors ask with: changes since a point, and all handles (RFC 3652 section 3).

Same shape as ``requests``. What follows the answers is a stream of its own, not a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from resolver.errors import MalformedMessage
from resolver.wire.cursor import pack_i64, pack_u32, sized

if TYPE_CHECKING:
    from resolver.wire.cursor import Cursor


@dataclass(frozen=True, slots=True)
class RetrieveSince:
    """Ask for the changes since a transaction, of the handles that one server of a site answers for.

    ``query_date_ms`` counts milliseconds since 1970. Both numbers are signed, and -1 where a mirror knows the other of
    the two only. This is the layout below 2.9 and, behind a form octet, later.
    """

    transaction_id: int
    query_date_ms: int
    hash_option: int
    servers: int
    server_number: int

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(
            cursor.take_i64("transaction id"),
            cursor.take_i64("query date"),
            cursor.take_u8("hash option"),
            cursor.take_u32("number of servers"),
            cursor.take_u32("server number"),
        )

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return b"".join(
            (
                pack_i64(self.transaction_id),
                pack_i64(self.query_date_ms),
                bytes((self.hash_option,)),
                pack_u32(self.servers),
                pack_u32(self.server_number),
            )
        )


@dataclass(frozen=True, slots=True)
class RetrieveByState:
    """Ask for the changes since a JSON state, which has one transaction id for each queue of the site."""

    state: bytes
    hash_option: int
    servers: int
    server_number: int

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(
            cursor.take_sized("replication state"),
            cursor.take_u8("hash option"),
            cursor.take_u32("number of servers"),
            cursor.take_u32("server number"),
        )

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized(self.state) + bytes((self.hash_option,)) + pack_u32(self.servers) + pack_u32(self.server_number)


@dataclass(frozen=True, slots=True)
class RetrieveTransactions:
    """Ask for changes from 2.9 on: an octet says whether a transaction id (0) or a state (1) follows."""

    since: RetrieveSince | RetrieveByState

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        form = cursor.take_u8("form")
        if form > 1:
            raise MalformedMessage(f"form {form} of a transaction request is unknown: 0 and 1 are known", field="form")
        return cls(RetrieveByState.from_wire(cursor) if form else RetrieveSince.from_wire(cursor))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return bytes((isinstance(self.since, RetrieveByState),)) + self.since.to_wire()


@dataclass(frozen=True, slots=True)
class DumpHandles:
    """Ask for all handles that one server of a site answers for, from ``start`` when it is given."""

    hash_option: int
    servers: int
    server_number: int
    start: bytes | None = None
    start_kind: int = 0

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        fields = (
            cursor.take_u8("hash option"),
            cursor.take_u32("number of servers"),
            cursor.take_u32("server number"),
        )
        if not cursor.remaining:
            return cls(*fields)
        return cls(*fields, cursor.take_sized("starting point"), cursor.take_u32("starting point kind"))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        whole = bytes((self.hash_option,)) + pack_u32(self.servers) + pack_u32(self.server_number)
        return whole if self.start is None else whole + sized(self.start) + pack_u32(self.start_kind)
