"""What a Handle mirror is sent: changes since a place in the journal, or everything, a page at a time.

A mirror of the Handle System follows by transactions whose numbers are the serials of our journal. Each carries the
handle as it is now, never as it was. A change of a handle that has gone since is left out, and so is the deletion of
one that is there again: its later change says what there is to say, and the mirror never lacks what this node has.
What is homed is not in the journal; it is sent as it stands. Every page is read in a transaction of its own, short
however large the store is, and holds only what the mirror's server is responsible for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold, key_of_octets
from resolver.node import hdl_resolve, record_octets
from resolver.node.ledger import serial_key
from resolver.node.record_octets import StoredRecord
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from resolver.wire import replication_records as records
from resolver.wire.hash_selection import server_index
from resolver.wire.replication_records import Action, StartKind
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.wire.replication_records import Record, Transaction
    from storage.engine import Reader

ROWS_MAX = 100
"""Rows read for a page: about a millisecond, and twenty milliseconds of signatures."""

OCTETS_MAX = 1 << 20
"""Octets after which a page is full."""

_ONLY_SOURCE = "sources"
"""What a mirror calls the site it follows when a file tells it where that is, and no handle."""

_SERIAL_END = 1 << 63

_ACTIONS = {
    int(changes.OPERATION_CREATE): Action.CREATE,
    int(changes.OPERATION_MODIFY): Action.UPDATE,
    int(changes.OPERATION_DELETE): Action.DELETE,
    int(changes.OPERATION_ARRIVE): Action.UPDATE,
    int(changes.OPERATION_LEAVE): Action.DELETE,
}


class Share(NamedTuple):
    """The handles of one server of a site: hash option of the site, how many servers, which one from 0."""

    option: int
    servers: int
    number: int

    def holds(self, name: str) -> bool:
        """Whether a handle belongs to the server."""
        return self.servers == 1 or server_index(name, self.option, self.servers) == self.number


class Place(NamedTuple):
    """Up to where a mirror has followed: the last transaction, and a date in milliseconds; zeros for nothing yet."""

    transaction_id: int = 0
    date_ms: int = 0

    @classmethod
    def of(cls, transaction_id: int, date_ms: int) -> Place:
        """The place that a mirror tells: it says -1 for what it does not know, as after a first empty answer."""
        return cls(max(transaction_id, 0), max(date_ms, 0))


def place_in(state: bytes, queue: str) -> tuple[str, Place] | None:
    """The queue that is ours in the JSON state of a mirror, and its place; None for a state that cannot be read.

    Queues are named ``SERVER:INDEX:HANDLE``, ours ``queue``. A mirror may call its only source ``SERVER:sources``.
    One that does not know us gets everything from the beginning: what it has already changes nothing there.
    """
    try:
        queues = json.loads(state)["replicationServerStates"]
        found = {
            str(name): Place.of(int(each["lastTxnId"]), int(each["lastTimestamp"])) for name, each in queues.items()
        }
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if any(number >= _SERIAL_END for place in found.values() for number in place):
        return None
    site = fold(queue.partition(":")[2])
    of_site = [name for name in found if fold(name.partition(":")[2]) == site]
    ours = [name for name in of_site if fold(name) == fold(queue)]
    if not ours and len(of_site) == 1:
        ours = of_site
    if not ours and len(found) == 1:
        ours = [name for name in found if name.partition(":")[2] == _ONLY_SOURCE]
    return (ours[0], found[ours[0]]) if ours else (queue, Place())


def must_redump(reader: Reader, place: Place) -> bool:
    """Whether the journal cannot lead on from a place: it is shorter, or had another change there then."""
    if not place.transaction_id:
        return False
    body = reader.get(Table.CHANGES, serial_key(place.transaction_id)) if place.transaction_id < _SERIAL_END else None
    if body is None:
        return True
    return bool(place.date_ms) and changes.Change.FromString(body).time_us // 1_000 > place.date_ms


def transactions(reader: Reader, after: int, newest: int, share: Share) -> tuple[list[Transaction], int]:
    """The transactions behind a serial, none above ``newest``; and the serial to go on behind."""
    through, octets = after, 0
    found: list[Transaction] = []
    stop = min(newest, after + ROWS_MAX) + 1
    for key, body in reader.scan(Table.CHANGES, serial_key(after + 1), serial_key(stop)):
        through = int.from_bytes(key, "big")
        change = changes.Change.FromString(body)
        if not share.holds(change.name):
            continue
        action = _ACTIONS[change.operation]
        values: tuple[bytes, ...] = ()
        record = _stored(reader, key_of_octets(change.name.encode()))
        if (record is None) != (action is Action.DELETE):
            continue
        if record is not None:
            values = _values(record)
        found.append(records.Transaction(through, change.name, action, change.time_us // 1_000, values))
        octets += sum(map(len, values))
        if octets > OCTETS_MAX:
            return found, through
    return found, max(through, stop - 1)  # a gap would be asked for again and again


def homed(reader: Reader, after: bytes, transaction_id: int, date_ms: int) -> tuple[list[Transaction], bytes | None]:
    """A page of what is homed and what is not any more, as transactions; and the key to go on at, None at the end."""
    found: list[Transaction] = []
    for key, body in reader.scan(Table.PREFIXES, after):
        row = registry.Prefix.FromString(body)
        action = Action.HOME if row.homed else Action.UNHOME
        name = f"{PREFIX_OF_PREFIXES}/{row.prefix}"
        found.append(records.Transaction(transaction_id, name, action, date_ms))
        if len(found) == ROWS_MAX:
            return found, key + b"\0"
    return found, None


class Dump:
    """Everything, from a starting point on. Ask for ``page`` until ``is_done``.

    Dates go by folded names, under which mirrors look for them when a transaction comes.
    """

    def __init__(self, share: Share, start: str = "", kind: int = StartKind.HANDLE_DATES) -> None:
        """Go on behind a handle in one of the parts. Raises InvalidName for a starting point that is no handle."""
        self._share = share
        parts: list[tuple[StartKind, Callable[[Reader, bytes], tuple[list[Record], bytes | None]]]] = [
            (StartKind.HANDLE_DATES, self._handle_dates),
            (StartKind.HANDLE_DATES, self._deletions),
            (StartKind.PREFIX_DATES, self._prefix_dates),
            (StartKind.HANDLES, self._handles),
            (StartKind.PREFIXES, self._prefixes),
        ]
        self._parts = [part for at, part in parts if at >= kind]
        self._key = _start_key(start, kind) + b"\0" if start else b""

    @property
    def is_done(self) -> bool:
        """Whether all pages were given."""
        return not self._parts

    def page(self, reader: Reader) -> list[Record]:
        """The next records, which may be none."""
        found, after = self._parts[0](reader, self._key)
        self._key = after or b""
        if after is None:
            del self._parts[0]
        return found

    def _handle_dates(self, reader: Reader, key: bytes) -> tuple[list[Record], bytes | None]:
        found: list[Record] = []
        for rows, (here, body) in enumerate(reader.scan(Table.RECORDS, key), start=1):
            record = record_octets.parse(body)
            if self._share.holds(record.name):
                changed_us = record.update_time_us or record.create_time_us
                found.append(records.HandleDate(fold(record.name), changed_us // 1_000, 1))
            if rows == ROWS_MAX:
                return found, here + b"\0"
        return found, None

    def _deletions(self, reader: Reader, key: bytes) -> tuple[list[Record], bytes | None]:
        found: list[Record] = []
        for rows, (here, body) in enumerate(reader.scan(Table.TOMBSTONES, key), start=1):
            tombstone = stored.StoredTombstone.FromString(body)
            entry = reader.get(Table.CHANGES, serial_key(tombstone.serial))
            name = changes.Change.FromString(entry).name if entry else ""
            if name and self._share.holds(name) and reader.get(Table.RECORDS, here) is None:
                found.append(records.HandleDate(fold(name), tombstone.time_us // 1_000, 1))
            if rows == ROWS_MAX:
                return found, here + b"\0"
        return found, None

    def _prefix_dates(self, reader: Reader, key: bytes) -> tuple[list[Record], bytes | None]:
        found: list[Record] = []
        for here, body in reader.scan(Table.PREFIXES, key):
            row = registry.Prefix.FromString(body)
            name = f"{PREFIX_OF_PREFIXES}/{fold(row.prefix)}"
            found.append(records.PrefixDate(name, row.create_time_us // 1_000, 1))
            if len(found) == ROWS_MAX:
                return found, here + b"\0"
        return found, None

    def _handles(self, reader: Reader, key: bytes) -> tuple[list[Record], bytes | None]:
        found: list[Record] = []
        octets = 0
        for rows, (here, body) in enumerate(reader.scan(Table.RECORDS, key), start=1):
            name = record_octets.parse(body).name
            if self._share.holds(name):
                values = _values(StoredRecord(body, reader.get(Table.RESTRICTED, here) or b""))
                found.append(records.DumpedHandle(name, values))
                octets += sum(map(len, values))
            if rows == ROWS_MAX or octets > OCTETS_MAX:
                return found, here + b"\0"
        return found, None

    def _prefixes(self, reader: Reader, key: bytes) -> tuple[list[Record], bytes | None]:
        found: list[Record] = []
        for rows, (here, body) in enumerate(reader.scan(Table.PREFIXES, key), start=1):
            row = registry.Prefix.FromString(body)
            if row.homed:
                found.append(records.HomedPrefix(f"{PREFIX_OF_PREFIXES}/{row.prefix}"))
            if rows == ROWS_MAX:
                return found, here + b"\0"
        return found, None


def _start_key(start: str, kind: int) -> bytes:
    handle = Handle.from_text(start)
    if kind in {StartKind.HANDLE_DATES, StartKind.HANDLES}:
        return handle.key
    return fold(handle.suffix).encode()


def _stored(reader: Reader, key: bytes) -> StoredRecord | None:
    public = reader.get(Table.RECORDS, key)
    return None if public is None else StoredRecord(public, reader.get(Table.RESTRICTED, key) or b"")


def _values(record: StoredRecord) -> tuple[bytes, ...]:
    return tuple(map(hdl_resolve.value_to_wire, record.all_values()))
