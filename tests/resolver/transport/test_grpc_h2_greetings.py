"""Whatever a peer says and however it is cut, it hears what it would hear from a session that was there from the start.

``Newcomer`` answers greetings without nghttp2, so here nghttp2 is what it is measured by: the same octets go to an
``H2Connection``, and what both write has to be the same, octet for octet.
"""

import asyncio
import collections
import itertools
import random
import struct

import hpack
import pytest

from resolver import limits
from resolver.clock import SystemClock
from resolver.transport.deadlines import LOOKED_AT_ONCE
from resolver.transport.grpc_h2 import H2Door
from resolver.transport.h2_connection import H2Connection
from resolver.transport.h2_newcomer import Newcomer
from resolver.transport.health import CHECK
from tests.resolver.transport.h2_doors import (
    ACK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    run,
    until,
)

PRIORITY, PUSH_PROMISE, UNKNOWN = 2, 5, 0xBB


class Wire:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written = b""
        self.closed = False
        self.protocol = None

    def write(self, octets):
        if not self.closed:
            self.written += octets

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def get_write_buffer_size(self):
        return 0

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_extra_info(self, name):
        return ("192.0.2.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high, low):
        pass

    def say(self, pieces):
        """Feed what a peer says, as long as somebody listens; what it hears, and whether it was sent away."""
        for piece in pieces:
            if not self.closed:
                self.protocol.data_received(piece)
        return self.written, self.closed


def frame(kind, flags=0, stream_id=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


def question(stream_id=1):
    fields = {":method": "POST", ":scheme": "http", ":path": CHECK.path, ":authority": "x"}
    fields |= {"te": "trailers", "content-type": "application/grpc"}
    block = hpack.Encoder().encode([*fields.items()])
    return frame(HEADERS, 4, stream_id, block) + frame(DATA, 1, stream_id, bytes(5))


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


USUAL = settings((2, 0), (3, 100), (4, 1 << 20), (5, 1 << 14), (6, 16_384))
WIDER = frame(WINDOW_UPDATE, payload=(1 << 20).to_bytes(4, "big"))
HEARD = frame(SETTINGS, ACK)

FRAMES = [
    USUAL,
    WIDER,
    HEARD,
    question(),
    settings(),
    settings((1, 0)),
    settings((1, 1 << 31)),
    settings((2, 1)),
    settings((2, 2)),
    settings((4, 0)),
    settings((4, 2**31)),
    settings((5, 1 << 14), (5, 1)),
    settings((8, 1)),
    settings((8, 1), (8, 0)),
    settings((9, 1)),
    settings((9, 1), (9, 0)),
    settings((0x10, 7), (0xFFFF, 2**32 - 1)),
    settings(*[(3, 1)] * 32),
    settings(*[(3, 1)] * 33),
    frame(SETTINGS, payload=bytes(5)),
    frame(SETTINGS, 0xFE),
    frame(SETTINGS, 0xFF),
    frame(SETTINGS, ACK, payload=bytes(6)),
    frame(SETTINGS, 0, 1),
    frame(SETTINGS, 0, 1 << 31),
    frame(SETTINGS, ACK, 1 << 31),
    frame(WINDOW_UPDATE, payload=bytes(4)),
    frame(WINDOW_UPDATE, payload=b"\x80\0\0\1"),
    frame(WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff"),
    frame(WINDOW_UPDATE, payload=(2**31 - 1 - 65_535).to_bytes(4, "big")),
    frame(WINDOW_UPDATE, payload=(2**31 - 65_535).to_bytes(4, "big")),
    frame(WINDOW_UPDATE, 0xFF, payload=b"\0\0\0\1"),
    frame(WINDOW_UPDATE, payload=b"\0\0\1"),
    frame(WINDOW_UPDATE, payload=bytes(5)),
    frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
    frame(PING, payload=b"are you?"),
    frame(PING, ACK, payload=b"you are!"),
    frame(PING, payload=bytes(7)),
    frame(PING, 0, 1, bytes(8)),
    frame(GOAWAY, payload=bytes(8)),
    frame(GOAWAY, payload=bytes(7)),
    frame(GOAWAY, 0, 1, bytes(8)),
    frame(PRIORITY, 0, 1, b"\0\0\0\3\1"),
    frame(PRIORITY, 0, 1, b"\0\0\0\1\1"),
    frame(PRIORITY, 0, 0, b"\0\0\0\1\1"),
    frame(PRIORITY, 0, 1, bytes(4)),
    frame(RST_STREAM, 0, 1, bytes(4)),
    frame(RST_STREAM, 0, 0, bytes(4)),
    frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2\x82"),
    frame(CONTINUATION, 4, 1, b"\x82"),
    frame(DATA, 1, 1, b"x"),
    frame(DATA, 1, 0, b"x"),
    frame(HEADERS, 4, 0, b"\x82"),
    frame(HEADERS, 4, 2, b"\x82"),
    frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"),
    frame(HEADERS, 5, 1, b"\x82"),
    frame(UNKNOWN, 0xFF, 0, b"passed over"),
    frame(UNKNOWN, 0xFF, 7, b"passed over" * 20),
    b"\0\x40\1" + frame(UNKNOWN)[3:],
    b"\xff\xff\xff" + frame(SETTINGS)[3:],
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.fixture
def shared(world):
    """What both sides share, and a loop that they run on."""

    async def body(main):
        async with world.serving() as asker:
            door = H2Door(asker.service, observe=lambda *_: None, clock=SystemClock())
            await door.start("127.0.0.1", 0, None)
            door.set_serving(True)
            try:
                main(door._shared)
            finally:
                await door.drain(0.0)

    return lambda main: run(body(main))


def from_the_start(shared, pieces):
    """What a peer hears from a session that is there from the start."""
    wire = Wire()
    wire.protocol = H2Connection(shared, shared.monotonic_s())
    wire.protocol.begin(wire, b"")
    return wire.say(pieces)


def from_a_newcomer(shared, pieces):
    wire = Wire()
    wire.protocol = Newcomer(shared)
    wire.protocol.connection_made(wire)
    heard = wire.say(pieces)
    wire.protocol.connection_lost(None)
    assert not shared.connections
    return heard


def cut(dice, octets):
    places = sorted({0, len(octets), *(dice.randrange(len(octets)) for _ in range(dice.choice([0, 1, 3, 30])))})
    return [octets[start:end] for start, end in itertools.pairwise(places)]


@pytest.mark.parametrize("seed", range(4))
def test_a_peer_hears_what_a_session_from_the_start_would_say(shared, seed):
    dice = random.Random(seed)

    def main(shared):
        for _ in range(1_000):
            usual = [[], [USUAL], [USUAL, WIDER], [USUAL, HEARD], [USUAL, WIDER, HEARD], [USUAL, HEARD, WIDER]]
            said = dice.choice([b"", PREFACE, PREFACE, PREFACE, PREFACE]) + b"".join(dice.choice(usual))
            said += b"".join(dice.choices(FRAMES, k=dice.randrange(4)))
            if dice.random() < 0.2 and said:
                place = dice.randrange(len(said))
                said = said[:place] + bytes([dice.randrange(256)]) + said[place + 1 :]
            if not said:
                continue
            pieces = cut(dice, said)
            if not PREFACE.startswith(said):  # until then a newcomer says nothing
                assert from_a_newcomer(shared, pieces) == from_the_start(shared, pieces), pieces

    shared(main)


def test_a_crowd_that_ends_together_is_ended_some_at_a_time(world, clock):
    async def main():
        loop = asyncio.get_running_loop()
        turns, ended = 0, collections.Counter()

        def turn():
            nonlocal turns
            turns += 1
            if sum(ended.values()) < 1_000:
                loop.call_soon(turn)

        class Ended(Wire):
            def abort(self):
                ended[turns] += 1

        async with world.serving() as asker:
            door = H2Door(asker.service, observe=lambda *_: None, clock=clock, write_timeout_s=0.2)
            await door.start("127.0.0.1", 0, None)
            for _ in range(1_000):
                Newcomer(door._shared).connection_made(Ended())
            clock.advance(limits.HANDSHAKE_TIMEOUT_S)
            turn()
            await until(lambda: sum(ended.values()) >= 1_000)
            most = max(ended.values())
            door._shared.connections.clear()
            await door.drain(0.0)
        assert most <= LOOKED_AT_ONCE

    run(main())
