"""Reading and writing statistics: totals of prefixes, counts of days, requests of sources (national tables T3, T8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.ledger import day_key, last_serial
from resolver.v1 import node_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storage.engine import Reader, Writer

OTHER_SOURCES = "other"
"""Address under which sources beyond the limit are summed."""

_HASH_MODULUS = 1 << 256


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
    )


def days(
    reader: Reader, from_day: int, to_day: int, prefixes: Iterable[str], *, sources: bool
) -> Iterator[pb.DailyCounts]:
    """The counts of some prefixes from one day to another, both included, by day and then by prefix."""
    wanted = list(prefixes)
    day_keys = _days_present(reader, from_day, to_day)
    for day in day_keys:
        for prefix in wanted:
            body = reader.get(Table.STATISTICS, day_key(day, prefix.encode()))
            if body is None:
                continue
            row = stored.StoredDay.FromString(body)
            counts = pb.DailyCounts(
                day=day,
                prefix=prefix,
                creates=row.creates,
                modifies=row.modifies,
                deletes=row.deletes,
                resolutions=row.resolutions,
                resolutions_found=row.resolutions_found,
            )
            if sources:
                counts.sources.extend(_sources(reader, day, prefix))
            yield counts


def _days_present(reader: Reader, from_day: int, to_day: int) -> Iterator[int]:
    """The days that have counts."""
    start = from_day
    while start <= to_day:
        key = next((key for key, _ in reader.scan(Table.STATISTICS, start.to_bytes(4, "big"))), None)
        if key is None:
            return
        day = int.from_bytes(key[:4], "big")
        if day > to_day:
            return
        yield day
        start = day + 1


def _source_key(day: int, prefix: str, source: str) -> bytes:
    return day_key(day, prefix.encode()) + b"\0" + source.encode()


def _sources(reader: Reader, day: int, prefix: str) -> Iterator[pb.SourceCount]:
    start = _source_key(day, prefix, "")
    for key, body in reader.scan(Table.SOURCES, start, start[:-1] + b"\x01"):
        yield pb.SourceCount(address=key[len(start) :].decode(), resolutions=int.from_bytes(body, "big"))


def add_source(
    writer: Writer, counts: stored.StoredDay, day: int, prefix: str, source: str, count: int, sources_max: int
) -> None:
    """Add resolutions to a source; one that would exceed the limit of the day is counted as "other"."""
    key = _source_key(day, prefix, source)
    body = writer.get(Table.SOURCES, key)
    if body is None:
        if counts.sources >= sources_max:
            key = _source_key(day, prefix, OTHER_SOURCES)
            body = writer.get(Table.SOURCES, key)
        else:
            counts.sources += 1
    before = 0 if body is None else int.from_bytes(body, "big")
    writer.put(Table.SOURCES, key, (before + count).to_bytes(8, "big"))
