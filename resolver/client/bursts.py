"""Any number of names resolved as they come: bursts of what has come, several side by side, answers as they are found.

Strategy: a feeder takes names from the source while fewer than ``open_max`` are without an answer. What comes in one
turn of the loop becomes a burst, a batch of the node; a source that never waits is cut into bursts that leave room for
others beside them. This is not the node's StreamResolve: there every question is a message of its own, and grpc.aio
spends more on one message than the node on twenty answers. How a burst is asked, and how long it is tried again, is a
plain function argument: this file knows no channel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from resolver.client import batches

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from resolver.client.plans import Answer

OPEN_DEFAULT = 4_000
"""Names without an answer at one time: four full batches."""


class Resolved(NamedTuple):
    """The answer to one name of a stream; ``position`` is that of the name in the input, from 0."""

    position: int
    name: str
    answer: Answer


class Bursts:
    """One stream of names. Iterate ``run``, once.

    ``ask`` resolves some names of which the first has the position given, and returns their answers in order.
    """

    def __init__(
        self, ask: Callable[[list[str], int], Awaitable[list[Answer]]], *, open_max: int, in_flight_max: int
    ) -> None:
        if open_max < 1:
            raise ValueError(f"{open_max} open questions ask nothing: give 1 or more")
        self._ask = ask
        self._open_max = open_max
        self._burst_max = max(1, open_max // in_flight_max)
        self._open = 0
        self._position = 0
        self._waiting: list[str] = []
        self._settled: deque[tuple[int, list[str], list[Answer]]] = deque()
        self._failed: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self, source: AsyncIterable[str] | Iterable[str]) -> AsyncGenerator[Resolved, None]:
        """The answer to each name. Raises what a burst raises, and what the source raises after all answers before."""
        feeder = asyncio.create_task(self._feed(source))
        feeder.add_done_callback(lambda _: self._changed.set())
        try:
            while not feeder.done() or self._tasks or self._settled or self._failed:
                while self._settled:
                    first, names, answers = self._settled.popleft()
                    for number, name in enumerate(names):
                        yield Resolved(first + number, name, answers[number])
                    self._open -= len(names)
                    self._room.set()
                if self._failed is not None:
                    raise self._failed
                if self._tasks or not feeder.done():
                    self._changed.clear()
                    await self._changed.wait()
            await feeder
        finally:
            running = [feeder, *self._tasks]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _feed(self, source: AsyncIterable[str] | Iterable[str]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                async for name in source:
                    await self._accept([name])
            else:
                await self._feed_at_once(source)
        finally:
            self._start()

    async def _feed_at_once(self, source: Iterable[str]) -> None:
        """Take from a source that never waits, a burst at a time."""
        some: list[str] = []
        room = self._burst_max
        try:
            for name in source:
                some.append(name)
                if len(some) == room:
                    taken, some = some, []
                    await self._accept(taken)
                    room = min(self._burst_max, self._open_max - self._open)
        finally:  # what came before the source failed is answered too
            self._waiting += some
            self._open += len(some)

    async def _accept(self, names: list[str]) -> None:
        """Take names in, and wait while there is no room for more."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._start)
        self._waiting += names
        self._open += len(names)
        if len(self._waiting) >= self._burst_max:
            self._start()
        while self._open >= self._open_max:
            self._start()
            self._room.clear()
            await self._room.wait()

    def _start(self) -> None:
        """Ask what waits."""
        waiting, self._waiting = self._waiting, []
        for names in batches.of_names(waiting, self._burst_max):
            task = asyncio.create_task(self._resolve(names, self._position))
            self._position += len(names)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _resolve(self, names: list[str], first: int) -> None:
        try:
            answers = await self._ask(names, first)
        except Exception as error:  # noqa: BLE001 - raised again where the answers are taken
            self._failed = self._failed or error
        else:
            self._settled.append((first, names, answers))
