"""Counts of resolutions by prefix, source and door, and times of calls, kept in memory and written every few seconds.

``resolved`` runs for every read burst and touches one dictionary. Once a second ``roll`` folds that dictionary into
what waits to be written, so that the busiest second is known. A worker that is killed loses what waits and nothing
else. Memory is bounded: prefixes that are not served share one row, and sources beyond a limit are counted without
their address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.clock import day_of
from resolver.node import activity
from resolver.node.activity import Work
from resolver.node.statistics import NODE, add_source, forget_before
from resolver.telemetry.calls import GRPC, RESOLUTION
from storage.tables import Table

if TYPE_CHECKING:
    from resolver.clock import Clock
    from resolver.node.ledger import Ledger
    from resolver.telemetry.calls import Seen

_SOURCES_IN_MEMORY = 20_000
_UNATTRIBUTED = ""
_MAPPED = "::ffff:"
"""What an IPv4 address begins with at a door that listens on IPv6 (RFC 4291 section 2.5.5.2)."""
_US = 1_000_000

Names = dict[str, tuple[int, int]]
"""Names asked and found by door."""


class Waiting:
    """What waits to be written."""

    def __init__(self) -> None:
        self.prefixes: dict[tuple[int, str], list[int]] = {}
        """day, prefix → asked, found"""
        self.sources: dict[tuple[int, str, str], int] = {}
        """day, prefix, address → asked"""
        self.work: dict[tuple[int, str], dict[str, Work]] = {}
        """day, kind → door → what was done"""

    def __bool__(self) -> bool:
        return bool(self.prefixes or self.work)

    def done(self, day: int, kind: str, door: str) -> Work:
        """The work of a kind at a door on a day, to be added to."""
        doors = self.work.setdefault((day, kind), {})
        return doors.get(door) or doors.setdefault(door, Work())

    def add_names(self, day: int, prefix: str, source: str, asked: int, found: int) -> None:
        """Add resolutions under a prefix, and the same to the node."""
        for place in (prefix, NODE):
            counts = self.prefixes.setdefault((day, place), [0, 0])
            counts[0] += asked
            counts[1] += found
            self._add_source((day, place, source), asked)

    def _add_source(self, place: tuple[int, str, str], asked: int) -> None:
        sources = self.sources
        if place not in sources and len(sources) >= _SOURCES_IN_MEMORY:
            place = (*place[:2], _UNATTRIBUTED)
        sources[place] = sources.get(place, 0) + asked

    def add(self, other: Waiting) -> None:
        """Add what could not be written."""
        for key, (asked, found) in other.prefixes.items():
            counts = self.prefixes.setdefault(key, [0, 0])
            counts[0] += asked
            counts[1] += found
        for place, count in other.sources.items():
            self._add_source(place, count)
        for (day, kind), doors in other.work.items():
            for door, work in doors.items():
                self.done(day, kind, door).add(work)


class Counting:
    """Resolution counts of one worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: dict[tuple[str, str, str], list[int]] = {}
        self._began_us = clock.now_us()
        self._waiting = Waiting()

    def resolved(self, prefix: str, source: str, asked: int, found: int, door: str = GRPC) -> None:
        """Count resolutions under a folded prefix, "" for prefixes that are not served, from an address at a door."""
        key = (prefix, source, door)
        counts = self._now.get(key)
        if counts is None:
            if len(self._now) >= _SOURCES_IN_MEMORY:
                key = (prefix, _UNATTRIBUTED, door)
            counts = self._now.setdefault(key, [0, 0])
        counts[0] += asked
        counts[1] += found

    def roll(self, seen: Seen) -> Names:
        """Close the second: take over its names, and the calls that were seen; names asked and found by door."""
        began_us, self._began_us = self._began_us, self._clock.now_us()
        day, waiting = day_of(began_us), self._waiting
        counted, self._now = self._now, {}
        names: Names = {}
        for (prefix, source, door), (asked, found) in counted.items():
            waiting.add_names(day, prefix, source.removeprefix(_MAPPED), asked, found)
            before = names.get(door, (0, 0))
            names[door] = (before[0] + asked, before[1] + found)
        for door, (asked, found) in names.items():
            waiting.done(day, RESOLUTION, door).add_items(began_us // _US, asked, found)
        for (door, method), times in seen.times.items():
            if method.kind:
                calls = sum(times.counts)
                least = (round(times.least_s * _US), times.least_us)
                most = (round(times.most_s * _US), times.most_us)
                waiting.done(day, method.kind, door).add_times(calls, round(times.total_s * _US), least, most)
        return names

    def take(self) -> CountingJob | None:
        """What waits to be written, as a job for the write lane; None when there is nothing. Roll first."""
        if not self._waiting:
            return None
        job = CountingJob(self._waiting)
        self._waiting = Waiting()
        return job

    def give_back(self, job: CountingJob) -> None:
        """Keep counts that could not be written, for the next time."""
        self._waiting.add(job.waiting)


class CountingJob:
    """Adds counts to the rows of their days."""

    cost = 1
    everywhere = True
    frees_space = False
    door = ""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting

    def prepare(self) -> None:
        """Nothing to check."""

    def apply(self, ledger: Ledger) -> None:
        """Add to the ledger's day counts, to the sources and to the activity."""
        for (day, prefix), (asked, found) in self.waiting.prefixes.items():
            counts = ledger.day_counts(day, prefix.encode())
            counts.resolutions += asked
            counts.resolutions_found += found
        for (day, prefix, source), count in sorted(self.waiting.sources.items()):
            counts = ledger.day_counts(day, prefix.encode())
            if source == _UNATTRIBUTED:
                counts.unattributed += count
            else:
                add_source(ledger.writer, counts, day, prefix, source, count, limits.SOURCES_PER_DAY_MAX)
        for (day, kind), doors in self.waiting.work.items():
            activity.record(ledger.writer, day, kind, doors)


class ForgettingJob:
    """Removes statistics that are older than the operator keeps them; the result tells whether there is more to do."""

    cost = 1
    everywhere = True
    frees_space = True
    door = ""

    def __init__(self, days_before: int, sources_before: int) -> None:
        self._days_before = days_before
        self._sources_before = sources_before

    def prepare(self) -> None:
        """Nothing to check."""

    def apply(self, ledger: Ledger) -> bool:
        """Remove a bounded number of rows."""
        writer = ledger.writer
        tables = (Table.STATISTICS, self._days_before), (Table.ACTIVITY, self._days_before)
        more = [forget_before(writer, table, day) for table, day in (*tables, (Table.SOURCES, self._sources_before))]
        return any(more)
