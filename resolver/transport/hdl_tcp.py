"""The Handle protocol over TCP: one connection, many requests, answered as they finish.

Clients keep a connection for hours or open one for each request; both are served, and a client that closes its half
gets its answers before ours closes. Whoever has logged in on a connection keeps it through a day of silence. Nobody
gets to keep anything of ours by being slow: the first octets, a header, a body, and the taking of each piece of an
answer have their time, measured absolutely while we read, and one timer looks at all connections. A message that is too
large is refused at its envelope.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import structlog

from resolver.errors import MessageTooLarge, WireError
from resolver.handle.codes import ResponseCode
from resolver.service.hdl_counted import count_one
from resolver.service.hdl_peer import Peer, unmapped
from resolver.telemetry.calls import HDL_TCP
from resolver.transport.deadlines import SWEEP_S, Untaken, check_all
from resolver.transport.hdl_creations import Creations
from resolver.transport.hdl_lobby import HEADER_TIMEOUT_S, INTRODUCED_S, Lobby
from resolver.transport.hdl_parts import LOGIN_IDLE_S, TIMEOUTS_S, Part
from resolver.transport.hdl_sockets import CONNECTIONS_MAX, bound_socket, connect
from resolver.transport.hdl_streams import Alone, StreamKey, TlsStream
from resolver.transport.hdl_waiting import REQUESTS_IN_FLIGHT_MAX, WRITES_AT_ONCE, WaitingRequests
from resolver.transport.unsent import UnsentAnswers
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.message import StreamPart
from resolver.wire.stream import FrameStream

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from resolver.clock import Clock
    from resolver.service.core import Core
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.transport.hdl_relay import Relay
    from resolver.wire.message import Frame

_log = structlog.get_logger("handle")

WRITE_TIMEOUT_S = 30.0
"""Seconds in which a peer must take some of the answers that wait for it."""


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, door: HandleTcpDoor, octets: bytes, unsent: bytes) -> None:
        """Go on with a client of the lobby, which has sent ``octets`` and still gets ``unsent``."""
        self._door = door
        self._first = (octets, unsent)
        self._stream = FrameStream()
        self._waiting = WaitingRequests(door.core, door.protocol)
        self._transport: asyncio.Transport
        self._peer: Peer
        self._in_flight = 0
        self._alone: Alone | None = None
        self._tls: TlsStream | None = None
        self._blocked: asyncio.Event | None = None
        self.deadline_s = door.now_s() + HEADER_TIMEOUT_S
        self._untaken = Untaken()
        self._waiting_octets = self._long_octets = 0
        self._part = Part.NOTHING
        self._ended = self._is_half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # TCP gives nothing else
        name = transport.get_extra_info("peername")
        self._peer = Peer.of(unmapped(str(name[0])) if name else "", is_stream=True)
        if not self._door.admit(self):
            self._transport.abort()
            return
        octets, unsent = self._first
        self._first = (b"", b"")
        if unsent:
            self.deadline_s = self._door.now_s() + self._door.idle_s  # it has asked, and may take its answer slowly
            self._write(unsent)
        if octets:
            self.data_received(octets)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        del exc
        self._ended = self._peer.has_left = True
        self._unblock()
        if self._alone is not None:
            self._alone.tell()
        self._door.forget(self)

    def pause_writing(self) -> None:
        """The peer does not take its answers."""
        self._blocked = asyncio.Event()
        self._untaken.begin(self._transport, self._door.now_s() + WRITE_TIMEOUT_S)

    def resume_writing(self) -> None:
        """The peer takes its answers again: those that waited for that are made now."""
        self._unblock()
        self._untaken.end()
        self.deadline_s = max(self.deadline_s, self._door.now_s() + WRITE_TIMEOUT_S)  # for what is left of them
        self._long_octets = 0
        self._go_on()

    def _unblock(self) -> None:
        """Let answers that wait be written."""
        blocked, self._blocked = self._blocked, None
        if blocked is not None:
            blocked.set()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        if not self._stream.pending_octets and len(data) == ENVELOPE_OCTETS + int.from_bytes(data[16:20], "big"):
            door = self._door
            started_s = door.now_s()
            with door.core.burst():
                answer = door.protocol.at_once(data, self._peer.source)
            if answer is not None:
                now_s = door.now_s()
                self.deadline_s = now_s + self._idle_s  # before the answer leaves: its client may count from then
                self._write(answer)
                count_one(door.core.calls, answer, now_s - started_s, HDL_TCP)
                return
            creation = door.protocol.creation(data, self._peer, self._take_answer)
            if creation is not None:
                self._in_flight += 1
                self.deadline_s = started_s + self._idle_s
                if self._is_full:
                    self._transport.pause_reading()
                door.creations.hand_over(creation)
                return
        try:
            frames = self._stream.receive_data(data)
        except WireError as error:
            self._refuse(error)
            return
        if frames:
            self._waiting.add(frames)
            self._answer_waiting()
        self._set_deadline(completed=bool(frames))
        if self._is_full:
            self._transport.pause_reading()
        if frames and self._stream.pending_octets >= ENVELOPE_OCTETS:
            self.data_received(b"")  # a message that is too large shows with the next call only

    def _write(self, answer: bytes) -> None:
        """Write an answer, and read nothing while the peer does not take it."""
        self._transport.write(answer)
        if self._blocked is not None:
            self._long_octets = max(self._long_octets, len(answer))
            self._door.unsent.note(len(answer))
            self._transport.pause_reading()

    @property
    def _is_full(self) -> bool:
        """Whether no further request is begun for now."""
        return bool(self._in_flight >= REQUESTS_IN_FLIGHT_MAX or self._blocked or self._tls or self._waiting)

    def _answer_waiting(self) -> None:
        """Begin what waits, as long as the peer takes answers, not too many are made and no stream goes before."""
        for _ in range(WRITES_AT_ONCE):
            is_stream_first = self._alone is not None and self._alone.waiting
            most = REQUESTS_IN_FLIGHT_MAX - self._in_flight
            if not self._waiting or self._blocked or self._tls or is_stream_first or most <= 0:
                return
            self._write(self._waiting.begin(self._peer.source, self._start, most))
        asyncio.get_running_loop().call_soon(self._go_on)

    def _start(self, frame: Frame) -> None:
        """Answer a request beside the loop."""
        self._in_flight += 1
        self._door.start_task(self._respond(frame))

    def _go_on(self) -> None:
        """Begin what waits and read on, or close behind the last answer; a stream has the connection alone."""
        if self._ended or (self._alone is not None and self._alone.waiting):
            return
        try:
            self._answer_waiting()
        except Exception:  # noqa: BLE001 - nobody up there could close the connection, and the rest would wait for ever
            _log.exception("questions cannot be answered, their connection is closed")
            self._transport.abort()
            return
        if self._is_half_closed:
            if not self.is_busy:
                self._transport.close()
        elif not self._is_full:
            self._transport.resume_reading()

    def _set_deadline(self, *, completed: bool) -> None:
        """Give the message under way, or the silence between messages, its time; trickling octets win none."""
        part = Part.of(self._stream)
        if completed or part is not self._part or part is Part.NOTHING:
            self._part = part
            self.deadline_s = self._door.now_s() + (TIMEOUTS_S.get(part) or self._idle_s)

    @property
    def _idle_s(self) -> float:
        """Seconds that may pass without a request."""
        idle_s = self._door.idle_s
        return max(idle_s, LOGIN_IDLE_S) if self._peer.logins else idle_s

    async def _respond(self, frame: Frame) -> None:
        alone: Alone | None = None

        async def send(answer: Frame | StreamPart) -> None:
            nonlocal alone
            if isinstance(answer, StreamPart) and alone is None:
                self._transport.pause_reading()
                alone = self._alone = self._alone or Alone()
                await alone.take(frame, lambda: self._in_flight, lambda: self._ended)
            await self._send(answer)

        try:
            await self._door.relay.pass_on(frame, self._peer, send)
            if self._tls is not None and not self._peer.is_broken:
                self._tls.close()
                self.deadline_s = self._door.now_s() + WRITE_TIMEOUT_S
        except BaseException as error:  # a defect of ours closes: nobody may wait for an answer that does not come
            self._peer.is_broken = self._peer.is_broken or alone is not None or isinstance(error, Exception)
            raise
        finally:
            if alone is not None:
                alone.give_back(frame)
            self._finish()

    def _take_answer(self, octets: bytes) -> None:
        """Write the answer to a creation; there are few of them, and nothing is read while the peer takes nothing."""
        if not self._ended:
            self._transport.write(octets)
        self._finish()

    def _finish(self) -> None:
        """A request has been answered."""
        self._in_flight -= 1
        if self._peer.is_broken:
            self._transport.abort()
        elif not self._ended:
            left_s = self._idle_s if self._peer.logins and self._part is Part.NOTHING else HEADER_TIMEOUT_S
            self.deadline_s = max(self.deadline_s, self._door.now_s() + left_s)
            if self._alone is not None and self._alone.waiting:
                self._alone.tell()
            else:
                self._go_on()

    async def _send(self, frame: Frame | StreamPart) -> None:
        """Write one answer, or a part of a stream. Raises OSError for a part that nobody takes or cannot be secret."""
        if not isinstance(frame, StreamPart):
            with suppress(ConnectionResetError):
                await self._writable(len(frame.payload))
                self._write(frame.to_wire())
        elif frame.is_secret:
            if self._tls is None:
                await self._writable()
                unread = self._stream.pending_octets + len(self._waiting)
                self._tls = await self._door.stream_key.begin(self, self._transport, unread)
            await self._tls.write(frame.octets, self._writable)
        else:
            await self._writable()
            self._transport.write(frame.octets)

    async def _writable(self, octets: int = 0) -> None:
        """Wait, with an answer, while the peer takes nothing. Raises ConnectionResetError when it has left."""
        if self._blocked is not None:
            self._waiting_octets += octets
            self._door.unsent.note(octets)
            while self._blocked is not None:
                await self._blocked.wait()
            self._waiting_octets -= octets
        if self._ended:
            raise ConnectionResetError("the peer has left")

    def eof_received(self) -> bool:
        """The client has said everything: answer it, then close."""
        try:
            self._stream.end()
        except WireError as error:
            self._refuse(error)
            return True
        self._is_half_closed = True
        return self.is_busy

    def _refuse(self, error: WireError) -> None:
        """Say what is wrong with the stream; close once all before is answered, as what follows cannot be found."""
        said = (ResponseCode.PROTOCOL_ERROR, error.message)
        if isinstance(error, MessageTooLarge):
            said = (ResponseCode.ERROR, "Server error processing request, see server logs")
        self._transport.write(self._door.protocol.undecodable(self._stream.pending_envelope, *said).to_wire())
        self.leave(at_once=False)

    @property
    def unsent_octets(self) -> int:
        """Octets of answers that the peer has not taken, written or not."""
        return self._waiting_octets + self._transport.get_write_buffer_size()

    @property
    def held_octets(self) -> int:
        """Octets of these answers in memory."""
        return self._waiting_octets + max(self._long_octets, self._transport.get_write_buffer_size())

    def cut_off(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def check(self, now_s: float) -> None:
        """Close the connection when its time is over; nobody is late while we answer, or it takes what was answered."""
        if self._untaken.is_waiting:
            if self._untaken.is_over(self._transport, now_s, WRITE_TIMEOUT_S):
                self._transport.abort()
        elif self.deadline_s <= now_s and not self.is_busy:
            self._transport.abort()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or waits for it."""
        return self._in_flight > 0 or bool(self._waiting)

    def leave(self, *, at_once: bool) -> None:
        """Close for good, behind what is to be taken still: idle connections at once, others when they are answered."""
        if at_once:
            self._waiting.clear()
        if at_once or not self.is_busy:
            self._transport.close()
        else:
            self._is_half_closed = True
            self._transport.pause_reading()


class HandleTcpDoor:
    """The TCP door of one worker."""

    def __init__(self, core: Core, protocol: HandleProtocol, relay: Relay, clock: Clock, *, idle_s: float) -> None:
        self.core = core
        self.protocol = protocol
        self.relay = relay
        self.idle_s = idle_s
        self.stream_key = StreamKey(protocol.signer.rsa)
        self.now_s = clock.monotonic_s
        self.creations = Creations(core)
        self._connections: set[_Connection] = set()
        self.unsent = UnsentAnswers(HDL_TCP, core.calls.cut_off, lambda: self._connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: asyncio.Event | None = None
        self._lobby: Lobby | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Answer on the port, shared with other workers; the port bound."""
        listener = await bound_socket(host, port, socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        bound: int = listener.getsockname()[1]
        self._lobby = Lobby(self, loop, listener)
        self.unsent.start(loop)
        self._sweeper = asyncio.create_task(self._sweep(self._lobby))
        return bound

    @property
    def connection_count(self) -> int:
        """Connections open."""
        return len(self._connections) + (0 if self._lobby is None else len(self._lobby))

    def has_room(self) -> bool:
        """Whether one more client may come in."""
        return self.connection_count < CONNECTIONS_MAX

    def take_over(self, client: socket.socket, octets: bytes, unsent: bytes) -> None:
        """Make a connection of a client of the lobby."""
        self.start_task(connect(client, lambda: _Connection(self, octets, unsent)))

    def admit(self, connection: _Connection) -> bool:
        """Whether there is room for one more connection, which is then looked after."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """The connection is gone: whoever waits for the last one goes on."""
        self._connections.discard(connection)
        if self._left is not None and not self._connections:
            self._left.set()

    def start_task(self, work: Coroutine[object, object, None]) -> None:
        """Do something beside the loop; the set keeps the task alive."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sweep(self, lobby: Lobby) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = self.now_s()
            await check_all(lobby.clients(), now_s)
            await check_all(list(self._connections), now_s)
            self.unsent.look()

    async def drain(self, grace_s: float) -> None:
        """Take no new connection, let requests finish and answers be taken for ``grace_s``, then end them."""
        if self._lobby is not None:
            self._lobby.close()
            await asyncio.sleep(INTRODUCED_S)  # for those who have just become connections
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.leave(at_once=grace_s <= 0)
        self._left = asyncio.Event()
        if not self._connections:
            self._left.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, 0.0)):
                await self._left.wait()
        for connection in list(self._connections):
            connection.leave(at_once=True)
        for task in list(self._tasks):
            task.cancel()
