"""Counts of resolutions per prefix, day and source, kept in memory and written every few seconds.

A worker that is killed loses the counts since its last write and nothing else. Memory is bounded: prefixes that
are not served share one row, and sources beyond the limit are summed as "other".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.clock import Clock, day_of
from resolver.node.statistics import OTHER_SOURCES, add_source

if TYPE_CHECKING:
    from resolver.node.ledger import Ledger

_SOURCES_IN_MEMORY = 50_000
_DAY_CHECK_EVERY = 1_024


class Counting:
    """Resolution counts of one worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[tuple[int, str], list[int]] = {}
        self._sources: dict[tuple[int, str, str], int] = {}
        self._day = day_of(clock.now_us())
        self._until_day_check = _DAY_CHECK_EVERY

    def resolved(self, prefix: str, source: str, asked: int, found: int) -> None:
        """Count resolutions under a folded prefix; "" for prefixes that are not served."""
        self._until_day_check -= 1
        if self._until_day_check <= 0:
            self.check_day()
        key = (self._day, prefix)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0]
        counts[0] += asked
        counts[1] += found
        place = (self._day, prefix, source)
        sources = self._sources
        if place not in sources and len(sources) >= _SOURCES_IN_MEMORY:
            place = (self._day, prefix, OTHER_SOURCES)
        sources[place] = sources.get(place, 0) + asked

    def check_day(self) -> None:
        """Notice midnight."""
        self._day = day_of(self._clock.now_us())
        self._until_day_check = _DAY_CHECK_EVERY

    def take(self) -> CountingJob | None:
        """What was counted since the last time, as a job for the write lane; None when there is nothing."""
        if not self._counts:
            return None
        job = CountingJob(self._counts, self._sources)
        self._counts, self._sources = {}, {}
        return job

    def give_back(self, job: CountingJob) -> None:
        """Keep counts that could not be written, for the next time."""
        for key, (asked, found) in job.counts.items():
            counts = self._counts.setdefault(key, [0, 0])
            counts[0] += asked
            counts[1] += found
        for place, count in job.sources.items():
            if place in self._sources or len(self._sources) < _SOURCES_IN_MEMORY:
                self._sources[place] = self._sources.get(place, 0) + count


class CountingJob:
    """Adds counts to the rows of their days."""

    cost = 1
    frees_space = False

    def __init__(self, counts: dict[tuple[int, str], list[int]], sources: dict[tuple[int, str, str], int]) -> None:
        self.counts = counts
        self.sources = sources

    def prepare(self) -> None:
        """Nothing to check."""

    def apply(self, ledger: Ledger) -> None:
        """Add to the ledger's day counts and to the sources."""
        for (day, prefix), (asked, found) in self.counts.items():
            counts = ledger.day_counts(day, prefix.encode())
            counts.resolutions += asked
            counts.resolutions_found += found
        for (day, prefix, source), count in self.sources.items():
            counts = ledger.day_counts(day, prefix.encode())
            add_source(ledger.writer, counts, day, prefix, source, count, limits.SOURCES_PER_DAY_MAX)
