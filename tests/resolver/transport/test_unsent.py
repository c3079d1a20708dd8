"""What peers do not take is bounded at every door: those stuck for longest are cut off, those who read lose nothing."""

import asyncio
import gc
import socket
import ssl
import time
import weakref
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
from starlette.responses import Response
from starlette.routing import Route

from resolver import methods
from resolver.telemetry.calls import GRPC, CallCounts
from resolver.transport import unsent
from resolver.transport.http.calls import HttpOptions
from resolver.transport.http.door import Door, told_plainly
from resolver.transport.http.server import HttpDoor
from resolver.transport.unsent import UnsentAnswers
from resolver.v1 import resolution_pb2
from resolver.wire import requests
from tests.resolver.transport.h2_doors import WINDOW_UPDATE, Peer, h2_client, run, until
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, HandleClient, handle_node
from tests.resolver.transport.hdl_node import value as handle_value
from tests.resolver.transport.http.http_node import http_node, self_signed
from tests.support.builders import PREFIX_A, register, value
from tests.support.clock import FakeClock

DATA_OCTETS = 900_000
DATA = b"x" * DATA_OCTETS
BOUND = 4 << 20
GREEDY, ASKED = 10, 8
"""Peers that read nothing, and how much they ask for: a kernel holds some 3 MB of answers for each of them."""


@pytest.fixture(autouse=True)
def _bound(monkeypatch):
    monkeypatch.setattr(unsent, "UNSENT_OCTETS_MAX", BOUND)


class Loop:
    def __init__(self):
        self.now_s, self.soon = 0.0, []

    def time(self):
        return self.now_s

    def call_soon(self, work):
        self.soon.append(work)


class Stuck:
    @property
    def held_octets(self):
        return self.unsent_octets

    def __init__(self, cut, octets):
        self.unsent_octets, self._cut = octets, cut

    def cut_off(self):
        self._cut.append(self)
        self.unsent_octets = 0


class Watched:
    def __init__(self):
        self.loop, self.peers, self.cut, self.calls = Loop(), [], [], CallCounts(lambda: 0)
        self.answers = UnsentAnswers(GRPC, self.calls.cut_off, lambda: self.peers)
        self.answers.start(self.loop)

    def add(self, octets):
        self.peers.append(Stuck(self.cut, octets))
        return self.peers[-1]

    def look(self, now_s):
        self.loop.now_s = now_s
        self.answers.look()


def test_who_is_stuck_for_longest_goes_first_and_then_who_has_most():
    watched = Watched()
    old = watched.add(BOUND // 8)
    watched.look(1)
    watched.look(2)
    small, large = watched.add(BOUND // 4), watched.add(BOUND // 2)
    watched.look(3)
    assert watched.cut == []
    fresh = watched.add(BOUND * 3 // 4)
    watched.look(4)
    assert watched.cut == [old, large]
    assert watched.calls.take().cut_off == {GRPC: 2}
    assert watched.calls.take().cut_off == {}
    watched.look(5)
    assert watched.cut == [old, large]
    fresh.unsent_octets += 1
    watched.look(6)
    assert watched.cut == [old, large, small]


def test_who_reads_begins_anew_however_much_is_asked_for():
    watched = Watched()
    reader = watched.add(BOUND // 2)
    for second in range(1, 20):
        reader.unsent_octets -= 1
        watched.look(second)
    watched.add(BOUND // 4)
    for second in range(20, 30):
        reader.unsent_octets += 1 if second % 2 else -1
        watched.look(second)
    watched.add(BOUND // 2)
    watched.look(30)
    assert watched.cut == [watched.peers[1]]


def test_a_peer_with_a_defect_does_not_hide_the_others():
    class Broken:
        @property
        def unsent_octets(self):
            raise RuntimeError("a defect")

    watched = Watched()
    watched.peers.append(Broken())
    stuck = watched.add(BOUND + 1)
    watched.look(1)
    assert watched.cut == [stuck]


def test_a_look_comes_when_enough_has_not_been_taken():
    watched = Watched()
    for _ in range(10):
        watched.answers.note(BOUND // 4 // 10)
    assert watched.loop.soon == []
    watched.answers.note(BOUND)
    watched.answers.note(BOUND)
    assert watched.loop.soon == [watched.answers.look]
    watched.look(1)
    watched.answers.note(BOUND)
    assert len(watched.loop.soon) == 2


def sockets(port, octets, count, context=None):
    """Clients that ask and read nothing."""
    made = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", port))
        client.settimeout(60)
        if context is not None:
            client = context.wrap_socket(client, server_hostname="localhost")
        client.sendall(octets)
        made.append(client)
    return made


def everything(client, octets):
    """Whether a client can read so many octets."""
    with client, suppress(ConnectionError, ssl.SSLError):
        while octets > 0:
            part = client.recv(1 << 20)
            if not part:
                break
            octets -= len(part)
    return octets <= 0


def wait_for(condition):
    until_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def counting(door):
    """Numbers of connections as the door counts those it has cut off."""
    cut = []
    door.unsent._count = lambda _, connections: cut.append(connections)
    return cut


def waits(peers):
    return sum(each.held_octets for each in list(peers) if each.unsent_octets)


def test_grpc_peers_that_take_nothing_are_cut_off_and_others_answered(world):
    async def main():
        name = f"{PREFIX_A}/big"
        register(world.engine, world.clock, name, [value(1, DATA.decode())])
        message = resolution_pb2.ResolveRequest(name=name).SerializeToString()
        async with h2_client(world, write_timeout_s=600.0) as client:
            shared = client.place.door._shared
            cut = counting(shared)
            honest = await Peer.connect(client.place.port)
            honest.send(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            greedy = [await Peer.connect(client.place.port) for _ in range(GREEDY)]
            for number, peer in enumerate(greedy):
                for asked in range(2):
                    peer.request(2 * asked + 1, message, path=methods.RESOLVE.path)
                stream_id = 2 * number + 1
                honest.request(stream_id, message, path=methods.RESOLVE.path)
                honest.send(WINDOW_UPDATE, 0, stream_id, (1 << 30).to_bytes(4, "big"))
                fields, data = await honest.answer(stream_id)
                assert fields["grpc-status"] == "0"
                assert len(data) > DATA_OCTETS
            await until(lambda: sum(cut) >= GREEDY - 2)
            await until(lambda: waits(shared.connections) <= BOUND)
            assert len(shared.connections) == 1 + GREEDY - sum(cut)
            for peer in greedy[-len(shared.connections) + 1 :]:  # the last ones: they have what they asked for
                peer.send(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
                peer.send(WINDOW_UPDATE, 0, 1, (1 << 30).to_bytes(4, "big"))
                fields, data = await peer.answer(1)
                assert fields["grpc-status"] == "0"
                assert len(data) > DATA_OCTETS

    run(main())


def test_handle_clients_that_take_nothing_are_cut_off_and_others_answered(tmp_path):
    with handle_node(tmp_path, clock=FakeClock()) as node:
        node.store("88.300.1/BIG", handle_value(1, "URL", DATA))
        client = HandleClient(node.port, keep=True)
        question = client.request(1, requests.Resolution("88.300.1/BIG"), flags=HSJ_PUBLIC).to_wire()
        door, greedy = node.tcp[0], []
        cut = counting(door)
        for _ in range(GREEDY):
            greedy += sockets(node.port, question * ASKED, 1)
            answer = client.frames(question)[0].to_wire()
            assert len(answer) > DATA_OCTETS
        wait_for(lambda: cut and waits(door._connections) <= BOUND)
        whole = sum(everything(each, len(answer) * ASKED) for each in greedy)
        assert whole == GREEDY - sum(cut)
        assert len(client.frames(question)[0].payload) > DATA_OCTETS
        client.close()


@pytest.mark.parametrize("secure", [False, True])
def test_http_clients_that_take_nothing_are_cut_off_and_others_answered(tmp_path, secure):
    with http_node(tmp_path) as node:
        node.store("88.300.1/BIG", handle_value(1, "URL", DATA))
        context = ssl.create_default_context(cafile=str(node.ca)) if secure else None
        question = b"GET /api/handles/88.300.1/BIG HTTP/1.1\r\nhost: x\r\n\r\n"
        door, greedy = node.doors[secure], []
        cut = counting(door)
        with node.client(secure=secure) as client:
            for _ in range(GREEDY):
                greedy += sockets(node.ports[secure], question * ASKED, 1, context)
                assert len(client.get("/api/handles/88.300.1/BIG").content) > DATA_OCTETS
            wait_for(lambda: cut and waits(door._answered()) <= BOUND)
            whole = sum(everything(each, DATA_OCTETS * ASKED) for each in greedy)
            assert whole == GREEDY - sum(cut)
            assert len(client.get("/api/handles/88.300.1/BIG").content) > DATA_OCTETS


@asynccontextmanager
async def large_answers(directory, *, secure):
    """An HTTP door of long answers, its port, and what its clients have to trust."""
    context = serving = None
    if secure:
        certificate, key = self_signed("localhost")
        (directory / "node.crt").write_bytes(certificate)
        (directory / "node.key").write_bytes(key)
        context = ssl.create_default_context(cafile=str(directory / "node.crt"))
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(directory / "node.crt", directory / "node.key")

    async def large(_):
        return Response(DATA)

    door = HttpDoor(
        SimpleNamespace(),
        HttpOptions("88.300"),
        lambda *_: None,
        idle_s=60.0,
        doors=(Door("demo", ("/",), lambda *_: [Route("/", large)], told_plainly),),
    )
    yield door, await door.start("127.0.0.1", 0, serving), context
    await door.drain(0.0)


def test_what_an_encrypted_client_does_not_take_is_seen(tmp_path):
    """uvloop hands a long answer to the transport below whole, and says that nothing waits."""

    async def main():
        async with large_answers(tmp_path, secure=True) as (door, port, context):
            (client,) = await asyncio.to_thread(sockets, port, b"", 1, context)
            await until(lambda: door.newcomers)
            (newcomer,) = door.newcomers
            newcomer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
            await asyncio.to_thread(client.sendall, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await until(lambda: door._answered() and door._answered()[0].flow.write_paused)
            (connection,) = door._answered()
            assert connection.unsent_octets > DATA_OCTETS // 2
            assert connection.held_octets >= DATA_OCTETS
            assert await asyncio.to_thread(everything, client, DATA_OCTETS)

    run(main())


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("end", ["cut off", "left"])
def test_what_a_connection_held_goes_with_it(tmp_path, secure, end):
    """Kept for the collector of cycles, which comes rarely, every encrypted client left its whole answer behind."""

    async def main():
        async with large_answers(tmp_path, secure=secure) as (door, port, context):
            (client,) = await asyncio.to_thread(sockets, port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 8, 1, context)
            await until(lambda: door._answered() and door._answered()[0].flow.write_paused)
            connections = weakref.WeakSet(door._answered())
            gc.disable()
            try:
                if end == "left":
                    client.close()
                else:
                    door._answered()[0].cut_off()
                await until(lambda: not connections)
            finally:
                gc.enable()
            client.close()

    run(main())
