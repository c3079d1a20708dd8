"""One write transaction over the records: record, journal, tally and day counts change together.

A ledger collects what the jobs of a group decide and writes it once at the end, records sorted by key, so that a
group of a thousand registrations touches each page once. Reads see what the group has decided so far. Whoever
changes a record decides first and stores last: after ``store`` or ``remove`` a job must not fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.clock import day_of
from resolver.errors import RecordCorrupt
from resolver.node import activity, record_octets, search
from resolver.node.quotas import NO_QUOTA, Count, Meter, Quota
from resolver.telemetry.calls import INTERNAL, REGISTRATION
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.errors import RowCorrupt
from storage.tables import MARK, Table

if TYPE_CHECKING:
    from resolver.node.templates import Rules
    from resolver.v1 import registry_pb2 as registry
    from storage.engine import Reader, Writer

_HASH_MODULUS = 1 << 256

NODE_KEY = b"\x01"
"""Where a prefix key stands in STATISTICS and SOURCES, the node as a whole; no prefix has control characters."""

_DONE = {
    changes.OPERATION_CREATE: "create",
    changes.OPERATION_MODIFY: "modify",
    changes.OPERATION_DELETE: "delete",
}


def serial_key(serial: int) -> bytes:
    """Key of a journal entry."""
    return serial.to_bytes(8, "big")


def last_serial(reader: Reader) -> int:
    """Serial of the newest journal entry; 0 for an empty journal."""
    key = reader.last_key(Table.CHANGES)
    return 0 if key is None else int.from_bytes(key, "big")


def day_key(day: int, prefix_key: bytes) -> bytes:
    """Key of a prefix's counts on a day."""
    return day.to_bytes(4, "big") + prefix_key


class StoredRecord(NamedTuple):
    """A record as it is on disk: the public body, and the restricted one or b""."""

    public: bytes
    restricted: bytes

    def record(self) -> pb.HandleRecord:
        """The public record."""
        return record_octets.parse(self.public)

    def restricted_values(self) -> list[pb.HandleValue]:
        """The values without public read."""
        return list(stored.StoredRestricted.FromString(self.restricted).values) if self.restricted else []

    def all_values(self) -> list[pb.HandleValue]:
        """All values by ascending index."""
        values = [*self.record().values, *self.restricted_values()]
        values.sort(key=lambda value: value.index)
        return values


class Entry(NamedTuple):
    """What a change did, for the receipt."""

    version: int
    serial: int
    time_us: int


class Change(NamedTuple):
    """What a job wants written for one handle."""

    key: bytes
    prefix_key: bytes
    name: str
    head: bytes
    """Name and public values, serialised; see ``record_octets.head``."""
    restricted: bytes
    """Body of the row of RESTRICTED; b"" when there is none."""
    template_id: str
    principal_id: str


class Ledger:
    """The state of one write transaction. Call ``close`` once at its end, inside the transaction."""

    def __init__(self, writer: Writer, now_us: int, quota: Quota = NO_QUOTA) -> None:
        self.writer = writer
        self._serial = last_serial(writer)
        self.now_us = max(now_us, self._time_of(self._serial))
        """Time of the transaction: never before that of the last change, whatever the clock says."""
        self._day = day_of(self.now_us)
        self._records: dict[bytes, StoredRecord | None] = {}
        self._journal: list[tuple[bytes, bytes]] = []
        self._tallies: dict[bytes, list[int]] = {}
        self._days: dict[bytes, stored.StoredDay] = {}
        self._prefixes: dict[str, registry.Prefix | None] = {}
        self.templates: dict[str, Rules] = {}
        """Templates seen in this transaction, by id: a cache for whoever asks."""
        self.door = ""
        """The door of the job that is applied now; whoever applies jobs sets it."""
        self.changed: dict[tuple[str, str], int] = {}
        """Handles changed in this transaction by door and operation: create, modify or delete."""
        self.meter = Meter(writer, quota, self.now_us, self._count)
        """Counts changes against the quotas of enterprises; ``quota`` is the node's default."""

    @property
    def serial(self) -> int:
        """Serial of the newest change, those of this transaction included."""
        return self._serial

    @property
    def prefixes(self) -> dict[str, registry.Prefix | None]:
        """Rows of prefixes seen in this transaction, by folded prefix: a cache for whoever asks."""
        return self._prefixes

    def _time_of(self, serial: int) -> int:
        body = self.writer.get(Table.CHANGES, serial_key(serial)) if serial else None
        return 0 if body is None else int(changes.Change.FromString(body).time_us)

    def find(self, key: bytes) -> StoredRecord | None:
        """The record under a key, as this transaction sees it. Raises RecordCorrupt, and only its own job fails."""
        if key in self._records:
            return self._records[key]
        try:
            public = self.writer.get(Table.RECORDS, key)
            if public is None:
                return None
            return StoredRecord(public, self.writer.get(Table.RESTRICTED, key) or b"")
        except RowCorrupt as error:
            raise RecordCorrupt(
                f"{error}; the handle cannot be changed: the operator can restore it from a backup or a mirror"
            ) from error

    def create(self, change: Change) -> Entry:
        """Store a new record; the version of a deleted handle goes on counting."""
        body = self.writer.get(Table.TOMBSTONES, change.key)
        version = 1 if body is None else stored.StoredTombstone.FromString(body).version + 1
        if body is not None:
            self.writer.delete(Table.TOMBSTONES, change.key)
        return self._store(change, None, changes.OPERATION_CREATE, version, self.now_us, 0)

    def replace(self, change: Change, before: StoredRecord) -> Entry:
        """Store a changed record in place of ``before``."""
        old = before.record()
        return self._store(change, before, changes.OPERATION_MODIFY, old.version + 1, old.create_time_us, self.now_us)

    def remove(self, change: Change, before: StoredRecord) -> Entry:
        """Delete a record and leave a tombstone with its version."""
        version = before.record().version + 1
        self._serial += 1
        digest = record_octets.digest(change.key, before.public, before.restricted)
        self._records[change.key] = None
        tombstone = stored.StoredTombstone(version=version, serial=self._serial, time_us=self.now_us)
        self.writer.put(Table.TOMBSTONES, change.key, tombstone.SerializeToString())
        tally = self._tally(change.prefix_key)
        tally[0] -= 1
        tally[1] -= len(before.public) + len(before.restricted)
        tally[2] = (tally[2] - int.from_bytes(digest, "big")) % _HASH_MODULUS
        tally[3] = self._serial
        self._day_counts(change.prefix_key).deletes += 1
        self._log(change, changes.OPERATION_DELETE, version, digest)
        return Entry(version, self._serial, self.now_us)

    def _store(
        self,
        change: Change,
        before: StoredRecord | None,
        operation: changes.Operation,
        version: int,
        create_time_us: int,
        update_time_us: int,
    ) -> Entry:
        self._serial += 1
        serial = self._serial
        public = record_octets.frame(
            change.head + record_octets.tail(version, serial, create_time_us, update_time_us, change.template_id)
        )
        digest = record_octets.digest(change.key, public, change.restricted)
        self._records[change.key] = StoredRecord(public, change.restricted)
        tally = self._tally(change.prefix_key)
        tally[1] += len(public) + len(change.restricted)
        tally[2] += int.from_bytes(digest, "big")
        day = self._day_counts(change.prefix_key)
        if before is None:
            tally[0] += 1
            day.creates += 1
        else:
            tally[1] -= len(before.public) + len(before.restricted)
            tally[2] -= int.from_bytes(record_octets.digest(change.key, *before), "big")
            day.modifies += 1
        tally[2] %= _HASH_MODULUS
        tally[3] = serial
        self._log(change, operation, version, digest)
        return Entry(version, serial, self.now_us)

    def _log(self, change: Change, operation: changes.Operation, version: int, digest: bytes) -> None:
        done = (self.door, _DONE[operation])
        self.changed[done] = self.changed.get(done, 0) + 1
        entry = changes.Change(
            serial=self._serial,
            time_us=self.now_us,
            operation=operation,
            name=change.name,
            version=version,
            record_digest=digest,
            principal_id=change.principal_id,
            template_id=change.template_id,
        )
        self._journal.append((serial_key(self._serial), entry.SerializeToString()))

    def _tally(self, prefix_key: bytes) -> list[int]:
        """Handles, octets, hash and last serial of a prefix, to be changed in place."""
        tally = self._tallies.get(prefix_key)
        if tally is None:
            row = stored.StoredTally.FromString(self.writer.get(Table.TALLIES, prefix_key) or b"")
            tally = [row.handle_count, row.record_octets, int.from_bytes(row.set_hash, "big"), row.serial]
            self._tallies[prefix_key] = tally
        return tally

    def _count(self, prefix_key: bytes) -> Count:
        """Handles and writes of today of a prefix, for the quotas."""
        key = day_key(self._day, prefix_key)
        day = self._days.get(key) or stored.StoredDay.FromString(self.writer.get(Table.STATISTICS, key) or b"")
        handles = self._tallies.get(prefix_key)
        if handles is None:
            row = stored.StoredTally.FromString(self.writer.get(Table.TALLIES, prefix_key) or b"")
            return Count(row.handle_count, day.creates + day.modifies + day.deletes)
        return Count(handles[0], day.creates + day.modifies + day.deletes)

    def _day_counts(self, prefix_key: bytes) -> stored.StoredDay:
        return self.day_counts(self._day, prefix_key)

    def day_counts(self, day: int, prefix_key: bytes) -> stored.StoredDay:
        """The counts of a prefix on a day, to be changed in place."""
        key = day_key(day, prefix_key)
        counts = self._days.get(key)
        if counts is None:
            body = self.writer.get(Table.STATISTICS, key)
            counts = stored.StoredDay.FromString(body or b"")
            if body is None:
                counts.handle_count = self._handle_count(prefix_key)
            self._days[key] = counts
        return counts

    def _handle_count(self, prefix_key: bytes) -> int:
        """Handles under a prefix, or in the node, as this transaction found them."""
        if prefix_key == NODE_KEY:
            return self.writer.count(Table.RECORDS)
        if not prefix_key:
            return 0  # where resolutions of prefixes that are not served are counted
        return stored.StoredTally.FromString(self.writer.get(Table.TALLIES, prefix_key) or b"").handle_count

    def count_new_prefix(self) -> None:
        """Count a prefix that this transaction allots."""
        self._day_counts(NODE_KEY).new_prefixes += 1

    def _count_day(self) -> None:
        """Put what has changed into the counts of the day: totals of prefixes, sums of the node, the busiest second."""
        for prefix_key, tally in self._tallies.items():
            self._day_counts(prefix_key).handle_count = tally[0]
        if not self.changed:
            return
        node = self._day_counts(NODE_KEY)
        work: dict[str, activity.Work] = {}
        for (door, operation), count in self.changed.items():
            is_new = operation == "create"
            work.setdefault(door or INTERNAL, activity.Work()).add_items(
                self.now_us // 1_000_000, count, count if is_new else 0
            )
            if is_new:
                node.creates += count
                node.handle_count += count
            elif operation == "modify":
                node.modifies += count
            else:
                node.deletes += count
                node.handle_count -= count
        activity.record(self.writer, self._day, REGISTRATION, work)

    def close(self) -> None:
        """Write everything collected; the caller commits."""
        self._count_day()
        writer = self.writer
        self.meter.close()
        search.maintain(writer, self._records)
        puts: list[tuple[bytes, bytes, int]] = []
        for key in sorted(self._records):
            record = self._records[key]
            if record is None:
                writer.delete(Table.RECORDS, key)
                writer.delete(Table.RESTRICTED, key)
                continue
            puts.append((key, record.public, MARK if record.restricted else 0))
            if record.restricted:
                writer.put(Table.RESTRICTED, key, record.restricted)
            else:
                writer.delete(Table.RESTRICTED, key)
        writer.put_many(Table.RECORDS, puts)
        for key, body in self._journal:
            writer.append(Table.CHANGES, key, body)
        for prefix_key, (count, octets, set_hash, serial) in sorted(self._tallies.items()):
            row = stored.StoredTally(
                handle_count=count, record_octets=octets, set_hash=set_hash.to_bytes(32, "big"), serial=serial
            )
            writer.put(Table.TALLIES, prefix_key, row.SerializeToString())
        for key, counts in sorted(self._days.items()):
            writer.put(Table.STATISTICS, key, counts.SerializeToString())
