"""The calls of one HTTP/2 connection: events in, answers into nghttp2's queues.

A read burst goes through in two passes: first all its events, then every call that can be answered at once, inside one
read transaction of the store. So a call cancelled in the burst that brought it costs nothing, and what a burst costs is
shared by its calls. Calls that take longer become an ``Exchange``. What the peer does not take waits in nghttp2's
queues; their size holds handlers and further calls back.

This file does not know sockets: ``H2Connection`` feeds it and writes.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import ngh2
from ngh2 import DataReceived, RequestReceived, StreamClosed

from resolver.errors import Overloaded, ResolverError
from resolver.service import Call
from resolver.transport import grpc_frames as frames
from resolver.transport import h2_bounds as bounds
from resolver.transport.grpc_frames import FrameError
from resolver.transport.h2_cold import touch_first
from resolver.transport.h2_endings import Endings, Ready
from resolver.transport.h2_exchange import Exchange, check_answer
from resolver.transport.h2_lanes import answer_questions, await_answer, start
from resolver.transport.h2_mounts import Lane, Refusal, Ticket, ticket_of
from resolver.transport.h2_writes import hand_over
from resolver.transport.requests import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.service import Credential
    from resolver.transport.h2_shared import Shared


_NOTED_ANSWERS = 4
"""Plain answers of a burst beyond which their octets are noted: fewer have at most as many as a socket's buffer."""


def _ignored(_kind: type, _event: Any, _now_s: float) -> None:
    """What becomes of frames once the peer has gone."""


class Calls(Endings):
    """The calls of one connection. Give every list of events to ``take``; ``settle`` after each write."""

    def __init__(
        self,
        shared: Shared,
        session: ngh2.Connection,
        flush: Callable[[], None],
        flush_soon: Callable[[], None],
        control: Callable[[type, Any, float], None],
    ) -> None:
        super().__init__(shared, session, flush, flush_soon)
        self.source = ""
        self.certificate: Credential | None = None
        self.anonymous = Call()
        self.last_stream_id = 0
        self._control = control
        self._tickets: dict[frames.Headers, Ticket | Refusal] = {}
        self._tickets_octets = 0

    def identify(self, source: str, certificate: Credential | None) -> None:
        """Who is at the other end."""
        self.source, self.certificate = source, certificate
        self.anonymous = Call(source=source)

    def part(self) -> None:
        """Know nothing of the connection any more."""
        super().part()
        self._control = _ignored

    # Events

    def take(self, events: list[Any], now_s: float) -> bool:
        """Take in the events of a read burst and answer what can be answered; whether there was any call."""
        ready: list[Ready] = []
        asked: dict[Exchange, None] = {}
        self._sort(events, ready, asked, now_s)
        if not ready and not asked:
            return False
        self.answer(ready, asked, now_s)
        return True

    def _sort(  # noqa: PLR0912 - the loop over every frame: a call saved is saved at every request
        self, events: list[Any], ready: list[Ready], asked: dict[Exchange, None], now_s: float
    ) -> None:
        """Sort out one burst: calls to be answered go to ``ready``, resolution streams with news to ``asked``."""
        streams, tickets, acknowledge = self.streams, self._tickets, self.session.acknowledge_received_data
        unpack = frames.PREFIX.unpack_from
        fresh: list[int] = []
        whole = 0
        for event in events:
            kind = type(event)
            if kind is DataReceived:
                stream_id, data = event.stream_id, event.data
                stream = streams.get(stream_id)
                if type(stream) is Ticket:
                    length = len(data)
                    if (
                        5 <= length <= stream.whole_octets_max
                        and event.end_stream
                        and unpack(data) == (0, length - 5)  # one message, not compressed
                    ):
                        acknowledge(length, stream_id)
                        ready.append((stream_id, stream, data[5:]))
                        whole += 1
                        continue
                    stream = self.outlive(stream_id, stream, now_s)
                if stream is not None:
                    self._data(stream, data, event.end_stream, ready, asked, now_s)  # type: ignore[arg-type]
                elif data:
                    acknowledge(len(data), stream_id)
            elif kind is RequestReceived:
                stream_id, headers = event.stream_id, event.headers
                self.last_stream_id = stream_id
                ticket = tickets.get(headers) or self._ticket(headers)
                if type(ticket) is not Ticket:
                    self._refuse(stream_id, ticket, ended=event.end_stream)  # type: ignore[arg-type]
                elif ticket.mount.whole and not event.end_stream:
                    streams[stream_id] = ticket
                    fresh.append(stream_id)
                else:
                    self._open(stream_id, ticket, event.end_stream, ready, asked, now_s)
            elif kind is StreamClosed:
                if event.stream_id in streams:
                    self.gone(event.stream_id)
                self._unfinished.pop(event.stream_id, None)
            elif kind is ngh2.TrailersReceived:
                self._ended(event.stream_id, ready, asked, now_s)
            else:
                self._control(kind, event, now_s)
                if self.dropped:
                    ready.clear()
                    asked.clear()
                    return
        if whole != len(fresh):
            self._keep_unready(fresh, ready, now_s)

    def _ticket(self, headers: frames.Headers) -> Ticket | Refusal:
        """The meaning of a header block, remembered when it can come again: not that of a peer's first call."""
        ticket = ticket_of(self.shared.mounts, headers)
        if self.last_stream_id > 1 and (isinstance(ticket, Refusal) or ticket.timeout_s is None):
            octets = sum([len(name) + len(value) + bounds.FIELD_OCTETS for name, value in headers])
            if octets > bounds.TICKETS_OCTETS_MAX // 4:
                return ticket
            self._tickets_octets += octets
            if self._tickets_octets > bounds.TICKETS_OCTETS_MAX:
                self._tickets.clear()
                self._tickets_octets = octets
            self._tickets[headers] = ticket
        return ticket

    def _refuse(self, stream_id: int, refusal: Refusal, *, ended: bool) -> None:
        """Answer a request that is no call."""
        self.session.send_response(stream_id, refusal.answer, end_stream=True)
        if not ended:
            self._unfinished[stream_id] = None

    def outlive(self, stream_id: int, ticket: Ticket, now_s: float) -> Exchange:
        """Make a call one that outlives its burst."""
        exchange = self.streams[stream_id] = Exchange(self, stream_id, ticket, now_s)
        return exchange

    def _keep_unready(self, fresh: list[int], ready: list[Ready], now_s: float) -> None:
        """Keep the calls whose headers came without the whole message."""
        answered = {stream_id for stream_id, _, _ in ready}
        for stream_id in fresh:
            ticket = self.streams.get(stream_id)
            if type(ticket) is Ticket and stream_id not in answered:
                self._fits(self.outlive(stream_id, ticket, now_s))

    def _fits(self, exchange: Exchange) -> bool:
        """Count what a call holds; one too many is refused."""
        if self.shared.hold(exchange):
            return True
        error = Overloaded(
            "the worker holds too many unfinished requests: try again, or send less at a time", retry_after_s=1.0
        )
        self.fail(exchange, error)
        return False

    def _open(
        self,
        stream_id: int,
        ticket: Ticket,
        ended: bool,  # noqa: FBT001 - as the event says
        ready: list[Ready],
        asked: dict[Exchange, None],
        now_s: float,
    ) -> None:
        """Begin a call that a task will run, or a resolution stream."""
        exchange = self.outlive(stream_id, ticket, now_s)
        if not self._fits(exchange):
            return
        if ticket.mount.lane in {Lane.DIALOGUE, Lane.QUESTIONS}:
            ready.append((stream_id, ticket, None))
        if ended:
            self._data(exchange, b"", True, ready, asked, now_s)

    def _ended(self, stream_id: int, ready: list[Ready], asked: dict[Exchange, None], now_s: float) -> None:
        """Trailers of a request end it like an end of its data."""
        stream = self.streams.get(stream_id)
        if type(stream) is Ticket:
            stream = self.outlive(stream_id, stream, now_s)
        if type(stream) is Exchange:
            self._data(stream, b"", True, ready, asked, now_s)

    def _data(
        self,
        exchange: Exchange,
        data: bytes,
        ended: bool,  # noqa: FBT001 - as the event says
        ready: list[Ready],
        asked: dict[Exchange, None],
        now_s: float,
    ) -> None:
        """Take in what the peer of an exchange has sent."""
        if data:
            exchange.receive(data, now_s)
            if exchange.is_upload or exchange.inbox_octets <= bounds.INBOX_OCTETS_MAX:
                self.acknowledge(exchange)
            if not self._fits(exchange):
                return
        if ended:
            exchange.end()
        if exchange.refusal is not None:
            self.fail(exchange, exchange.refusal)
        elif exchange.lane is Lane.QUESTIONS:
            asked[exchange] = None
        elif exchange.lane is not Lane.DIALOGUE:
            self._upload(exchange, ready)

    def _upload(self, exchange: Exchange, ready: list[Ready]) -> None:
        """Look whether the one request of a call is here."""
        if exchange.fault is not None:
            self.fail(exchange, exchange.fault)
        elif len(exchange.inbox) > 1:
            self.fail(exchange, FrameError(12, "the request has more than one message: the method takes exactly one"))
        elif exchange.ended and not exchange.inbox:
            self.fail(exchange, FrameError(12, "the request has no message: the method takes exactly one"))
        elif exchange.ended:
            ready.append((exchange.stream_id, exchange.ticket, exchange.inbox[0]))

    def questions(self) -> list[Exchange]:
        """The open resolution streams."""
        return [each for each in self.streams.values() if type(each) is Exchange and each.lane is Lane.QUESTIONS]

    # Answers

    def answer(self, ready: Iterable[Ready], asked: Iterable[Exchange], now_s: float) -> None:
        """Answer all that can be answered now, from one moment of the store."""
        self.active_s = now_s
        self.answering = True  # writes inside the burst may not begin another one
        core = self.shared.core
        if core.residency.cold:
            ready = touch_first(self, ready, now_s)
        calls, questions = iter(ready), iter(asked)
        try:
            with core.burst():
                rest = self._answer_plain(ready, now_s)
                calls = iter(hand_over(self, rest, now_s) if rest else ())
                self._answer_each(calls, questions, now_s)
        except ResolverError:
            self._answer_each(calls, questions, now_s)  # no read transaction to be had: each call says so
        finally:
            self.answering = False
        core.residency.look(now_s)

    def _answer_plain(self, ready: Iterable[Ready], started_s: float) -> Iterable[Ready]:
        """Answer the plain questions of a burst together; the calls that are left."""
        streams, session = self.streams, self.session
        allowed: dict[int, bool] = {}
        rest: list[Ready] = []
        asked: list[Ready] = []
        for call in ready:
            stream_id, ticket, _ = call
            if ticket.mount.plain and type(streams.get(stream_id)) is Ticket:
                may = allowed.get(id(ticket))
                if may is None:
                    may = allowed[id(ticket)] = self.may_resolve(ticket)
                (asked if may else rest).append(call)
            else:
                rest.append(call)
        if not asked or session.queued_body_size() > bounds.ANSWERS_OCTETS_MAX // 2:
            return ready
        messages: list[bytes] = [message for _, _, message in asked]  # type: ignore[misc]  # theirs is whole
        bodies = self.shared.plain.resolve(self.source, messages, bounds.LONG_ANSWER_OCTETS)
        if bodies is None:
            return ready
        send_response, send_data, send_trailers = session.send_response, session.send_data, session.send_trailers
        pack, response_headers, trailers = frames.PREFIX.pack, frames.RESPONSE, frames.TRAILERS_OK
        for call, body in zip(asked, bodies, strict=True):
            if body is None:
                rest.append(call)
                continue
            stream_id = call[0]
            del streams[stream_id]
            send_response(stream_id, response_headers)
            send_data(stream_id, pack(0, len(body)) + body)
            send_trailers(stream_id, trailers)
        answered = len(bodies) - bodies.count(None)
        if answered:
            # The answers of a burst leave together: each took until now.
            method, took_s = asked[0][1].mount.method, self.shared.monotonic_s() - started_s
            self.shared.observe(method, 0, took_s, answered)
            if answered > _NOTED_ANSWERS:
                self.shared.unsent.note(session.queued_body_size())
        return rest

    def may_resolve(self, ticket: Ticket) -> bool:
        """Whether the caller of a call may resolve; who may not hears of it on the usual way."""
        try:
            self.shared.core.require_resolution(self.call_of(ticket).caller)
        except ResolverError:
            return False
        return True

    def _answer_each(  # noqa: PLR0912, PLR0915 - the loop over every request
        self, calls: Iterator[Ready], questions: Iterator[Exchange], started_s: float
    ) -> None:
        """Answer what the iterators still hold."""
        streams, session = self.streams, self.session
        send_response, send_data, send_trailers = session.send_response, session.send_data, session.send_trailers
        pack, response_headers, trailers = frames.PREFIX.pack, frames.RESPONSE, frames.TRAILERS_OK
        anonymous = self.anonymous if self.certificate is None else None
        room = bounds.ANSWERS_OCTETS_MAX - session.queued_body_size()
        done: list[Method[Message, Message]] = []
        for stream_id, ticket, message in calls:
            stream = streams.get(stream_id)
            if stream is None:
                continue
            mount = ticket.mount
            if mount.lane is not Lane.AT_ONCE:
                if type(stream) is Ticket:
                    stream = self.outlive(stream_id, ticket, started_s)
                    stream.ended = True
                start(self, stream, message)  # type: ignore[arg-type]
                continue
            if room <= 0:
                room = self._room()
                if room <= 0:
                    self._postpone(stream_id, ticket, message, started_s)
                    continue
            try:
                if anonymous is not None and ticket.anonymous and ticket.timeout_s is None:
                    call = anonymous
                else:
                    call = self.call_of(ticket)
                response = mount.handler(call, parse(mount.method, message))  # type: ignore[arg-type]
                if type(response) is not bytes:
                    if isawaitable(response):  # another node has to be asked
                        exchange = stream if type(stream) is Exchange else self.outlive(stream_id, ticket, started_s)
                        exchange.ended = True
                        await_answer(self, exchange, response)
                        continue
                    response = response.SerializeToString()
                octets = len(response)
                if octets > bounds.LONG_ANSWER_OCTETS:
                    check_answer(response)
                    self._long[stream_id] = (octets, started_s)
            except Exception as error:  # noqa: BLE001 - every failure becomes a status
                exchange = stream if type(stream) is Exchange else self.outlive(stream_id, ticket, started_s)
                exchange.ended = True
                self.fail(exchange, error)
                continue
            del streams[stream_id]
            send_response(stream_id, response_headers)
            if octets > bounds.LONG_ANSWER_OCTETS:
                send_data(stream_id, pack(0, octets))  # spares a copy of what is long
                send_data(stream_id, response)
            else:
                send_data(stream_id, pack(0, octets) + response)
            send_trailers(stream_id, trailers)
            room -= octets
            if type(stream) is Exchange:
                self._observe(stream, 0)
                self._close(stream)
            else:
                done.append(mount.method)
            if octets > bounds.LONG_ANSWER_OCTETS:
                room = self._room()  # out while the caches have it, and before there is need of memory for the next
                self.shared.unsent.note(min(octets, bounds.ANSWERS_OCTETS_MAX - room))
        took_s = self.shared.monotonic_s() - started_s
        for method in done:
            self.shared.observe(method, 0, took_s, 1)
        for exchange in questions:
            if not exchange.over:
                answer_questions(self, exchange)

    def call_of(self, ticket: Ticket) -> Call:
        """Who makes a call. Raises CredentialInvalid."""
        if ticket.fault is not None:
            raise ticket.fault.with_traceback(None)
        if ticket.mount.open:
            return Call(source=self.source)
        call = self.shared.service.call_from(self.source, ticket.credential or self.certificate)
        call.timeout_s = ticket.timeout_s
        return call

    def _room(self) -> int:
        """Octets of answers that may still be queued, after writing what can be written."""
        self.flush()
        return bounds.ANSWERS_OCTETS_MAX - self.session.queued_body_size()

    def _postpone(self, stream_id: int, ticket: Ticket, message: bytes | None, now_s: float) -> None:
        """Let a call wait until the peer has taken answers; its deadline goes on."""
        if type(self.streams[stream_id]) is Ticket:
            self.outlive(stream_id, ticket, now_s).ended = True
        self._postponed.append((stream_id, ticket, message))
