"""Answers of a stream that come later than those to the questions after them.

A stream of questions is answered as it comes; what other nodes have to be asked comes in between, when it is there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from resolver.v1 import resolution_pb2 as pb

    Answers = Callable[[Sequence[pb.StreamResolveRequest]], AsyncIterator[bytes]]

QUESTIONS_MAX = 1_000
"""Questions of one stream that may wait for other nodes; beyond it no further question is read."""


class Later:
    """The questions of one stream that wait for other nodes."""

    def __init__(self, answers: Answers) -> None:
        """``answers`` gives the answers to questions, each when it is there."""
        self._answers = answers
        self._ready: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._waiting = 0
        self._failed: Exception | None = None

    def add(self, requests: Sequence[pb.StreamResolveRequest]) -> None:
        """Begin to ask for some."""
        if not requests:
            return
        self._waiting += len(requests)
        task = asyncio.create_task(self._collect(list(requests)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _collect(self, requests: list[pb.StreamResolveRequest]) -> None:
        try:
            async for answer in self._answers(requests):
                self._ready.append(answer)
                self._waiting -= 1
                self._arrived.set()
        except Exception as error:  # noqa: BLE001 - raised again where the answers are taken
            self._failed = error
            self._arrived.set()

    def _raise_failure(self) -> None:
        """Raise what a late answer has raised."""
        if self._failed is not None:
            raise self._failed

    async def between(
        self, requests: AsyncIterator[pb.StreamResolveRequest]
    ) -> AsyncIterator[pb.StreamResolveRequest | bytes]:
        """The questions of a stream, and the octets of late answers between and behind them. Raises theirs."""
        coming: asyncio.Future[pb.StreamResolveRequest] | None = None
        has_more = True
        try:
            while has_more or self._waiting or self._ready:
                while self._ready:
                    yield self._ready.popleft()
                self._raise_failure()
                if has_more and coming is None and self._waiting < QUESTIONS_MAX:
                    coming = asyncio.ensure_future(anext(requests))
                if not self._waiting and coming is not None:
                    await asyncio.wait({coming})  # the usual case: nothing is late
                elif self._waiting:
                    self._arrived.clear()
                    arrived = asyncio.ensure_future(self._arrived.wait())
                    first: set[asyncio.Future[Any]] = {arrived} if coming is None else {arrived, coming}
                    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                    arrived.cancel()
                if coming is not None and coming.done():
                    done, coming = coming, None
                    try:
                        request = done.result()
                    except StopAsyncIteration:
                        has_more = False
                    else:
                        yield request
        finally:
            for task in self._tasks:
                task.cancel()
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            aclose = getattr(requests, "aclose", None)
            if aclose is not None:
                await aclose()
