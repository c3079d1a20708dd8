"""Reading and writing statistics: totals of prefixes, counts of days, requests of sources (national tables T3, T8).

The counts of the node as a whole are rows like those of a prefix, under ``NODE_KEY``. Sources are counted one by one
up to a limit; then the rows with the fewest resolutions are given up, as in the stream summaries of Metwally et al.
("space saving", 2005): a source that is listed has at least ``resolutions`` and at most ``error`` more, one that is
not has at most ``sources_error``, and until a limit is reached both are 0 and every count is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.count_rows import body_of
from resolver.node.day_counts import NODE_KEY
from resolver.node.ledger import day_key, last_serial
from resolver.v1 import node_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storage.engine import Reader, Writer

NODE = NODE_KEY.decode()
"""What stands for the node as a whole where a folded prefix stands."""

_HASH_MODULUS = 1 << 256
_OLD_ROWS_MAX = 2_000


def totals(prefix: str, body: bytes) -> pb.PrefixTotals:
    """The totals in a row of TALLIES."""
    row = stored.StoredTally.FromString(body)
    return pb.PrefixTotals(
        prefix=prefix,
        handle_count=row.handle_count,
        record_octets=row.record_octets,
        set_hash=row.set_hash,
        serial=row.serial,
    )


def node_totals(reader: Reader) -> pb.PrefixTotals:
    """Sums over all prefixes: one pass over TALLIES, a row a prefix."""
    octets, set_hash = 0, 0
    for _, body in reader.scan(Table.TALLIES):
        row = stored.StoredTally.FromString(body)
        octets += row.record_octets
        set_hash += int.from_bytes(row.set_hash, "big")
    return pb.PrefixTotals(
        handle_count=reader.count(Table.RECORDS),
        record_octets=octets,
        set_hash=(set_hash % _HASH_MODULUS).to_bytes(32, "big"),
        serial=last_serial(reader),
        prefix_count=reader.count(Table.PREFIXES),
    )


def days(
    reader: Reader, from_day: int, to_day: int, prefixes: Iterable[str], *, sources: bool
) -> Iterator[pb.DailyCounts]:
    """The counts of some prefixes from one day to another, both included, by day and then by prefix."""
    wanted = list(prefixes)
    for day in days_present(reader, from_day, to_day):
        for prefix in wanted:
            row = day_row(reader, day, prefix)
            if row is None:
                continue
            counts = pb.DailyCounts(
                day=day,
                prefix="" if prefix == NODE else prefix,
                whole_node=prefix == NODE,
                creates=row.creates,
                modifies=row.modifies,
                deletes=row.deletes,
                resolutions=row.resolutions,
                resolutions_found=row.resolutions_found,
                handle_count=row.handle_count,
                new_prefixes=row.new_prefixes,
                sources_error=row.sources_error,
                unattributed=row.unattributed,
            )
            if sources:
                found = (
                    pb.SourceCount(address=address, resolutions=source.resolutions, error=source.error)
                    for address, source in source_rows(reader, day, prefix)
                )
                counts.sources.extend(sorted(found, key=lambda each: (-each.resolutions, each.address)))
            yield counts


def day_row(reader: Reader, day: int, prefix: str) -> stored.StoredDay | None:
    """The counts of a folded prefix on a day; None when nothing was counted."""
    body = body_of(reader, Table.STATISTICS, day_key(day, prefix.encode()))
    return None if body is None else stored.StoredDay.FromString(body)


def days_present(reader: Reader, from_day: int, to_day: int) -> Iterator[int]:
    """The days that have counts."""
    start = from_day
    while start <= to_day:
        key = next((key for key, _ in reader.scan_rows(Table.STATISTICS, start.to_bytes(4, "big"))), None)
        if key is None:
            return
        day = int.from_bytes(key[:4], "big")
        if day > to_day:
            return
        yield day
        start = day + 1


def _source_key(day: int, prefix: str, source: str) -> bytes:
    return day_key(day, prefix.encode()) + b"\0" + source.encode()


def source_rows(reader: Reader, day: int, prefix: str) -> Iterator[tuple[str, stored.StoredSource]]:
    """The addresses counted one by one for a folded prefix on a day."""
    start = _source_key(day, prefix, "")
    for key, _ in reader.scan_rows(Table.SOURCES, start, start[:-1] + b"\x01"):
        yield key[len(start) :].decode(), stored.StoredSource.FromString(body_of(reader, Table.SOURCES, key) or b"")


def add_source(
    writer: Writer, counts: stored.StoredDay, day: int, prefix: str, source: str, count: int, sources_max: int
) -> None:
    """Add resolutions to a source. At twice ``sources_max`` rows the smaller half is given up."""
    key = _source_key(day, prefix, source)
    body = body_of(writer, Table.SOURCES, key)
    if body is None:
        if counts.sources >= 2 * sources_max:
            _give_up_half(writer, counts, day, prefix, sources_max)
        counts.sources += 1
        row = stored.StoredSource(resolutions=count, error=counts.sources_error)
    else:
        row = stored.StoredSource.FromString(body)
        row.resolutions += count
    writer.put(Table.SOURCES, key, row.SerializeToString())


def _give_up_half(writer: Writer, counts: stored.StoredDay, day: int, prefix: str, sources_max: int) -> None:
    """Keep the rows that may have most, and remember the most that any of the others may have had."""
    rows = sorted(source_rows(writer, day, prefix), key=lambda each: each[1].resolutions + each[1].error, reverse=True)
    for address, row in rows[sources_max:]:
        counts.sources_error = max(counts.sources_error, row.resolutions + row.error)
        writer.delete(Table.SOURCES, _source_key(day, prefix, address))
    counts.sources = min(len(rows), sources_max)


def forget_before(writer: Writer, table: Table, day: int) -> bool:
    """Remove rows of days before one, a bounded number; whether there may be more."""
    old = []
    for key, _ in writer.scan_rows(table, stop=day.to_bytes(4, "big")):
        old.append(key)
        if len(old) == _OLD_ROWS_MAX:
            break
    for key in old:
        writer.delete(table, key)
    return len(old) == _OLD_ROWS_MAX
