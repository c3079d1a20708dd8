"""How the calls of one HTTP/2 connection end, and how a slow peer holds them back.

A call ends with a status that is queued behind its messages. What the peer does not take waits in nghttp2's queues;
their size holds handlers back, and what does not move for too long is ended. ``Calls`` begins and answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

import ngh2

from resolver.errors import ResolverError
from resolver.transport import grpc_frames as frames
from resolver.transport import h2_bounds as bounds
from resolver.transport.grpc_frames import FrameError
from resolver.transport.h2_exchange import Exchange
from resolver.transport.h2_lanes import failure_in_words
from resolver.transport.h2_mounts import Lane, Ticket
from resolver.transport.h2_writes import Writing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from resolver.transport.h2_shared import Shared

Ready = tuple[int, Ticket, bytes | None]
"""Stream, ticket and request message of a call that can be answered; no message for one that is a dialogue."""


def _nothing() -> None:
    """What is left to write once the peer has gone."""


class Endings(ABC):
    """The open calls of one connection as far as they end. ``settle`` after each write, ``tick`` now and then."""

    def __init__(
        self, shared: Shared, session: ngh2.Connection, flush: Callable[[], None], flush_soon: Callable[[], None]
    ) -> None:
        self.shared = shared
        self.session = session
        self.loop = shared.loop
        self.flush = flush
        self.flush_soon = flush_soon
        self.streams: dict[int, Ticket | Exchange | Writing] = {}
        """Open calls; a bare ticket only while the burst is sorted out that brought it."""
        self.tasks: dict[asyncio.Task[None], None] = {}
        """Handlers that run; dictionaries, here and below, since an empty set is four times as large."""
        self.active_s = shared.monotonic_s()
        """When a call was last begun or ended."""
        self.answering = False
        self.dropped = False
        self._blocked: dict[Exchange, None] = {}
        self._postponed: list[Ready] = []
        """Calls to be answered when the peer has taken the answers to those before."""
        self._unfinished: dict[int, None] = {}
        """Streams answered before their peer had finished asking: they are reset once the answer is out."""
        self._long: dict[int, tuple[int, float]] = {}
        """Long answers on their way: octets left, and when these last changed."""

    @abstractmethod
    def answer(self, ready: Iterable[Ready], asked: Iterable[Exchange], now_s: float) -> None:
        """Answer calls, and the questions of resolution streams."""

    def gone(self, stream_id: int) -> None:
        """The peer has cancelled a call, or is gone itself."""
        stream = self.streams.pop(stream_id)
        if type(stream) is Exchange:
            self._observe(stream, 1)
            self._close(stream)
        elif type(stream) is Writing:
            stream.close(1)

    def drop(self) -> None:
        """The connection is gone: nobody waits for its calls."""
        self.dropped = True
        for stream_id in list(self.streams):
            self.gone(stream_id)
        self._postponed.clear()
        self._blocked.clear()

    def part(self) -> None:
        """Know nothing of the connection any more: without the circle its memory is free at once, not some time."""
        self.flush = self.flush_soon = _nothing

    def _observe(self, exchange: Exchange, code: int) -> None:
        """Count a call that has ended."""
        self.active_s = now_s = self.shared.monotonic_s()
        self.shared.observe(exchange.ticket.mount.method, code, now_s - exchange.started_s, 1)

    def _close(self, exchange: Exchange) -> None:
        """Give back what a call holds."""
        exchange.close()
        self._blocked.pop(exchange, None)
        self.shared.release(exchange)
        self.acknowledge(exchange)

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """End a call with the status of an error."""
        if not exchange.over:
            code, message, details = failure_in_words(error, exchange.ticket.mount.method.path)
            self._end(exchange, code, frames.status_fields(code, message, details))

    def expire(self, exchange: Exchange) -> None:
        """End a call whose deadline has come."""
        if not exchange.over:
            self._end(exchange, 4, frames.status_fields(4, "Deadline Exceeded"))

    def finish(self, exchange: Exchange) -> None:
        """End a stream that has gone well."""
        if not exchange.over:
            self._end(exchange, 0, frames.TRAILERS_OK)

    def finish_unary(self, exchange: Exchange, message: bytes) -> None:
        """Send the one answer of a task. The exchange must not be over."""
        try:
            exchange.queue(message)
        except ResolverError as error:
            self.fail(exchange, error)
        else:
            self._end(exchange, 0, frames.TRAILERS_OK)

    def _end(self, exchange: Exchange, code: int, trailers: frames.Headers) -> None:
        """Queue a status."""
        stream_id = exchange.stream_id
        self._observe(exchange, code)
        self.streams.pop(stream_id, None)
        self._close(exchange)
        with suppress(ngh2.NGH2Error):  # the stream has ended in the meantime
            self._send_end(exchange, trailers)
        if not exchange.ended:
            self._unfinished[stream_id] = None
        self.flush_soon()

    def _send_end(self, exchange: Exchange, trailers: frames.Headers) -> None:
        """Queue the trailers of a call; all in one block when nothing was sent before."""
        stream_id = exchange.stream_id
        if exchange.headers_sent:
            queued = self.session.queued_body_size(stream_id)
            if queued:
                self._long[stream_id] = (queued, self.active_s)
                self.shared.unsent.note(queued)
            self.session.send_trailers(stream_id, trailers)
        else:
            self.session.send_response(stream_id, (*frames.RESPONSE, *trailers), end_stream=True)

    def queue(self, exchange: Exchange, frame: bytes) -> None:
        """Queue a message of an exchange; one that is over sends nothing."""
        if exchange.over:
            return
        with suppress(ngh2.NGH2Error):  # the stream has ended in the meantime
            if not exchange.headers_sent:
                exchange.headers_sent = True
                self.session.send_response(exchange.stream_id, frames.RESPONSE)
            self.session.send_data(exchange.stream_id, frame)
        self.flush_soon()

    # Back-pressure

    def acknowledge(self, exchange: Exchange) -> None:
        """Let the peer send as much again as its handler has taken."""
        if exchange.unacknowledged:
            with suppress(ngh2.NGH2Error):  # the connection has ended
                self.session.acknowledge_received_data(exchange.unacknowledged, exchange.stream_id)
            exchange.unacknowledged = 0
            self.flush_soon()

    def block(self, exchange: Exchange) -> None:
        """Look after an exchange whose peer is slower than its handler."""
        if exchange.blocked_s is None:
            exchange.blocked_s = self.shared.monotonic_s()
            exchange.blocked_octets = self.session.queued_body_size(exchange.stream_id)
            self.shared.unsent.note(exchange.blocked_octets)
        self._blocked[exchange] = None

    def is_full_for(self, exchange: Exchange) -> bool:
        """Whether a resolution stream must wait: too much waits for its own window, or for those of the connection."""
        return exchange.must_wait() or self.session.queued_body_size() > bounds.ANSWERS_OCTETS_MAX

    def settle(self) -> None:
        """After a write: let those go on who waited for it, and reset streams whose answer is out."""
        if self._unfinished:
            for stream_id in [each for each in self._unfinished if not self.session.queued_body_size(each)]:
                self._unfinished.pop(stream_id, None)
                self.session.reset_stream(stream_id, ngh2.ErrorCode.NO_ERROR)
                self.flush_soon()
        asked: dict[Exchange, None] = {}
        for exchange in list(self._blocked):
            is_asked = exchange.lane is Lane.QUESTIONS
            if not (self.is_full_for(exchange) if is_asked else exchange.must_wait()):
                self._blocked.pop(exchange, None)
                exchange.go_on()
                if is_asked:
                    asked[exchange] = None
        ready: list[Ready] = []
        if self._postponed and self.session.queued_body_size() <= bounds.ANSWERS_OCTETS_MAX // 2:
            ready, self._postponed = self._postponed, []
        if ready or asked:
            self.flush_soon()
            self.answer(ready, asked, self.shared.monotonic_s())

    @property
    def must_settle(self) -> bool:
        """Whether ``settle`` has anything to do."""
        return not self.answering and bool(self._unfinished or self._blocked or self._postponed)

    def tick(self, now_s: float) -> None:
        """Now and then: end what does not move."""
        timeout_s = self.shared.write_timeout_s
        for exchange in list(self._blocked):
            queued = self.session.queued_body_size(exchange.stream_id)
            if queued < exchange.blocked_octets or exchange.blocked_s is None or not exchange.must_wait():
                exchange.blocked_octets, exchange.blocked_s = queued, now_s
            elif now_s - exchange.blocked_s >= timeout_s:
                self._blocked.pop(exchange, None)
                exchange.too_slow(timeout_s)
        for stream_id, (left, since_s) in list(self._long.items()):
            queued = self.session.queued_body_size(stream_id)
            if not queued:
                del self._long[stream_id]
            elif queued < left:
                self._long[stream_id] = (queued, now_s)
            elif now_s - since_s >= timeout_s:
                del self._long[stream_id]
                with suppress(ngh2.NGH2Error):  # the connection is ending
                    self.session.reset_stream(stream_id, ngh2.ErrorCode.CANCEL)
                self.flush_soon()
        for stream in list(self.streams.values()):
            if (
                type(stream) is Exchange
                and stream.is_upload
                and not stream.ended
                and now_s - stream.received_s >= bounds.UPLOAD_IDLE_S
            ):
                self.fail(stream, FrameError(4, "the rest of the request did not come: send it without pauses"))

    def end_all(self, error: ResolverError) -> None:
        """End every call with an error."""
        for stream in list(self.streams.values()):
            if type(stream) is Exchange:
                self.fail(stream, error)
            elif type(stream) is Writing:
                stream.fail(error)
        self._postponed.clear()
