"""Keep N workers alive: start, watch, replace, roll, drain. Owns no port and no file.

Each slot has one task that waits for its worker's end and puts another one in its place, after a wait
that doubles with each crash and is forgotten once a worker has lived for a while. A rolling restart
puts a ready worker into the slot first and drains the old one then, so every port always has a listener.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import structlog

from resolver.app.messages import WorkerExit
from storage.survey import signal_that_tells

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resolver.app.child import Child
    from resolver.app.messages import Above
    from resolver.clock import Clock
    from resolver.config.settings import Config

log = structlog.get_logger()

LEAVE_S = 5.0
"""Seconds beyond delay and grace that a draining worker gets for its last commit before it is killed."""

NOW_S = 2.0
"""Seconds that a worker gets to leave at once before it is killed."""

_TICK_S = 1.0
"""Seconds between two looks at the workers, when nothing holds this process up."""

_NOT_STARTED = (OSError, RuntimeError)
"""What a start raises when there is no process, memory, descriptor or thread for it just now."""

_AGAIN_S = 0.1
"""Seconds after which a hurried worker is asked again: of two signals in a row a busy process may see only one."""


class Slot:
    """The place of one worker."""

    __slots__ = ("back_off_s", "child", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.child: Child | None = None
        self.back_off_s = 0.0


class Crew:
    """The workers of a node. ``failed`` gets a sentence when they cannot be started at all.

    Later it gets one when no worker is left and the store is what they die of (``store_damaged``); of all else a node
    may heal.
    """

    def __init__(
        self,
        count: int,
        spawn: Callable[[int], Awaitable[Child]],
        config: Callable[[], Config],
        clock: Clock,
        *,
        on_gone: Callable[[int], None] = lambda _: None,
        now_s: float = NOW_S,
    ) -> None:
        self.slots = [Slot(index) for index in range(count)]
        self.restarts = 0
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.store_damaged = False
        self.crashes = 0
        self._spawn = spawn
        self._config = config
        self._clock = clock
        self._on_gone = on_gone
        self._now_s = now_s
        self._children: set[Child] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._started = False
        self._stopping = False
        self._early_deaths = 0
        self._early_crashes = 0
        self._rolling = asyncio.Lock()
        self._ticked_s: float | None = None

    @property
    def ready_count(self) -> int:
        """Workers whose doors answer."""
        return sum(slot.child is not None and slot.child.state == "ready" for slot in self.slots)

    @property
    def above(self) -> list[Above | None]:
        """How each worker sees the top of the tree."""
        return [slot.child.above for slot in self.slots if slot.child is not None]

    async def start(self) -> bool:
        """Start every worker; True when all are ready, False when ``failed`` has the reason."""
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in self.slots]
        everyone = asyncio.create_task(self._everyone_ready())
        either: list[asyncio.Future[Any]] = [everyone, self.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.failed.done():
            everyone.cancel()
            return False
        self._started = True
        return True

    def give_up(self, why: str) -> None:
        """Let the node end because of its store."""
        self.store_damaged = True
        if not self.failed.done():
            self.failed.set_result(why)

    def tick(self) -> None:
        """Kill workers that take too long to start or say nothing; call it every second.

        A machine or container that was paused has held workers up as well: what this process has missed of its seconds
        is not held against them.
        """
        settings = self._config().workers
        now_s = self._clock.monotonic_s()
        missed_s = 0.0 if self._ticked_s is None else max(0.0, now_s - self._ticked_s - _TICK_S)
        self._ticked_s = now_s
        for child in self._children:
            child.started_s += missed_s
            child.heard_s += missed_s
            if child.leaving:
                continue
            if not child.ready.is_set() and now_s - child.started_s > settings.ready_timeout_s:
                log.error("worker not ready in time, killed", worker=child.index, child=child.pid)
                child.kill()
            elif child.ready.is_set() and now_s - child.heard_s > settings.hang_timeout_s:
                log.error("worker silent, killed", worker=child.index, child=child.pid)
                child.kill()

    def reload(self) -> None:
        """Tell every worker that the configuration was read again."""
        for child in self._children:
            child.reload(self._config())

    async def roll(self) -> bool:
        """Replace every worker, one after the other; False when a new one did not get ready."""
        async with self._rolling:
            for slot in self.slots:
                if self._stopping:
                    return False
                if slot.child is None:
                    continue  # it is being restarted anyway, with the configuration of now
                try:
                    new = await self._new_child(slot.index)
                except _NOT_STARTED as error:
                    log.error("rolling restart stopped: no worker can be started", worker=slot.index, why=str(error))  # noqa: TRY400 - nothing to trace
                    return False
                if not await new.wait_ready():
                    log.error(
                        "rolling restart stopped: the new worker did not get ready", worker=slot.index, why=new.detail
                    )
                    new.kill()
                    await self._gone(new)
                    return False
                old, slot.child = slot.child, new
                if old is not None:
                    log.info("worker replaced", worker=slot.index, old=old.pid, new=new.pid)
                    await self._drain([old], asyncio.Event())
            return True

    async def stop(self, now: asyncio.Event) -> bool:
        """Drain every worker; ``now`` set means at once. True when none had to be killed."""
        self._stopping = True
        clean = await self._drain(list(self._children), now)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        late = list(self._children)
        for child in late:
            child.kill()
        await asyncio.gather(*(self._gone(child) for child in late))
        return clean

    async def _drain(self, children: list[Child], now: asyncio.Event) -> bool:
        """Ask workers to leave and wait; those that do not leave in time are killed."""
        for child in children:
            child.drain()
        ends = {asyncio.create_task(self._gone(child)) for child in children}
        hurry = asyncio.create_task(now.wait())
        drain = self._config().drain
        deadline_s = self._clock.monotonic_s() + drain.delay_s + drain.grace_s + LEAVE_S
        hurried = False
        while ends:
            patience_s = deadline_s - self._clock.monotonic_s()
            if patience_s <= 0:
                break
            waiting = ends if hurried else ends | {hurry}
            slice_s = min(patience_s, _AGAIN_S) if hurried else patience_s
            done, _ = await asyncio.wait(waiting, timeout=slice_s, return_when=asyncio.FIRST_COMPLETED)
            ends -= done
            if hurry in done:
                hurried = True
                deadline_s = self._clock.monotonic_s() + self._now_s
            if hurried and ends:
                for child in children:
                    child.drain()
        hurry.cancel()
        if ends:
            log.warning("workers did not leave in time, killed", count=len(ends))
            for child in children:
                child.kill()
            await asyncio.wait(ends)
            return False
        return True

    async def _keep(self, slot: Slot) -> None:
        """Have a worker in the slot until the crew stops."""
        while not self._stopping:
            if slot.child is None:
                await self._fill(slot)
                continue
            child = slot.child
            code = await self._gone(child)
            if self._stopping:
                return
            if slot.child is not child:
                continue  # a rolling restart put another one here
            slot.child = None
            await asyncio.sleep(self._note_death(slot, child, code))

    async def _fill(self, slot: Slot) -> None:
        """Put a worker into an empty slot; wait when the system has none to give."""
        try:
            child = await self._new_child(slot.index)
        except _NOT_STARTED as error:
            await asyncio.sleep(self._note_refusal(slot, error))
            return
        if slot.child is None:
            slot.child = child
            return
        child.kill()  # a rolling restart was sooner
        await self._gone(child)

    def _note_death(self, slot: Slot, child: Child, code: int) -> float:
        """Log and count an unexpected end; seconds to wait before the next start."""
        settings = self._config().workers
        lived_s = self._clock.monotonic_s() - child.started_s
        self.restarts += 1
        if not child.ready.is_set():
            self._early_deaths += 1
        if lived_s > settings.settled_s:
            slot.back_off_s = 0.0
        self._back_off(slot)
        how = _how_it_ended(code)
        log.error(
            "worker ended",
            worker=slot.index,
            child=child.pid,
            how=how,
            why=child.detail,
            lived_s=round(lived_s, 3),
            again_in_s=slot.back_off_s,
            **({"next": self._suspicion()} if signal_that_tells(code) else {}),
        )
        self._judge_store(child, code)
        if not self._started and not self.failed.done():
            if code == WorkerExit.HOPELESS:
                self.failed.set_result(child.detail or f"no worker can run: {how}")
            elif self._early_deaths >= settings.start_crashes_max:
                self.failed.set_result(
                    f"{self._early_deaths} workers ended before they were ready, the last one by {how}. "
                    f"{child.detail or 'The log above says why'}"
                )
        return slot.back_off_s

    def _note_refusal(self, slot: Slot, error: Exception) -> float:
        """Log that the system has given no process; seconds to wait before the next try."""
        self._early_deaths += 1
        self._back_off(slot)
        log.error("worker cannot be started", worker=slot.index, why=str(error), again_in_s=slot.back_off_s)
        is_hopeless = self._early_deaths >= self._config().workers.start_crashes_max
        if is_hopeless and not self._started and not self.failed.done():
            self.failed.set_result(f"no worker can be started: {error}")
        return slot.back_off_s

    def _back_off(self, slot: Slot) -> None:
        """Wait twice as long as the last time before the next start."""
        settings = self._config().workers
        slot.back_off_s = min(settings.back_off_max_s, max(settings.back_off_first_s, slot.back_off_s * 2))

    def _judge_store(self, child: Child, code: int) -> None:
        """Give up when the store is what workers die of, and none of them is left."""
        crashed = signal_that_tells(code)
        self.crashes += bool(crashed)
        self._early_crashes = 0 if child.ready.is_set() else self._early_crashes + bool(crashed)
        if self.ready_count:
            return
        if code == WorkerExit.STORE_DAMAGED:
            self.give_up(child.detail)
        elif crashed and self._early_crashes >= self._config().workers.start_crashes_max:
            self.give_up(
                f"{self._early_crashes} workers ended before they were ready, the last one by {crashed}: "
                f"{self._suspicion()}"
            )

    def _suspicion(self) -> str:
        """What a worker that was ended by its processor gives reason to think."""
        return f"the store is probably damaged, idis check --data-dir {self._config().node.data_dir} tells"

    async def _new_child(self, index: int) -> Child:
        """Start a worker and keep account of it."""
        child = await self._spawn(index)
        self._children.add(child)
        if self._stopping:
            child.drain()
        return child

    async def _gone(self, child: Child) -> int:
        """Wait for a worker's end; its exit code."""
        code = await child.wait()
        if child in self._children:
            self._children.remove(child)
            try:
                self._on_gone(child.pid)
            except Exception:
                log.exception("defect in the observer of workers")
        return code

    async def _everyone_ready(self) -> None:
        """Return when every slot has had a ready worker."""
        for slot in self.slots:
            while slot.child is None or not await slot.child.wait_ready():  # noqa: ASYNC110 - the slot changes hands
                await asyncio.sleep(0.01)
            self._early_deaths = 0


def _how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    known = {exit_code.value: exit_code.name.lower() for exit_code in WorkerExit}
    return f"exit code {code} ({known.get(code, 'unknown')})"
