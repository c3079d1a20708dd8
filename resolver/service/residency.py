"""Whether the store is in memory; and when it is not, reading records ahead in threads, off the loop.

A get from memory costs a microsecond, a get from disk a hundred, and while it waits in the loop every connection waits.
So the loop's own *major page faults* are counted: each is a read that it waited for. When there are many the store is
``cold``. Whoever resolves then awaits ``touch`` first: all names asked in one turn of the loop are read in some threads
at once, each in a transaction of its own (py-lmdb gives up the interpreter lock in a get), and the answers that follow
find their pages in memory. The threads count their faults too, and when hardly a read faults the store is warm again.

Nothing else changes: a touched record may have left memory again, or have changed; the answer reads it anyhow.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from resolver import limits
from storage.errors import StorageError
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.engine import Engine

LOOK_S = 0.01
"""Seconds between two looks at the faults of the loop: a look costs a microsecond."""

COLD_FAULTS_MIN = 8
"""Faults of the loop since the last look, at least, that make the store cold: a few happen to any process."""

COLD_FAULTS_PER_S = 200.0
"""Faults of the loop in a second, at least, that make the store cold: it waited for two hundredths of that second."""

WARM_LOOK_S = 1.0
"""Seconds of reading ahead after which its faults are judged."""

WARM_FAULTS_SHARE = 0.02
"""Faults for each record read ahead, at most, that make the store warm again."""

RECENT_MAX = 8_192
"""Keys of one generation of those read lately: their pages are some 32 MB, which any host keeps for a while."""

SWITCH_S = 0.000_5
"""Seconds after which Python hands its lock to a thread that waits, while the store is cold. By default these are
five thousandths, which a thread that has just read would wait for while the loop is busy."""


def thread_faults() -> int:
    """Major page faults of the calling thread so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_majflt


class Residency:
    """Judges for one worker's loop. ``look`` now and then, ``touch`` while ``cold``, ``close`` at the end."""

    def __init__(
        self,
        engine: Engine,
        monotonic_s: Callable[[], float],
        *,
        faults: Callable[[], int] = thread_faults,
        threads: int = limits.READ_AHEAD_THREADS,
    ) -> None:
        """Judge by ``faults``, which counts those of the calling thread; without threads it is never cold."""
        self.cold = False
        self._threads = threads
        self._engine = engine
        self._monotonic_s = monotonic_s
        self._faults = faults
        self._switch_s = sys.getswitchinterval()
        self._seen_s = monotonic_s()
        self._seen_faults: int | None = None
        self._touched = 0
        self._touch_faults = 0
        self._recent: set[bytes] = set()
        self._before: set[bytes] = set()
        """Keys read a short while ago, in two generations: their records are likely to be in memory still."""
        self._waiting: list[bytes] = []
        self._group: asyncio.Future[None] | None = None
        self._pool: ThreadPoolExecutor | None = None

    def look(self, now_s: float) -> None:
        """Judge anew, if the last judgement is old enough; call it on the loop after each burst of gets."""
        if now_s - self._seen_s >= (WARM_LOOK_S if self.cold else LOOK_S):
            self._judge(now_s - self._seen_s)
            self._seen_s = now_s

    def _judge(self, passed_s: float) -> None:
        faults = self._faults()
        news = 0 if self._seen_faults is None else faults - self._seen_faults
        self._seen_faults = faults
        if self.cold:
            if self._touch_faults <= WARM_FAULTS_SHARE * self._touched:
                self._set(cold=False)
            self._touched = self._touch_faults = 0
        elif news >= COLD_FAULTS_MIN and news >= COLD_FAULTS_PER_S * passed_s and self._threads:
            self._set(cold=True)

    def _set(self, *, cold: bool) -> None:
        self.cold = cold
        self._recent, self._before = set(), set()
        if cold:
            self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S if cold else self._switch_s)

    def absent(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those of some keys whose records have to be touched before they are got; none while the store is warm."""
        if not self.cold:
            return []
        recent, before = self._recent, self._before
        return [key for key in keys if key not in recent and key not in before]

    def touch(self, keys: Sequence[bytes]) -> asyncio.Future[None]:
        """Bring the records of some keys into memory, together with all others asked for in this turn of the loop."""
        if self._group is None:
            loop = asyncio.get_running_loop()
            self._group = loop.create_future()
            loop.call_soon(self._start)
        self._waiting += [key for key in keys if 0 < len(key) <= limits.KEY_WHOLE_OCTETS_MAX]
        return self._group

    def _start(self) -> None:
        """Read what the turn has asked for."""
        group, self._group = self._group, None
        keys, self._waiting = self._waiting, []
        assert group is not None  # noqa: S101 - touch has just made it
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="touch")
        loop = asyncio.get_running_loop()
        parts = [keys[start :: self._threads] for start in range(min(self._threads, len(keys)))]
        reads = [loop.run_in_executor(self._pool, self._read, part) for part in parts]
        done = asyncio.gather(*reads)
        done.add_done_callback(lambda _: self._finish(group, keys, done))

    def _read(self, keys: list[bytes]) -> int:
        """In a thread: get the rows; how often it waited for the disk."""
        before = self._faults()
        try:
            with self._engine.read() as reader:
                reader.get_rows(Table.RECORDS, keys)
        except StorageError:
            pass  # the answer meets it again, and has the words for it
        return self._faults() - before

    def _finish(self, group: asyncio.Future[None], keys: list[bytes], done: asyncio.Future[list[int]]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._touched += len(keys)
            self._touch_faults += sum(done.result())
            if len(self._recent) >= RECENT_MAX:
                self._before, self._recent = self._recent, set()
            self._recent.update(keys)
        self.look(self._monotonic_s())
        if not group.done():
            group.set_result(None)

    def close(self) -> None:
        """End the threads once what they read is read."""
        if self.cold:
            self._set(cold=False)
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
