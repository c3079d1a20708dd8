"""What a primary sends a mirror: ranges of whole tables first, then the rows that changed.

Sans-IO: a ``MirrorSource`` keeps the place of one mirror and is given a short read transaction for each message. Rows
are sent as they are at that moment, never as they were, so a message may be newer than the entries it answers; once
all entries of one moment are sent the mirror holds exactly what the primary held then, the message says ``settled``,
and brings tallies to compare. The tallies of all prefixes come by in turn, a page with each settled message, so two
nodes that differ for whatever reason find it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import InvalidTransition, WatchTooSlow
from resolver.handle.name import key_of_octets
from resolver.node import row_log, site_role
from resolver.node.ledger import last_serial, serial_key
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import mirror_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.v1 import stored_pb2 as stored
    from storage.engine import Reader

ENTRIES_MAX = 1_000
"""Entries of journal or row log in a message: some milliseconds of a read transaction."""

OCTETS_MAX = 1 << 20
"""Octets after which a message is full."""

TALLIES_MAX = 500
"""Tallies of the turn in a settled message."""

SWEPT = (
    *(table for table in Table if table in row_log.TABLES),
    Table.RECORDS,
    Table.TOMBSTONES,
    Table.ROW_LOG,
    Table.CHANGES,
)
"""Tables in the order they are copied: the journal last, so that what a mirror says it holds it does hold."""


def require_same_site(site: stored.StoredSite, request: pb.FollowRequest) -> None:
    """Raise InvalidTransition for a mirror whose store is not of this site."""
    if (request.held.serial or request.site_id) and request.site_id != site.site_id:
        raise InvalidTransition(
            "the store of the mirror belongs to another site: make the mirror in an empty data directory"
        )


class MirrorSource:
    """The place of one mirror. ``greet`` first, then ``next_message`` until it has nothing, and again later."""

    def __init__(self) -> None:
        self._sent = pb.MirrorPosition()
        self._sweep: pb.Sweep | None = None
        self._touched: set[bytes] = set()
        """Prefix keys changed since the last settled message."""
        self._turn = b""
        """Prefix key after which the turn of all tallies goes on."""

    def greet(self, reader: Reader, request: pb.FollowRequest) -> pb.FollowResponse:
        """The first answer: the epochs, and whether the mirror goes on or copies whole tables.

        Raises InvalidTransition for the store of another site.
        """
        site = site_role.site_of(reader)
        response = pb.FollowResponse(newest=site_role.position(reader), epochs=site.epochs, site_id=site.site_id)
        require_same_site(site, request)
        self._sent.CopyFrom(request.held)
        sweep = request.sweep if request.HasField("sweep") else None
        agrees, common = site_role.common_serial(site, request.epoch, request.held)
        ahead = request.held.serial > response.newest.serial or request.held.sequence > response.newest.sequence
        oldest = row_log.first_sequence(reader)
        pruned = request.held.sequence + 1 < oldest
        if sweep is not None and sweep.epoch == site_role.epoch_of(site) and sweep.start.sequence + 1 >= oldest:
            self._sweep = pb.Sweep()
            self._sweep.CopyFrom(sweep)  # go on where it was interrupted
        elif sweep is not None or request.start_sweep or ahead or pruned or not agrees:
            self._sweep = pb.Sweep(start=response.newest, epoch=site_role.epoch_of(site))
            if request.held.serial and (ahead or not agrees):
                response.parted.serial = min(common, response.newest.serial)
        if self._sweep is not None:
            self._sent.CopyFrom(self._sweep.start)
            response.sweep.CopyFrom(self._sweep)
        return response

    def next_message(self, reader: Reader) -> pb.FollowResponse:
        """What comes next; without ``chunk`` and ``rows`` the mirror has everything."""
        response = pb.FollowResponse(newest=site_role.position(reader))
        if self._sweep is not None:
            response.chunk.CopyFrom(self._chunk(reader, self._sweep))
            self._sweep = None if response.chunk.last else response.chunk.next
        else:
            rows = self._rows(reader)
            if rows is not None:
                response.rows.CopyFrom(rows)
        return response

    def check(self, reader: Reader) -> pb.FollowResponse:
        """A settled message for a mirror that has everything: tallies to compare, and a sign of life."""
        response = pb.FollowResponse(newest=site_role.position(reader))
        if self._sweep is None and response.newest == self._sent:
            response.rows.settled = True
            self._add_tallies(reader, response.rows)
        return response

    def _chunk(self, reader: Reader, sweep: pb.Sweep) -> pb.SweepChunk:
        """The next range of a table."""
        table = SWEPT[sweep.table]
        stop = _stop_of(table, sweep.start)
        start = sweep.after + b"\0" if sweep.after else b""
        chunk = pb.SweepChunk(table=table.value.decode(), after=sweep.after)
        chunk.next.CopyFrom(sweep)
        octets = 0
        for key, row in reader.scan_rows(table, start, stop):
            if octets > OCTETS_MAX:
                chunk.through = chunk.rows[-2]
                chunk.next.after = chunk.through
                return chunk
            octets += len(key) + len(row)
            if table is Table.META and not row_log.is_followed(table, key):
                continue
            chunk.rows.extend((key, row))
            if table is Table.RECORDS:
                restricted = reader.get(Table.RESTRICTED, key) or b""
                octets += len(restricted)
                chunk.restricted.append(restricted)
        chunk.next.table += 1
        chunk.next.after = b""
        chunk.last = chunk.next.table == len(SWEPT)
        return chunk

    def _rows(self, reader: Reader) -> pb.ChangedRows | None:
        """The changes that follow what was sent; None when there are none. Raises WatchTooSlow."""
        sent, rows, octets = self._sent, pb.ChangedRows(), 0
        newest = site_role.position(reader)
        if newest == sent:
            return None
        keys: dict[bytes, None] = {}
        serial, sequence = int(sent.serial), int(sent.sequence)
        for place, body in reader.scan(Table.CHANGES, serial_key(serial + 1), serial_key(serial + 1 + ENTRIES_MAX)):
            serial = int.from_bytes(place, "big")
            rows.first_serial = rows.first_serial or serial
            rows.changes.append(body)
            name = changes.Change.FromString(body).name
            key = key_of_octets(name.encode())
            self._touched.add(key.partition(b"/")[0])
            if key not in keys:
                keys[key] = None
                octets += self._add_record(reader, rows, key)
            if octets > OCTETS_MAX:
                break
        places: dict[tuple[str, bytes], None] = {}
        first = site_role.sequence_key(sequence + 1)
        for place, body in reader.scan(Table.ROW_LOG, first, site_role.sequence_key(sequence + 1 + ENTRIES_MAX)):
            entry = pb.RowLogEntry.FromString(body)
            if entry.serial > serial:
                break  # an outcome must not be there before the change it tells of
            sequence = int.from_bytes(place, "big")
            rows.first_sequence = rows.first_sequence or sequence
            rows.log.append(body)
            for table, key in zip(entry.places[::2], entry.places[1::2], strict=True):
                if (table.decode(), key) not in places:
                    places[table.decode(), key] = None
                    octets += _add_row(reader, rows, Table(table), key)
            if octets > OCTETS_MAX:
                break
        if rows.log and rows.first_sequence != sent.sequence + 1:
            raise WatchTooSlow("entries of the row log that were not sent have gone: greet again and copy whole tables")
        self._sent = pb.MirrorPosition(serial=serial, sequence=sequence)
        if self._sent == newest:
            rows.settled = True
            self._add_tallies(reader, rows)
        return rows

    @staticmethod
    def _add_record(reader: Reader, rows: pb.ChangedRows, key: bytes) -> int:
        public = reader.get(Table.RECORDS, key) or b""
        restricted = (reader.get(Table.RESTRICTED, key) or b"") if public else b""
        tombstone = reader.get(Table.TOMBSTONES, key) or b""
        rows.records.add(key=key, public=public, restricted=restricted, tombstone=tombstone)
        return len(key) + len(public) + len(restricted) + len(tombstone)

    def _add_tallies(self, reader: Reader, rows: pb.ChangedRows) -> None:
        """Tallies of the prefixes changed, and of those whose turn it is."""
        turn: list[bytes] = []
        for key, _ in reader.scan_rows(Table.TALLIES, self._turn + b"\0" if self._turn else b""):
            turn.append(key)
            if len(turn) == TALLIES_MAX:
                break
        self._turn = turn[-1] if len(turn) == TALLIES_MAX else b""
        for key in sorted({*turn, *self._touched}):
            _add_row(reader, rows, Table.TALLIES, key, to_tallies=True)
        self._touched.clear()


def _stop_of(table: Table, start: pb.MirrorPosition) -> bytes | None:
    """The end of what is copied of a table: logs are copied up to where the copy began, the rest is followed."""
    if table is Table.CHANGES:
        return serial_key(start.serial + 1)
    if table is Table.ROW_LOG:
        return site_role.sequence_key(start.sequence + 1)
    return None


def _add_row(reader: Reader, rows: pb.ChangedRows, table: Table, key: bytes, *, to_tallies: bool = False) -> int:
    row = reader.get_row(table, key) or b""
    (rows.tallies if to_tallies else rows.rows).add(table=table.value.decode(), key=key, row=row)
    return len(key) + len(row)


def lag(reader: Reader, held: pb.MirrorPosition) -> int:
    """Journal entries a mirror does not hold."""
    return max(0, last_serial(reader) - int(held.serial))
