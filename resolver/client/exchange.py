"""Keeps a bidirectional stream going over any number of connections (asyncio).

Strategy: the *desk* is the state of the conversation and knows no stream: what it accepted, what must be sent
in this connection, what an answer settles. A feeder task moves items from the source to the desk while there
is room; for each connection a writer task sends what the desk has to send; the caller's iteration reads. When
the connection breaks, the desk is told and everything unsettled is sent again. The feeder outlives
connections, so a source is never interrupted. Memory is bounded by the room of the desk.

A stream that ended while we were writing may hide the status the node ended it with. The next connection
then starts *carefully*: one message, and nothing more before the node has answered it, so that a refusal of
that message is heard.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from resolver.client import failures
from resolver.client.watching import ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resolver.client.policy import Attempts

GOODBYE_S = 5.0
"""Seconds that the node gets to end the stream in good order once everything is settled."""

CAREFUL_S = 1.0
"""Seconds that a careful start waits for the first answer: the node may gather answers before it sends them."""

END: object = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs leave it out
"""What a read returns at the end of a stream."""

Item = TypeVar("Item")
Settled = TypeVar("Settled")
Item_contra = TypeVar("Item_contra", contravariant=True)
Response_contra = TypeVar("Response_contra", bound=Message, contravariant=True)


class Desk(Protocol[Item_contra, Response_contra, Settled]):
    """The state of a conversation, without any stream."""

    def accept(self, item: Item_contra) -> None:
        """Takes an item from the source; there is room for it."""

    def has_room(self) -> bool:
        """Whether another item may be accepted."""

    def is_clear(self) -> bool:
        """Whether every item accepted is settled."""

    def reconnected(self) -> None:
        """Everything unsettled must be sent again, in its order."""

    def next_request(self) -> Message | None:
        """The next message for this connection; None when all is sent."""

    def take(self, response: Response_contra) -> list[Settled]:
        """What an answer settles, in the order to be handed out. Raises CallFailed when it is a refusal."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a conversation reaches the node.

    ``open_call`` opens a stream with the metadata given, ``attempts`` makes what says whether and when to
    reconnect, ``raise_if_closed`` raises when the client was closed under the stream.
    """

    open_call: Callable[[tuple[tuple[str, str], ...]], Any]
    attempts: Callable[[], Attempts]
    sleep: Callable[[float], Awaitable[None]]
    raise_if_closed: Callable[[], None]


class Exchange(Generic[Item, Settled]):
    """One conversation: the state of it and the line to the node."""

    def __init__(self, desk: Desk[Item, Any, Settled], line: Line) -> None:
        self._desk = desk
        self._line = line
        self._attempts = line.attempts()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._source_done = False
        self._careful = False

    async def run(self, source: AsyncIterable[Item] | Iterable[Item]) -> AsyncGenerator[Settled, None]:
        """Sends the source and yields what is settled.

        Raises ``CallFailed`` when the node refuses or there is no progress within the budget of the attempts,
        and whatever the source raises, after everything accepted before it is settled.
        """
        feeder = asyncio.create_task(self._feed(source))
        try:
            while not (self._source_done and self._desk.is_clear()):
                self._attempts.start()
                call = self._line.open_call(self._attempts.metadata)
                self._desk.reconnected()
                writer = asyncio.create_task(self._write(call))
                failed = ended()
                try:
                    while (response := await self._read(call)) is not END:
                        self._attempts.progress()
                        self._careful = False
                        settled = self._desk.take(response)
                        self._room.set()
                        self._changed.set()
                        for item in settled:
                            yield item
                except grpc.RpcError as error:
                    failed = failures.from_grpc(error)
                except TimeoutError:
                    pass  # all is settled and only the goodbye is missing
                except asyncio.CancelledError:
                    self._line.raise_if_closed()
                    raise
                finally:
                    await _stop(writer)
                    call.cancel()
                if self._source_done and self._desk.is_clear():
                    break
                delay_s = self._attempts.wait_s(failed)
                if delay_s is None:
                    raise failed
                self._careful = failed.is_stream_reset
                await self._line.sleep(delay_s)
            await feeder
        finally:
            await _stop(feeder)

    async def _read(self, call: Any) -> Any:
        if not (self._source_done and self._desk.is_clear()):
            return await call.read()
        async with asyncio.timeout(GOODBYE_S):
            return await call.read()

    async def _feed(self, source: AsyncIterable[Item] | Iterable[Item]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                async for item in source:
                    await self._accept(item)
            else:
                for item in source:
                    await self._accept(item)
        finally:
            self._source_done = True
            self._changed.set()

    async def _accept(self, item: Item) -> None:
        while not self._desk.has_room():
            self._room.clear()
            await self._room.wait()
        self._desk.accept(item)
        self._changed.set()

    async def _write(self, call: Any) -> None:
        # A write fails when the stream is over; the reader learns why.
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            written = False
            while True:
                self._changed.clear()
                while not (self._careful and written) and (request := self._desk.next_request()) is not None:
                    await call.write(request)
                    written = True
                if self._source_done and not (self._careful and written):
                    await call.done_writing()
                    return
                await self._wait_for_change(is_limited=self._careful and written)

    async def _wait_for_change(self, *, is_limited: bool) -> None:
        try:
            async with asyncio.timeout(CAREFUL_S if is_limited else None):
                await self._changed.wait()
        except TimeoutError:
            self._careful = False


async def _stop(task: asyncio.Task[None]) -> None:
    """Ends a task that is no longer needed; its outcome was taken, or no longer matters."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
