"""Long answers of a burst leave one by one and in pieces: memory for all of them at once came and went page by page."""

import asyncio
import socket
import struct

from resolver import methods
from resolver.transport import h2_bounds
from resolver.transport.deadlines import WRITE_PROGRESS_OCTETS
from resolver.v1 import resolution_pb2
from storage.lmdb_transactions import LmdbReader
from storage.tables import Table
from tests.resolver.transport import h2_doors
from tests.resolver.transport.h2_doors import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    Peer,
    h2_client,
    run,
    tags_of,
)
from tests.support.builders import PREFIX_A, register, value

NAMES = [f"{PREFIX_A}/{number}" for number in range(5)]
VALUE_OCTETS = 60_000
BATCHES = 6


class Recorder:
    """A transport that notes what is written, and what waited when it was."""

    def __init__(self, transport, session):
        self._transport, self._session = transport, session
        self.pieces, self.waiting = [], []

    def write(self, octets):
        self.pieces.append(len(octets))
        self.waiting.append(self._session.queued_body_size())
        self._transport.write(octets)

    def __getattr__(self, name):
        return getattr(self._transport, name)


def test_long_answers_of_a_burst_leave_one_by_one(world):
    async def main():
        for number, name in enumerate(NAMES):
            register(world.engine, world.clock, name, [value(1, str(number) * VALUE_OCTETS)])
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 2**31 - 1))
            peer.send(h2_doors.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            await peer.begin()
            (connection,) = client.place.door._shared.connections
            connection._transport.set_write_buffer_limits(high=16 << 20)  # as if the kernel took all of it
            recorder = connection._transport = Recorder(connection._transport, connection._session)
            for number in range(BATCHES):
                names = NAMES[number % 5 :] + NAMES[: number % 5]
                message = resolution_pb2.BatchResolveRequest(names=names).SerializeToString()
                peer.request(2 * number + 1, message, path=methods.BATCH_RESOLVE.path)
            for number in range(BATCHES):
                fields, data = await peer.answer(2 * number + 1)
                assert fields["grpc-status"] == "0"
                found = [record.name for record in resolution_pb2.BatchResolveResponse.FromString(data[5:]).records]
                assert found == NAMES[number % 5 :] + NAMES[: number % 5]
            assert sum(recorder.pieces) > BATCHES * 5 * VALUE_OCTETS
            assert max(recorder.pieces) <= h2_bounds.WRITE_OCTETS
            assert max(recorder.waiting) < 6 * VALUE_OCTETS  # one answer, not six

    run(main())


def test_questions_for_long_records_wait_like_others_and_all_are_answered(world):
    """Twenty streams ask for a record of 64 KiB a hundred times each: what is held is what a connection may have."""

    async def main():
        register(world.engine, world.clock, f"{PREFIX_A}/big", [value(number + 1, "x" * 480) for number in range(130)])
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 0))
            await peer.begin()
            streams = range(1, 41, 2)
            for stream_id in streams:
                peer.send(HEADERS, END_HEADERS, stream_id, peer.headers(path=methods.STREAM_RESOLVE.path))
                asked = [resolution_pb2.StreamResolveRequest(tag=tag, name=f"{PREFIX_A}/big") for tag in range(1, 101)]
                octets = [each.SerializeToString() for each in asked]
                peer.send(DATA, 0, stream_id, b"".join(struct.pack(">BI", 0, len(each)) + each for each in octets))
            peer.send(PING, 0, 0, bytes(8))
            while (frame := await peer.frame())[:2] != (PING, ACK):
                if frame[0] == HEADERS:
                    peer._decoder.decode(frame[3])
            (connection,) = client.place.door._shared.connections
            assert connection._session.queued_body_size() < 4 * h2_bounds.ANSWERS_OCTETS_MAX
            for stream_id in streams[1:]:
                peer.send(h2_doors.RST_STREAM, 0, stream_id, (8).to_bytes(4, "big"))
            peer.send(DATA, END_STREAM, 1)
            for stream_id in (0, 1):
                peer.send(h2_doors.WINDOW_UPDATE, 0, stream_id, (1 << 28).to_bytes(4, "big"))
            fields, data = await peer.answer(1)
            assert fields["grpc-status"] == "0"
            assert tags_of(data) == list(range(1, 101))

    run(main())


def test_of_many_questions_for_long_records_those_are_read_that_are_answered(world, monkeypatch):
    """All that waited were read anew for each message, which has room for some: their number made each cost more."""
    read = []

    def noting(get):
        def noted(reader, table, keys):
            found = get(reader, table, keys)
            if table is Table.RECORDS:
                read.extend(map(len, filter(None, found if isinstance(found, list) else [found])))
            return found

        return noted

    async def main():
        register(world.engine, world.clock, f"{PREFIX_A}/big", [value(number + 1, "x" * 60_000) for number in range(8)])
        register(world.engine, world.clock, f"{PREFIX_A}/small")
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 2**31 - 1))
            await peer.begin()
            peer.send(h2_doors.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            for way in ("get_rows", "get_row"):
                monkeypatch.setattr(LmdbReader, way, noting(getattr(LmdbReader, way)))
            peer.send(HEADERS, END_HEADERS, 1, peer.headers(path=methods.STREAM_RESOLVE.path))
            names = [f"{PREFIX_A}/big"] * 64 + [f"{PREFIX_A}/small"] * 64
            asked = [resolution_pb2.StreamResolveRequest(tag=tag, name=name) for tag, name in enumerate(names)]
            octets = [each.SerializeToString() for each in asked]
            peer.send(DATA, END_STREAM, 1, b"".join(struct.pack(">BI", 0, len(each)) + each for each in octets))
            pieces = []
            while (frame := await peer.frame())[0] != HEADERS or not frame[1] & END_STREAM:
                if frame[0] == DATA:
                    pieces.append(frame[3])
            assert sorted(tags_of(b"".join(pieces))) == list(range(128))
            assert 64 * 480_000 < sum(map(len, pieces)) <= sum(read) < 1.5 * sum(map(len, pieces))

    run(main())


async def leaving_with_an_answer(world, client):
    """A peer that takes nothing of a long answer, and its connection, which closes behind it."""
    register(world.engine, world.clock, NAMES[0], [value(number + 1, "x" * 60_000) for number in range(16)])
    peer = await Peer.connect(client.place.port, settings=struct.pack(">HI", 4, 2**31 - 1))
    peer.send(h2_doors.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
    await peer.begin()
    (connection,) = client.place.door._shared.connections
    transport = connection._transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    transport.set_write_buffer_limits(high=4 << 20)
    peer.writer.transport.pause_reading()
    peer.send(h2_doors.GOAWAY, 0, 0, bytes(8))
    peer.request(1, resolution_pb2.ResolveRequest(name=NAMES[0]).SerializeToString())
    await h2_doors.until(lambda: connection._closed_s is not None)
    return peer, connection


def test_the_end_of_a_long_answer_may_be_taken_slowly_from_a_connection_that_closes(world):
    """Whatever was not taken five seconds after the last stream of a leaving connection had ended was cut off."""

    async def main():
        async with h2_client(world) as client:
            peer, connection = await leaving_with_an_answer(world, client)
            transport = connection._transport
            late_s, left = client.place.door._shared.monotonic_s(), transport.get_write_buffer_size()
            assert left > h2_bounds.WRITE_OCTETS_LOW
            peer.writer.transport.resume_reading()
            reading = asyncio.create_task(peer.answer(1))
            await h2_doors.until(lambda: transport.get_write_buffer_size() < left - WRITE_PROGRESS_OCTETS)
            connection.tick(late_s + 6.0)
            fields, data = await reading
            assert (fields["grpc-status"], len(data) > 16 * 60_000) == ("0", True)

    run(main())


def test_a_connection_that_closes_waits_for_no_peer_that_takes_nothing(world):
    async def main():
        async with h2_client(world) as client:
            _, connection = await leaving_with_an_answer(world, client)
            connection.tick(client.place.door._shared.monotonic_s() + 6.0)
            await h2_doors.until(lambda: not client.place.door._shared.connections)

    run(main())


def test_a_connection_that_is_lost_while_others_are_looked_at_does_not_end_the_look(world):
    """The look rests between some connections and the next: one that was closing and went meanwhile was a defect,
    and with that of ending it nobody looked at any connection any more."""

    async def main():
        async with h2_client(world) as client:
            peer, connection = await leaving_with_an_answer(world, client)
            peer.writer.transport.abort()
            await h2_doors.until(lambda: not client.place.door._shared.connections)
            connection.tick(client.place.door._shared.monotonic_s() + 6.0)

    run(main())
