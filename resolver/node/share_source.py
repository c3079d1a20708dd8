"""What a server of a site sends another one: the registry, or the handles that are to be that one's.

As with mirrors (``mirror_source``) whole ranges go first, then what has changed since, each row as it is at that
moment. But the other server has a journal of its own: it is sent records by name and told up to where nothing is
missing, and no entries. It is not told of each entry that does not concern it: it writes down what it is told, and two
servers that copy from each other would tell each other of that without end. Of the registry it gets the tables that
say who may do what, and the handles that describe prefixes; outcomes, statistics and everything else a server makes
for itself stay where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import WatchTooSlow
from resolver.handle.name import PREFIX_OF_PREFIXES, fold_octets, key_of_octets
from resolver.limits import KEY_WHOLE_OCTETS_MAX
from resolver.node import record_octets, row_log, shares, site_role
from resolver.node.ledger import serial_key
from resolver.node.listing import after
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from resolver.wire.hash_selection import key_index
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.engine import Reader

ROWS_MAX = 1_000
"""Rows or entries looked at for a message: some milliseconds of a read transaction."""

OCTETS_MAX = 1 << 20
"""Octets after which a message is full."""

REGISTRY_TABLES = frozenset(
    {
        Table.META,
        Table.PREFIXES,
        Table.OWNED,
        Table.ENTERPRISES,
        Table.CREDIT_CODES,
        Table.PRINCIPALS,
        Table.MEMBERS,
        Table.KEYS,
        Table.KEY_IDS,
        Table.HELD,
        Table.LOGINS,
        Table.SESSIONS,
        Table.ENTERPRISE_RECORDS,
        Table.CLAIMS,
        Table.FILES,
        Table.HELD_FILES,
        Table.TEMPLATES,
        Table.TEMPLATE_VERSIONS,
        Table.TEMPLATE_LABELS,
    }
)
"""Tables that are the same at every server of a site."""

LEFT = changes.OPERATION_LEAVE
"""Entries of handles that this server has let go: they say nothing of what became of them elsewhere."""

_SYSTEM = PREFIX_OF_PREFIXES.encode() + b"/"


def is_of_registry(table: Table, key: bytes) -> bool:
    """Whether every server of a site has the row."""
    return table in REGISTRY_TABLES and row_log.is_followed(table, key) and key != shares.SERVER_KEY


class Wanted(NamedTuple):
    """What is sent. Both ends make it of the same message, so they mean the same rows."""

    share: pb.ShareWanted

    @property
    def tables(self) -> tuple[Table, ...]:
        """Tables that are copied, in order."""
        if not self.share.registry:
            return (Table.RECORDS, Table.TOMBSTONES)
        return (*(table for table in Table if table in REGISTRY_TABLES), Table.RECORDS, Table.TOMBSTONES)

    def bounds(self, table: Table) -> tuple[bytes, bytes | None]:
        """Where a table begins and ends."""
        if self.share.registry and table in {Table.RECORDS, Table.TOMBSTONES}:
            return _SYSTEM, after(_SYSTEM)
        return b"", None

    def has_row(self, table: Table, key: bytes) -> bool:
        """Whether a row that has changed is wanted.

        With handles go the outcomes of requests that were made meanwhile, so that a retry finds them where it is sent.
        """
        return is_of_registry(table, key) if self.share.registry else table is Table.OUTCOMES

    def has(self, folded: bytes) -> bool:
        """Whether a handle is wanted, by its folded octets."""
        if self.share.registry or shares.is_of_system(folded):
            return self.share.registry and shares.is_of_system(folded)
        share = self.share
        return (
            key_index(folded, share.to_hash, share.to_servers) == share.to_place
            and key_index(folded, share.from_hash, share.from_servers) == share.from_place
        )


class ShareSource:
    """The place of one server that follows. ``greet`` first, then ``next_message`` until it has nothing, and again."""

    def __init__(self, share: pb.ShareWanted) -> None:
        self._wanted = Wanted(share)
        self._sent = pb.MirrorPosition()
        self._due = pb.MirrorPosition()
        """Up to where it is told whatever there is: its copy is complete from there on."""
        self._looked = 0
        """Sequence up to which nothing concerns it, beyond what was sent."""
        self._sweep: pb.Sweep | None = None

    def greet(self, reader: Reader, request: pb.FollowRequest) -> pb.FollowResponse:
        """The first answer: the epochs, and whether the other one goes on or copies whole ranges."""
        site = site_role.site_of(reader)
        response = pb.FollowResponse(newest=site_role.position(reader), epochs=site.epochs, site_id=site.site_id)
        self._due.CopyFrom(response.newest)
        self._sent.CopyFrom(request.held)
        sweep = request.sweep if request.HasField("sweep") else None
        agrees, _ = site_role.common_serial(site, request.epoch, request.held)
        ahead = request.held.serial > response.newest.serial or request.held.sequence > response.newest.sequence
        oldest = row_log.first_sequence(reader)
        if sweep is not None and sweep.epoch == site_role.epoch_of(site) and sweep.start.sequence + 1 >= oldest:
            self._sweep = pb.Sweep()
            self._sweep.CopyFrom(sweep)
        elif sweep is not None or request.start_sweep or ahead or not agrees or request.held.sequence + 1 < oldest:
            self._sweep = pb.Sweep(start=response.newest, epoch=site_role.epoch_of(site))
        if self._sweep is not None:
            self._sent.CopyFrom(self._sweep.start)
            response.sweep.CopyFrom(self._sweep)
        return response

    def next_message(self, reader: Reader) -> pb.FollowResponse:
        """What comes next; without ``chunk`` and ``rows`` the other one has everything."""
        response = pb.FollowResponse(newest=site_role.position(reader))
        if self._sweep is not None:
            response.chunk.CopyFrom(self._chunk(reader, self._sweep))
            self._sweep = None if response.chunk.last else response.chunk.next
            self._due.CopyFrom(response.newest)
        elif response.newest.serial != self._sent.serial or response.newest.sequence > self._looked:
            rows = self._rows(reader, response.newest)
            if rows is not None:
                response.rows.CopyFrom(rows)
        return response

    def check(self, reader: Reader) -> pb.FollowResponse:
        """A sign of life."""
        return pb.FollowResponse(newest=site_role.position(reader))

    def _chunk(self, reader: Reader, sweep: pb.Sweep) -> pb.SweepChunk:
        """The next range of a table."""
        table = self._wanted.tables[sweep.table]
        first, stop = self._wanted.bounds(table)
        chunk = pb.SweepChunk(table=table.value.decode(), after=sweep.after)
        chunk.next.CopyFrom(sweep)
        octets = 0
        start = sweep.after + b"\0" if sweep.after else first
        for seen, (key, row) in enumerate(reader.scan_rows(table, start, stop), start=1):
            if table is Table.RECORDS or table is Table.TOMBSTONES:
                image = self._image(reader, table, key)
                if image is not None:
                    chunk.images.append(image)
                    octets += image.ByteSize()
            elif is_of_registry(table, key):
                chunk.rows.extend((key, row))
                octets += len(key) + len(row)
            if octets > OCTETS_MAX or seen == ROWS_MAX:
                chunk.through = chunk.next.after = key
                return chunk
        chunk.next.table += 1
        chunk.next.after = b""
        chunk.last = chunk.next.table == len(self._wanted.tables)
        return chunk

    def _image(self, reader: Reader, table: Table, key: bytes) -> pb.RecordImage | None:
        """What there is under a key, when it is wanted."""
        if len(key) <= KEY_WHOLE_OCTETS_MAX and not self._wanted.has(key):
            return None
        name = name_at(reader, table, key)
        return image_of(reader, key, name) if name and self._wanted.has(fold_octets(name.encode())) else None

    def _rows(self, reader: Reader, newest: pb.MirrorPosition) -> pb.ChangedRows | None:
        """The changes that follow what was sent; None when none concerns the other one. Raises WatchTooSlow."""
        sent = self._sent
        serial, sequence = int(sent.serial), max(int(sent.sequence), self._looked)
        rows = pb.ChangedRows(first_serial=serial + 1, first_sequence=sent.sequence + 1)
        octets = 0
        seen: set[bytes] = set()
        for place, body in reader.scan(Table.CHANGES, serial_key(serial + 1), serial_key(serial + 1 + ROWS_MAX)):
            serial = int.from_bytes(place, "big")
            change = changes.Change.FromString(body)
            name = change.name
            folded = fold_octets(name.encode())
            if change.operation != LEFT and folded not in seen and self._wanted.has(folded):
                seen.add(folded)
                rows.records.append(image_of(reader, key_of_octets(folded), name))
                octets += rows.records[-1].ByteSize()
            if octets > OCTETS_MAX:
                break
        for place, body in self._log(reader, sequence + 1):
            entry = pb.RowLogEntry.FromString(body)
            if entry.serial > serial:
                break
            if int.from_bytes(place, "big") != sequence + 1:
                raise WatchTooSlow("entries of the row log that were not sent have gone: greet again and copy anew")
            sequence += 1
            octets += self._add_rows(reader, rows, entry)
            if octets > OCTETS_MAX:
                break
        self._looked = sequence
        if not (rows.records or rows.rows) and serial == sent.serial and self._may_pass_over(sequence):
            return None
        rows.through.CopyFrom(pb.MirrorPosition(serial=serial, sequence=sequence))
        self._sent = rows.through
        rows.settled = rows.through == newest
        return rows

    def _may_pass_over(self, sequence: int) -> bool:
        """Whether the other one may go on without hearing of entries up to this one; it hears long before they go."""
        return self._sent.sequence >= self._due.sequence and sequence - self._sent.sequence < ROWS_MAX

    @staticmethod
    def _log(reader: Reader, first: int) -> Iterator[tuple[bytes, bytes]]:
        stop = site_role.sequence_key(first + ROWS_MAX)
        yield from reader.scan(Table.ROW_LOG, site_role.sequence_key(first), stop)

    def _add_rows(self, reader: Reader, rows: pb.ChangedRows, entry: pb.RowLogEntry) -> int:
        octets = 0
        for name, key in zip(entry.places[::2], entry.places[1::2], strict=True):
            table = Table(name)
            if self._wanted.has_row(table, key):
                row = reader.get_row(table, key) or b""
                rows.rows.add(table=name.decode(), key=key, row=row)
                octets += len(key) + len(row)
        return octets


def name_at(reader: Reader, table: Table, key: bytes) -> str:
    """The name of a record or of a deleted handle; empty when nothing tells it."""
    body = reader.get(table, key)
    if body is None:
        return ""
    if table is Table.RECORDS:
        return record_octets.parse(body).name
    entry = reader.get(Table.CHANGES, serial_key(stored.StoredTombstone.FromString(body).serial))
    return "" if entry is None else changes.Change.FromString(entry).name


def image_of(reader: Reader, key: bytes, name: str) -> pb.RecordImage:
    """A handle as it is now."""
    public = reader.get(Table.RECORDS, key) or b""
    restricted = (reader.get(Table.RESTRICTED, key) or b"") if public else b""
    tombstone = b"" if public else reader.get(Table.TOMBSTONES, key) or b""
    return pb.RecordImage(key=key, public=public, restricted=restricted, tombstone=tombstone, name=name)
