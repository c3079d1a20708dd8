"""Both gRPC doors of one service on loopback, and a raw HTTP/2 peer made of frames."""

import asyncio
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import ClassVar

import grpc
import hpack
import uvloop

from resolver.clock import SystemClock
from resolver.transport.grpc_h2 import H2Door
from resolver.transport.grpc_server import GrpcioDoor
from resolver.v1 import resolution_pb2
from tests.support.node import Client

DOORS = {"h2": H2Door, "grpcio": GrpcioDoor}

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def run(main):
    """Run a test's coroutine on the loop that workers have, and close the peers it made."""

    async def tidy():
        try:
            return await main
        finally:
            while Peer.made:
                Peer.made.pop().writer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(tidy())


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.01)


@asynccontextmanager
async def door_of(kind, service, *, clock=None, tls=None, write_timeout_s=5.0):
    """A door of a service: ``port``, ``observed`` calls and the door itself."""
    observed = []
    door = DOORS[kind](
        service,
        observe=lambda *call: observed.extend([call[:3]] * call[3]),
        clock=clock or SystemClock(),
        write_timeout_s=write_timeout_s,
    )
    port = await door.start("127.0.0.1", 0, tls)
    door.set_serving(True)
    try:
        yield SimpleNamespace(door=door, port=port, observed=observed, target=f"127.0.0.1:{port}")
    finally:
        await door.drain(0.0)


@asynccontextmanager
async def h2_client(world, *, write_timeout_s=5.0, clock=None, options=(), **changes):
    """A service behind the h2 door and a grpc.aio client of it."""
    async with (
        world.serving(**changes) as asker,
        door_of("h2", asker.service, clock=clock, write_timeout_s=write_timeout_s) as place,
        grpc.aio.insecure_channel(place.target, options=list(options)) as channel,
    ):
        client = Client(channel, world)
        client.place, client.service = place, asker.service
        yield client


@asynccontextmanager
async def both_clients(world, **changes):
    """Clients of both doors of one service, by the name of the door."""
    async with AsyncExitStack() as stack:
        asker = await stack.enter_async_context(world.serving(**changes))
        clients = {}
        for kind in DOORS:
            place = await stack.enter_async_context(door_of(kind, asker.service))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(place.target))
            clients[kind] = Client(channel, world)
            clients[kind].observed = place.observed
            clients[kind].core, clients[kind].service = asker.service.core, asker.service
            clients[kind].target = place.target
        yield clients


class Peer:
    """An HTTP/2 client that sends what it is told, right or wrong."""

    made: ClassVar[list] = []

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.seen = []
        """Kinds and payloads of all frames read."""
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()

    @classmethod
    async def connect(cls, port, *, settings=b"", greet=True):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        peer = cls(reader, writer)
        cls.made.append(peer)
        if greet:
            writer.write(PREFACE)
            peer.send(SETTINGS, payload=settings)
            while (await peer.frame())[:2] != (SETTINGS, ACK):
                pass
            peer.send(SETTINGS, ACK)
        return peer

    def send(self, kind, flags=0, stream_id=0, payload=b""):
        self.writer.write(
            len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload
        )

    def headers(self, path="/resolver.v1.ResolutionService/Resolve", extra=(), **changes):
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
        fields |= {"content-type": "application/grpc"} | changes
        return self._encoder.encode([*fields.items(), *extra])

    def request(self, stream_id, message=b"", **headers):
        """A whole unary request."""
        self.send(HEADERS, END_HEADERS, stream_id, self.headers(**headers))
        self.message(stream_id, message)

    def message(self, stream_id, message):
        """The one message of a request, and its end."""
        self.send(DATA, END_STREAM, stream_id, struct.pack(">BI", 0, len(message)) + message)

    async def begin(self):
        """Ping, so that there is a connection on the other side; who only greets has none."""
        self.send(PING, 0, 0, bytes(8))
        while (await self.frame())[:2] != (PING, ACK):
            pass

    async def frame(self, timeout_s=60.0):
        """The next frame as kind, flags, stream and payload; None at the end of the connection."""
        try:
            async with asyncio.timeout(timeout_s):
                head = await self._octets(9)
                payload = await self._octets(int.from_bytes(head[:3], "big"))
        except asyncio.IncompleteReadError:
            return None
        self.seen.append((head[3], payload))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def _octets(self, count):
        """So many octets. What came before a connection was reset is read as what comes before its end is."""
        try:
            return await self.reader.readexactly(count)
        except ConnectionError:
            self.reader.set_exception(None)
            self.reader.feed_eof()
            return await self.reader.readexactly(count)

    async def frames(self, timeout_s=60.0):
        """All frames until the connection ends."""
        found = []
        while (frame := await self.frame(timeout_s)) is not None:
            found.append(frame)
        return found

    async def answer(self, stream_id, timeout_s=60.0):
        """Headers (trailers among them) and message octets of an answer."""
        fields, data = {}, b""
        while True:
            frame = await self.frame(timeout_s)
            assert frame is not None, "the connection ended before the answer"
            kind, flags, where, payload = frame
            if kind == HEADERS:
                decoded = dict(self._decoder.decode(payload))
                fields |= decoded if where == stream_id else {}
            elif kind == DATA and where == stream_id:
                data += payload
            elif kind == RST_STREAM and where == stream_id:
                return fields | {"reset": int.from_bytes(payload, "big")}, data
            elif kind == PING and not flags & ACK:
                self.send(PING, ACK, 0, payload)
            if where == stream_id and kind in {HEADERS, DATA} and flags & END_STREAM:
                return fields, data


def tags_of(data):
    """The tags of a StreamResolve answer, whose messages stand behind five octets each."""
    tags, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at + 1)
        tags += resolution_pb2.StreamResolveResponse.FromString(data[at + 5 : at + 5 + length]).tags
        at += 5 + length
    return tags


def goaway_of(peer):
    """Error code and debug data of the last GOAWAY."""
    payload = [payload for kind, payload in peer.seen if kind == GOAWAY][-1]
    return int.from_bytes(payload[4:8], "big"), payload[8:]
