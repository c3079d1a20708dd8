"""Asking other nodes over real sockets: shared searches, persistent connections, servers that misbehave."""

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from resolver import limits, methods
from resolver.clock import SystemClock
from resolver.errors import HandleNotFound, Overloaded, UpstreamFailed
from resolver.federation.contacts import Contact
from resolver.federation.datagram_question import _Packets
from resolver.federation.latency import Standing
from resolver.handle.value import HandleValue, Permission, Ttl
from resolver.node.foreign import Question
from resolver.node.record_octets import parse
from resolver.node.site_info import site_of
from resolver.v1 import registry_pb2
from resolver.wire.envelope import Envelope
from resolver.wire.header import OpFlag
from resolver.wire.message import Message
from resolver.wire.versions import OWN
from tests.resolver.transport.hdl_node import rsa_key
from tests.support.builders import add_prefix
from tests.support.handle_servers import found, missing, serving
from tests.support.searching import upstream_for

NAME = "88.300.77/A"
HAS_IPV6 = Path("/proc/net/if_inet6").exists() and bool(Path("/proc/net/if_inet6").read_text("ascii"))


@asynccontextmanager
async def asking(world, server, *, udp=False, key=b"", clock=None, **options):
    """A node that routes 88.300.77 to a server, and what asks for it."""
    route = registry_pb2.Route(address="127.0.0.1", public_key=key)
    setattr(route, "udp_port" if udp else "tcp_port", server.port)
    with world.engine.write() as writer:
        add_prefix(writer, "88.300.77", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
    async with world.serving() as asker:
        upstream = upstream_for(asker.service, clock or SystemClock(), **options)
        upstream.service = asker.service
        try:
            yield upstream
        finally:
            await upstream.close()


async def get(upstream, name=NAME, **options):
    return (await upstream.find(Question(name, **options))).get()


def run(work):
    return asyncio.run(work)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Nobody is given up because this machine has much to do."""
    for name in ("UPSTREAM_SECONDS_MAX", "UPSTREAM_ASK_SECONDS_MAX", "UPSTREAM_SILENT_S"):
        monkeypatch.setattr(limits, name, 60.0)


def test_many_callers_share_one_question_and_one_connection(world):
    async def main():
        async with serving({"": found()}, delay_s=0.001) as server, asking(world, server) as upstream:
            answers = await asyncio.gather(*(get(upstream) for _ in range(300)))
            assert len({answer.body for answer in answers}) == 1
            assert server.asked == [NAME]
            await asyncio.gather(*(get(upstream, f"88.300.77/{number}") for number in range(200)))
            assert (len(server.asked), server.connections) == (201, 1)
            assert upstream.recall(NAME).body == answers[0].body
            for writer in server.writers:
                writer.close()
            for _ in range(20):  # turns of the loop, however long they take
                await asyncio.sleep(0.002)
            await get(upstream, "88.300.77/AFTER-AN-IDLE-CLOSE")
            assert server.connections == 2

    run(main())


def test_a_server_that_closes_after_each_answer(world):
    async def main():
        async with serving({"": found()}, closes=True) as server, asking(world, server) as upstream:
            await asyncio.gather(*(get(upstream, f"88.300.77/{number}") for number in range(40)))
            assert 40 <= server.connections <= 81

    run(main())


def test_a_server_with_udp_only(world):
    values = tuple(HandleValue(index, "URL", b"x" * 200) for index in range(1, 9))

    async def main():
        async with serving({"": found(*values)}, udp=True) as server, asking(world, server, udp=True) as upstream:
            record = parse((await get(upstream)).body)
            assert [len(each.data) for each in record.values] == [200] * 8

    run(main())


@pytest.mark.parametrize(
    ("says", "expected"),
    [("node", None), ("admin", "is not signed by the key"), (None, "is not signed by the key")],
)
def test_answers_are_signed_by_the_key_of_the_site(world, says, expected):
    async def main():
        key = rsa_key("node").public.to_wire()
        async with (
            serving({"": found()}, key=says and rsa_key(says)) as server,
            asking(world, server, key=key, certifies="all") as upstream,
        ):
            if expected is None:
                assert parse((await get(upstream)).body).name == NAME
            else:
                with pytest.raises(UpstreamFailed, match=expected):
                    await get(upstream)

    run(main())


def test_a_signed_answer_must_name_its_question(world):
    """Somebody in between could ask in our name without a digest, and pass the signed answer on to another question."""

    async def main():
        key = rsa_key("node")
        async with (
            serving({"": missing()}, key=key, to_another=True) as server,
            asking(world, server, key=key.public.to_wire(), certifies="all") as upstream,
        ):
            with pytest.raises(UpstreamFailed, match="does not say which question"):
                await get(upstream)

    run(main())


def test_an_answer_that_never_ends_is_taken_by_its_first_message(world):
    """The rest would be kept until the time is over: as much as a stranger can send."""

    def endless(octets):
        flags = Message.from_wire(octets).header.flags | OpFlag.CONTINUOUS.value
        return (octets[:28] + flags.to_bytes(4, "big") + octets[32:]) * 3

    async def main():
        async with serving({"": found()}, mangle=endless) as server, asking(world, server) as upstream:
            assert parse((await get(upstream)).body).name == NAME

    run(main())


def test_packets_are_no_larger_than_those_of_the_protocol():
    """Each is kept until the last one is here, and strangers send them."""

    async def main():
        packets = _Packets(5, limits.UPSTREAM_OCTETS_MAX, asyncio.get_running_loop().create_future())
        for sequence in range(100):
            envelope = Envelope(OWN, OWN, 0, 0, 5, sequence, limits.UPSTREAM_OCTETS_MAX)
            packets.datagram_received(envelope.to_wire() + bytes(60_000), None)
        assert sum(map(len, packets._parts.values())) <= limits.UPSTREAM_OCTETS_MAX

    run(main())


def changed(position, octets):
    return lambda answer: answer[:position] + octets + answer[position + len(octets) :]


BAD = {
    "garbage": lambda _: b"GET / HTTP/1.1\r\n\r\n" * 20,
    "an answer about another name": lambda answer: answer.replace(b"88.300.77/A", b"88.300.77/B"),
    "a name of another length": changed(47, b"\x03"),
    "a length beyond all bounds": changed(16, b"\x7f\xff\xff\xff"),
    "more than is taken": lambda answer: answer[:16] + (1 << 20).to_bytes(4, "big") + answer[20:] + bytes(1 << 20),
    "half an answer": lambda answer: answer[:30],
    "a request instead of an answer": changed(24, bytes(4)),
    "a type that is no UTF-8": lambda answer: answer.replace(b"\0\0\0\3URL", b"\0\0\0\3U\xffL"),
    "values that are none": lambda answer: answer[:-30] + b"\xff" * 30,
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_believed_is_not(world, clock, case):
    async def main():
        server_of = serving({"": found()}, mangle=BAD[case], closes=case == "half an answer")
        async with server_of as server, asking(world, server, clock=clock) as upstream:
            async with asyncio.timeout(limits.UPSTREAM_ASK_SECONDS_MAX / 2):
                with structlog.testing.capture_logs() as logged, pytest.raises(UpstreamFailed):
                    await get(upstream)
            assert [entry for entry in logged if entry["log_level"] == "error"] == [], "it is a fault of theirs"
            assert len(upstream.searcher.cache) == 1, "the failure, for a second"
            server.mangle = lambda octets: octets
            clock.advance(limits.FAILURE_TTL_S + 0.6)
            assert parse((await get(upstream)).body).name == NAME

    run(main())


def test_values_that_are_not_public_are_dropped(world):
    hidden = HandleValue(2, "HS_SECKEY", b"secret", permissions=Permission(12))

    async def main():
        says = {"": found(HandleValue(3, "B", b""), hidden, HandleValue(1, "A", b""))}
        async with serving(says) as server, asking(world, server) as upstream:
            assert [each.index for each in parse((await get(upstream)).body).values] == [1, 3]

    run(main())


def test_stale_answers_are_marked_and_renewed_behind(world, clock, monkeypatch):
    short = HandleValue(1, "URL", b"old", ttl=Ttl(10))

    async def main():
        async with serving({"": found(short)}) as server, asking(world, server, clock=clock) as upstream:
            assert (await get(upstream)).origin.stale is False
            server.says[""] = found(HandleValue(1, "URL", b"new", ttl=Ttl(10)))
            clock.advance(11)
            first = await get(upstream)
            assert first.origin.stale
            assert b"old" in first.body
            await asyncio.gather(*upstream._searches.values())
            second = await get(upstream)
            assert b"new" in second.body
            assert not second.origin.stale
            server.says[""] = None
            clock.advance(60)
            third = await get(upstream, timeout_s=0.2)
            assert third.origin.stale
            assert upstream._searches, "while its caller still listens"
            assert (await get(upstream)).origin.stale
            assert upstream._searches, "and while its node may still answer"
            server.says["88.300.77/NEVER-SEEN"], server.mangle = found(), BAD["garbage"]
            with pytest.raises(UpstreamFailed):
                await get(upstream, "88.300.77/NEVER-SEEN")
            monkeypatch.setattr(limits, "STALE_ANSWER_S", limits.UPSTREAM_SECONDS_MAX)
            async with asyncio.timeout(limits.UPSTREAM_SECONDS_MAX / 2):
                assert (await get(upstream)).origin.stale, "at once: the node is known to fail"
            assert upstream._searches

    run(main())


def test_questions_beside_the_one_that_tries_a_server_wait_for_it(world, clock, monkeypatch):
    monkeypatch.setattr(limits, "UPSTREAM_TRIAL_WAITING_MAX", 5)

    async def outcomes(upstream, count):
        names = [f"88.300.77/{number}" for number in range(count)]
        found = await asyncio.gather(*(upstream.find(Question(name)) for name in names))
        clock.advance(limits.COOL_DOWN_S[1] + limits.FAILURE_TTL_S)
        return [outcome.error is None for outcome in found]

    async def main():
        about_another = found()[0], lambda _: found()[1]("88.300.77/ANOTHER")
        server_of = serving({"": about_another}, delay_s=0.02)
        async with server_of as server, asking(world, server, clock=clock) as upstream:
            assert not any(await outcomes(upstream, 1))
            asked = len(server.asked)
            assert not any(await outcomes(upstream, 20)), "it was tried, and those who waited have heard of it"
            assert len(server.asked) == asked + 1
            server.says[""] = found()
            assert sum(await outcomes(upstream, 20)) == 6, "the one that tries it, and as many as may wait"
            assert all(await outcomes(upstream, 20))
            assert upstream.searcher.latencies.standing(known_contact(server), 0.0) is Standing.READY
            assert not upstream._trials

    run(main())


def known_contact(server):
    return Contact("tcp", "127.0.0.1", server.port)


def test_many_questions_to_a_silent_server_are_given_up_together(world, clock, monkeypatch):
    monkeypatch.setattr(limits, "UPSTREAM_SILENT_QUESTIONS", 10)
    monkeypatch.setattr(limits, "UPSTREAM_SILENT_S", 0.8)

    async def main():
        async with serving({}) as server, asking(world, server, clock=clock) as upstream:

            def ask(*numbers):
                return [asyncio.ensure_future(upstream.find(Question(f"88.300.77/{each}"))) for each in numbers]

            async with asyncio.timeout(limits.UPSTREAM_ASK_SECONDS_MAX / 2):
                outcomes = await asyncio.gather(*ask(*range(10)))
            assert all(isinstance(outcome.error, UpstreamFailed) for outcome in outcomes)
            assert not upstream._gates
            clock.advance(limits.COOL_DOWN_S[1])
            server.says |= {f"88.300.77/A{number}": found() for number in range(20)}
            await get(upstream, "88.300.77/A0")
            slow = ask(*range(20, 30))
            for number in range(1, 11):
                await asyncio.sleep(0.1)
                await get(upstream, f"88.300.77/A{number}")
            assert not any(task.done() for task in slow), "a server that answers others is not silent"
            assert all(isinstance(outcome.error, UpstreamFailed) for outcome in await asyncio.gather(*slow))

    run(main())


def test_a_connection_that_has_fallen_silent_is_given_up(world, clock, monkeypatch):
    """Its packets may be under way for half a minute when a new connection is through at once."""

    def wait_at_most(seconds):
        clock.advance(limits.COOL_DOWN_S[1])
        monkeypatch.setattr(limits, "UPSTREAM_ASK_SECONDS_MAX", seconds)

    async def main():
        async with serving({"": found()}) as server, asking(world, server, clock=clock) as upstream:
            await get(upstream)
            server.deaf_until = server.connections
            wait_at_most(0.4)
            with pytest.raises(UpstreamFailed):
                await get(upstream, "88.300.77/B")
            wait_at_most(60.0)
            await get(upstream, "88.300.77/C")
            assert server.connections == 2
            for seconds in (0.4, 4.0, 40.0):  # more when the machine stood still before the others were answered
                name = f"88.300.77/SLOW-{seconds}"
                server.says[name] = None
                wait_at_most(seconds)
                slow = asyncio.ensure_future(upstream.find(Question(name)))
                await until(lambda: name in server.asked or slow.done())  # noqa: B023 - called here
                wait_at_most(60.0)
                await get(upstream, f"88.300.77/{seconds}")
                if not slow.done():
                    break
            connections = server.connections
            assert (await slow).error is not None
            wait_at_most(60.0)
            await get(upstream, "88.300.77/D")
            assert server.connections == connections, "one slow answer among others says nothing of the connection"

    run(main())


def test_what_is_not_there_is_remembered(world):
    async def main():
        async with serving({"": missing()}) as server, asking(world, server) as upstream:
            for _ in range(5):
                with pytest.raises(HandleNotFound):
                    await get(upstream)
            with pytest.raises(HandleNotFound):
                upstream.recall(NAME)
            assert server.asked == [NAME]
            assert upstream.take_counts() == ({"missed": 5}, {("tcp", "not_found"): 1})
            assert upstream.take_counts() == ({}, {})

    run(main())


def test_bounds_of_what_is_under_way(world, monkeypatch):
    monkeypatch.setattr(limits, "UPSTREAM_SEARCHES_MAX", 20)
    monkeypatch.setattr(limits, "UPSTREAM_PER_SERVER_MAX", 5)
    monkeypatch.setattr(limits, "UPSTREAM_WAITING_MAX", 30)
    monkeypatch.setattr(limits, "UPSTREAM_ASK_SECONDS_MAX", 0.3)

    async def main():
        async with serving({}) as server, asking(world, server) as upstream:

            async def outcome(number):
                try:
                    return (await upstream.find(Question(f"88.300.77/{number}"))).error
                except Overloaded as error:
                    return error

            errors = await asyncio.gather(*(outcome(number) for number in range(50)))
            kinds = [type(error) for error in errors]
            assert kinds.count(Overloaded) == 30
            assert kinds.count(UpstreamFailed) == 20
            assert len(set(server.asked)) < 20, "as many as had their turn"
            assert not upstream._searches
            assert not upstream._asks
            assert not upstream._gates

    run(main())


def test_a_traced_question_tells_of_each_step(world):
    async def main():
        async with serving({"": found()}) as server, asking(world, server) as upstream:
            outcome = await upstream.find(Question(NAME, traced=True))
            (hop,) = outcome.hops
            assert (hop.server, hop.protocol, hop.response_code) == (f"127.0.0.1:{server.port}", "tcp", 1)
            assert hop.took_us > 0
            again = await upstream.find(Question(NAME, traced=True))
            assert [hop.protocol for hop in again.hops] == ["cache"]

    run(main())


def test_waiting_holds_no_read_transaction(world):
    """The store has slots for 512 readers; far more questions may wait for other nodes, or be remembered as noes."""

    async def main():
        says = {"": found()} | {f"88.300.77/NO-{number}": missing() for number in range(700)}
        async with serving(says, delay_s=0.0) as server, asking(world, server) as upstream:
            service = upstream.service
            service.core.elsewhere = upstream
            call = service.call_from("", None)

            async def ask(name):
                try:
                    answer = service.resolution.resolve(call, methods.RESOLVE.request(name=name))
                    return type(answer if isinstance(answer, bytes) else await answer)
                except HandleNotFound as error:
                    return type(error)

            waiting = [asyncio.ensure_future(ask(f"88.300.77/{number}")) for number in range(700)]
            assert await asyncio.gather(*waiting) == [bytes] * 700
            for _ in range(2):
                noes = await asyncio.gather(*(ask(name) for name in says if name))
                assert noes == [HandleNotFound] * 700
            assert await ask("88.300.77/STILL") is bytes
            service.core.elsewhere = None

    run(main())


CONNECTED = []


def _hear(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        CONNECTED.append(arguments[1][:2])


def test_no_connection_to_a_forbidden_place_is_ever_tried(world):
    """Counted where the interpreter connects, below everything that could be wrong about it."""
    sys.addaudithook(_hear)
    forbidden = ["10.1.2.3", "169.254.169.254", "192.168.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "0.0.0.0", "::"]
    sites = [
        HandleValue(place, "HS_SITE", site_of(address, 2641, 2641, b"", "").to_wire())
        for place, address in enumerate(forbidden, start=1)
    ]

    async def main():
        async with serving({"0.NA/88.300.77.1": found(*sites)}) as server, asking(world, server) as upstream:
            del CONNECTED[:]
            with pytest.raises(UpstreamFailed, match=r"not reachable from everywhere|is no address"):
                await get(upstream, "88.300.77.1/X")
            assert [("127.0.0.1", server.port)] == CONNECTED

    run(main())


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_over_ipv6(world):
    async def main():
        async with serving({"": found()}, host="::1") as server:
            route = registry_pb2.Route(address="::1", tcp_port=server.port)
            with world.engine.write() as writer:
                add_prefix(writer, "88.300.66", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
            async with asking(world, server) as upstream:
                answer = await get(upstream, "88.300.66/X")
                assert answer.origin.server == f"tcp [::1]:{server.port}"

    run(main())
