"""The Handle protocol over UDP, where anybody can write any source address on a packet.

A source that has proven nothing gets at most three times the octets it sent: a larger answer becomes a small error,
upon which clients ask again over TCP at once. Networks have a rate, messages of several packets a bounded table, and
answers and packets from service ports get no answer at all. Packets that wait are taken in one go and answered in one
read transaction.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import structlog

from resolver.errors import MalformedMessage, WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.service.hdl_counted import COUNTED, FOUND, count_plain
from resolver.service.hdl_peer import Peer, network_of, unmapped
from resolver.service.hdl_plain import NoRoom
from resolver.telemetry.calls import HDL_UDP
from resolver.transport.hdl_rate import Pace
from resolver.transport.hdl_repeats import Repeats
from resolver.transport.hdl_sockets import bound_socket
from resolver.wire import bounds
from resolver.wire.datagrams import Reassembler, split
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import TRUNCATED, Envelope
from resolver.wire.header import OCTETS as HEADER_OCTETS
from resolver.wire.header import OpFlag
from resolver.wire.message import Frame, Message, StreamPart

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from resolver.clock import Clock
    from resolver.service.core import Core
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.transport.hdl_rate import AnswerRate
    from resolver.transport.hdl_relay import Relay

    Address = tuple[str, int] | tuple[str, int, int, int]

_log = structlog.get_logger("handle")

AMPLIFICATION_MAX = 3
"""Octets of an answer for each octet of a question from an unproven source (as RFC 9000 section 8)."""

BURST_MAX = 64
"""Datagrams taken in one go: some hundred microseconds of work."""

TASKS_MAX = 1_024
"""Requests being answered the long way; further ones are dropped, and their clients ask again."""

_SERVICE_PORTS_END = 1_024
_RECEIVE_BUFFER_OCTETS = 4 << 20


class HandleUdpDoor:
    """The UDP door of one worker."""

    def __init__(self, core: Core, protocol: HandleProtocol, relay: Relay, clock: Clock, rate: AnswerRate) -> None:
        self._core = core
        self._protocol = protocol
        self._relay = relay
        self._now_s = clock.monotonic_s
        self._rate = rate
        self._reassembler = Reassembler()
        self._repeats = Repeats()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None

    async def start(self, host: str, port: int) -> int:
        """Answer on the port, shared with other workers; the port bound."""
        bound = await bound_socket(host, port, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_OCTETS)
        self._socket = bound
        asyncio.get_running_loop().add_reader(bound.fileno(), self._receive)
        number: int = bound.getsockname()[1]
        return number

    def _receive(self) -> None:
        """Take what waits, and answer plain questions at once."""
        bound = self._socket
        assert bound is not None  # noqa: S101 - the reader is there while the socket is
        taken: list[tuple[bytes, Address]] = []
        for _ in range(BURST_MAX):
            try:
                datagram, address = bound.recvfrom(bounds.DATAGRAM_OCTETS_MAX + 1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # what the kernel tells of an earlier answer that did not arrive
            if address[1] >= _SERVICE_PORTS_END:
                taken.append((datagram, address))
        if not taken:
            return
        started_s = self._now_s()
        answers: list[bytes] = []
        try:
            with self._core.burst():
                for datagram, address in taken:
                    self._take(bound, datagram, address, started_s, answers)
        except Exception:  # noqa: BLE001 - what was taken is lost, as packets are: it may not come again for ever
            _log.exception("datagrams cannot be answered, their clients ask again")
        if answers:
            count_plain(self._core.calls, answers, self._now_s() - started_s, HDL_UDP)

    def _take(
        self, bound: socket.socket, datagram: bytes, address: Address, now_s: float, answers: list[bytes]
    ) -> None:
        """Answer one datagram, or keep it as a part of a message; answers given at once are put into ``answers``."""
        source = unmapped(address[0])
        size = len(datagram)
        pace = self._rate.take(source, now_s)
        if pace is Pace.NOTHING:
            return
        if pace is Pace.ANSWER and size == ENVELOPE_OCTETS + int.from_bytes(datagram[16:20], "big"):
            try:
                answer = self._protocol.at_once(datagram, source, HDL_UDP, AMPLIFICATION_MAX * size)
            except NoRoom:
                answers.append(FOUND)
                self._send_to_stream(bound, Frame.from_wire(datagram), address)
                return
            if answer is not None:
                answers.append(answer[COUNTED])
                self._send_at_once(bound, datagram, answer, address)
                return
        try:
            frame = self._frame_of(datagram, address, network_of(source))
        except WireError:
            if size >= ENVELOPE_OCTETS + 4:
                envelope = Envelope.from_wire(datagram)
                refusal = self._protocol.undecodable(envelope, ResponseCode.ERROR, _SERVER_ERROR if size > 64 else "")
                if not _is_answer(datagram):
                    _send(bound, refusal.to_wire(), address)
            return
        if frame is None:
            return
        if pace is Pace.SLIP or self._is_too_small(frame):
            self._send_to_stream(bound, frame, address)
            return
        if len(self._tasks) < TASKS_MAX:
            self._begin(bound, frame, address, now_s)

    def _begin(self, bound: socket.socket, frame: Frame, address: Address, now_s: float) -> None:
        """Begin to answer a message the long way, or send again what answered the same set-up."""
        sent: list[bytes] = []
        if not frame.envelope.is_encrypted and frame.payload[:4] == _SET_UP:
            sent, is_new = self._repeats.first(address, frame.to_wire(), now_s)
            if not is_new:
                for packet in sent:
                    _send(bound, packet, address)
                return
        self._start(self._respond(bound, frame, address, sent))

    def _send_at_once(self, bound: socket.socket, datagram: bytes, answer: bytes, address: Address) -> None:
        """Send the answer to a plain question of one packet, when it is small enough."""
        if len(answer) <= AMPLIFICATION_MAX * len(datagram):
            whole = [answer] if len(answer) <= _PACKET_MAX else split(Frame.from_wire(answer), is_request=False)
            if sum(map(len, whole)) <= AMPLIFICATION_MAX * len(datagram):
                for packet in whole:
                    _send(bound, packet, address)
                return
        self._send_to_stream(bound, Frame.from_wire(datagram), address)

    def _frame_of(self, datagram: bytes, address: Address, network: str) -> Frame | None:
        """The message a datagram completes. Raises WireError for one that is no part of a message."""
        if len(datagram) > bounds.DATAGRAM_OCTETS_MAX:
            raise MalformedMessage("a packet has at most 512 octets: split the message")
        envelope = Envelope.from_wire(datagram)
        if not envelope.flags & TRUNCATED and len(datagram) - ENVELOPE_OCTETS != envelope.message_octets:
            raise MalformedMessage("a packet without the truncation flag holds a whole message")
        return self._reassembler.receive(datagram, address, network, self._now_s())

    def _is_too_small(self, frame: Frame) -> bool:
        """Whether a question asks a stranger's signature that no answer may have room for: then none is made.

        A signature costs ten times the rest of an answer, and clients that miss it ask three times.
        """
        if frame.envelope.is_encrypted or frame.envelope.session_id or len(frame.payload) < HEADER_OCTETS:
            return False
        header = frame.header
        return header.has(OpFlag.CERTIFIED) and _room(frame) < self._protocol.signer.certified_octets_min

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _respond(self, bound: socket.socket, frame: Frame, address: Address, sent: list[bytes]) -> None:
        """Answer a message the long way; the packets are put into ``sent``."""
        peer = Peer.of(unmapped(address[0]), is_stream=False)
        parts, room = _parts(frame), _room(frame)

        async def send(answer: Frame | StreamPart) -> None:
            if isinstance(answer, StreamPart):
                return  # what is followed by a stream is not answered here
            if parts > 1:  # the reference server repeats the flag of the question
                answer = Frame(answer.envelope._replace(flags=answer.envelope.flags | TRUNCATED), answer.payload)
            packets = split(answer, is_request=False)
            if not peer.is_proven and sum(map(len, packets)) > room:
                self._send_to_stream(bound, frame, address)
                return
            sent.extend(packets)
            for packet in packets:
                _send(bound, packet, address)

        await self._relay.pass_on(frame, peer, send)

    def _send_to_stream(self, bound: socket.socket, frame: Frame, address: Address) -> None:
        """Make the client ask again over TCP."""
        if frame.envelope.is_encrypted:  # what it asks cannot be seen here, and silence costs a client three seconds
            _send(bound, self._protocol.undecodable(frame.envelope, ResponseCode.ERROR).to_wire(), address)
            return
        try:
            asked = Message.from_frame(frame)
        except WireError:
            return
        if not asked.header.is_answer:
            _send(bound, self._protocol.answers.try_stream(asked).to_wire(), address)

    async def drain(self, grace_s: float) -> None:
        """Take no more datagrams, let requests finish for ``grace_s``."""
        if self._socket is None or self._socket.fileno() < 0:  # a hurried drain overtakes one in its grace
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        if self._tasks and grace_s > 0:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        self._socket.close()


_PACKET_MAX = bounds.DATAGRAM_OCTETS_MAX
_SERVER_ERROR = "Server error processing request, see server logs"
_SET_UP = OpCode.SESSION_SETUP.to_bytes(4, "big")


def _parts(frame: Frame) -> int:
    """Packets that a message came in."""
    return max(1, -(-len(frame.payload) // bounds.FRAGMENT_OCTETS))


def _room(frame: Frame) -> int:
    """Octets that the answer to a message may have while its sender has proven nothing."""
    return AMPLIFICATION_MAX * (len(frame.payload) + ENVELOPE_OCTETS * _parts(frame))


def _is_answer(datagram: bytes) -> bool:
    """Whether a packet looks like an answer: those get none."""
    return any(datagram[ENVELOPE_OCTETS + 4 : ENVELOPE_OCTETS + 8])


def _send(bound: socket.socket, packet: bytes, address: Address) -> None:
    """Send a packet; one that cannot go is lost, as packets are."""
    try:
        bound.sendto(packet, address)
    except OSError as error:
        _log.debug("an answer was lost", why=str(error))
