"""Joining the resolutions of one event-loop turn into batches, so that plain ``await resolve()`` is fast.

Strategy: asking only puts a future beside the name. The first question of a turn schedules one flush at the
end of it; a flush spreads what waits over the batches that may still be started, so that the node answers one
while the application works with the last, and whatever waits then joins the next batch to start: batches grow
with load. A name asked twice in a batch is asked once, every asker has a future of its own (cancelling one does
not touch another). The batch itself is a plain function argument: this file knows no channel.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import grpc

from resolver.client import batches, plans
from resolver.client.failures import CallFailed, closed, failure, from_outcome
from resolver.errors import AnswerTooLarge, InvalidName
from resolver.v1.handle_pb2 import HandleRecord
from resolver.v1.resolution_pb2 import BatchResolveRequest, BatchResolveResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Chosen: TypeAlias = tuple[tuple[str, ...], tuple[int, ...], bool, float | None]
"""What must be the same for questions to share a batch: types, indexes, include_restricted, timeout_s."""

EVERYTHING: Chosen = ((), (), False, None)
"""All public values, and the client's own timeout: what nearly every question chooses."""

SHARE_MIN = 250
"""Names of a batch, at least, while more wait: fewer would cost more in calls than working side by side gains."""

Future: TypeAlias = "asyncio.Future[HandleRecord]"
Waiting: TypeAlias = "dict[str, Future]"
"""The names of a batch, each with the future of whoever asked first."""


class Coalescer:
    """Collects questions and asks them in batches.

    ``ask_batch`` makes one BatchResolve call within the timeout given; ``ask_alone`` resolves one name. At most
    ``in_flight_max`` batches are open at once. Belongs to one event loop.
    """

    def __init__(
        self,
        ask_batch: Callable[[BatchResolveRequest, float | None], Awaitable[BatchResolveResponse]],
        ask_alone: Callable[[str, Chosen], Awaitable[HandleRecord]],
        *,
        in_flight_max: int,
    ) -> None:
        self._ask_batch = ask_batch
        self._ask_alone = ask_alone
        self._in_flight_max = in_flight_max
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Chosen, Waiting] = {}
        self._also: dict[Future, list[Future]] = {}
        """The futures of who asked for a name that was waiting already, by that of who asked first."""
        self._tasks: dict[asyncio.Task[None], Waiting] = {}
        """Batches under way."""
        self._flush_is_due = False

    def ask(self, name: str, chosen: Chosen = EVERYTHING) -> Future:
        """The future record of a name; it fails with a ``CallFailed``. Raises TypeError for what is no text.

        A name that no message takes would take all others of its turn with it.
        """
        if not isinstance(name, str):
            raise TypeError(f"{name!r:.80} is a {type(name).__name__}: give the handle as text")
        future: Future = self._loop.create_future()
        waiting = self._waiting.get(chosen)
        if waiting is None:
            waiting = self._waiting[chosen] = {}
        first = waiting.setdefault(name, future)
        if first is not future:
            self._also.setdefault(first, []).append(future)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)
        return future

    async def close(self) -> None:
        """Fails all questions without an answer."""
        for waiting in self._waiting.values():
            self._give_up(waiting)
        self._waiting.clear()
        under_way = dict(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for batch in under_way.values():  # a task that is cancelled before its first step does nothing
            self._give_up(batch)

    def _flush(self) -> None:
        self._flush_is_due = False
        while self._waiting and len(self._tasks) < self._in_flight_max:
            chosen = next(iter(self._waiting))
            waiting = self._waiting.pop(chosen)
            share = max(SHARE_MIN, -(-len(waiting) // (self._in_flight_max - len(self._tasks))))
            names = next(batches.of_names(waiting, share))
            if len(names) < len(waiting):
                batch = {name: waiting.pop(name) for name in names}
                self._waiting[chosen] = waiting  # behind the others, so that every choice gets its turn
            else:
                batch = waiting
            task = self._loop.create_task(self._resolve(batch, chosen))
            self._tasks[task] = batch
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if self._waiting and not self._flush_is_due:
            self._flush()

    async def _resolve(self, batch: Waiting, chosen: Chosen) -> None:
        try:
            response = await self._ask_batch(self._to_request(batch, chosen), chosen[3])
            if response.misses or len(response.records) != len(batch):
                await self._hand_out(batch, plans.in_order(len(batch), response), chosen)
                return
            also = self._also
            for future, record in zip(batch.values(), response.records, strict=True):
                if not future.done():
                    future.set_result(record)
                if also and future in also:
                    self._give_also(future, record)
        except asyncio.CancelledError:
            self._give_up(batch)
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody may wait for ever
            for future in batch.values():
                self._fail(future, error)

    async def _hand_out(self, batch: Waiting, answers: list[plans.Answer], chosen: Chosen) -> None:
        """Answers with misses among them; names whose answer was too large for a batch are asked alone."""
        too_large: list[str] = []
        for (name, future), answer in zip(batch.items(), answers, strict=True):
            if isinstance(answer, HandleRecord):
                self._give(future, answer)
            elif answer.reason == AnswerTooLarge.reason:
                too_large.append(name)
            else:
                self._fail(future, from_outcome(answer))
        for name in too_large:
            try:
                self._give(batch[name], await self._ask_alone(name, chosen))
            except CallFailed as failed:
                self._fail(batch[name], failed)

    def _to_request(self, batch: Waiting, chosen: Chosen) -> BatchResolveRequest:
        """The request of a batch; names that no message can carry fail at once and leave the batch."""
        types, indexes, include_restricted, _ = chosen
        request = BatchResolveRequest(types=types, indexes=indexes, include_restricted=include_restricted)
        try:
            request.names.extend(batch)
        except UnicodeEncodeError:
            for name in list(batch):
                try:
                    name.encode()
                except UnicodeEncodeError:
                    told = f"{name[:80]!a} is not valid Unicode: give the handle as text that UTF-8 can carry"
                    error = failure(grpc.StatusCode.INVALID_ARGUMENT, told, reason=InvalidName.reason)
                    self._fail(batch.pop(name), error)
            del request.names[:]
            request.names.extend(batch)
        return request

    def _give(self, first: Future, record: HandleRecord) -> None:
        if not first.done():
            first.set_result(record)
        self._give_also(first, record)

    def _give_also(self, first: Future, record: HandleRecord) -> None:
        for future in self._also.pop(first, ()):
            if not future.done():
                future.set_result(record)

    def _fail(self, first: Future, error: Exception) -> None:
        for future in (first, *self._also.pop(first, ())):
            if not future.done():
                future.set_exception(error.copy() if isinstance(error, CallFailed) else error)

    def _give_up(self, batch: Waiting) -> None:
        """Tell who waits that the client was closed: cancelled, a future would look as if its own task were."""
        for first in batch.values():
            self._fail(first, closed())
