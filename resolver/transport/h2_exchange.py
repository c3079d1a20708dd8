"""One call in progress on the HTTP/2 door: its messages both ways, its task, its deadline.

Calls that are answered in the read burst that brought them have no exchange. An exchange is *over* as soon as its
status is queued or its peer has gone; whatever its handler still does then goes nowhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from resolver import limits
from resolver.errors import AnswerTooLarge, ResolverError, ShuttingDown, WatchTooSlow
from resolver.transport import h2_bounds as bounds
from resolver.transport.grpc_frames import Deframer, FrameError, MessageTooLong, to_frame
from resolver.transport.h2_mounts import Lane, Ticket, too_large
from resolver.transport.requests import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from google.protobuf.message import Message

    from resolver.service import Call
    from resolver.transport.h2_endings import Endings

TIMEOUT_MAX_S = 365 * 86_400.0


class Exchange:
    """A call that outlives the read burst it came with."""

    __slots__ = (
        "_arrived",
        "_calls",
        "_drained",
        "_timer",
        "at_once",
        "blocked_octets",
        "blocked_s",
        "call",
        "deframer",
        "ended",
        "fault",
        "headers_sent",
        "held_octets",
        "inbox",
        "inbox_octets",
        "lane",
        "late",
        "over",
        "received_s",
        "refusal",
        "started_s",
        "stream_id",
        "task",
        "ticket",
        "touched",
        "touching",
        "unacknowledged",
    )

    def __init__(self, calls: Endings, stream_id: int, ticket: Ticket, now_s: float) -> None:
        self._calls = calls
        self.stream_id = stream_id
        self.ticket = ticket
        self.lane = ticket.mount.lane
        self.started_s = self.received_s = now_s
        self.deframer = Deframer(ticket.mount.method.octets_max, ticket.encoding, limits.MESSAGE_OCTETS_MAX)
        self.call: Call | None = None
        self.inbox: deque[bytes] = deque()
        self.inbox_octets = 0
        self.held_octets = 0
        """Octets that count against the worker's bound on unfinished requests."""
        self.unacknowledged = 0
        """Octets received and not yet credited to the peer's window."""
        self.ended = False
        """Whether the peer has sent its last message."""
        self.fault: ResolverError | FrameError | None = None
        """What is wrong with the message after those of the inbox."""
        self.refusal: Exception | None = None
        """Why the call was refused, when its peer is to hear it after its first message."""
        self.touching = False
        """Whether the records of its questions are being read from disk."""
        self.touched = False
        """Whether they have just been."""
        self.over = False
        self.at_once = bounds.QUESTIONS_MAX
        """Questions of a resolution stream that are answered together next time: fewer where records are long."""
        self.late = 0
        """Questions of a resolution stream that wait for other nodes."""
        self.headers_sent = False
        self.task: asyncio.Task[None] | None = None
        self.blocked_s: float | None = None
        """Since when the peer takes nothing; None when nothing waits for it."""
        self.blocked_octets = 0
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if ticket.timeout_s is not None:
            timeout_s = min(ticket.timeout_s, TIMEOUT_MAX_S)
            self._timer = calls.loop.call_later(timeout_s, calls.expire, self)

    # What the peer sends

    def receive(self, data: bytes, now_s: float) -> None:
        """Take DATA octets in: messages go to the inbox, what is wrong with them to ``fault``."""
        self.received_s = now_s
        self.unacknowledged += len(data)
        if self.fault is not None:
            return
        try:
            messages = self.deframer.receive_data(data)
        except MessageTooLong as error:
            self.fault = too_large(self.ticket.mount.method, error.octets)
        except FrameError as error:
            self.fault = error
        else:
            self.inbox.extend(messages)
            self.inbox_octets += sum(map(len, messages))
        if self.fault is not None or self.inbox:
            self._wake(self._arrived)

    def end(self) -> None:
        """The peer sends no more."""
        self.ended = True
        if self.deframer.held_octets and self.fault is None:
            self.fault = FrameError(13, "the request ends in the middle of a message: send it whole")
        self._wake(self._arrived)

    def take(self) -> bytes:
        """The next message of the inbox; lets the peer send more when there is room."""
        message = self.inbox.popleft()
        self.inbox_octets -= len(message)
        self._reopen()
        return message

    def take_some(self, count_max: int) -> list[bytes]:
        """The next messages of the inbox, as ``take`` gives them."""
        inbox = self.inbox
        messages = list(inbox) if len(inbox) <= count_max else list(islice(inbox, count_max))
        if len(messages) == len(inbox):
            inbox.clear()
        else:
            for _ in messages:
                inbox.popleft()
        self.inbox_octets -= sum(map(len, messages))
        self._reopen()
        return messages

    def put_back(self, messages: list[bytes]) -> None:
        """Let messages that were taken be the next ones again."""
        self.inbox.extendleft(reversed(messages))
        self.inbox_octets += sum(map(len, messages))

    def _reopen(self) -> None:
        """Let the peer send more when there is room."""
        if self.unacknowledged and self.inbox_octets <= bounds.INBOX_OCTETS_MAX // 2:
            self._calls.acknowledge(self)

    async def requests(self) -> AsyncIterator[Message]:
        """The request messages of a dialogue. Raises what is wrong with one when its turn comes."""
        method = self.ticket.mount.method
        while True:
            while self.inbox:
                yield parse(method, self.take())
            if self.fault is not None:
                raise self.fault
            if self.ended:
                return
            self._arrived = self._calls.loop.create_future()
            await self._arrived

    # What the handler sends

    async def run_unary(self, response: Awaitable[Any]) -> None:
        """Await the one answer and send it."""
        try:
            answer = await response
        except asyncio.CancelledError:
            self._abandoned()
            raise
        except Exception as error:  # noqa: BLE001 - every failure becomes a status
            self._calls.fail(self, error)
        else:
            if not self.over:
                self._calls.finish_unary(self, answer if type(answer) is bytes else answer.SerializeToString())

    async def run_stream(self, responses: Any) -> None:
        """Send a stream of answers and its end."""
        try:
            try:
                async for response in responses:
                    await self.send(response if type(response) is bytes else response.SerializeToString())
            finally:
                await responses.aclose()
        except asyncio.CancelledError:
            self._abandoned()
            raise
        except Exception as error:  # noqa: BLE001 - every failure becomes a status
            self._calls.fail(self, error)
        else:
            self._calls.finish(self)

    def _abandoned(self) -> None:
        """Say so when a handler was ended by something other than its call."""
        if not self.over:
            self._calls.fail(self, ShuttingDown("the worker is leaving: try again", retry_after_s=1.0))

    async def send(self, message: bytes) -> None:
        """Send a message, and wait while the peer is slower than the handler. Raises WatchTooSlow, AnswerTooLarge."""
        self.queue(message)
        if not self.must_wait():
            return
        self._calls.flush()
        while self.must_wait():
            self._drained = self._calls.loop.create_future()
            self._calls.block(self)
            await self._drained

    def queue(self, message: bytes) -> None:
        """Queue a message without waiting. Raises AnswerTooLarge."""
        check_answer(message)
        self._calls.queue(self, to_frame(message))

    def must_wait(self) -> bool:
        """Whether more waits for the peer's window than may."""
        return not self.over and self._calls.session.queued_body_size(self.stream_id) > bounds.QUEUE_OCTETS_MAX

    def go_on(self) -> None:
        """The peer has taken enough."""
        self.blocked_s = None
        self._wake(self._drained)

    def too_slow(self, timeout_s: float) -> None:
        """The peer has taken nothing for too long."""
        self.blocked_s = None
        error = WatchTooSlow(
            f"nothing was taken from the stream for {timeout_s:g} s: read faster, and resume after the last message "
            "you have",
            retry_after_s=1.0,
        )
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(error)
        else:
            self._calls.fail(self, error)

    # The end

    def close(self) -> None:
        """The call is over: stop the clock and the handler."""
        self.over = True
        self.blocked_s = None
        if self._timer is not None:
            self._timer.cancel()
        self.inbox.clear()
        task = self.task
        if task is not None and task is not asyncio.current_task(self._calls.loop) and not task.done():
            task.cancel()

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        """Let whoever waits go on."""
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def is_upload(self) -> bool:
        """Whether the call waits for its one request to arrive whole."""
        return self.task is None and self.lane in {Lane.AT_ONCE, Lane.WRITE, Lane.TASK, Lane.STREAM}


def check_answer(message: bytes) -> None:
    """Raise AnswerTooLarge when clients would refuse a message."""
    if len(message) > limits.MESSAGE_OCTETS_MAX:
        raise AnswerTooLarge(
            f"the answer has {len(message)} octets and clients take {limits.MESSAGE_OCTETS_MAX}: ask for less at a time"
        )
