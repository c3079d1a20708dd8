"""Which enterprises register most and are asked for most: the few that a metric may name one by one.

A label for each enterprise would make a series for each, for ever. The sums are made of TALLIES and of the counts of
the day, in steps with a read transaction each, so that none pins pages for long.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from resolver.node.day_counts import NODE_KEY
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.engine import Engine

NODE_ITSELF = "(node)"
"""What stands for prefixes that belong to no enterprise."""

_STEP = 2_000


class Top(NamedTuple):
    """Enterprises with most, most first: handles registered, and names resolved today."""

    records: list[tuple[str, int]]
    resolutions: list[tuple[str, int]]


def top(engine: Engine, day: int, count: int) -> Top:
    """The enterprises with most; ``count`` of each kind."""
    records: defaultdict[str, int] = defaultdict(int)
    resolutions: defaultdict[str, int] = defaultdict(int)
    for owner, _, tally in _rows(engine, Table.TALLIES, b""):
        records[owner] += stored.StoredTally.FromString(tally).handle_count
    start = day.to_bytes(4, "big")
    for owner, prefix_key, counts in _rows(engine, Table.STATISTICS, start):
        if prefix_key not in {b"", NODE_KEY}:
            resolutions[owner] += stored.StoredDay.FromString(counts).resolutions
    return Top(_most(records, count), _most(resolutions, count))


def _most(sums: dict[str, int], count: int) -> list[tuple[str, int]]:
    return nlargest(count, ((owner, each) for owner, each in sums.items() if each), key=lambda entry: entry[1])


def _rows(engine: Engine, table: Table, start: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Owner, prefix key and body of every row whose key begins with ``start``."""
    stop = start[:-1] + bytes([start[-1] + 1]) if start else None
    after = start
    while True:
        found: list[tuple[str, bytes, bytes]] = []
        with engine.read() as reader:
            for key, body in reader.scan(table, after, stop):
                prefix_key = key[len(start) :]
                row = reader.get(Table.PREFIXES, prefix_key) if prefix_key else None
                owner = registry.Prefix.FromString(row).enterprise_id if row is not None else ""
                found.append((owner or NODE_ITSELF, prefix_key, body))
                after = key + b"\0"
                if len(found) == _STEP:
                    break
        yield from found
        if len(found) < _STEP:
            return
