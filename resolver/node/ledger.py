"""One write transaction over the records: record, journal, tally and day counts change together.

A ledger collects what the jobs of a group decide and writes it once at the end, records sorted by key, so that a
group of a thousand registrations touches each page once. Reads see what the group has decided so far. Whoever
changes a record decides first and stores last: after ``create``, ``replace`` or ``remove`` a job must not fail.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from resolver.clock import day_of
from resolver.errors import RecordCorrupt
from resolver.handle.name import fold
from resolver.node import day_counts, record_octets, search, shares
from resolver.node.count_rows import body_of
from resolver.node.day_counts import NODE_KEY
from resolver.node.moment import Moment
from resolver.node.quotas import NO_QUOTA, Count, Meter, Quota
from resolver.node.record_octets import StoredRecord
from resolver.node.recount import recount
from resolver.node.tally import Tally
from resolver.node.vacancy import is_vacant
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import stored_pb2 as stored
from storage.errors import RowCorrupt
from storage.tables import MARK, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.authorize import Permit
    from resolver.node.draft import Draft
    from resolver.node.templates import Rules
    from resolver.v1 import registry_pb2 as registry
    from storage.engine import Reader, Writer

_CREATE, _MODIFY, _DELETE = (
    int(changes.OPERATION_CREATE),
    int(changes.OPERATION_MODIFY),
    int(changes.OPERATION_DELETE),
)


_DONE = {_CREATE: "create", _MODIFY: "modify", _DELETE: "delete"}


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


class Entry(NamedTuple):
    """What a change did, for the receipt."""

    version: int
    serial: int
    time_us: int


class Ledger:
    """The state of one write transaction. Call ``close`` once at its end, inside the transaction."""

    def __init__(self, writer: Writer, now_us: int, quota: Quota = NO_QUOTA) -> None:
        self.writer = writer
        self._serial = last_serial(writer)
        self.now_us = max(now_us, self._time_of(self._serial))
        """Time of the transaction: never before that of the last change, whatever the clock says."""
        self.moment = Moment(self.now_us)
        """Writes rows and receipts of this transaction."""
        self._day = day_of(self.now_us)
        self._records: dict[bytes, tuple[bytes, bytes] | None] = {}
        self._vacant: set[bytes] = set()
        """Keys without a record before this transaction: nothing of them has to be taken away."""
        self._journal: list[tuple[bytes, bytes]] = []
        self._tallies: dict[bytes, Tally] = {}
        self._days: dict[bytes, stored.StoredDay] = {}
        self._prefixes: dict[str, registry.Prefix | None] = {}
        self.permits: dict[tuple[bytes, int], Permit] = {}
        """Who may register where, by prefix key and identity of the caller, which makes asking cheap."""
        self.templates: dict[str, Rules] = {}
        """Templates seen in this transaction, by id: a cache for whoever asks."""
        self._has_tombstones = writer.count(Table.TOMBSTONES) > 0
        self.door = ""
        """The door of the job that is applied now; whoever applies jobs sets it."""
        self.changed: dict[tuple[str, str], int] = {}
        """Handles changed in this transaction by door and operation: create, modify or delete."""
        self._adopted = 0
        """Handles that other nodes have brought, less those that they have taken away."""
        self.share = shares.share_of(writer)
        """What of its site this node has; None when that is everything."""
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

    def prefix_changed(self, folded: str, row: registry.Prefix) -> None:
        """The row of a prefix has changed in this transaction: what was permitted is judged again."""
        self._prefixes[folded] = row
        self.permits.clear()

    def forget_registry(self) -> None:
        """The registry has changed in this transaction: what was judged by it is judged again."""
        self._prefixes.clear()
        self.templates.clear()
        self.permits.clear()

    def _time_of(self, serial: int) -> int:
        body = body_of(self.writer, Table.CHANGES, serial_key(serial)) if serial else None
        return int(changes.Change.FromString(body or b"").time_us)

    def find(self, key: bytes) -> StoredRecord | None:
        """The record under a key, as this transaction sees it. Raises RecordCorrupt, and only its own job fails."""
        if key in self._records:
            known = self._records[key]
            return None if known is None else StoredRecord(*known)
        try:
            public = self.writer.get(Table.RECORDS, key)
            if public is None:
                return None
            return StoredRecord(public, self.writer.get(Table.RESTRICTED, key) or b"")
        except RowCorrupt as error:
            raise RecordCorrupt(
                f"{error}; the handle cannot be changed: the operator can restore it from a backup or a mirror"
            ) from error

    def create(self, draft: Draft, principal_id: str) -> Entry:
        """Store a new record, where ``find`` has found none; the version of a deleted handle goes on counting."""
        name, key, prefix_key, head, restricted, template_id = draft
        version = self._unbury(key) if self._has_tombstones else 1
        serial = self._serial = self._serial + 1
        moment = self.moment
        number = moment.number(serial)
        public = moment.record(head, version, number, template_id)
        digest = record_octets.digest(key, public, restricted)
        if key not in self._records:
            self._vacant.add(key)
        self._records[key] = (public, restricted)
        done = (self.door, "create")
        self.changed[done] = self.changed.get(done, 0) + 1
        entry = moment.entry(_CREATE, number, name, version, digest, principal_id, template_id)
        self._journal.append((serial.to_bytes(8, "big"), entry))
        tally = self._tallies.get(prefix_key) or self._tally(prefix_key)
        tally.handles += 1
        tally.creates += 1
        tally.octets += len(public) + len(restricted)
        tally.set_hash += int.from_bytes(digest, "big")
        tally.serial = serial
        return Entry(version, serial, self.now_us)

    def are_new(self, keys: Sequence[bytes]) -> bool:
        """Whether the keys differ, and none of them has or had a record."""
        ordered = sorted(keys)
        return (
            len(set(keys)) == len(keys)
            and self._records.keys().isdisjoint(keys)
            and is_vacant(self.writer, Table.RECORDS, ordered)
            and not (self._has_tombstones and not is_vacant(self.writer, Table.TOMBSTONES, ordered))
        )

    def create_all(self, drafts: Sequence[Draft], principal_id: str) -> list[bytes]:
        """Store new records as ``create`` does, a step for all at a time; the octets of their receipts.

        All ``are_new``, of one prefix, and without restricted values or a template.
        """
        rows = self.moment.new_rows(_CREATE, drafts, self._serial + 1, principal_id)
        self._serial += len(drafts)
        keys = [draft.key for draft in drafts]
        self._vacant.update(keys)
        self._records.update(zip(keys, zip(rows.records, repeat(b""), strict=False), strict=True))
        done = (self.door, "create")
        self.changed[done] = self.changed.get(done, 0) + len(drafts)
        self._journal += rows.entries
        self._tally(drafts[0].prefix_key).add_new(rows.records, rows.digests, self._serial)
        return rows.receipts

    def _unbury(self, key: bytes) -> int:
        """The version of a new record; takes the tombstone away of one that was deleted."""
        body = self.writer.get(Table.TOMBSTONES, key)
        if body is None:
            return 1
        self.writer.delete(Table.TOMBSTONES, key)
        return int(stored.StoredTombstone.FromString(body).version) + 1

    def replace(self, draft: Draft, principal_id: str, before: StoredRecord) -> Entry:
        """Store a changed record in place of ``before``."""
        old = before.record()
        version = old.version + 1
        serial = self._serial = self._serial + 1
        public = record_octets.frame(
            draft.head + record_octets.tail(version, serial, old.create_time_us, self.now_us, draft.template_id)
        )
        digest = record_octets.digest(draft.key, public, draft.restricted)
        self._records[draft.key] = (public, draft.restricted)
        tally = self._tally(draft.prefix_key)
        tally.modifies += 1
        tally.octets += len(public) + len(draft.restricted) - len(before.public) - len(before.restricted)
        tally.set_hash += int.from_bytes(digest, "big")
        tally.set_hash -= int.from_bytes(record_octets.digest(draft.key, *before), "big")
        tally.serial = serial
        self._log(_MODIFY, draft, version, digest, principal_id)
        return Entry(version, serial, self.now_us)

    def remove(self, draft: Draft, principal_id: str, before: StoredRecord) -> Entry:
        """Delete a record and leave a tombstone with its version; of the draft only names count."""
        version = before.record().version + 1
        serial = self._serial = self._serial + 1
        digest = record_octets.digest(draft.key, before.public, before.restricted)
        self._records[draft.key] = None
        tombstone = stored.StoredTombstone(version=version, serial=serial, time_us=self.now_us)
        self.writer.put(Table.TOMBSTONES, draft.key, tombstone.SerializeToString())
        self._has_tombstones = True
        tally = self._tally(draft.prefix_key)
        tally.handles -= 1
        tally.deletes += 1
        tally.octets -= len(before.public) + len(before.restricted)
        tally.set_hash -= int.from_bytes(digest, "big")
        tally.serial = serial
        self._log(_DELETE, draft, version, digest, principal_id)
        return Entry(version, serial, self.now_us)

    def adopt(self, key: bytes, prefix_key: bytes, public: bytes, restricted: bytes) -> None:
        """Hold a record as another node holds it, without an entry of our own; no public body is no record."""
        try:
            before = self.find(key)
        except RecordCorrupt:
            return self._adopt_over_damage(key, prefix_key, public, restricted)
        if before == (public, restricted) or (before is None and not public):
            return None
        tally = self._tally(prefix_key)
        self._adopted += bool(public) - (before is not None)
        if before is not None:
            tally.handles -= 1
            tally.octets -= len(before.public) + len(before.restricted)
            tally.set_hash -= int.from_bytes(record_octets.digest(key, *before), "big")
        elif key not in self._records:
            self._vacant.add(key)
        if public:
            tally.handles += 1
            tally.octets += len(public) + len(restricted)
            tally.set_hash += int.from_bytes(record_octets.digest(key, public, restricted), "big")
        self._records[key] = (public, restricted) if public else None
        return None

    def _adopt_over_damage(self, key: bytes, prefix_key: bytes, public: bytes, restricted: bytes) -> None:
        """Put a record in place of one that cannot be read, nor taken out of its tally."""
        self._adopted -= not public
        self._records[key] = (public, restricted) if public else None
        recount(self._tally(prefix_key), self.writer, prefix_key, self._records)

    def put_tombstone(self, key: bytes, tombstone: stored.StoredTombstone) -> None:
        """Keep the version of a handle that was deleted elsewhere."""
        self.writer.put(Table.TOMBSTONES, key, tombstone.SerializeToString())
        self._has_tombstones = True

    def adopt_entry(self, body: bytes) -> None:
        """Append a journal entry of another node, which must be the next one, and count it. Raises ValueError."""
        entry = changes.Change.FromString(body)
        if entry.serial != self._serial + 1:
            raise ValueError(f"journal entry {entry.serial} does not follow {self._serial}")
        self._serial = entry.serial
        self._journal.append((serial_key(entry.serial), body))
        self.count_entry(entry, 1)

    def take_serial(self) -> int:
        """The serial of a change that is made by ``adopt`` and told by ``append_own``."""
        self._serial += 1
        return self._serial

    def append_own(
        self, operation: int, name: str, version: int, digest: bytes, principal_id: str = "", template_id: str = ""
    ) -> None:
        """Append the entry of the serial taken last; it is no registration, and not counted as one."""
        entry = self.moment.entry(
            operation, self.moment.number(self._serial), name, version, digest, principal_id, template_id
        )
        self._journal.append((serial_key(self._serial), entry))
        self._tally(fold(name.partition("/")[0]).encode()).serial = self._serial

    def agree(self, prefix_key: bytes, theirs: stored.StoredTally) -> bool:
        """Whether the records of a prefix are those another node has tallied; if so its last serial is taken over.

        A tally of our own that says otherwise is made anew first.
        """
        tally = self._tallies.get(prefix_key) or self._stored_tally(prefix_key)
        if not tally.agrees(theirs):
            tally = self._tally(prefix_key)
            recount(tally, self.writer, prefix_key, self._records)
            if not tally.agrees(theirs):
                return False
        if tally.serial != theirs.serial:
            self._tally(prefix_key).serial = theirs.serial
        return True

    def count_entry(self, entry: changes.Change, by: int) -> None:
        """Add an entry made by another node to the counts of its day, or take it out again with a ``by`` of -1."""
        for place in (fold(entry.name.partition("/")[0]).encode(), NODE_KEY):
            counts = self.day_counts(day_of(entry.time_us), place)
            counts.creates += by * (entry.operation == _CREATE)
            counts.modifies += by * (entry.operation == _MODIFY)
            counts.deletes += by * (entry.operation == _DELETE)

    def _log(self, operation: int, draft: Draft, version: int, digest: bytes, principal_id: str) -> None:
        """Add the newest serial to the journal."""
        done = (self.door, _DONE[operation])
        self.changed[done] = self.changed.get(done, 0) + 1
        number = self.moment.number(self._serial)
        entry = self.moment.entry(operation, number, draft.name, version, digest, principal_id, draft.template_id)
        self._journal.append((serial_key(self._serial), entry))

    def _tally(self, prefix_key: bytes) -> Tally:
        """The tally of a prefix, to be changed in place."""
        tally = self._tallies.get(prefix_key)
        if tally is None:
            tally = self._tallies[prefix_key] = self._stored_tally(prefix_key)
        return tally

    def _stored_tally(self, prefix_key: bytes) -> Tally:
        body = body_of(self.writer, Table.TALLIES, prefix_key)
        tally = Tally(stored.StoredTally.FromString(body or b""))
        if body == b"":  # damaged: a tally has octets
            recount(tally, self.writer, prefix_key, {})
            self._tallies.setdefault(prefix_key, tally)  # to be written: else each transaction would count again
        return tally

    def _count(self, prefix_key: bytes) -> Count:
        """Handles and writes of today of a prefix, for the quotas."""
        key = day_key(self._day, prefix_key)
        day = self._days.get(key) or stored.StoredDay.FromString(body_of(self.writer, Table.STATISTICS, key) or b"")
        tally = self._tallies.get(prefix_key) or self._stored_tally(prefix_key)
        writes = day.creates + day.modifies + day.deletes + tally.creates + tally.modifies + tally.deletes
        return Count(tally.handles, writes)

    def day_counts(self, day: int, prefix_key: bytes) -> stored.StoredDay:
        """The counts of a prefix on a day, to be changed in place."""
        key = day_key(day, prefix_key)
        counts = self._days.get(key)
        if counts is None:
            body = body_of(self.writer, Table.STATISTICS, key)
            counts = stored.StoredDay.FromString(body or b"")
            if not body:
                counts.handle_count = self._handle_count(prefix_key)
            self._days[key] = counts
        return counts

    def _handle_count(self, prefix_key: bytes) -> int:
        """Handles under a prefix, or in the node, as this transaction found them."""
        if prefix_key == NODE_KEY:
            return self.writer.count(Table.RECORDS)
        if not prefix_key:
            return 0  # where resolutions of prefixes that are not served are counted
        return self._stored_tally(prefix_key).handles

    def count_new_prefix(self) -> None:
        """Count a prefix that this transaction allots."""
        self.day_counts(self._day, NODE_KEY).new_prefixes += 1

    def _count_day(self) -> None:
        """Put what has changed into the counts of the day."""
        day_counts.add_prefixes(lambda prefix_key: self.day_counts(self._day, prefix_key), self._tallies)
        if self.changed or self._adopted:
            node = self.day_counts(self._day, NODE_KEY)
            day_counts.add_node(node, self.writer, (self._day, self.now_us), self.changed, self._adopted)

    def close(self) -> None:
        """Write everything collected; the caller commits."""
        self._count_day()
        writer, vacant = self.writer, self._vacant
        self.meter.close()
        search.maintain(writer, self._records)
        puts: list[tuple[bytes, bytes, int]] = []
        for key in sorted(self._records):
            public, restricted = self._records[key] or (b"", b"")
            if public:
                puts.append((key, public, MARK if restricted else 0))
            elif key not in vacant:
                writer.delete(Table.RECORDS, key)
            if restricted:
                writer.put(Table.RESTRICTED, key, restricted)
            elif key not in vacant:
                writer.delete(Table.RESTRICTED, key)
        writer.put_many(Table.RECORDS, puts)
        writer.append_many(Table.CHANGES, self._journal)
        for prefix_key, tally in sorted(self._tallies.items()):
            writer.put(Table.TALLIES, prefix_key, tally.row())
        for key, counts in sorted(self._days.items()):
            writer.put(Table.STATISTICS, key, counts.SerializeToString())
