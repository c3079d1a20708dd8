"""What a mirror holds ahead of its journal, and what becomes of it when the mirror is promoted.

A primary sends a handle as it is, which may be after a change whose entry is not sent yet. Until that comes the mirror
remembers the handle here. If the primary dies first, the change is one nobody was promised, and the mirror has no
older record to go back to: the new primary makes it a change of its own, with a serial of its own epoch, so that
record and journal fit again. A deletion is made its own in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import RecordCorrupt
from resolver.handle.name import fold
from resolver.node import record_octets
from resolver.v1 import changes_pb2 as changes
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from resolver.node.ledger import Ledger
    from resolver.node.record_octets import StoredRecord
    from resolver.v1 import mirror_pb2 as pb
    from storage.engine import Reader, Writer

META_KEY = b"site_ahead"
"""Key of the row in META."""

_NO_DIGEST = bytes(32)


def rows(reader: Reader) -> list[stored.HandleAhead]:
    """The handles that are ahead."""
    return list(stored.StoredAhead.FromString(reader.get(Table.META, META_KEY) or b"").rows)


class Ahead:
    """The handles that are ahead, for the length of one message."""

    def __init__(self, writer: Writer, names: Mapping[bytes, str]) -> None:
        """``names`` are those of the handles in the message, by key."""
        self._writer = writer
        self._names = names
        self._rows = {row.key: row for row in rows(writer)}
        self._had_rows = bool(self._rows)

    def note(self, ledger: Ledger, image: pb.RecordImage) -> None:
        """Remember a handle before it is adopted; ``close`` forgets those that are not ahead."""
        if image.public:
            row = stored.HandleAhead(key=image.key, serial=record_octets.parse(image.public).serial)
        else:
            before = _readable(ledger, image.key)
            digest = _NO_DIGEST if before is None else record_octets.digest(image.key, *before)
            serial = stored.StoredTombstone.FromString(image.tombstone).serial
            row = stored.HandleAhead(key=image.key, serial=serial, digest=digest)
        row.name = self._names[image.key]
        self._rows[image.key] = row

    def close(self, serial: int) -> None:
        """Keep what is ahead of the journal's end."""
        left = [row for row in self._rows.values() if row.serial > serial]
        if left:
            self._writer.put(Table.META, META_KEY, stored.StoredAhead(rows=left).SerializeToString())
        elif self._had_rows:
            self._writer.delete(Table.META, META_KEY)


def _readable(ledger: Ledger, key: bytes) -> StoredRecord | None:
    """The record under a key; None also for one that is damaged."""
    try:
        return ledger.find(key)
    except RecordCorrupt:
        return None


def names_in(bodies: Iterable[bytes]) -> list[str]:
    """The handles that journal entries name."""
    return [changes.Change.FromString(body).name for body in bodies]


def make_own(ledger: Ledger) -> None:
    """Make every change that is ahead one of this node."""
    for row in sorted(rows(ledger.writer), key=lambda row: row.serial):
        if row.digest:
            _make_deletion_own(ledger, row)
        else:
            _make_record_own(ledger, row.key)
    ledger.writer.delete(Table.META, META_KEY)


def _make_record_own(ledger: Ledger, key: bytes) -> None:
    """Write a record that was adopted anew, as a change of this node."""
    before = ledger.find(key)
    if before is None:
        return
    record = before.record()
    record.serial = ledger.take_serial()
    public = record_octets.frame(record.SerializeToString(deterministic=True))
    ledger.adopt(key, fold(record.name.partition("/")[0]).encode(), public, before.restricted)
    digest = record_octets.digest(key, public, before.restricted)
    operation = changes.OPERATION_MODIFY if record.update_time_us else changes.OPERATION_CREATE
    ledger.append_own(operation, record.name, record.version, digest, template_id=record.template_id)


def _make_deletion_own(ledger: Ledger, row: stored.HandleAhead) -> None:
    """Write a deletion that was adopted anew, as a change of this node."""
    body = ledger.writer.get(Table.TOMBSTONES, row.key)
    if body is None:
        return
    tombstone = stored.StoredTombstone.FromString(body)
    tombstone.serial = ledger.take_serial()
    ledger.writer.put(Table.TOMBSTONES, row.key, tombstone.SerializeToString())
    ledger.append_own(changes.OPERATION_DELETE, row.name, tombstone.version, row.digest)
