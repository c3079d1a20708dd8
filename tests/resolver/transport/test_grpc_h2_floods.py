"""Peers of the h2 door that mean harm: they are told to calm down, honest calls go on, memory stays."""

import asyncio
import gc
import os
import struct
from pathlib import Path

import grpc
import pytest

from resolver import limits, methods
from resolver.transport import h2_bounds
from resolver.transport.h2_connection import H2Connection
from resolver.transport.h2_guard import Guard
from resolver.transport.h2_newcomer import Newcomer
from resolver.transport.health import CHECK
from resolver.transport.reflection import INFO_V1
from resolver.v1 import changes_pb2, resolution_pb2
from tests.resolver.transport.h2_doors import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Peer,
    door_of,
    goaway_of,
    h2_client,
    run,
    until,
)
from tests.support.builders import PREFIX_A, register

NAME = f"{PREFIX_A}/one"
QUESTION = resolution_pb2.ResolveRequest(name=NAME)
CALM = 11


def resident_octets():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rapid_reset(peer, turn):
    stream_id = 2 * turn + 1
    peer.request(stream_id, QUESTION.SerializeToString())
    peer.send(RST_STREAM, 0, stream_id, (8).to_bytes(4, "big"))


def reset_of_writes(peer, turn):
    stream_id = 2 * turn + 1
    peer.send(HEADERS, END_HEADERS, stream_id, peer.headers(path=methods.STREAM_RESOLVE.path))
    peer.send(RST_STREAM, 0, stream_id, (8).to_bytes(4, "big"))


def pings(peer, turn):
    peer.send(PING, 0, 0, turn.to_bytes(8, "big"))


def settings(peer, turn):
    peer.send(SETTINGS, 0, 0, struct.pack(">HI", 3, turn))


def continuations(peer, turn):
    if not turn:
        peer.send(HEADERS, 0, 1, peer.headers())
    peer.send(CONTINUATION, 0, 1, b"\0\1a\1b" * 20)


FLOODS = {
    "rapid reset": (rapid_reset, 3_000, b"too_many_resets"),
    "reset of streams": (reset_of_writes, 3_000, b"too_many_resets"),
    "ping": (pings, 20_000, b"too_many_pings"),
    "settings": (settings, 5_000, b"too_many_settings"),
    "continuation": (continuations, 2_000, b""),
}


@pytest.mark.parametrize(("flood", "turns", "reason"), FLOODS.values(), ids=FLOODS)
def test_a_flood_is_ended_and_honest_calls_go_on(world, flood, turns, reason):
    register(world.engine, world.clock, NAME)

    async def attack(port):
        peer = await Peer.connect(port)
        try:
            for turn in range(turns):
                flood(peer, turn)
                if turn % 100 == 0:
                    await peer.writer.drain()
        except ConnectionError:
            pass  # ended while it was still at it
        await peer.frames()
        return peer

    async def main():
        async with h2_client(world) as client:
            await client.ask("", methods.RESOLVE, QUESTION)
            attacks = [asyncio.create_task(attack(client.place.port)) for _ in range(4)]
            honest = 0
            while not all(each.done() for each in attacks):
                await client.ask("", methods.RESOLVE, QUESTION)  # raises when it fails
                honest += 1
            assert honest
            told = [each.result() for each in attacks]
            reasons = [goaway_of(peer) for peer in told if any(kind == 7 for kind, _ in peer.seen)]
            assert reasons, "no attacker was told anything"
            assert set(reasons) <= {(CALM, reason), (CALM, b"")}  # nghttp2 says no more when it finds out first
            shared = client.place.door._shared
            await until(lambda: len(shared.connections) == 1)
            await until(lambda: shared.held_octets == 0)

    run(main())


def test_memory_comes_back_after_floods(world):
    register(world.engine, world.clock, NAME)

    async def main():
        async with h2_client(world) as client:

            async def attack():
                peer = await Peer.connect(client.place.port)
                try:
                    for turn in range(600):
                        rapid_reset(peer, turn)
                    await peer.writer.drain()
                except ConnectionError:
                    pass
                await peer.frames()
                peer.writer.close()

            for _ in range(5):
                await attack()
            gc.collect()
            before = resident_octets()
            for _ in range(40):
                await attack()
            gc.collect()
            assert resident_octets() - before < 12 << 20
            assert (await client.ask("", methods.RESOLVE, QUESTION))[0].record.name == NAME

    run(main())


def test_unfinished_requests_are_bounded(world, monkeypatch):
    monkeypatch.setattr(h2_bounds, "HELD_OCTETS_MAX", 1 << 20)

    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            for number in range(30):
                stream_id = 2 * number + 1
                peer.send(HEADERS, END_HEADERS, stream_id, peer.headers(path=methods.BATCH_RESOLVE.path))
                octets = struct.pack(">BI", 0, 4 << 20) + b"x" * 100_000
                for at in range(0, len(octets), 16_000):
                    peer.send(DATA, 0, stream_id, octets[at : at + 16_000])
            shared = client.place.door._shared
            await until(lambda: client.place.observed)
            assert shared.held_octets < (1 << 20) + 200_000
            assert {code for _, code, _ in client.place.observed} == {14}
            assert await client.ask("", CHECK)
            peer.writer.close()
            await until(lambda: not shared.held_octets)

    run(main())


def test_headers_alone_are_bounded_and_whole_requests_go_on(world, monkeypatch):
    """Calls that are begun and not continued cost memory too; once nothing bounded how many a worker had."""
    monkeypatch.setattr(h2_bounds, "HELD_OCTETS_MAX", 100 * h2_bounds.CALL_OCTETS)
    monkeypatch.setattr(h2_bounds, "HELD_OCTETS_END", 150 * h2_bounds.CALL_OCTETS)
    register(world.engine, world.clock, NAME)

    async def main():
        async with h2_client(world) as client:
            shared = client.place.door._shared
            peers = [await Peer.connect(client.place.port) for _ in range(4)]
            for number in range(60):
                for peer, method in zip(peers, (methods.RESOLVE, methods.PUT_VALUES) * 2, strict=True):
                    peer.send(HEADERS, END_HEADERS, 2 * number + 1, peer.headers(path=method.path))
            await until(lambda: len(client.place.observed) >= 4 * 60 - 150)
            assert {code for _, code, *_ in client.place.observed} == {14}
            assert 100 * h2_bounds.CALL_OCTETS < shared.held_octets <= 150 * h2_bounds.CALL_OCTETS
            assert (await client.ask("", methods.RESOLVE, QUESTION))[0].record.name == NAME
            for peer in peers:
                peer.writer.close()
            await until(lambda: not shared.held_octets)

    run(main())


def test_silent_and_slow_greetings_are_ended(world, clock):
    async def main():
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            silent = await Peer.connect(client.place.port, greet=False)
            slow = await Peer.connect(client.place.port, greet=False)
            slow.writer.write(PREFACE[:10])
            mute = await Peer.connect(client.place.port, greet=False)
            mute.writer.write(PREFACE)
            assert (await mute.frame())[0] == SETTINGS
            await client.ask("", CHECK)
            shared = client.place.door._shared
            assert len(shared.connections) == 4
            clock.advance(limits.HANDSHAKE_TIMEOUT_S)
            assert await silent.frames() == await slow.frames() == []
            await mute.frames()
            await until(lambda: len(shared.connections) == 1)
            await client.ask("", CHECK)

    run(main())


def test_a_greeting_may_come_octet_by_octet_and_is_answered_when_it_is_whole(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, greet=False)
            for at in range(len(PREFACE)):
                await client.ask("", CHECK)
                assert {type(each) for each in client.place.door._shared.connections} == {Newcomer, H2Connection}
                peer.writer.write(PREFACE[at : at + 1])
                await peer.writer.drain()
            assert (await peer.frame())[0] == SETTINGS
            peer.send(SETTINGS)
            peer.request(1, QUESTION.SerializeToString())
            assert (await peer.answer(1))[0]["grpc-status"] == "5"
            assert {type(each) for each in client.place.door._shared.connections} == {H2Connection}

    run(main())


def test_who_has_not_greeted_does_not_hold_up_a_drain(world):
    async def main():
        async with world.serving() as asker, door_of("h2", asker.service) as place:
            silent = await Peer.connect(place.port, greet=False)
            await until(lambda: place.door.connection_count)
            async with asyncio.timeout(30):
                await place.door.drain(100.0)
            assert await silent.frame() is None

    run(main())


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2, b"\x16\x03\x01" * 20, b"\0" * 64])
def test_other_protocols_are_turned_away(world, octets):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, greet=False)
            peer.writer.write(octets)
            await peer.frames()
            assert goaway_of(peer) == (1, b"")
            assert await client.ask("", CHECK)

    run(main())


def test_idle_and_old_connections_are_asked_to_go(world, clock):
    async def main():
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            for wait_s in (limits.CONNECTION_IDLE_S, limits.CONNECTION_AGE_S):
                peer = await Peer.connect(client.place.port)
                peer.request(1, QUESTION.SerializeToString())
                await peer.answer(1)
                clock.advance(wait_s - 1)
                peer.request(3, QUESTION.SerializeToString())
                await peer.answer(3)
                assert not [kind for kind, _ in peer.seen if kind == 7] or wait_s == limits.CONNECTION_AGE_S
                clock.advance(wait_s)
                while (frame := await peer.frame()) is not None:
                    if frame[0] == PING and not frame[1] & ACK:
                        peer.send(PING, ACK, 0, frame[3])
                assert goaway_of(peer) == (0, b"")

    run(main())


def test_no_more_connections_than_there_may_be(world, monkeypatch):
    monkeypatch.setattr(h2_bounds, "CONNECTIONS_MAX", 5)

    async def main():
        async with world.serving() as asker, door_of("h2", asker.service) as place:
            peers = [await Peer.connect(place.port, greet=False) for _ in range(4)] + [await Peer.connect(place.port)]
            await until(lambda: len(place.door._shared.connections) == 5)
            late = await Peer.connect(place.port, greet=False)
            assert await late.frame() is None
            peers[0].writer.close()
            await until(lambda: len(place.door._shared.connections) == 4)
            again = await Peer.connect(place.port)
            again.request(1, QUESTION.SerializeToString())
            assert (await again.answer(1))[0]["grpc-status"] == "5"

    run(main())


def test_more_streams_than_announced_are_refused(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            for number in range(limits.STREAMS_MAX + 20):
                peer.send(HEADERS, END_HEADERS, 2 * number + 1, peer.headers(path=methods.STREAM_RESOLVE.path))
            await peer.frames()
            assert goaway_of(peer)[0] == 1
            await client.ask("", CHECK)

    run(main())


def test_an_honest_client_that_pings_and_cancels_is_left_alone(world):
    options = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_permit_without_calls", 1)]

    async def main():
        register(world.engine, world.clock, NAME)
        async with h2_client(world, options=options) as client:
            for _ in range(100):
                call = client.channel.unary_unary(methods.RESOLVE.path)(QUESTION.SerializeToString())
                call.cancel()
                await client.ask("", methods.RESOLVE, QUESTION)
            assert client.channel.get_state() is grpc.ChannelConnectivity.READY

    run(main())


def test_ping_strikes():
    guard = Guard(0.0)
    assert [guard.on_ping(at) for at in (0.0, 10.0, 20.0)] == [None] * 3
    assert [guard.on_ping(at) for at in (21.0, 22.0, 23.0)] == [None, None, b"too_many_pings"]
    guard = Guard(0.0)
    for at in range(50):  # bandwidth probes beside data
        guard.on_answer()
        assert guard.on_ping(at / 10) is None


def test_buckets_refill():
    bucket = h2_bounds.Bucket((3, 2.0), 0.0)
    assert [bucket.spend(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.spend(1.0) for _ in range(3)] == [True, True, False]
    assert [bucket.spend(100.0) for _ in range(4)] == [True, True, True, False]


def test_a_stream_that_trickles_is_no_reason_to_be_punished(world):
    """A grpc client probes the bandwidth after most messages, those that come by themselves included."""
    count = 12

    async def main():
        async with h2_client(world, watch_poll_s=0.01) as client:
            watch = client.start("administrator", methods.WATCH, [changes_pb2.WatchRequest(from_serial=1)])
            heard = 0
            for number in range(count):
                register(world.engine, world.clock, f"{NAME}-{number}")  # by another worker, as it were
                while heard <= number:
                    heard += len((await watch.read()).changes)
                await asyncio.sleep(0.06)
            assert heard == count
            watch.cancel()

    run(main())


def test_a_stream_that_is_ended_for_its_faults_stops_its_handler_though_the_peer_falls_silent(world):
    async def main():
        async with h2_client(world, write_timeout_s=0.2) as client:
            peer = await Peer.connect(client.place.port)
            peer.send(HEADERS, END_HEADERS, 1, peer.headers(path=INFO_V1.path, extra=[("content-length", "3")]))
            peer.send(DATA, 0, 1, bytes(5))
            while (await peer.frame())[0] != RST_STREAM:
                pass
            (connection,) = client.place.door._shared.connections
            await until(lambda: not connection._calls.streams and not connection._calls.tasks)
            assert [code for _, code, _ in client.place.observed] == [1]

    run(main())


def test_a_defect_in_one_connection_keeps_no_other_from_being_looked_at(world, clock, monkeypatch):
    def defective(*_):
        raise ZeroDivisionError

    async def main():
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            await client.ask("", CHECK)
            with monkeypatch.context() as patch:
                looked = []
                patch.setattr(H2Connection, "tick", lambda *_: looked.append(1) or defective())
                patch.setattr(H2Connection, "end", defective)
                await until(lambda: looked)
            silent = await Peer.connect(client.place.port, greet=False)
            await until(lambda: len(client.place.door._shared.connections) == 2)
            clock.advance(limits.HANDSHAKE_TIMEOUT_S)
            assert await silent.frame() is None

    run(main())
