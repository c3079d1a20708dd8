"""One TCP connection to a Handle server: requests go out as they come, answers are matched by their request id.

Servers that close after one answer are met by connecting again. A connection that was silent for the whole time of a
request is not used for further ones: after lost packets the kernel repeats them ever more rarely, and a new connection
is sooner through. Answers of several messages are collected up to a bound. Encryption, MACs and signatures are the
client's business; frames pass here as they are.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from resolver.errors import Meaning, MessageTooLarge, Overloaded, Unavailable, WireError
from resolver.handle.codes import ResponseCode
from resolver.wire import bounds
from resolver.wire.header import OpFlag
from resolver.wire.stream import FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.wire.message import Frame

READ_OCTETS = 64 << 10
"""Octets read from the connection at one time."""

MESSAGES_MAX = 100_000
"""Messages of one answer: a list of five million handles. One that has more is an error, since its end is unknown."""


def cause_of(error: OSError | EOFError) -> str:
    """What the operating system calls an error, without what asyncio puts around it."""
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    known = isinstance(error, OSError) and error.errno is not None and error.errno > 0
    return os.strerror(error.errno) if known else str(error)  # type: ignore[union-attr,arg-type]  # said by known


class ServerUnreachable(Unavailable):
    """The other server cannot be reached or has not answered in time; the same request may succeed later."""

    @property
    def meaning(self) -> Meaning:
        """Unavailable, at every door."""
        return Meaning(14, ResponseCode.SERVER_BUSY, 503, -4)


class _Waiting:
    """A request that waits for its answer."""

    __slots__ = ("frames", "future", "is_last")

    def __init__(self, future: asyncio.Future[list[Frame]], is_last: Callable[[Frame], bool]) -> None:
        self.future = future
        self.frames: list[Frame] = []
        self.is_last = is_last


def has_no_more(frame: Frame) -> bool:
    """Whether a message in clear is the last of its answer."""
    return not frame.header.flags & OpFlag.CONTINUOUS.value


class HandleConnection:
    """A connection that is made when it is needed. ``close`` it at the end."""

    def __init__(self, host: str, port: int, *, timeout_s: float, octets_max: int = bounds.ANSWER_OCTETS_MAX) -> None:
        """Name the place; an answer of more octets ends the connection."""
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._connecting = asyncio.Lock()
        self._heard = 0
        """Messages that have come over all connections."""
        self._leaving: set[asyncio.Task[None]] = set()
        """Readers of connections that are used no longer."""
        self._octets_max = octets_max
        self.closes_after_answer = False
        """Whether the server was seen to close while further requests waited, as some do after each answer."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their answers."""
        return len(self._waiting)

    async def ask(
        self, frame: Frame, is_last: Callable[[Frame], bool] = has_no_more, *, timeout_s: float | None = None
    ) -> list[Frame]:
        """The messages of the answer to a request, whose id must not be in use. Raises ServerUnreachable, WireError.

        ``timeout_s`` goes before the connection's own.
        """
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        request_id = frame.envelope.request_id
        if request_id in self._waiting:
            raise Overloaded(f"request id {request_id} waits for an answer already: choose another")
        waiting = _Waiting(asyncio.get_running_loop().create_future(), is_last)
        writer, heard = None, self._heard
        over_s = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                writer = await self._connected()
                self._waiting[request_id] = waiting
                writer.write(frame.to_wire())
                await writer.drain()
                return await waiting.future
        except TimeoutError:
            if writer is not None and heard == self._heard:
                self._leave(writer)
            raise ServerUnreachable(
                f"{self._host}:{self._port} has not answered within {timeout_s:g} s", retry_after_s=1.0
            ) from None
        except asyncio.CancelledError:
            # The time of whoever asks is over in the same moment, when this process has stood still for a while.
            if writer is not None and heard == self._heard and asyncio.get_running_loop().time() >= over_s:
                self._leave(writer)
            raise
        except OSError as error:
            raise ServerUnreachable(
                f"{self._host}:{self._port} cannot be reached: {cause_of(error)}", retry_after_s=1.0
            ) from error
        finally:
            self._waiting.pop(request_id, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                reader, self._writer = await asyncio.open_connection(self._host, self._port)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        """Use a connection no longer; what is under way over it keeps its time."""
        if self._writer is not writer:
            return
        self._writer = None
        if self._reading is not None:
            self._leaving.add(self._reading)
            self._reading.add_done_callback(self._leaving.discard)
        asyncio.get_running_loop().call_later(self._timeout_s, writer.transport.abort)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand out answers until the server closes; what waits then will not be answered."""
        stream = FrameStream(self._octets_max)
        why = "the server has closed the connection"
        answers = 0
        try:
            while octets := await reader.read(READ_OCTETS):
                for frame in stream.receive_data(octets):
                    self._heard += 1
                    self._hand_out(frame)
                    answers += 1
        except (OSError, WireError) as error:
            why = str(error)
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
                self.closes_after_answer = self.closes_after_answer or (answers <= 1 and len(self._waiting) > 1)
                for waiting in self._waiting.values():
                    if not waiting.future.done():
                        waiting.future.set_exception(ConnectionResetError(why))

    def _hand_out(self, frame: Frame) -> None:
        """Give a message to the request it answers; one that nobody waits for is dropped."""
        waiting = self._waiting.get(frame.envelope.request_id)
        if waiting is None or waiting.future.done():
            return
        waiting.frames.append(frame)
        try:
            done = waiting.is_last(frame)
        except WireError as error:
            waiting.future.set_exception(error)
            return
        if done:
            waiting.future.set_result(waiting.frames)
        elif len(waiting.frames) >= MESSAGES_MAX:
            words = f"{self._host}:{self._port} answers in more than {MESSAGES_MAX} messages: ask for less at a time"
            waiting.frames = []
            waiting.future.set_exception(MessageTooLarge(words))

    async def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        readers = [*self._leaving, *([] if self._reading is None else [self._reading])]
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
