"""The Handle doors with octets of strangers: a TCP connection cut anywhere, and datagrams of one address.

The first octet chooses the door, the second how a stream is cut. Everything behind the socket is the real thing. The
answers on a connection are whole messages, a stranger gets at most three times the octets it has sent in datagrams, and
nothing is left of either.
"""

import asyncio
import functools
from contextlib import contextmanager
from pathlib import Path

from resolver.transport import hdl_tcp
from resolver.transport.hdl_rate import AnswerRate
from resolver.transport.hdl_relay import Relay
from resolver.transport.hdl_tcp import HandleTcpDoor
from resolver.transport.hdl_udp import AMPLIFICATION_MAX, HandleUdpDoor
from resolver.wire import bounds
from resolver.wire.datagrams import split
from resolver.wire.envelope import OCTETS
from resolver.wire.message import Frame
from resolver.wire.stream import FrameStream
from tests.fuzz import asked, lengths
from tests.fuzz.handle_node import Node

INSTRUMENT = (
    "resolver.transport.hdl_tcp",
    "resolver.transport.hdl_udp",
    "resolver.transport.hdl_repeats",
    "resolver.service.handle_protocol",
    "resolver.service.hdl_plain",
    "resolver.service.hdl_resolution",
    "resolver.service.hdl_turn",
    "resolver.wire.stream",
    "resolver.wire.datagrams",
)
_ADDRESS = ("192.0.2.1", 50_000)
_NOWHERE = Path("no-such-directory")
_TURNS_MAX = 300
_PIECES_MAX = 64
_TCP, _UDP = 0, 1


def _packed(packets):
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


SEEDS = (
    *(bytes([_TCP, step % 70]) + octets for step, octets in enumerate(asked.SEEDS)),
    *(bytes([_TCP, 40]) + b"".join(asked.OPERATIONS[at : at + 3]) for at in range(0, len(asked.OPERATIONS), 3)),
    *(bytes([_UDP, 0]) + _packed(split(Frame.from_wire(octets), is_request=True)) for octets in asked.OPERATIONS),
    bytes([_UDP, 0]) + _packed(2 * asked.OPERATIONS[:2]),
)


class _Doors:
    """Both doors of the node."""

    def __init__(self):
        self.node = node = Node.only()
        relay = Relay(_NOWHERE, 0, node.protocol)
        self.tcp = HandleTcpDoor(node.core, node.protocol, relay, node.clock, idle_s=600.0)
        self.udp = HandleUdpDoor(node.core, node.protocol, relay, node.clock, AnswerRate(0, bytes))

    @classmethod
    @functools.cache
    def only(cls):
        return cls()

    async def rest(self):
        """Turns of the loop until nothing is under way."""
        await asyncio.sleep(0)
        for _ in range(_TURNS_MAX):
            if not self.tcp._tasks and not self.udp._tasks and not self.tcp.creations:
                return
            await asyncio.sleep(0)
        raise AssertionError("a request is not answered")


def feed(octets):
    """One connection, or some datagrams; as they came and with lengths that agree."""
    chosen, step, data = (octets[:1] or b"\0")[0] & 1, (octets[1:2] or b"\0")[0] + 1, octets[2:]
    if chosen == _UDP:
        for packets in (list(_unpacked(data)), [lengths.mended_message(packet) for packet in _unpacked(data)]):
            _datagrams(packets)
        return
    for given in {data, b"".join(map(lengths.mended_message, _messages(data)))}:
        piece = max(step, len(given) // _PIECES_MAX + 1)
        _connection([given[at : at + piece] for at in range(0, len(given), piece)])


def _messages(data):
    """A stream in messages: where an envelope promises more than there is, it is the last one."""
    place = 0
    while place < len(data):
        end = place + OCTETS + int.from_bytes(data[place + 16 : place + OCTETS], "big")
        yield data[place:end]
        place = max(end, place + OCTETS)


def _unpacked(data):
    """Packets behind two octets of length."""
    place = 0
    while place + 2 <= len(data):
        size = int.from_bytes(data[place : place + 2], "big") & 0x3FF
        yield data[place + 2 : place + 2 + size]
        place += 2 + size


@contextmanager
def _limits(most):
    before, hdl_tcp.REQUESTS_IN_FLIGHT_MAX = hdl_tcp.REQUESTS_IN_FLIGHT_MAX, most
    try:
        yield
    finally:
        hdl_tcp.REQUESTS_IN_FLIGHT_MAX = before


def _connection(pieces):
    doors = _Doors.only()
    with doors.node.input() as node, _limits(3):
        connection = hdl_tcp._Connection(doors.tcp, b"", b"")
        transport = _Transport(node.loop, connection)
        node.loop.run_until_complete(_talk(doors, connection, transport, pieces))
        assert not connection.is_busy
        assert not doors.tcp._connections
    answers = FrameStream(bounds.ANSWER_OCTETS_MAX)
    answers.receive_data(bytes(transport.written))
    answers.end()


async def _talk(doors, connection, transport, pieces):
    """Say everything, then nothing more."""
    connection.connection_made(transport)
    for piece in pieces:
        if transport.paused:
            await doors.rest()
        if transport.closing:
            break
        assert not transport.paused, "what was answered makes room"
        connection.data_received(piece)
    await doors.rest()
    if not transport.closing:
        if not connection.eof_received():
            transport.close()
        await doors.rest()
    assert transport.closing, "whoever has said everything is answered and let go"
    await asyncio.sleep(0)


def _datagrams(packets):
    doors = _Doors.only()
    sent = _Socket()
    with doors.node.input() as node:
        node.loop.run_until_complete(_throw(doors, sent, packets))
        node.clock.advance(bounds.FRAGMENT_LIFETIME_S + 5.0)
        doors.udp._reassembler.expire(node.clock.monotonic_s())
        assert not doors.udp._reassembler.held_octets
    for packet in sent.packets:
        assert OCTETS < len(packet) <= bounds.DATAGRAM_OCTETS_MAX


async def _throw(doors, sent, packets):
    """Send packets one after the other, each when the one before has been answered."""
    received = 0
    for packet in packets:
        received += len(packet)
        with doors.node.core.burst():
            doors.udp._take(sent, packet, _ADDRESS, doors.node.clock.monotonic_s(), [])
        if doors.udp._tasks:
            await doors.rest()
        assert sum(map(len, sent.packets)) <= AMPLIFICATION_MAX * received


class _Socket:
    """A socket that keeps what is sent."""

    def __init__(self):
        self.packets = []

    def sendto(self, packet, address):
        assert address == _ADDRESS
        self.packets.append(packet)


class _Transport:
    """A connection that takes everything at once."""

    def __init__(self, loop, connection):
        self._loop, self._connection = loop, connection
        self.closing = self.paused = False
        self.written = bytearray()

    def get_extra_info(self, name):
        return _ADDRESS if name == "peername" else None

    def write(self, octets):
        assert not self.closing, "written after the end"
        self.written += octets

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def close(self):
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self._connection.connection_lost, None)

    abort = close
