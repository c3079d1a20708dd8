"""Times and rates of a day: how long resolutions and registrations took, and the busiest second (运行监测 1 to 12).

One row for each day, kind of work and door, and one for all doors together. Any number of workers add to a row, each
what it has seen, inside the transaction that writes it; so the busiest second is that of the whole node, as long as
the workers add within ``SECONDS_KEPT`` of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.count_rows import body_of
from resolver.v1 import node_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storage.engine import Reader, Writer

ALL_DOORS = ""
"""The door of the row that has all doors together."""

SECONDS_KEPT = 64
"""Seconds that a row remembers one by one: workers write their counts every second or so."""


class Work:
    """What was done of one kind at one door on one day, to be added to its row."""

    __slots__ = (
        "calls",
        "items",
        "items_ok",
        "least_time_us",
        "least_us",
        "most_time_us",
        "most_us",
        "seconds",
        "total_us",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.total_us = 0
        self.least_us = 0
        self.least_time_us = 0
        self.most_us = 0
        self.most_time_us = 0
        self.items = 0
        self.items_ok = 0
        self.seconds: dict[int, int] = {}
        """Items by second; bounded: of many, the latest and the fullest are kept."""

    def add_times(self, calls: int, total_us: int, least: tuple[int, int], most: tuple[int, int]) -> None:
        """Add the times of calls; ``least`` and ``most`` are microseconds and when they were seen."""
        if not self.calls or least[0] < self.least_us:
            self.least_us, self.least_time_us = least
        if not self.calls or most[0] > self.most_us:
            self.most_us, self.most_time_us = most
        self.calls += calls
        self.total_us += total_us

    def add_items(self, second: int, items: int, items_ok: int) -> None:
        """Add names asked or handles written in a second."""
        self.items += items
        self.items_ok += items_ok
        seconds = self.seconds
        seconds[second] = seconds.get(second, 0) + items
        if len(seconds) > 2 * SECONDS_KEPT:
            fullest = max(seconds, key=lambda each: seconds[each])
            kept = {*sorted(seconds)[-SECONDS_KEPT:], fullest}
            self.seconds = {each: seconds[each] for each in kept}

    def add(self, other: Work) -> None:
        """Add other work of the same kind."""
        if other.calls:
            least, most = (other.least_us, other.least_time_us), (other.most_us, other.most_time_us)
            self.add_times(other.calls, other.total_us, least, most)
        for second, items in other.seconds.items():
            self.add_items(second, items, 0)
        self.items += other.items - sum(other.seconds.values())
        self.items_ok += other.items_ok


def _key(day: int, kind: str, door: str) -> bytes:
    return day.to_bytes(4, "big") + f"{kind}\0{door}".encode()


def record(writer: Writer, day: int, kind: str, work: Mapping[str, Work]) -> None:
    """Add the work of some doors to their rows and to that of all doors."""
    together = Work()
    for door, done in sorted(work.items()):
        _merge(writer, _key(day, kind, door), done)
        together.add(done)
    if work:
        _merge(writer, _key(day, kind, ALL_DOORS), together)


def _merge(writer: Writer, key: bytes, work: Work) -> None:
    row = stored.StoredActivity.FromString(body_of(writer, Table.ACTIVITY, key) or b"")
    if work.calls:
        if not row.calls or work.least_us < row.least_us:
            row.least_us, row.least_time_us = work.least_us, work.least_time_us
        if not row.calls or work.most_us > row.most_us:
            row.most_us, row.most_time_us = work.most_us, work.most_time_us
        row.calls += work.calls
        row.total_us += work.total_us
    row.items += work.items
    row.items_ok += work.items_ok
    if work.seconds:
        _merge_seconds(row, work.seconds)
    writer.put(Table.ACTIVITY, key, row.SerializeToString())


def _merge_seconds(row: stored.StoredActivity, seconds: Mapping[int, int]) -> None:
    """Add items by second, and see whether one of these seconds is the busiest now."""
    recent = row.recent
    if len(seconds) == 1 and recent and recent[-1].time_s in seconds:  # as nearly always when many are written
        newest = recent[-1]
        newest.items += seconds[newest.time_s]
        if newest.items > row.peak:
            row.peak, row.peak_time_s = newest.items, newest.time_s
        return
    counts = {each.time_s: each.items for each in recent}
    for second, items in seconds.items():
        counts[second] = counts.get(second, 0) + items
        if counts[second] > row.peak:
            row.peak, row.peak_time_s = counts[second], second
    del recent[:]
    for second in sorted(counts)[-SECONDS_KEPT:]:
        recent.add(time_s=second, items=counts[second])


def days(reader: Reader, from_day: int, to_day: int) -> Iterator[pb.DailyActivity]:
    """The activity from one day to another, both included, by day, kind and door."""
    stop = (to_day + 1).to_bytes(4, "big")
    for key, _ in reader.scan_rows(Table.ACTIVITY, from_day.to_bytes(4, "big"), stop):
        kind, _, door = key[4:].decode().partition("\0")
        row = stored.StoredActivity.FromString(body_of(reader, Table.ACTIVITY, key) or b"")
        yield pb.DailyActivity(
            day=int.from_bytes(key[:4], "big"),
            kind=kind,
            protocol=door,
            calls=row.calls,
            average_us=row.total_us // row.calls if row.calls else 0,
            least_us=row.least_us,
            least_time_us=row.least_time_us,
            most_us=row.most_us,
            most_time_us=row.most_time_us,
            items=row.items,
            items_ok=row.items_ok,
            peak_per_s=row.peak,
            peak_time_s=row.peak_time_s,
        )
