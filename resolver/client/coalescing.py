"""Joining the resolutions of one event-loop turn into batches, so that plain ``await resolve()`` is fast.

Strategy: asking only puts a future beside the name. The first question of a turn schedules one flush at the
end of it; a flush starts batches until the limit in flight is reached, and whatever waits then joins the next
batch to start, so batches grow with load. A name asked twice in a batch is asked once, every asker has a
future of its own (cancelling one does not touch another). The batch itself is a plain function argument:
this file knows no channel.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import grpc

from resolver.client import batches, plans
from resolver.client.failures import CallFailed, failure, from_outcome
from resolver.errors import AnswerTooLarge, InvalidName
from resolver.v1.handle_pb2 import HandleRecord
from resolver.v1.resolution_pb2 import BatchResolveRequest, BatchResolveResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Chosen: TypeAlias = tuple[tuple[str, ...], tuple[int, ...], bool, float | None]
"""What must be the same for questions to share a batch: types, indexes, include_restricted, timeout_s."""

Waiting: TypeAlias = "dict[str, list[asyncio.Future[HandleRecord]]]"


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush_is_due = False

    def ask(self, name: str, chosen: Chosen) -> asyncio.Future[HandleRecord]:
        """The future record of a name; it fails with a ``CallFailed``."""
        future: asyncio.Future[HandleRecord] = self._loop.create_future()
        waiting = self._waiting.get(chosen)
        if waiting is None:
            waiting = self._waiting[chosen] = {}
        askers = waiting.get(name)
        if askers is None:
            waiting[name] = [future]
        else:
            askers.append(future)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)
        return future

    async def close(self) -> None:
        """Cancels all questions without an answer."""
        for waiting in self._waiting.values():
            for askers in waiting.values():
                for future in askers:
                    future.cancel()
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _flush(self) -> None:
        self._flush_is_due = False
        while self._waiting and len(self._tasks) < self._in_flight_max:
            chosen = next(iter(self._waiting))
            waiting = self._waiting.pop(chosen)
            names = next(batches.of_names(waiting))
            if len(names) < len(waiting):
                batch = {name: waiting.pop(name) for name in names}
                self._waiting[chosen] = waiting  # behind the others, so that every choice gets its turn
            else:
                batch = waiting
            task = self._loop.create_task(self._resolve(batch, chosen))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and not self._flush_is_due:
            self._flush()

    async def _resolve(self, batch: Waiting, chosen: Chosen) -> None:
        try:
            response = await self._ask_batch(_to_request(batch, chosen), chosen[3])
            if response.misses or len(response.records) != len(batch):
                await self._hand_out(batch, plans.in_order(len(batch), response), chosen)
            else:
                for askers, record in zip(batch.values(), response.records, strict=True):
                    _give(askers, record)
        except asyncio.CancelledError:
            for askers in batch.values():
                for future in askers:
                    future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody may wait for ever
            for askers in batch.values():
                _fail(askers, error)

    async def _hand_out(self, batch: Waiting, answers: list[plans.Answer], chosen: Chosen) -> None:
        """Answers with misses among them; names whose answer was too large for a batch are asked alone."""
        too_large: list[str] = []
        for (name, askers), answer in zip(batch.items(), answers, strict=True):
            if isinstance(answer, HandleRecord):
                _give(askers, answer)
            elif answer.reason == AnswerTooLarge.reason:
                too_large.append(name)
            else:
                _fail(askers, from_outcome(answer))
        for name in too_large:
            try:
                _give(batch[name], await self._ask_alone(name, chosen))
            except CallFailed as failed:
                _fail(batch[name], failed)


def _to_request(batch: Waiting, chosen: Chosen) -> BatchResolveRequest:
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
                _fail(batch.pop(name), failure(grpc.StatusCode.INVALID_ARGUMENT, told, reason=InvalidName.reason))
        del request.names[:]
        request.names.extend(batch)
    return request


def _give(askers: list[asyncio.Future[HandleRecord]], record: HandleRecord) -> None:
    for future in askers:
        if not future.done():
            future.set_result(record)


def _fail(askers: list[asyncio.Future[HandleRecord]], error: Exception) -> None:
    for future in askers:
        if not future.done():
            future.set_exception(error.copy() if isinstance(error, CallFailed) else error)
