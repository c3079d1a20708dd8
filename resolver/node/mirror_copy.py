"""How a mirror takes in what its primary sends: each message in one transaction, which also says how far it is.

Records go through the ledger, so tallies, set hashes, the reverse look-up and the counts of days are the mirror's own
work on what it holds; at a settled message they are compared with the primary's. Every row is unsealed on the way, so
damage on the primary's disk stops here instead of spreading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import MalformedMessage, RecordCorrupt
from resolver.handle.name import fold, key_of_octets
from resolver.node import mirror_ahead, record_octets, row_log, site_role
from resolver.node.count_rows import body_of
from resolver.node.ledger import serial_key
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.errors import RowCorrupt
from storage.tables import Table, marks_of, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.ledger import Ledger
    from storage.engine import Reader, Writer


class Copied(NamedTuple):
    """What became of a message."""

    held: pb.MirrorPosition
    """What the mirror holds when the transaction is committed."""
    sweep: pb.Sweep | None
    """The copy of whole tables that goes on."""
    parted: tuple[str, ...] = ()
    """Folded prefixes whose records differ from the primary's."""


def adopt_greeting(writer: Writer, response: pb.FollowResponse) -> None:
    """Take over the epochs of the site and, in the same moment, that a copy of whole tables has to come to its end."""
    site = site_role.site_of(writer)
    site.site_id = response.site_id
    del site.epochs[:]
    site.epochs.extend(response.epochs)
    site.ClearField("sweep")
    if response.HasField("sweep"):
        site.sweep.CopyFrom(response.sweep)
    site_role.store(writer, site)


def apply(ledger: Ledger, response: pb.FollowResponse) -> Copied:
    """Apply one message. Raises MalformedMessage, RecordCorrupt; nothing is changed then."""
    if response.HasField("chunk"):
        return _apply_chunk(ledger, response.chunk, response.newest)
    if response.HasField("rows"):
        return _apply_rows(ledger, response.rows)
    return Copied(site_role.position(ledger.writer), None)


def _apply_rows(ledger: Ledger, rows: pb.ChangedRows) -> Copied:
    writer = ledger.writer
    sequence = site_role.last_sequence(writer)
    if (rows.changes and rows.first_serial != ledger.serial + 1) or (rows.log and rows.first_sequence != sequence + 1):
        raise MalformedMessage(
            f"the primary sent changes from {rows.first_serial} and row log entries from {rows.first_sequence}, this "
            f"mirror holds {ledger.serial} and {sequence}: greet again"
        )
    others = [(stored_table(image.table), image.key, _body(image.table, image.key, image.row)) for image in rows.rows]
    names = {key_of_octets(name.encode()): name for name in mirror_ahead.names_in(rows.changes)}
    ahead = mirror_ahead.Ahead(writer, names)
    for image in rows.records:
        ahead.note(ledger, image)
        _adopt_record(ledger, image.key, image.public, image.restricted)
        _put_or_delete(writer, Table.TOMBSTONES, image.key, image.tombstone or None)
    for body in rows.changes:
        ledger.adopt_entry(body)
    for table, key, row in others:
        if row_log.is_followed(table, key):
            _put_or_delete(writer, table, key, row)
    for body in rows.log:
        sequence += 1
        writer.append(Table.ROW_LOG, site_role.sequence_key(sequence), body)
    ahead.close(ledger.serial)
    held = pb.MirrorPosition(serial=ledger.serial, sequence=sequence)
    _caught_up(writer, held)
    return Copied(held, None, _compare(ledger, rows.tallies) if rows.settled else ())


def _caught_up(writer: Writer, held: pb.MirrorPosition) -> None:
    """Count a copy as complete once it has been followed to where all its rows are of one moment."""
    site = site_role.site_of(writer)
    goal = site.catching_up
    if site.HasField("catching_up") and held.serial >= goal.serial and held.sequence >= goal.sequence:
        site.ClearField("catching_up")
        site.complete = True
        site_role.store(writer, site)


def _apply_chunk(ledger: Ledger, chunk: pb.SweepChunk, newest: pb.MirrorPosition) -> Copied:
    """Make a range of a table equal to the primary's."""
    writer, table = ledger.writer, stored_table(chunk.table)
    keys, rows = chunk.rows[::2], chunk.rows[1::2]
    theirs = {key: unsealed(table, key, row) for key, row in zip(keys, rows, strict=True)}
    ours = _keys_between(writer, table, chunk.after, chunk.through)
    gone = [key for key in ours if key not in theirs]
    if table is Table.RECORDS:
        for key in gone:
            _adopt_record(ledger, key, b"", b"")
        for (key, (body, _)), restricted in zip(theirs.items(), chunk.restricted, strict=True):
            _adopt_record(ledger, key, body, restricted)
    else:
        for key in gone:
            if table is not Table.META or row_log.is_followed(table, key):
                _forget(ledger, table, key)
        _store_rows(ledger, table, theirs)
    site = site_role.site_of(writer)
    site.ClearField("sweep")
    if chunk.last:
        site.catching_up.CopyFrom(newest)  # rows of the copy are as new as this, and its logs end where it began
    else:
        site.sweep.CopyFrom(chunk.next)
    site_role.store(writer, site)
    return Copied(chunk.next.start, None) if chunk.last else Copied(pb.MirrorPosition(), site.sweep)


def _store_rows(ledger: Ledger, table: Table, theirs: dict[bytes, tuple[bytes, int]]) -> None:
    writer = ledger.writer
    changed: list[tuple[bytes, bytes, int]] = []
    for key, (body, marks) in theirs.items():
        if writer.get_row(table, key) == seal(key, body, marks):
            continue
        mine = body_of(writer, table, key)
        if table is Table.CHANGES and mine != b"":  # one that is damaged was counted, as the same entry most likely
            if mine is not None:
                ledger.count_entry(changes.Change.FromString(mine), -1)
            ledger.count_entry(changes.Change.FromString(body), 1)
        changed.append((key, body, marks))
    writer.put_many(table, changed)


def _forget(ledger: Ledger, table: Table, key: bytes) -> None:
    """Remove a row the primary has not."""
    if table is Table.CHANGES:
        body = body_of(ledger.writer, table, key)
        if body:
            ledger.count_entry(changes.Change.FromString(body), -1)
    ledger.writer.delete(table, key)


def _keys_between(writer: Writer, table: Table, after: bytes, through: bytes) -> list[bytes]:
    start = after + b"\0" if after else b""
    stop = through + b"\0" if through else None
    return [key for key, _ in writer.scan_rows(table, start, stop)]


def _adopt_record(ledger: Ledger, key: bytes, public: bytes, restricted: bytes) -> None:
    prefix_key = key.partition(b"/")[0]
    if b"/" not in key and public:  # a prefix so long that the key has lost its end
        prefix_key = fold(record_octets.parse(public).name.partition("/")[0]).encode()
    ledger.adopt(key, prefix_key, public, restricted)


def _put_or_delete(writer: Writer, table: Table, key: bytes, row: bytes | tuple[bytes, int] | None) -> None:
    if row is None:
        writer.delete(table, key)
    elif isinstance(row, bytes):
        writer.put(table, key, row)
    else:
        writer.put(table, key, row[0], marks=row[1])


def stored_table(name: str) -> Table:
    """The table of a name. Raises MalformedMessage."""
    try:
        return Table(name.encode())
    except ValueError:
        raise MalformedMessage(
            f"the primary has a table {name[:40]!r} that this version does not know: bring mirrors and primary to the "
            "same version, the mirrors first"
        ) from None


def unsealed(table: Table, key: bytes, row: bytes) -> tuple[bytes, int]:
    """Body and marks of a row. Raises RecordCorrupt."""
    try:
        return unseal(table, key, row), marks_of(row)
    except RowCorrupt as error:
        raise RecordCorrupt(f"the primary's {error}: it is not copied; restore that row on the primary") from error


def _body(table: str, key: bytes, row: bytes) -> tuple[bytes, int] | None:
    """Body and marks of a row that may be missing."""
    return unsealed(stored_table(table), key, row) if row else None


def _compare(ledger: Ledger, tallies: Sequence[pb.RowImage]) -> tuple[str, ...]:
    """The prefixes whose records are not the primary's; of the others the tally is taken over whole."""
    parted: list[str] = []
    for image in tallies:
        theirs = stored.StoredTally()
        if image.row:
            theirs.ParseFromString(unsealed(Table.TALLIES, image.key, image.row)[0])
        if not ledger.agree(image.key, theirs):
            parted.append(image.key.decode(errors="replace"))
    return tuple(parted)


def discarded(reader: Reader, after_serial: int, most: int) -> list[changes.Change]:
    """Journal entries beyond a serial: what this node acknowledged and its site has not kept."""
    found: list[changes.Change] = []
    for _, body in reader.scan(Table.CHANGES, serial_key(after_serial + 1)):
        if len(found) == most:
            break
        found.append(changes.Change.FromString(body))
    return found
