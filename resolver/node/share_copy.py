"""How a server takes in what another server of its site sends: rows of the registry, and handles that become its own.

A handle that arrives keeps its values, version and times, and gets a serial and an entry in this server's own journal,
so mirrors and watchers of this server learn of it like of any change. One that is the same already is left alone, so a
message may come twice. Each message is applied in one transaction, which also says how far the copy is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import MalformedMessage
from resolver.handle.name import fold, fold_octets
from resolver.limits import KEY_WHOLE_OCTETS_MAX
from resolver.node import record_octets, shares
from resolver.node.mirror_copy import stored_table, unsealed
from resolver.node.record_octets import StoredRecord
from resolver.node.share_source import Wanted, is_of_registry, name_at
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import site_pb2 as site_pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger

COPYING = {site_pb.SITE_STAGE_PULLING, site_pb.SITE_STAGE_FENCED, site_pb.SITE_STAGE_HELD}
"""Stages of a change of the site in which handles are copied."""

_NO_DIGEST = bytes(32)

_BURIED = b"\xff"
"""Stands before a key of TOMBSTONES where the search for leftovers goes on; no handle begins so."""


def pull_of(row: stored.StoredServer, server: int, *, registry: bool) -> site_pb.SitePull | None:
    """What is copied from a server, None when nothing is."""
    for pull in row.pulls:
        if pull.registry == registry and (registry or pull.server == server):
            return pull
    return None


def adopt_greeting(ledger: Ledger, server: int, registry: bool, response: pb.FollowResponse) -> None:  # noqa: FBT001 - part of the pull's name
    """Remember in which epoch the copy goes on, and that one of whole ranges has to come to its end."""
    row = shares.server_row(ledger.writer)
    pull = pull_of(row, server, registry=registry)
    if pull is None or not response.epochs:
        raise MalformedMessage("the greeting of the other server does not fit: greet again")
    pull.epoch = response.epochs[-1].number
    pull.ClearField("sweep")
    if response.HasField("sweep"):
        pull.sweep.CopyFrom(response.sweep)
        pull.complete = False
    shares.store_server(ledger.writer, row)


def apply(ledger: Ledger, server: int, wanted: Wanted, response: pb.FollowResponse) -> pb.MirrorPosition:
    """Apply one message; what is held of the other server then.

    Raises MalformedMessage when it no longer fits, and RecordCorrupt; nothing is changed then.
    """
    row = shares.server_row(ledger.writer)
    pull = pull_of(row, server, registry=wanted.share.registry)
    if pull is None or share_wanted(row, pull) != wanted.share:
        # Once servers have switched, the other one lets go what is this server's: that must not be followed.
        raise MalformedMessage("this server copies nothing of the kind from there any more")
    if not pull.registry and shares.is_to_come(row.copy_from_us, ledger.now_us):
        raise MalformedMessage("this server does not copy yet: not all of its workers look at hashes")
    if not _follows(pull, wanted, response):
        raise MalformedMessage(
            "what was sent does not follow what is held: another stream has brought more, greet again"
        )
    if response.HasField("chunk"):
        _apply_chunk(ledger, wanted, response.chunk)
        pull.ClearField("sweep")
        if response.chunk.last:
            pull.held.CopyFrom(response.chunk.next.start)
            pull.catching_up.CopyFrom(response.newest)
        else:
            pull.sweep.CopyFrom(response.chunk.next)
    elif response.HasField("rows"):
        _apply_rows(ledger, wanted, response.rows)
        pull.held.CopyFrom(response.rows.through)
    else:
        return pull.held
    if not pull.HasField("sweep") and not pull.complete and _reaches(pull.held, pull.catching_up):
        pull.complete = True
        pull.ClearField("catching_up")
    held = pb.MirrorPosition()
    held.CopyFrom(pull.held)
    shares.store_server(ledger.writer, row)
    return held


def _follows(pull: site_pb.SitePull, wanted: Wanted, response: pb.FollowResponse) -> bool:
    """Whether a message goes on where the copy is: one that has been late could bring back what has changed since."""
    if response.HasField("chunk"):
        chunk, sweep = response.chunk, pull.sweep
        at_hand = pull.HasField("sweep") and wanted.tables[sweep.table].value.decode() == chunk.table
        return at_hand and sweep.after == chunk.after and sweep.start == chunk.next.start
    if response.HasField("rows"):
        rows, held = response.rows, pull.held
        is_next = (rows.first_serial, rows.first_sequence) == (held.serial + 1, held.sequence + 1)
        return is_next and not pull.HasField("sweep")
    return True


def share_wanted(row: stored.StoredServer, pull: site_pb.SitePull) -> pb.ShareWanted | None:
    """What a pull is to bring at the stage this server is at; None for nothing."""
    if pull.registry:
        return pb.ShareWanted(registry=True)
    if row.stage not in COPYING:
        return None
    return pb.ShareWanted(
        from_hash=shares.hash_option(row.previous.hash),
        from_servers=len(row.previous.servers),
        from_place=shares.place_of(row.previous, pull.server),
        to_hash=shares.hash_option(row.next.hash),
        to_servers=len(row.next.servers),
        to_place=shares.place_of(row.next, row.id),
    )


def _reaches(held: pb.MirrorPosition, goal: pb.MirrorPosition) -> bool:
    return held.serial >= goal.serial and held.sequence >= goal.sequence


def _apply_rows(ledger: Ledger, wanted: Wanted, rows: pb.ChangedRows) -> None:
    others = [(stored_table(image.table), image.key, image.row) for image in rows.rows]
    sealed = [(table, key, unsealed(table, key, row) if row else None) for table, key, row in others]
    for image in rows.records:
        if wanted.has(fold_octets(image.name.encode())):
            arrive(ledger, image)
    for table, key, body in sealed:
        if not wanted.has_row(table, key):
            continue
        is_new = body is not None and ledger.writer.get(table, key) is None
        if wanted.share.registry or is_new:  # an outcome of this server's own goes before
            _put_or_delete(ledger, table, key, body)
    if sealed and wanted.share.registry:
        ledger.forget_registry()


def _apply_chunk(ledger: Ledger, wanted: Wanted, chunk: pb.SweepChunk) -> None:
    """Make a range of a table equal to the other server's, as far as it is wanted."""
    table = stored_table(chunk.table)
    first, stop = wanted.bounds(table)
    start = chunk.after + b"\0" if chunk.after else first
    stop = chunk.through + b"\0" if chunk.through else stop
    keys = [key for key, _ in ledger.writer.scan_rows(table, start, stop)]
    if table is Table.RECORDS or table is Table.TOMBSTONES:
        theirs = {image.key for image in chunk.images}
        for key in keys:
            if table is Table.RECORDS and key not in theirs and _is_wanted(ledger, wanted, key):
                _vanish(ledger, key)
        for image in chunk.images:
            if wanted.has(fold_octets(image.name.encode())):
                arrive(ledger, image)
        return
    rows = dict(zip(chunk.rows[::2], chunk.rows[1::2], strict=True))
    bodies = {key: unsealed(table, key, row) for key, row in rows.items() if is_of_registry(table, key)}
    for key in keys:
        if key not in bodies and is_of_registry(table, key):
            _put_or_delete(ledger, table, key, None)
    for key, body in bodies.items():
        _put_or_delete(ledger, table, key, body)
    ledger.forget_registry()


def _is_wanted(ledger: Ledger, wanted: Wanted, key: bytes) -> bool:
    if len(key) <= KEY_WHOLE_OCTETS_MAX:
        return wanted.has(key)
    return wanted.has(fold_octets(name_at(ledger.writer, Table.RECORDS, key).encode()))


def _put_or_delete(ledger: Ledger, table: Table, key: bytes, body: tuple[bytes, int] | None) -> None:
    if table is Table.META and key == shares.LAYOUT_KEY and (body is None or _is_older(ledger, body[0])):
        return  # it was on its way while this server took the step to the next one
    if body is None:
        ledger.writer.delete(table, key)
    elif ledger.writer.get(table, key) != body[0]:
        ledger.writer.put(table, key, body[0], marks=body[1])


def _is_older(ledger: Ledger, layout: bytes) -> bool:
    """Whether a layout is one that held before this server's; serials begin anew above 65,534."""
    ours = shares.layout_of(ledger.writer).serial
    theirs = site_pb.SiteLayout.FromString(layout).serial
    return bool(ours) and not 0 <= (theirs - ours) % 0xFFFE < 0x7FFF


def arrive(ledger: Ledger, image: pb.RecordImage) -> None:
    """Hold a handle, or what is left of a deleted one, as another server holds it."""
    before = ledger.find(image.key)
    if not image.public:
        if image.tombstone:
            _bury(ledger, image.key, image.name, stored.StoredTombstone.FromString(image.tombstone))
        elif before is not None:
            _vanish(ledger, image.key)
        return
    theirs = StoredRecord(image.public, image.restricted)
    record = theirs.record()
    if before is not None and _is_same(before, theirs):
        return
    record.serial = ledger.take_serial()
    public = record_octets.frame(record.SerializeToString(deterministic=True))
    ledger.adopt(image.key, _prefix_key(record.name), public, image.restricted)
    ledger.writer.delete(Table.TOMBSTONES, image.key)
    digest = record_octets.digest(image.key, public, image.restricted)
    ledger.append_own(changes.OPERATION_ARRIVE, record.name, record.version, digest, template_id=record.template_id)


def _is_same(ours: StoredRecord, theirs: StoredRecord) -> bool:
    """Whether two records are the same but for the serials, which each server counts for itself."""
    one, other = ours.record(), theirs.record()
    one.serial = other.serial = 0
    return one == other and ours.restricted == theirs.restricted


def _bury(ledger: Ledger, key: bytes, name: str, theirs: stored.StoredTombstone) -> None:
    """Keep the version of a handle that was deleted, and nothing else of it."""
    if ledger.find(key) is not None:
        ledger.adopt(key, _prefix_key(name), b"", b"")
    else:
        ours = ledger.writer.get(Table.TOMBSTONES, key)
        if ours is not None and stored.StoredTombstone.FromString(ours).version == theirs.version:
            return
    theirs.serial = ledger.take_serial()
    ledger.put_tombstone(key, theirs)
    ledger.append_own(changes.OPERATION_ARRIVE, name, theirs.version, _NO_DIGEST)


def _vanish(ledger: Ledger, key: bytes) -> None:
    """Forget a handle of which the other server has nothing any more; its version goes on."""
    before = ledger.find(key)
    if before is not None:
        record = before.record()
        _bury(ledger, key, record.name, stored.StoredTombstone(version=record.version, time_us=ledger.now_us))


def leave(ledger: Ledger, key: bytes) -> None:
    """Let a handle go that another server has; nothing of it stays but the entry."""
    before = ledger.find(key)
    name, version, digest = name_at(ledger.writer, Table.TOMBSTONES, key), 0, _NO_DIGEST
    if before is not None:
        record = before.record()
        name, version, digest = record.name, record.version, record_octets.digest(key, *before)
        ledger.adopt(key, _prefix_key(name), b"", b"")
    elif not name:
        return
    else:
        version = stored.StoredTombstone.FromString(ledger.writer.get(Table.TOMBSTONES, key) or b"").version
    ledger.writer.delete(Table.TOMBSTONES, key)
    ledger.take_serial()
    ledger.append_own(changes.OPERATION_LEAVE, name, version, digest)


def _prefix_key(name: str) -> bytes:
    return fold(name.partition("/")[0]).encode()


def drop_leftovers(ledger: Ledger, most: int, rows_max: int) -> bool:
    """Let up to ``most`` handles go that are not this server's, among so many rows; whether there may be more."""
    share = ledger.share
    row = shares.server_row(ledger.writer)
    if share is None or not row.leftovers:
        return False
    table, after = Table.RECORDS, row.leftovers_after
    if after.startswith(_BURIED):
        table, after = Table.TOMBSTONES, after.removeprefix(_BURIED)
    found: list[bytes] = []
    for number, (key, _) in enumerate(ledger.writer.scan_rows(table, after + b"\0" if after else b""), start=1):
        folded = key if len(key) <= KEY_WHOLE_OCTETS_MAX else fold_octets(name_at(ledger.writer, table, key).encode())
        if not share.holds(folded):
            found.append(key)
        if len(found) == most or number == rows_max:
            row.leftovers_after = _BURIED + key if table is Table.TOMBSTONES else key
            break
    else:
        if table is Table.RECORDS:
            row.leftovers_after = _BURIED
        else:
            row.leftovers, row.leftovers_after = False, b""
    for key in found:
        leave(ledger, key)
    shares.store_server(ledger.writer, row)
    return row.leftovers
