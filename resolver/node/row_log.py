"""The row log: which rows outside the records each transaction has changed, so that mirrors can follow them.

The journal names every changed handle, so records need no second log; the registry, credentials, outcomes of requests
and imports are logged here, by place only: a mirror gets each row as it is when it asks, which is never older than the
entry. The log begins when the first mirror greets, and its oldest entries go when it is long; a mirror that
needs one that has gone copies whole tables instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.limits import ROW_LOG_ENTRIES_MAX
from resolver.node import mirror_ahead, site_role
from resolver.v1 import mirror_pb2 as pb
from storage.tables import FORMAT_KEY, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.engine import Reader, Writer

OWN_TABLES = frozenset(
    {
        Table.RECORDS,
        Table.RESTRICTED,
        Table.TOMBSTONES,
        Table.CHANGES,
        Table.TALLIES,
        Table.SEARCH,
        Table.HTTP_SESSIONS,
        Table.STATISTICS,
        Table.SOURCES,
        Table.ACTIVITY,
        Table.RATES,
        Table.ROW_LOG,
    }
)
"""Tables a mirror fills from the journal and the records, or by what it does itself."""

TABLES = frozenset(Table) - OWN_TABLES
"""Tables that are logged."""

_OWN_META = frozenset({FORMAT_KEY, site_role.META_KEY, mirror_ahead.META_KEY, b"search_types"})
"""Rows of META that belong to the node and not to its site."""

_PRUNED_WITH_EACH = 4


def is_followed(table: Table, key: bytes) -> bool:
    """Whether a mirror holds the row as its primary does."""
    return table in TABLES and not (table is Table.META and key in _OWN_META)


def append(writer: Writer, touched: Iterable[tuple[Table, bytes]], serial: int) -> int:
    """Log the rows a transaction that ends at a serial has changed; the newest sequence, old or new."""
    places: list[bytes] = []
    for table, key in touched:
        if is_followed(table, key):
            places += (table.value, key)
    newest = site_role.last_sequence(writer)
    if not places:
        return newest
    newest += 1
    entry = pb.RowLogEntry(places=places, serial=serial)
    writer.append(Table.ROW_LOG, site_role.sequence_key(newest), entry.SerializeToString())
    _prune(writer, newest)
    return newest


def first_sequence(reader: Reader) -> int:
    """Sequence of the oldest entry that is kept; 0 for an empty log."""
    for key, _ in reader.scan_rows(Table.ROW_LOG):
        return int.from_bytes(key, "big")
    return 0


def _prune(writer: Writer, newest: int) -> None:
    """Let the oldest entries go, some more than are added."""
    too_old = site_role.sequence_key(max(0, newest - ROW_LOG_ENTRIES_MAX))
    old = [key for key, _ in _few(writer, too_old)]
    for key in old:
        writer.delete(Table.ROW_LOG, key)


def _few(writer: Writer, stop: bytes) -> Iterable[tuple[bytes, bytes]]:
    for number, row in enumerate(writer.scan_rows(Table.ROW_LOG, b"", stop)):
        if number == _PRUNED_WITH_EACH:
            return
        yield row
