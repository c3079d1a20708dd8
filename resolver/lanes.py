"""The write lane: one thread that commits what is queued in groups, and acknowledges only after the commit.

A commit costs one ``fdatasync`` however many jobs it holds, so grouping is worth a factor of some hundreds. A lane
belongs to one worker; the lanes of several workers take turns by the store's own writer lock. Jobs prepare
themselves before the lock is taken, so that one worker checks while another one writes; those that come meanwhile
checked already join the group that waits for the lock. A group waits a little for those just answered (``GroupPace``).

A job decides first and changes last: when it raises a ``ResolverError`` it has changed nothing, and the group
goes on without it. A defect or a damaged row undoes the group, whose jobs are then tried one by one, so that one
cannot fail its neighbours.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import structlog

from resolver import errors
from resolver.errors import InternalError, Overloaded, RecordCorrupt, ResolverError, ShuttingDown, StorageFailed
from resolver.errors import StorageFull as NoRoom
from resolver.node import row_log, site_role
from resolver.node.group_pace import GroupPace
from resolver.node.ledger import Ledger
from resolver.node.quotas import NO_QUOTA, Quota
from resolver.registry.undo import HalfDone
from storage.errors import RowCorrupt, StorageError, StoreBroken, StoreFull
from storage.recording import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.clock import Clock
    from storage.engine import Engine

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_log = structlog.get_logger("lane")

FULL_MESSAGE = (
    "the disk of the node has no room for writes, reads go on: free space or give the data directory a larger file "
    "system; writes resume by themselves"
)
_RETRY_FULL_S, _RETRY_BUSY_S = 2.0, 0.2


class Job(Protocol[T_co]):
    """Something to be written."""

    cost: int
    """Rows of the job: what queue and group sizes count."""
    frees_space: bool
    """Whether the job is accepted into the reserve of a full disk: deletions are."""

    # A job may have ``checked``: with True there is nothing to prepare, and it can join a group late. A kind of jobs
    # may have ``apply_all``, a static method that applies many of one door and gives their results, None for each that
    # is to be applied by itself.

    def prepare(self) -> None:
        """Check what needs no transaction. Raises ResolverError."""

    def apply(self, ledger: Ledger) -> T_co:
        """Decide, then change the ledger. Raises ResolverError before any change."""


class Handed(ABC, Generic[T]):
    """A job in the lane's hands, and who waits for it. Doors that answer many calls at once make their own kind."""

    __slots__ = ("error", "job", "left", "result")

    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.result: T | None = None
        self.error: Exception | None = None
        """Why nothing was written; None when ``result`` is durable."""
        self.left = False
        """Whether nobody waits any more: a job that has not begun then never does."""

    @abstractmethod
    def settle(self) -> None:
        """Take result or error; called on the loop, once the job is durable or refused."""


class _Awaited(Handed[T]):
    """A job that a coroutine waits for."""

    __slots__ = ("future",)

    def __init__(self, job: Job[T], future: asyncio.Future[T]) -> None:
        super().__init__(job)
        self.future = future

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a result there is


@dataclass(frozen=True, slots=True)
class Commit:
    """What the lane tells of a group: jobs, rows, seconds from lock to disk, the newest serial, and handles changed.

    ``changed`` counts by door and operation: create, modify or delete.
    """

    jobs: int
    rows: int
    seconds: float
    serial: int
    changed: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """Limits of a lane, in rows."""

    group_rows_max: int
    queue_rows_max: int
    quota: Quota = NO_QUOTA
    confirm: Callable[[int, int], ResolverError | None] | None = None
    """Asked in the lane's thread after a commit, with its serial and sequence, whether mirrors hold it; it may wait."""
    on_commit: Callable[[Commit], None] = field(default=lambda _: None)
    on_broken: Callable[[], None] = field(default=lambda: None)


class WriteLane:
    """Queue and thread. ``start`` it on a running loop; ``close`` writes what is queued."""

    def __init__(self, engine: Engine, clock: Clock, options: LaneOptions) -> None:
        self._engine = engine
        self._clock = clock
        self._options = options
        self._queue: deque[Handed[Any]] = deque()
        self._queued_rows = 0
        self._wake = threading.Condition()
        self._closing = False
        self._pace = GroupPace()
        self._room: asyncio.Event
        self._patience: asyncio.Lock
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="write-lane", daemon=True)

    def start(self) -> None:
        """Start the thread; call it on the loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._patience = asyncio.Lock()
        self._thread.start()

    async def close(self) -> None:
        """Refuse new jobs, write the queued ones, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    @property
    def queued_rows(self) -> int:
        """Rows waiting."""
        return self._queued_rows

    async def submit(self, job: Job[T], *, patient: bool = False) -> T:
        """Write a job and return its result once it is durable.

        Raises what the job raises; StorageFull, StorageFailed; Overloaded when the queue is full, unless ``patient``:
        then it waits for room. Patient jobs are queued in the order of their calls, however large each is.
        """
        handed = _Awaited(job, self._loop.create_future())
        if patient:
            async with self._patience:
                while self._is_full_for(job):
                    self._room.clear()
                    await self._room.wait()
                self._enqueue([handed])
        elif self._is_full_for(job):
            raise self._overloaded()
        else:
            self._enqueue([handed])
        try:
            result: T = await handed.future
        except asyncio.CancelledError:
            handed.left = True
            raise
        return result

    def hand_over(self, jobs: Sequence[Handed[Any]]) -> None:
        """Queue the jobs of a read burst at once, without waiting; each is settled in time.

        Those for which there is no room, or that come too late, are settled with their error at once.
        """
        room = self._options.queue_rows_max - self._queued_rows
        taken: list[Handed[Any]] = []
        refused: list[Handed[Any]] = []
        for handed in jobs:
            cost = handed.job.cost
            if cost <= room or not (self._queued_rows or taken):
                room -= cost
                taken.append(handed)
            else:
                handed.error = self._overloaded()
                refused.append(handed)
        try:
            self._enqueue(taken)
        except ShuttingDown as error:
            for handed in taken:
                handed.error = error
            refused += taken
        for handed in refused:
            handed.settle()

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            f"{self._queued_rows} rows wait to be written: slow down and try again", retry_after_s=_RETRY_BUSY_S
        )

    def _is_full_for(self, job: Job[Any]) -> bool:
        """Whether the job must wait; one that is larger than the queue is taken when nothing else waits."""
        return self._queued_rows > 0 and self._queued_rows + job.cost > self._options.queue_rows_max

    def _enqueue(self, jobs: Sequence[Handed[Any]]) -> None:
        """Queue jobs. Raises ShuttingDown."""
        with self._wake:
            if self._closing:
                raise ShuttingDown("this worker is shutting down: try again, another one answers")
            self._queue.extend(jobs)
            self._queued_rows += sum([handed.job.cost for handed in jobs])
            self._wake.notify()

    def _run(self) -> None:
        pace, now = self._pace, time.monotonic
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                self._wake.wait_for(lambda: self._queued_rows >= pace.enough_rows or self._closing, pace.wait_s(now()))
                group = self._take()
            self._prepare(group)
            late = self._commit_group([queued for queued in group if queued.error is None], self._join)
            self._loop.call_soon_threadsafe(self._settle, group + late)

    def _join(self, rows: int) -> list[Handed[Any]]:
        """Jobs that came while the lane waited for the writer lock of another one, as far as they are checked."""
        late: list[Handed[Any]] = []
        queue, left = self._queue, self._options.group_rows_max - rows
        with self._wake:
            while queue and getattr(queue[0].job, "checked", False) and queue[0].job.cost <= left:
                queued = queue.popleft()
                left -= queued.job.cost
                self._queued_rows -= queued.job.cost
                if not queued.left:
                    late.append(queued)
        return late

    def _take(self) -> list[Handed[Any]]:
        """The next group: as many jobs as are queued, up to the limit of rows."""
        group: list[Handed[Any]] = []
        rows = 0
        while self._queue and (not group or rows + self._queue[0].job.cost <= self._options.group_rows_max):
            queued = self._queue.popleft()
            rows += queued.job.cost
            if not queued.left:
                group.append(queued)
        self._queued_rows -= rows
        return group

    @staticmethod
    def _prepare(group: list[Handed[Any]]) -> None:
        for queued in group:
            try:
                queued.job.prepare()
            except ResolverError as error:
                queued.error = error
            except Exception as error:  # noqa: BLE001 - a defect in one job must not stop the lane
                queued.error = _defect(error)

    def _commit_group(
        self, group: list[Handed[Any]], join: Callable[[int], list[Handed[Any]]] = lambda _: []
    ) -> list[Handed[Any]]:
        """Write a group; after an unexpected failure, its jobs one by one. Returns the jobs that have joined it."""
        late: list[Handed[Any]] = []
        if not group:
            return late
        try:
            if self._refuse_without_room(group):
                self._commit(group, late, join)
            else:
                self._commit([queued for queued in group if queued.error is None], late, lambda _: [])
        except Exception as error:  # noqa: BLE001 - a defect in one job must not stop the lane
            whole = group + late
            if len(whole) > 1 and (isinstance(error, RowCorrupt) or not isinstance(error, StorageError)):
                for queued in whole:
                    queued.error = None
                    self._commit_group([queued])
                return late
            failure = self._storage_failure(error) if isinstance(error, StorageError) else _defect(error)
            for queued in whole:
                queued.error = queued.error or failure
        return late

    def _refuse_without_room(self, group: list[Handed[Any]]) -> bool:
        """Whether there is room; without it, only jobs that free some may go on."""
        space = self._engine.space()
        if space.free_octets >= space.reserve_octets:
            return True
        for queued in group:
            if not queued.job.frees_space:
                queued.error = NoRoom(FULL_MESSAGE, retry_after_s=_RETRY_FULL_S)
        return False

    def _commit(
        self, first: list[Handed[Any]], late: list[Handed[Any]], join: Callable[[int], list[Handed[Any]]]
    ) -> None:
        """Commit jobs, and with them those that ``join`` gives once the lock is held; they are put into ``late``."""
        if not first:
            return
        with self._engine.write() as writer:
            started = time.perf_counter()
            late += join(sum([queued.job.cost for queued in first]))
            group = first + late
            site = site_role.site_of(writer)
            refusal: ResolverError | None = site_role.refusal(site)
            watched = RecordingWriter(writer, row_log.TABLES) if site.logging and refusal is None else None
            ledger = Ledger(watched or writer, self._clock.now_us(), self._options.quota)
            if refusal is None and ledger.share is not None:
                refusal = ledger.share.fence(self._clock.now_us())
            for (kind, door), alike in groupby(group, key=_kind_and_door):
                ledger.door = door
                self._apply(ledger, kind, list(alike), refusal)
            ledger.close()
            sequence = row_log.append(writer, watched.touched, ledger.serial) if watched is not None else 0
        rows, took_s = sum(queued.job.cost for queued in group), time.perf_counter() - started
        self._pace.committed(rows, took_s, time.monotonic())
        try:
            self._options.on_commit(Commit(len(group), rows, took_s, ledger.serial, ledger.changed))
        except Exception as error:  # noqa: BLE001 - the group is durable: whoever watches cannot make it fail
            _log.error("defect in the observer of commits", exc_info=error)
        if watched is not None and not all(getattr(each.job, "everywhere", False) for each in group):
            self._confirm(ledger.serial, sequence, group)

    @staticmethod
    def _apply(ledger: Ledger, kind: type, jobs: list[Handed[Any]], refusal: ResolverError | None) -> None:
        """Apply jobs of one kind and door."""
        if refusal is not None and not getattr(kind, "everywhere", False):
            for queued in jobs:
                queued.error = refusal
            return
        if len(jobs) > 1 and hasattr(kind, "apply_all"):
            results = kind.apply_all(ledger, [queued.job for queued in jobs])
        else:
            results = repeat(None)
        for queued, result in zip(jobs, results, strict=False):
            if result is not None:
                queued.result = result
                continue
            try:
                queued.result = queued.job.apply(ledger)
            except ResolverError as error:
                queued.error = error

    def _confirm(self, serial: int, sequence: int, group: list[Handed[Any]]) -> None:
        """Acknowledge nothing that too few mirrors hold; refusals of the same group may rest on it too."""
        try:
            failure = None if self._options.confirm is None else self._options.confirm(serial, sequence)
        except Exception as error:  # noqa: BLE001 - the group is durable: nothing may have it done a second time
            _log.error("defect in asking for confirmation", exc_info=error)
            failure = errors.Unconfirmed("the change is on this node's disk, whether mirrors hold it is not known")
        if failure is not None:
            for queued in group:
                queued.error = failure

    def _storage_failure(self, error: StorageError) -> ResolverError:
        if isinstance(error, StoreFull):
            return NoRoom(FULL_MESSAGE, retry_after_s=_RETRY_FULL_S)
        if isinstance(error, RowCorrupt):
            _log.error("row corrupt", error=str(error))
            return RecordCorrupt(f"{error}; nothing was written")
        _log.error("commit failed", error=str(error))
        if isinstance(error, StoreBroken):
            self._loop.call_soon_threadsafe(self._options.on_broken)
        return StorageFailed(
            "the store of the node failed and nothing was written: try again; the operator finds the cause in the log",
            retry_after_s=_RETRY_FULL_S,
        )

    def _settle(self, group: list[Handed[Any]]) -> None:
        for kind, alike in groupby(group, key=type):
            settle_all = getattr(kind, "settle_all", None)
            for some in [list(alike)] if settle_all is not None else ([queued] for queued in alike):
                try:
                    settle_all(some) if settle_all is not None else some[0].settle()
                except Exception as error:  # noqa: BLE001 - one that cannot take its answer keeps no other from theirs
                    _log.error("defect in taking a write's answer", exc_info=error)
        self._room.set()


def _kind_and_door(queued: Handed[Any]) -> tuple[type, str]:
    return type(queued.job), getattr(queued.job, "door", "")  # jobs of the node itself come in at none


def _defect(error: Exception) -> ResolverError:
    """The answer for a defect of ours, of which the log gets the trace; a refusal after a change is what it is."""
    if isinstance(error, HalfDone):
        return error.refusal
    _log.error("defect in a write job", exc_info=error)
    return InternalError("the node has a defect and nothing was written: the operator finds the trace in the log")
