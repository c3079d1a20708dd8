"""Reading the journal: pages of changes from a serial on, filtered by prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.handle.name import fold, key_of_octets
from resolver.node import record_octets
from resolver.node.ledger import last_serial, serial_key
from resolver.v1 import changes_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader

SCANNED_MAX = 1_000
"""Journal entries looked at for one page: a page takes some milliseconds however few of them match."""

_PAGE_OCTETS = 1 << 20


class Page(NamedTuple):
    """Changes that passed the filter, and the serial up to which nothing is missing."""

    changes: list[pb.WatchedChange]
    through_serial: int
    at_end: bool


def page(reader: Reader, from_serial: int, may_see: Callable[[str], bool], *, include_records: bool) -> Page:
    """One page of the journal from ``from_serial`` on; ``may_see`` is asked with folded prefixes."""
    newest = last_serial(reader)
    found: list[pb.WatchedChange] = []
    through, octets = max(0, from_serial - 1), 0
    stop = serial_key(from_serial + SCANNED_MAX)
    for key, body in reader.scan(Table.CHANGES, serial_key(from_serial), stop):
        through = int.from_bytes(key, "big")
        change = pb.Change.FromString(body)
        if not may_see(fold(change.name.partition("/")[0])):
            continue
        watched = pb.WatchedChange(change=change)
        octets += len(body)
        if include_records and change.operation != pb.OPERATION_DELETE:
            record = reader.get(Table.RECORDS, key_of_octets(change.name.encode()))
            if record is not None:
                watched.record.CopyFrom(record_octets.parse(record))
                octets += len(record)
        found.append(watched)
        if octets > _PAGE_OCTETS:
            break
    return Page(found, through, through >= newest)
