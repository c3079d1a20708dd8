"""Peers of the h2 door that have asked nothing yet: greeted at once, with nothing kept that a crowd could fill."""

import asyncio
import itertools
import struct

import pytest

from resolver import limits, methods
from resolver.transport import h2_bounds
from resolver.transport.h2_connection import H2Connection
from resolver.transport.h2_newcomer import Newcomer
from resolver.transport.health import CHECK
from resolver.v1 import resolution_pb2
from tests.resolver.transport.h2_doors import (
    ACK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    door_of,
    goaway_of,
    h2_client,
    run,
    until,
)
from tests.support.builders import PREFIX_A, register

NAME = f"{PREFIX_A}/one"
QUESTION = resolution_pb2.ResolveRequest(name=NAME).SerializeToString()
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 1, 3, 6, 11


def frame(kind, flags=0, stream_id=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", name, value) for name, value in pairs))


WIDER = frame(WINDOW_UPDATE, payload=(1 << 20).to_bytes(4, "big"))
USUAL = settings((2, 0), (3, 100), (4, 1 << 20), (5, 1 << 14), (6, 16_384), (0xFE03, 1))


def kinds(client):
    return sorted(type(each).__name__ for each in client.place.door._shared.connections)


async def greeted(port, octets=PREFACE + USUAL + WIDER):
    """A peer that has said its greeting and heard ours."""
    peer = await Peer.connect(port, greet=False)
    peer.writer.write(octets)
    while (await peer.frame())[:2] != (SETTINGS, ACK):
        pass
    return peer


def test_who_only_greets_has_no_session_and_is_answered_like_everybody_when_it_asks(world):
    register(world.engine, world.clock, NAME)

    async def main():
        async with h2_client(world) as client:
            await client.ask("", CHECK)
            peer = await greeted(client.place.port)
            peer.send(SETTINGS, ACK)
            await client.ask("", CHECK)
            assert kinds(client) == [H2Connection.__name__, Newcomer.__name__]
            peer.request(1, QUESTION)
            fields, data = await peer.answer(1)
            assert fields["grpc-status"] == "0"
            assert resolution_pb2.ResolveResponse.FromString(data[5:]).record.name == NAME
            assert kinds(client) == [H2Connection.__name__] * 2
            # Each part of the greeting once, however it was said.
            assert [kind for kind, _ in peer.seen][:3] == [SETTINGS, WINDOW_UPDATE, SETTINGS]
            assert [kind for kind, _ in peer.seen if kind in {SETTINGS, WINDOW_UPDATE}].count(SETTINGS) == 2

    run(main())


def test_a_greeting_with_a_question_is_answered_the_same_wherever_it_is_cut(world):
    register(world.engine, world.clock, NAME)

    async def asked(port, cut):
        peer = await Peer.connect(port, greet=False)
        whole = PREFACE + USUAL + WIDER + frame(SETTINGS, ACK)
        whole += frame(HEADERS, 4, 1, peer.headers())
        whole += frame(DATA, 1, 1, struct.pack(">BI", 0, len(QUESTION)) + QUESTION)
        peer.writer.write(whole[:cut])
        await peer.writer.drain()
        if cut >= len(PREFACE):
            await peer.frame()  # now the other side has taken what came first
        peer.writer.write(whole[cut:])
        fields, data = await peer.answer(1)
        assert fields["grpc-status"] == "0"
        peer.writer.close()
        return len(whole), sorted(peer.seen), data

    async def main():
        async with h2_client(world) as client:
            octets, seen, data = await asked(client.place.port, 0)
            for cut in range(1, octets, 3):
                assert await asked(client.place.port, cut) == (octets, seen, data), cut

    run(main())


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (WIDER, PROTOCOL_ERROR),  # SETTINGS come first
        (frame(PING, payload=bytes(8)), PROTOCOL_ERROR),
        (frame(SETTINGS, ACK), PROTOCOL_ERROR),
        (settings((2, 2)), PROTOCOL_ERROR),
        (settings((4, 2**31)), FLOW_CONTROL_ERROR),
        (settings((5, 100)), PROTOCOL_ERROR),
        (settings((5, 1 << 24)), PROTOCOL_ERROR),
        (settings((8, 2)), PROTOCOL_ERROR),
        (settings((9, 2)), PROTOCOL_ERROR),
        (frame(SETTINGS, payload=b"\0\3\0\0\0"), FRAME_SIZE_ERROR),
        (frame(SETTINGS, stream_id=1), PROTOCOL_ERROR),
        (USUAL + frame(SETTINGS, ACK, payload=b"\0\3\0\0\0\1"), FRAME_SIZE_ERROR),
        (USUAL + frame(SETTINGS, ACK) * 2, PROTOCOL_ERROR),
        (USUAL + frame(WINDOW_UPDATE, payload=bytes(4)), PROTOCOL_ERROR),
        (USUAL + frame(WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR),
        (USUAL + WIDER + frame(WINDOW_UPDATE, payload=b"\x7f\xff\0\0"), FLOW_CONTROL_ERROR),
        (USUAL + frame(WINDOW_UPDATE, payload=b"\0\0\1"), FRAME_SIZE_ERROR),
        (USUAL + frame(DATA, 1, 1, b"x"), PROTOCOL_ERROR),
        (USUAL + frame(SETTINGS, stream_id=3), PROTOCOL_ERROR),
        (settings(*[(3, 100)] * 33), ENHANCE_YOUR_CALM),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["in one write", "in two"])
def test_a_greeting_that_breaks_the_rules_is_refused_by_their_code(world, octets, code, apart):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, greet=False)
            if apart:
                peer.writer.write(PREFACE)
                assert (await peer.frame())[0] == SETTINGS
                peer.writer.write(octets)
            else:
                peer.writer.write(PREFACE + octets)
            await peer.frames()
            assert goaway_of(peer)[0] == code
            assert await client.ask("", CHECK)

    run(main())


@pytest.mark.parametrize(
    "octets",
    [
        USUAL + settings((3, 7)),  # changed their mind
        USUAL + WIDER * 2,
        USUAL + frame(0xBB, payload=b"unknown kinds are passed over"),
        USUAL + frame(PING, payload=bytes(8)),
    ],
)
def test_who_says_more_than_a_greeting_becomes_a_connection(world, octets):
    async def main():
        async with h2_client(world) as client:
            await client.ask("", CHECK)
            peer = await Peer.connect(client.place.port, greet=False)
            peer.writer.write(PREFACE + octets)
            await peer.frame()
            assert kinds(client) == [H2Connection.__name__] * 2
            peer.request(1, QUESTION)
            assert (await peer.answer(1))[0]["grpc-status"] == "5"

    run(main())


def test_who_never_acknowledges_is_ended_like_the_silent_and_who_does_may_stay(world, clock):
    async def main():
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            await client.ask("", CHECK)
            mute = await greeted(client.place.port)
            busy = await greeted(client.place.port)
            pinging = await greeted(client.place.port)
            await pinging.begin()
            polite = await greeted(client.place.port)
            polite.send(SETTINGS, ACK)
            polite.send(WINDOW_UPDATE, 0, 0, (1 << 20).to_bytes(4, "big"))
            busy.request(1, QUESTION)
            await busy.answer(1)
            await polite.begin()
            clock.advance(limits.HANDSHAKE_TIMEOUT_S)
            assert await mute.frames() == await pinging.frames() == []
            await until(lambda: len(client.place.door._shared.connections) == 3)
            busy.request(3, QUESTION)
            await busy.answer(3)
            await polite.begin()

    run(main())


def test_who_asks_nothing_is_asked_to_go_in_the_end_and_a_question_on_its_way_is_answered(world, clock):
    async def main():
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            peers = [await greeted(client.place.port) for _ in range(2)]
            for peer in peers:
                peer.send(SETTINGS, ACK)
                await peer.writer.drain()
            await until(lambda: all(each._acknowledged for each in client.place.door._shared.connections))
            clock.advance(limits.CONNECTION_IDLE_S)
            for peer in peers:
                assert await peer.frame() == (GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4))
            quiet, late = peers
            late.request(1, QUESTION)
            assert (await late.answer(1))[0]["grpc-status"] == "5"
            clock.advance(h2_bounds.SHUTDOWN_NOTICE_S)
            assert await quiet.frames() == [(GOAWAY, 0, 0, bytes(8))]
            await late.frames()
            assert [payload[:4] for kind, payload in late.seen if kind == GOAWAY][-1] == (1).to_bytes(4, "big")

    run(main())


def test_a_drain_tells_those_who_have_greeted(world):
    async def main():
        async with world.serving() as asker, door_of("h2", asker.service) as place:
            peer = await greeted(place.port)
            peer.send(SETTINGS, ACK)
            drained = asyncio.create_task(place.door.drain(100.0))
            while (frame := await peer.frame()) is not None:
                if frame[0] == PING:
                    peer.send(PING, ACK, 0, frame[3])
            assert goaway_of(peer) == (0, b"")
            async with asyncio.timeout(30):
                await drained

    run(main())


def test_what_is_asked_once_is_not_remembered(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            for number in range(3):
                peer.request(2 * number + 1, QUESTION)
                await peer.answer(2 * number + 1)
                (connection,) = client.place.door._shared.connections
                assert len(connection._calls._tickets) == min(number, 1)
            assert methods.RESOLVE.path in str(connection._calls._tickets)

    run(main())


@pytest.mark.parametrize(
    "fields",
    [[("padding", "x" * 50_000)], [("padding", "x" * 5_000)], [("a", "")] * 200, [("a", "")]],
    ids=["one that is too long", "a long one", "many", "usual"],
)
def test_what_is_remembered_of_headers_is_bounded_by_their_octets(world, fields):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            for number in range(150 if len(fields[0][1]) < 10_000 else 10):
                block = peer.headers(extra=[*fields, ("n", str(number))])
                stream_id = 2 * number + 1
                pieces = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
                peer.send(HEADERS, 1 | (4 if len(pieces) == 1 else 0), stream_id, pieces[0])
                for place, piece in enumerate(pieces[1:], 2):
                    peer.send(CONTINUATION, 4 if place == len(pieces) else 0, stream_id, piece)
                await peer.answer(stream_id)
            (connection,) = client.place.door._shared.connections
            kept = connection._calls._tickets
            assert sum(len(name) + len(text) + 160 for each in kept for name, text in each) <= 32 << 10
            assert len(kept) > 10 if fields == [("a", "")] else len(kept) < 10

    run(main())


def test_connections_that_come_together_do_not_leave_together(world):
    async def main():
        async with h2_client(world) as client:
            peers = [await greeted(client.place.port) for _ in range(10)]
            for peer in peers:
                peer.request(1, QUESTION)
            for peer in peers:
                await peer.answer(1)
            ages = sorted(each._age_s for each in client.place.door._shared.connections)
            assert min(later - sooner for sooner, later in itertools.pairwise(ages)) > 1

    run(main())
