"""Other nodes' names at both gRPC doors: alone, in batches, in streams, traced, by alias, and asked by other nodes."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from resolver import limits, methods
from resolver.clock import SystemClock
from resolver.federation.contacts import Contact
from resolver.federation.grpc_peer import GrpcPeer
from resolver.federation.steps import Ask, Moment, Said
from resolver.handle.value import HandleValue
from resolver.v1 import registry_pb2
from resolver.v1 import resolution_pb2 as pb
from tests.resolver.transport.h2_doors import DOORS, both_clients, run, until
from tests.support.builders import PREFIX_A, add_prefix, register, value
from tests.support.handle_servers import found, missing, serving
from tests.support.node import Failed
from tests.support.searching import be_patient, upstream_for

LOCAL, FOREIGN, GONE = f"{PREFIX_A}/L", "88.300.77/F", "88.300.77/GONE"
SAYS = {
    "": missing(),
    FOREIGN: found(HandleValue(1, "URL", b"far"), HandleValue(2, "DESC", "远".encode())),
    "88.300.77/ALIAS": found(HandleValue(1, "HS_ALIAS", LOCAL.encode())),
    "88.300.77/ROUND": found(HandleValue(1, "HS_ALIAS", b"88.300.77/ROUND2")),
    "88.300.77/ROUND2": found(HandleValue(1, "HS_ALIAS", b"88.300.77/ROUND")),
}


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


@asynccontextmanager
async def doors(world, *, recursion=True, **options):
    """Clients of both doors of a node that routes 88.300.77 to a server, the server, and what asks it."""
    register(world.engine, world.clock, LOCAL, [value(1, "near")])
    async with serving(dict(SAYS), **options) as server:
        route = registry_pb2.Route(address="127.0.0.1", tcp_port=server.port)
        with world.engine.write() as writer:
            add_prefix(writer, "88.300.77", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
        async with both_clients(world, recursion=recursion) as clients:
            core = clients["h2"].core
            upstream = core.elsewhere = upstream_for(clients["h2"].service, SystemClock())
            try:
                yield clients, server, upstream
            finally:
                core.elsewhere = None
                await upstream.close()


def urls(record):
    return [each.data.decode() for each in record.values if each.type == "URL"]


@pytest.mark.parametrize("kind", DOORS)
def test_one_name(world, kind):
    async def main():
        async with doors(world) as (clients, server, _):
            client = clients[kind]
            for _ in range(3):
                (response,) = await client.ask("", methods.RESOLVE, pb.ResolveRequest(name=FOREIGN))
                assert urls(response.record) == ["far"]
                assert response.origin.server == f"tcp 127.0.0.1:{server.port}"
                assert not response.origin.stale
            assert server.asked == [FOREIGN]
            (response,) = await client.ask("", methods.RESOLVE, pb.ResolveRequest(name=FOREIGN, types=["DESC"]))
            assert [each.data.decode() for each in response.record.values] == ["远"]
            for request, reason in (
                (pb.ResolveRequest(name=FOREIGN, types=["EMAIL"]), "VALUES_NOT_FOUND"),
                (pb.ResolveRequest(name=GONE), "HANDLE_NOT_FOUND"),
                (pb.ResolveRequest(name="10.1000/182"), "PREFIX_NOT_SERVED"),
            ):
                with pytest.raises(Failed) as failed:
                    await client.ask("", methods.RESOLVE, request)
                assert failed.value.reason == reason
            (response,) = await client.ask("", methods.RESOLVE, pb.ResolveRequest(name=LOCAL))
            assert not response.HasField("origin")

    run(main())


@pytest.mark.parametrize("kind", DOORS)
def test_batches_keep_their_order(world, kind):
    names = [LOCAL, FOREIGN, GONE, f"{PREFIX_A}/NO", LOCAL.lower(), "88.300.77/ALIAS", FOREIGN]

    async def main():
        async with doors(world) as (clients, server, _):
            for _ in range(2):
                (response,) = await clients[kind].ask("", methods.BATCH_RESOLVE, pb.BatchResolveRequest(names=names))
                assert [record.name for record in response.records] == [
                    LOCAL,
                    FOREIGN,
                    LOCAL,
                    "88.300.77/ALIAS",
                    FOREIGN,
                ]
                assert [(miss.position, miss.reason) for miss in response.misses] == [
                    (2, "HANDLE_NOT_FOUND"),
                    (3, "HANDLE_NOT_FOUND"),
                ]
                assert [origin.position for origin in response.origins] == [1, 5, 6]
            assert sorted(server.asked) == sorted({FOREIGN, GONE, "88.300.77/ALIAS"})

    run(main())


@pytest.mark.parametrize("kind", DOORS)
def test_streams_are_not_held_up(world, kind):
    async def main():
        far = asyncio.Event()
        async with doors(world, gate=far) as (clients, _, _upstream):
            client = clients[kind]
            answered = asyncio.Event()

            async def questions():
                yield pb.StreamResolveRequest(tag=1, name=FOREIGN).SerializeToString()
                for tag in range(2, 20):
                    yield pb.StreamResolveRequest(tag=tag, name=LOCAL).SerializeToString()
                await answered.wait()
                yield pb.StreamResolveRequest(tag=20, name=FOREIGN).SerializeToString()
                yield pb.StreamResolveRequest(tag=21, name=GONE).SerializeToString()
                yield pb.StreamResolveRequest(tag=22, name=f"{PREFIX_A}/NO").SerializeToString()

            call = client.channel.stream_stream(methods.STREAM_RESOLVE.path, None, pb.StreamResolveResponse.FromString)(
                questions(), timeout=60
            )
            order, origins, misses = [], [], {}
            async for response in call:
                assert len(response.records) == len(response.tags)
                order += response.tags
                origins += [origin.position for origin in response.origins]
                misses |= {miss.position: miss.reason for miss in response.misses}
                if len(order) == 18:
                    far.set()  # what is here does not wait for what is far
                if 1 in order:
                    answered.set()
            assert sorted(order) == list(range(1, 21))
            assert order.index(1) == 18
            assert sorted(origins) == [1, 20]
            assert misses == {21: "HANDLE_NOT_FOUND", 22: "HANDLE_NOT_FOUND"}

    run(main())


@pytest.mark.parametrize("kind", DOORS)
def test_trace_and_aliases(world, kind):
    async def main():
        async with doors(world) as (clients, server, _):

            async def ask(name, **options):
                return (await clients[kind].ask("", methods.RESOLVE, pb.ResolveRequest(name=name, **options)))[0]

            traced = await ask(FOREIGN, trace=True)
            assert [(hop.server, hop.response_code) for hop in traced.hops] == [(f"127.0.0.1:{server.port}", 1)]
            assert urls(traced.record) == ["far"]
            missed = await ask(GONE, trace=True)
            assert (missed.miss.reason, missed.hops[-1].response_code) == ("HANDLE_NOT_FOUND", 100)
            assert [hop.protocol for hop in (await ask(LOCAL, trace=True)).hops] == ["local"]
            followed = await ask("88.300.77/ALIAS", follow_aliases=True, trace=True)
            assert urls(followed.record) == ["near"]
            assert not followed.HasField("origin")
            assert [hop.protocol for hop in followed.hops] == ["tcp", "local"]
            with pytest.raises(Failed, match="lead back") as failed:
                await ask("88.300.77/ROUND", follow_aliases=True)
            assert failed.value.reason == "RECURSION_LIMIT"

    run(main())


def test_a_node_asked_by_a_node(world):
    async def main():
        async with doors(world) as (clients, server, _):
            target = clients["h2"].target
            peer = GrpcPeer(Contact("grpc", "127.0.0.1", int(target.rpartition(":")[2])), octets_max=65_536)
            try:

                async def ask(name):
                    reply = await peer.ask(Ask(Contact("grpc", "", 1), name, 60.0, False), lambda: Moment(1.0, 1))
                    return reply.said, reply

                said, reply = await ask(LOCAL)
                assert (said, urls(reply.record)) == (Said.FOUND, ["near"])
                assert (await ask(f"{PREFIX_A}/NO"))[0] is Said.NOT_FOUND
                assert (await ask("10.1000/182"))[0] is Said.REFUSED
                said, reply = await ask(FOREIGN)
                assert (said, [each.type for each in reply.values]) == (Said.SERVICE_REFERRAL, ["HS_SITE"])
                said, reply = await ask("0.NA/88.300.77.5")
                assert (said, [each.type for each in reply.values]) == (Said.PREFIX_REFERRAL, ["HS_SITE.PREFIX"])
                assert server.asked == [], "it does not search for another node"
            finally:
                await peer.close()
            gone = GrpcPeer(Contact("grpc", "127.0.0.1", 1), octets_max=65_536)
            try:
                reply = await gone.ask(Ask(Contact("grpc", "", 1), LOCAL, 0.5, False), lambda: Moment(1.0, 1))
                assert reply.said is Said.FAILED
            finally:
                await gone.close()

    run(main())


def test_questions_to_a_silent_node_do_not_hold_up_local_ones_on_their_connection(world):
    """A connection has a hundred streams: misses that wait would have them all for as long as one answer may take.

    At the door of ours; grpcio resets streams that a client opens while it is ending a hundred others.
    """

    async def main():
        async with doors(world) as (clients, server, _):
            server.says[""] = None
            ask = clients["h2"].ask
            await ask("", methods.RESOLVE, pb.ResolveRequest(name=LOCAL))  # the client knows the bounds of the door now
            requests = [pb.ResolveRequest(name=f"88.300.77/{number}") for number in range(120)]
            misses = [asyncio.ensure_future(ask("", methods.RESOLVE, request)) for request in requests]
            await asyncio.sleep(0)
            async with asyncio.timeout(limits.UPSTREAM_ASK_SECONDS_MAX / 2):
                await ask("", methods.RESOLVE, pb.ResolveRequest(name=LOCAL))
            failed = await asyncio.gather(*misses, return_exceptions=True)
            assert {(error.code.name, error.reason) for error in failed} == {("UNAVAILABLE", "UPSTREAM_FAILED")}

    run(main())


class DeafPath:
    """A way to a server on which old connections can be made to lose everything, while new ones work."""

    def __init__(self, target):
        self.host, _, self.port = target.rpartition(":")
        self.writers, self.deaf_until, self.count = [], 0, 0

    @asynccontextmanager
    async def open(self):
        listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
            for writer in self.writers:
                writer.close()

    async def _serve(self, reader, writer):
        self.count += 1
        number = self.count
        far_reader, far_writer = await asyncio.open_connection(self.host, int(self.port))
        self.writers += [writer, far_writer]
        await asyncio.gather(self._pass(number, reader, far_writer), self._pass(number, far_reader, writer))

    async def _pass(self, number, reader, writer):
        try:
            while octets := await reader.read(65_536):
                if number > self.deaf_until:
                    writer.write(octets)
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("kind", DOORS)
def test_a_channel_that_has_fallen_silent_is_given_up(world, kind):
    """gRPC itself would wait for the lost packets of the old connection for as long as the kernel does."""

    async def main():
        async with doors(world) as (clients, _, _):
            path = DeafPath(clients[kind].target)
            async with path.open() as port:
                peer = GrpcPeer(Contact("grpc", "127.0.0.1", port), octets_max=65_536)

                async def said(timeout_s):
                    reply = await peer.ask(Ask(Contact("grpc", "", 1), LOCAL, timeout_s, False), lambda: Moment(1.0, 1))
                    return reply.said

                try:
                    assert await said(60.0) is Said.FOUND
                    path.deaf_until = path.count
                    together = await asyncio.gather(*(said(0.3) for _ in range(5)))
                    assert together == [Said.FAILED] * 5
                    assert await said(60.0) is Said.FOUND
                    assert path.count == 2, "one new connection, however many questions were lost"
                finally:
                    await peer.close()

    run(main())


@pytest.mark.parametrize("kind", DOORS)
def test_a_caller_that_leaves_and_a_deadline(world, kind, monkeypatch):
    monkeypatch.setattr("resolver.federation.upstream._SHARE_OF_DEADLINE", 0.01)

    async def main():
        far = asyncio.Event()
        async with doors(world, gate=far) as (clients, server, upstream):
            request = pb.ResolveRequest(name=FOREIGN)
            async with grpc.aio.insecure_channel(clients[kind].target) as leaving:
                resolve = leaving.unary_unary(methods.RESOLVE.path, pb.ResolveRequest.SerializeToString)
                resolve(request)  # nobody waits for it: the channel is closed while it is under way
                await until(lambda: server.asked)
            with pytest.raises(Failed) as failed:
                await clients[kind].ask("", methods.RESOLVE, request, timeout=60.0)
            assert failed.value.code is grpc.StatusCode.UNAVAILABLE
            assert failed.value.reason == "UPSTREAM_FAILED", "the caller hears why, inside its deadline"
            far.set()
            await until(lambda: upstream.recall(FOREIGN) is not None)  # the answer is kept for the next one
            assert server.asked == [FOREIGN]

    run(main())


@pytest.mark.parametrize("kind", DOORS)
def test_an_operator_who_does_not_want_it(world, kind):
    async def main():
        async with doors(world, recursion=False) as (clients, server, _):
            with pytest.raises(Failed) as failed:
                await clients[kind].ask("", methods.RESOLVE, pb.ResolveRequest(name=FOREIGN))
            assert failed.value.reason == "PREFIX_ELSEWHERE"
            (response,) = await clients[kind].ask("", methods.BATCH_RESOLVE, pb.BatchResolveRequest(names=[FOREIGN]))
            assert [miss.reason for miss in response.misses] == ["PREFIX_ELSEWHERE"]
            (traced,) = await clients[kind].ask("", methods.RESOLVE, pb.ResolveRequest(name=FOREIGN, trace=True))
            assert traced.miss.reason == "PREFIX_ELSEWHERE"
            assert server.asked == []

    run(main())
