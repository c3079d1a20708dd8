"""Calls at the h2 door that take time: deadlines, cancellation, slow peers, long messages, drains."""

import asyncio
import base64
import gzip
import struct
import threading

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2

from resolver import limits, methods
from resolver.methods import METHODS
from resolver.transport import h2_bounds
from resolver.transport.health import WATCH as HEALTH_WATCH
from resolver.v1 import changes_pb2, registration_pb2, resolution_pb2
from tests.resolver.transport import h2_doors
from tests.resolver.transport.h2_doors import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Peer,
    h2_client,
    run,
    tags_of,
    until,
)
from tests.support.builders import PREFIX_A, register, value
from tests.support.node import Failed

NAME = f"{PREFIX_A}/one"
QUESTION = resolution_pb2.ResolveRequest(name=NAME)
CODES = {code.value[0]: code for code in grpc.StatusCode}


class StuckLane:
    """Holds the store's writer lock, so that every write of the service waits."""

    def __init__(self, engine):
        self._engine, self._go, self._held = engine, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self._waiting = threading.Event()

    def _hold(self):
        with self._engine.write():
            self._held.set()
            self._go.wait(100)

    def __enter__(self):
        self._thread.start()
        assert self._held.wait(60)
        begin_write = self._engine.begin_write

        def asked():
            self._waiting.set()
            return begin_write()

        self._engine.begin_write = asked
        return self

    def __exit__(self, *_):
        self.let_go()
        self._thread.join()
        del self._engine.begin_write

    async def until_it_waits(self):
        """Until the lane waits for the lock with its first jobs; what comes later queues behind them."""
        await until(self._waiting.is_set)

    def let_go(self):
        self._go.set()


def test_a_deadline_ends_a_call_that_waits(world):
    async def main():
        async with h2_client(world) as client:
            with StuckLane(world.engine):
                request = registration_pb2.CreateHandleRequest(name=NAME, values=[value()])
                metadata = [("authorization", f"Bearer {world.tokens['user_a']}")]
                peer = await Peer.connect(client.place.port)
                extra = [*metadata, ("grpc-timeout", "100m")]
                peer.request(1, request.SerializeToString(), path=methods.CREATE_HANDLE.path, extra=extra)
                fields, data = await peer.answer(1)
                assert (fields["grpc-status"], fields["grpc-message"], data) == ("4", "Deadline Exceeded", b"")
                with pytest.raises(Failed) as caught:
                    await client.ask("user_a", methods.CREATE_HANDLE, request, timeout=0.1)
                assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert 4 in {code for _, code, _ in client.place.observed}
            assert (await client.ask("", methods.GET_NODE_INFO))[0]

    run(main())


def test_a_deadline_ends_a_request_that_does_not_come(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            peer.send(HEADERS, END_HEADERS, 1, peer.headers(extra=[("grpc-timeout", "50m")]))
            fields, _ = await peer.answer(1)
            assert fields["grpc-status"] == "4"

    run(main())


def test_a_cancelled_call_stops_its_handler(world):
    async def main():
        register(world.engine, world.clock, NAME)
        async with h2_client(world) as client:
            call = client.start("administrator", methods.WATCH, [changes_pb2.WatchRequest(from_serial=1)])
            await call.read()
            call.cancel()
            await until(lambda: any(code == 1 for _, code, _ in client.place.observed))
            assert [method.name for method, code, _ in client.place.observed if code == 1] == ["Watch"]
            assert len(asyncio.all_tasks()) < 20

    run(main())


def test_a_peer_that_goes_away_ends_its_calls(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            request = health_pb2.HealthCheckRequest().SerializeToString()
            for stream_id in (1, 3, 5):
                peer.request(stream_id, request, path=HEALTH_WATCH.path)
            while (await peer.frame())[0] != DATA:
                pass
            peer.writer.close()
            await until(lambda: len([1 for _, code, _ in client.place.observed if code == 1]) == 3)

    run(main())


def test_health_watch_hears_of_the_drain(world):
    async def main():
        async with h2_client(world) as client:
            call = client.start("", HEALTH_WATCH, [health_pb2.HealthCheckRequest()])
            assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
            client.place.door.set_serving(False)
            assert (await call.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            call.cancel()

    run(main())


def test_long_messages_both_ways(world):
    """A record of nearly 1 MiB in, a page of nearly 4 MiB out, through windows of 64 KiB."""
    options = [("grpc.max_receive_message_length", 5 << 20), ("grpc.max_send_message_length", 5 << 20)]

    async def main():
        async with h2_client(world, options=options) as client:
            big = [value(index, "x" * 100_000) for index in range(1, 11)]
            for name in ("a", "b", "c"):
                request = registration_pb2.CreateHandleRequest(name=f"{PREFIX_A}/{name}", values=big)
                await client.ask("user_a", methods.CREATE_HANDLE, request)
            names = [f"{PREFIX_A}/{name}" for name in "abc"]
            (answer,) = await client.ask("", methods.BATCH_RESOLVE, resolution_pb2.BatchResolveRequest(names=names))
            assert [record.values[9].data for record in answer.records] == [b"x" * 100_000] * 3
            assert answer.ByteSize() > 3_000_000
            answers = await asyncio.gather(
                *(client.ask("", methods.RESOLVE, resolution_pb2.ResolveRequest(name=names[0])) for _ in range(40))
            )
            assert {len(answer[0].record.values) for answer in answers} == {10}
            questions = [resolution_pb2.StreamResolveRequest(tag=n, name=names[n % 3]) for n in range(20)]
            found = await client.ask("", methods.STREAM_RESOLVE, *questions)
            assert sorted(tag for answer in found for tag in answer.tags) == list(range(20))
            assert not any(answer.misses for answer in found)

    run(main())


def test_a_message_beyond_all_bounds_is_refused_by_its_prefix(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            peer.send(HEADERS, END_HEADERS, 1, peer.headers())
            peer.send(DATA, 0, 1, struct.pack(">BI", 0, 1 << 31) + b"x" * 1000)
            fields, _ = await peer.answer(1)
            assert fields["grpc-status"] == "8"
            assert "2147483648 octets" in fields["grpc-message"]
            bomb = gzip.compress(bytes(6 << 20))
            extra = [("grpc-encoding", "gzip")]
            path = methods.BATCH_RESOLVE.path
            peer.send(HEADERS, END_HEADERS, 3, peer.headers(path=path, extra=extra))
            peer.send(DATA, END_STREAM, 3, struct.pack(">BI", 1, len(bomb)) + bomb)
            fields, _ = await peer.answer(3)
            assert fields["grpc-status"] == "8"

    run(main())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"content-type": "application/json"}, {":status": "415"}),
        ({":method": "GET"}, {":status": "405"}),
        ({":path": "/x"}, {":status": "200", "grpc-status": "12"}),
        ({"grpc-encoding": "br"}, {"grpc-status": "12", "grpc-accept-encoding": "identity,deflate,gzip"}),
        ({"grpc-timeout": "soon"}, {"grpc-status": "13"}),
        ({"x-bin": "!"}, {"grpc-status": "13"}),
        ({"x": "y" * limits.METADATA_OCTETS_MAX}, {"grpc-status": "8"}),
    ],
)
def test_requests_that_are_no_calls(world, change, expected):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            for stream_id in (1, 3):  # the second time from memory
                peer.send(HEADERS, END_HEADERS | END_STREAM, stream_id, peer.headers(**change))
                fields, _ = await peer.answer(stream_id)
                assert {key: fields.get(key) for key in expected} == expected
            peer.request(5, QUESTION.SerializeToString())
            fields, _ = await peer.answer(5)
            assert fields["grpc-status"] == "5"

    run(main())


def test_one_message_exactly(world):
    async def main():
        async with h2_client(world) as client:
            register(world.engine, world.clock, NAME)
            peer = await Peer.connect(client.place.port)
            frame = struct.pack(">BI", 0, QUESTION.ByteSize()) + QUESTION.SerializeToString()
            outcomes = {}
            for stream_id, data in ((1, b""), (3, frame + frame), (5, frame[:-1]), (7, frame)):
                peer.send(HEADERS, END_HEADERS, stream_id, peer.headers())
                for octet in data:
                    peer.send(DATA, 0, stream_id, bytes([octet]))
                peer.send(DATA, END_STREAM, stream_id)
                outcomes[stream_id] = (await peer.answer(stream_id))[0]["grpc-status"]
            assert outcomes == {1: "12", 3: "12", 5: "13", 7: "0"}

    run(main())


def test_a_watch_that_takes_nothing_is_ended(world):
    async def main():
        for number in range(60):
            register(world.engine, world.clock, f"{PREFIX_A}/{number}", [value(1, "x" * 20_000)])
        async with h2_client(world, write_timeout_s=0.4) as client:
            # A window of 1,000 octets that is never opened again.
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 1_000))
            request = changes_pb2.WatchRequest(from_serial=1, include_records=True).SerializeToString()
            token = [("authorization", f"Bearer {world.tokens['administrator']}")]
            peer.request(1, request, path=methods.WATCH.path, extra=token)
            await until(lambda: client.place.observed)
            ((method, code, _),) = client.place.observed
            assert (method.name, CODES[code]) == ("Watch", grpc.StatusCode.RESOURCE_EXHAUSTED)
            fields, data = await peer.answer(1)
            assert len(data) == 1_000
            assert fields["reset"] == 8  # what it did not take is given up in the end
            peer.request(3, QUESTION.SerializeToString())
            assert (await peer.answer(3))[0]["grpc-status"] == "5"

    run(main())


def test_a_slow_watch_hears_why(world, clock):
    async def main():
        for number in range(60):
            register(world.engine, world.clock, f"{PREFIX_A}/{number}", [value(1, "x" * 20_000)])
        async with h2_client(world, clock=clock, write_timeout_s=0.2) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 1_000))
            request = changes_pb2.WatchRequest(from_serial=1, include_records=True).SerializeToString()
            token = [("authorization", f"Bearer {world.tokens['administrator']}")]
            await peer.begin()
            (connection,) = client.place.door._shared.connections
            peer.request(1, request, path=methods.WATCH.path, extra=token)
            await until(lambda: connection._calls._blocked)
            clock.advance(0.2)
            await until(lambda: client.place.observed)
            for stream_id in (0, 1):
                peer.send(h2_doors.WINDOW_UPDATE, 0, stream_id, (16 << 20).to_bytes(4, "big"))
            fields, _ = await peer.answer(1)
            assert fields["grpc-status"] == "8"
            details = fields["grpc-status-details-bin"]
            octets = base64.b64decode(details + "=" * (-len(details) % 4))
            assert b"WATCH_TOO_SLOW" in status_pb2.Status.FromString(octets).details[0].value

    run(main())


def test_questions_wait_until_answers_are_taken(world):
    """A resolution stream whose answers nobody takes stops being read, and goes on when they are taken."""

    async def main():
        register(world.engine, world.clock, NAME, [value(1, "x" * 50_000)])
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 0))
            await peer.begin()
            peer.send(HEADERS, END_HEADERS, 1, peer.headers(path=methods.STREAM_RESOLVE.path))
            for tag in range(1, 201):
                message = resolution_pb2.StreamResolveRequest(tag=tag, name=NAME).SerializeToString()
                peer.send(DATA, 0, 1, struct.pack(">BI", 0, len(message)) + message)
            peer.send(DATA, END_STREAM, 1)
            (connection,) = client.place.door._shared.connections
            await until(lambda: connection._calls._blocked)
            await asyncio.sleep(0.1)
            assert connection._session.queued_body_size() < 8 << 20  # 200 answers are 10 MB
            for stream_id in (0, 1):
                peer.send(h2_doors.WINDOW_UPDATE, 0, stream_id, (1 << 28).to_bytes(4, "big"))
            fields, data = await peer.answer(1)
            assert fields["grpc-status"] == "0"
            assert tags_of(data) == list(range(1, 201))

    run(main())


def test_answers_nobody_takes_stop_further_calls(world):
    async def main():
        register(world.engine, world.clock, NAME, [value(1, "x" * 500_000)])
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 0))
            await peer.begin()
            for number in range(60):
                peer.request(2 * number + 1, QUESTION.SerializeToString())
            (connection,) = client.place.door._shared.connections
            await until(lambda: connection._calls._postponed)
            await asyncio.sleep(0.1)
            assert connection._session.queued_body_size() <= h2_bounds.ANSWERS_OCTETS_MAX + 1_000_000
            assert len(client.place.observed) < 15
            for number in range(60):
                peer.send(h2_doors.WINDOW_UPDATE, 0, 2 * number + 1, (1 << 20).to_bytes(4, "big"))
            peer.send(h2_doors.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            await peer.writer.drain()
            assert (await peer.answer(119))[0]["grpc-status"] == "0"
            await until(lambda: len(client.place.observed) == 60)

    run(main())


def test_imports_are_read_no_faster_than_they_are_applied(world):
    """The peer's window stays shut while the handler has enough to do."""

    async def main():
        async with h2_client(world) as client:
            with StuckLane(world.engine) as lane:
                peer = await Peer.connect(client.place.port)
                token = [("authorization", f"Bearer {world.tokens['user_a']}")]
                peer.send(HEADERS, END_HEADERS, 1, peer.headers(path=methods.IMPORT_HANDLES.path, extra=token))
                rows = [registration_pb2.NewHandle(name=f"{PREFIX_A}/{n}", values=[value()]) for n in range(500)]
                chunk = registration_pb2.ImportHandlesRequest(import_id="i", handles=rows).SerializeToString()
                frame = struct.pack(">BI", 0, len(chunk)) + chunk
                sent = 0
                window = h2_bounds.STREAM_WINDOW_OCTETS
                try:
                    async with asyncio.timeout(1.0):
                        while sent < 4 << 20:
                            while window < 16_000:
                                kind, _, where, payload = await peer.frame(10.0)
                                if kind == h2_doors.WINDOW_UPDATE and where == 1:
                                    window += int.from_bytes(payload, "big")
                            piece = (frame * 2)[sent % len(frame) :][:16_000]
                            peer.send(DATA, 0, 1, piece)
                            sent += len(piece)
                            window -= len(piece)
                except TimeoutError:
                    pass
                assert sent < 2 << 20
                lane.let_go()

    run(main())


def test_a_drain_lets_calls_finish_and_sends_the_peer_away(world):
    async def main():
        async with h2_client(world) as client:
            with StuckLane(world.engine) as lane:
                peer = await Peer.connect(client.place.port)
                token = [("authorization", f"Bearer {world.tokens['user_a']}")]
                request = registration_pb2.CreateHandleRequest(name=NAME, values=[value()]).SerializeToString()
                peer.request(1, request, path=methods.CREATE_HANDLE.path, extra=token)
                await lane.until_it_waits()
                draining = asyncio.create_task(client.place.door.drain(100.0))
                await asyncio.sleep(0)
                assert not draining.done()
                lane.let_go()
                fields, data = await peer.answer(1)
                assert (fields["grpc-status"], len(data) > 5) == ("0", True)
                await peer.frames()
                assert h2_doors.goaway_of(peer) == (0, b"")
                await asyncio.wait_for(draining, 60)
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await asyncio.open_connection("127.0.0.1", client.place.port)

    run(main())


def test_a_drain_without_grace_ends_calls_with_a_reason(world):
    async def main():
        async with h2_client(world) as client:
            watch = client.start("", HEALTH_WATCH, [health_pb2.HealthCheckRequest()])
            questions = client.channel.stream_stream(methods.STREAM_RESOLVE.path)()
            await watch.read()
            await questions.write(resolution_pb2.StreamResolveRequest(tag=1, name=NAME).SerializeToString())
            await questions.read()
            await client.place.door.drain(0.0)
            assert await watch.code() is grpc.StatusCode.UNAVAILABLE
            assert await questions.code() is grpc.StatusCode.UNAVAILABLE

    run(main())


def test_a_second_drain_hurries_the_first(world):
    async def main():
        async with h2_client(world) as client:
            questions = client.channel.stream_stream(methods.STREAM_RESOLVE.path)()
            await questions.write(resolution_pb2.StreamResolveRequest(tag=1, name=NAME).SerializeToString())
            await questions.read()
            first = asyncio.create_task(client.place.door.drain(60.0))
            await asyncio.sleep(0.05)
            assert not first.done()
            await client.place.door.drain(0.0)
            await asyncio.wait_for(first, 30)
            assert await questions.code() is grpc.StatusCode.UNAVAILABLE

    run(main())


def test_all_tables_are_mounted(world):
    async def main():
        async with h2_client(world) as client:
            mounted = {path.decode() for path in client.place.door._mounts}
            assert set(METHODS) <= mounted
            assert len(mounted) == len(METHODS) + 4

    run(main())
