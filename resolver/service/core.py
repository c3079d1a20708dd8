"""What all parts of the service share: store, lane, clock, and the caches of registry rows."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from resolver import limits
from resolver.clock import day_of
from resolver.errors import ResolverError, ShuttingDown, Unconfirmed
from resolver.lanes import Commit, LaneOptions, WriteLane
from resolver.node import shares, site_role
from resolver.node.authorize import ANONYMOUS, Action, Caller, require
from resolver.node.ledger import last_serial
from resolver.node.lockout import Lockout
from resolver.node.mint import Mint
from resolver.node.prefixes import ServedPrefixes
from resolver.node.quotas import NO_QUOTA, Quota
from resolver.registry.directory import Directory
from resolver.registry.rows import registry_version
from resolver.service.confirmations import Confirmations
from resolver.service.counting import Counting, ForgettingJob
from resolver.service.loop_turns import LoopTurns
from resolver.service.reading import Burst, stored_rows_checked
from resolver.service.residency import Residency
from resolver.telemetry.calls import CallCounts
from storage.errors import StorageError
from storage.failures import MemoryFailures, SharedFailures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from resolver.clock import Clock
    from resolver.node.shares import Share
    from resolver.service.call import Call, Credential
    from resolver.service.counting import Names
    from resolver.service.foreign import Elsewhere
    from resolver.service.published_site import PublishedSite
    from resolver.telemetry.calls import Seen
    from storage.engine import Engine, Reader
    from storage.failures import FailureTable

_log = structlog.get_logger("service")

M = TypeVar("M")

_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True)
class MirrorOptions:
    """Where the workers of a node of a site tell each other about it, and how many mirrors must hold a change."""

    directory: Path
    confirmations: int = 0
    confirm_timeout_s: float = 4.0
    address: str = ""
    """Where the other nodes of the site reach this one's gRPC door."""

    @property
    def report(self) -> Path:
        """What the worker that follows the primary tells."""
        return self.directory / "mirror.json"


@dataclass(frozen=True)
class ServiceOptions:
    """What an operator sets; the configuration explains each."""

    record_octets_max: int
    public_resolution: bool
    statistics_flush_s: float
    watch_poll_s: float
    watch_write_timeout_s: float
    group_jobs_max: int
    lane_queue_max: int
    read_ahead_threads: int = limits.READ_AHEAD_THREADS
    recursion: bool = True
    mirror: MirrorOptions | None = None
    statistics_keep_days: int = 0
    sources_keep_days: int = 0
    session_s: float = 86_400.0
    files_dir: Path | None = None
    failures_file: Path | None = None
    """Where the workers of a node remember wrong secrets together; None for a worker on its own."""
    quota: Quota = NO_QUOTA


def _failures(path: Path | None) -> FailureTable:
    """The table of wrong secrets; in memory when the file cannot be had, since a node must start all the same."""
    if path is None:
        return MemoryFailures()
    try:
        return SharedFailures(path)
    except StorageError as error:
        _log.warning("wrong secrets are counted by each worker alone", why=str(error))
        return MemoryFailures()


class Core:
    """Shared state of one worker's service."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        randomness: Callable[[int], bytes],
        options: ServiceOptions,
        *,
        version: str,
        on_commit: Callable[[Commit], None] = lambda _: None,
        on_broken: Callable[[], None] = lambda: None,
        on_seen: Callable[[Seen, Names], None] = lambda _seen, _names: None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.randomness = randomness
        self.options = options
        self.version = version
        self.served = ServedPrefixes()
        self.directory = Directory()
        self.residency = Residency(engine, clock.monotonic_s, threads=options.read_ahead_threads)
        self.turns = LoopTurns(clock.monotonic_s)
        self.counting = Counting(clock)
        self.calls = CallCounts(clock.now_us)
        self._observe_seen = on_seen
        self._forgot_on_day = 0
        self.failures = _failures(options.failures_file)
        self.lockout = Lockout(self.failures)
        self.mint = Mint(clock, randomness)
        self.elsewhere: Elsewhere | None = None
        """Who asks other nodes; None in a worker that asks nobody."""
        self.published: PublishedSite | None = None
        """The site as the Handle doors tell it; None in a worker without them."""
        self.serial = 0
        """Newest serial this worker knows of; ``changed`` is set anew when it grows."""
        self._changed: asyncio.Event | None = None
        self._draining: asyncio.Event | None = None
        self._observe_commit = on_commit
        self._registry_version = -1
        self._share_rows = (b"", b"")
        self._share_listeners: list[Callable[[Share | None], None]] = [self.served.take_share, self.mint.take_share]
        self._burst: Reader | None = None
        self._loop: asyncio.AbstractEventLoop
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()
        self.mirror = options.mirror
        self.confirmations = (
            None
            if options.mirror is None
            else Confirmations(
                options.mirror.directory / "mirrors",
                needed=options.mirror.confirmations,
                timeout_s=options.mirror.confirm_timeout_s,
            )
        )
        self.lane = WriteLane(
            engine,
            clock,
            LaneOptions(
                group_rows_max=options.group_jobs_max,
                queue_rows_max=options.lane_queue_max,
                quota=options.quota,
                confirm=self.confirmations.confirm if self.confirmations is not None else None,
                on_commit=self._committed,
                on_broken=on_broken,
            ),
        )

    async def start(self) -> None:
        """Start the lane and the timers; call it on the worker's loop."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()
        self.poll()
        self.lane.start()
        self._tasks = [
            asyncio.create_task(self._every(self.options.watch_poll_s, self._poll_once)),
            asyncio.create_task(self._every(self.options.statistics_flush_s, self.flush_counts)),
            asyncio.create_task(self._roll_each_second()),
        ]

    def begin_drain(self) -> None:
        """End long streams: their clients go on at another worker. Calls in flight are not touched."""
        if self._draining is not None:
            self._draining.set()
        self._wake_watchers()

    def refuse_when_draining(self) -> None:
        """Raise ShuttingDown once the drain has begun: for the rounds of long streams."""
        if self._draining is not None and self._draining.is_set():
            raise ShuttingDown(
                "this worker is shutting down: connect again and resume, another one answers", retry_after_s=0.05
            )

    async def until_drain(self, requests: AsyncIterator[M]) -> AsyncIterator[M]:
        """The requests of a stream until it ends; ShuttingDown is raised when the drain begins first."""
        draining = asyncio.ensure_future((self._draining or asyncio.Event()).wait())
        iterator = aiter(requests)
        coming: asyncio.Future[M] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(iterator))
                await asyncio.wait({coming, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                self.refuse_when_draining()
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
        finally:
            draining.cancel()
            if coming is not None and not coming.cancel() and not coming.cancelled():
                coming.exception()  # seen, even when nobody waits for it any more

    async def close(self) -> None:
        """Stop the timers where they wait, write the last counts, drain the lane."""
        self._closing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _turn(self.flush_counts)
        await self.lane.close()
        self.residency.close()
        self._wake_watchers()
        if self.confirmations is not None:
            self.confirmations.close()
        self.failures.close()

    async def _every(self, seconds: float, action: Callable[[], object]) -> None:
        """Act every so often; a timer is never cut off in the middle, or counts in flight would be lost."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)
            if self._closing.is_set():
                return
            await _turn(action)

    async def _poll_once(self) -> None:
        self.residency.look(self.clock.monotonic_s())
        self.poll()

    def poll(self) -> None:
        """See what other workers have changed: the registry, and the journal's end."""
        with self.engine.read() as reader:
            version = registry_version(reader)
            serial = last_serial(reader)
            share_rows = shares.rows_of(reader)
            if self.published is not None:
                self.published.take_role(is_primary=site_role.refusal(site_role.site_of(reader)) is None)
            if share_rows != self._share_rows:
                self._share_rows, self._registry_version = share_rows, -1
                share = shares.share_of(reader)
                for listener in self._share_listeners:
                    listener(share)
        if version != self._registry_version:
            self._registry_version = version
            self.refresh()
            self._wake_watchers()  # a watcher may have lost its credential
        if serial > self.serial:
            self.serial = serial
            self._wake_watchers()

    def refresh(self) -> None:
        """Drop cached registry rows."""
        self.served.drop()
        self.directory.drop()
        if self.elsewhere is not None:
            self.elsewhere.forget_plain()

    def _committed(self, commit: Commit) -> None:
        """In the lane's thread, after each commit."""
        self._observe_commit(commit)
        self._loop.call_soon_threadsafe(self._poll_after_commit)

    def _poll_after_commit(self) -> None:
        try:
            self.poll()
        except StorageError as error:
            _log.warning("the store cannot be read after a commit, the timer will try again", error=str(error))

    def _wake_watchers(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = asyncio.Event()

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when the journal has grown, or after the time-out."""
        changed = self._changed or asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):  # wait_for may forget that it was cancelled
                await changed.wait()

    async def _roll_each_second(self) -> None:
        """Close each second of the clock, so that the busiest one is a second that people can name."""
        while not self._closing.is_set():
            rest_s = 1.0 - self.clock.now_us() % 1_000_000 / 1e6
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), max(rest_s, 0.01))
            await _turn(self.roll)

    def roll(self) -> None:
        """Hand on what was counted: to the metrics now, to the store with the next write."""
        seen = self.calls.take()
        self._observe_seen(seen, self.counting.roll(seen))

    async def flush_counts(self) -> None:
        """Write the counts; what cannot be written waits for the next time."""
        self.roll()
        await self._forget_old_counts()
        job = self.counting.take()
        if job is None:
            return
        try:
            await self.lane.submit(job, patient=True)
        except Unconfirmed:
            return  # they are on this node's disk, and mirrors count for themselves
        except ResolverError:
            self.counting.give_back(job)

    async def _forget_old_counts(self) -> None:
        """Once a day, and until it is done: remove statistics older than the operator keeps them."""
        today = day_of(self.clock.now_us())
        if self._forgot_on_day == today:
            return
        kept = self.options.statistics_keep_days, self.options.sources_keep_days
        before = [day_of(max(0, self.clock.now_us() - days * _DAY_US)) if days else 0 for days in kept]
        try:
            is_more = await self.lane.submit(ForgettingJob(*before), patient=True)
        except ResolverError as error:
            _log.warning("old statistics are still there", error=str(error))
            return
        if not is_more:
            self._forgot_on_day = today

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A read transaction: the burst's, when a door has opened one, else one of its own."""
        if self._burst is not None:
            yield self._burst
            return
        with stored_rows_checked(), self.engine.read() as reader:
            yield reader

    @property
    def burst_reader(self) -> Reader | None:
        """The read transaction of the burst that is being answered, None outside one."""
        return self._burst

    def burst(self) -> Burst:
        """One read transaction for all that a door answers in one go; nothing may be awaited inside."""
        return Burst(self.engine, self._hold)

    def _hold(self, reader: Reader | None) -> None:
        self._burst = reader

    def identify(self, credential: Credential | None) -> Caller:
        """Who presents a credential; ANONYMOUS for none. Raises CredentialInvalid."""
        if credential is None:
            return ANONYMOUS
        now_us = self.clock.now_us()
        with self.reading() as reader:
            if credential.token:
                return self.directory.by_token(reader, credential.token, now_us)
            return self.directory.by_certificate(reader, credential.certificate, now_us)

    def identify_again(self, call: Call) -> None:
        """Judge the credential of a long stream anew: it may have been revoked since."""
        call.caller = self.identify(call.credential)

    def on_share(self, listener: Callable[[Share | None], None]) -> None:
        """Tell somebody what of its site this node has, now and whenever that changes."""
        self._share_listeners.append(listener)
        listener(self.served.share)

    def require_registry(self) -> None:
        """Raise NotThisServer where another server of the site takes changes of the registry."""
        share = self.served.share
        refusal = None if share is None else share.registry_refusal()
        if refusal is not None:
            raise refusal

    def require_resolution(self, caller: Caller) -> None:
        """Raise unless the caller may resolve public values."""
        if caller is ANONYMOUS and self.options.public_resolution:
            return
        owner = caller.enterprise_id
        if caller is ANONYMOUS:
            require(ANONYMOUS, Action.LIST_HANDLES, owner, "this node, which resolves for known callers only")
        require(caller, Action.RESOLVE, owner, "this node")


async def _turn(action: Callable[[], object]) -> None:
    """One turn of a timer. Whatever happens in it, the next ones come: an ended timer would be missed by nobody."""
    try:
        result = action()
        if asyncio.iscoroutine(result):
            await result
    except (ResolverError, StorageError) as error:
        _log.warning("timer failed, it will try again", error=str(error))
    except Exception:  # noqa: BLE001 - see the docstring
        _log.exception("defect in a timer, it will try again")
