"""Costly answers take some milliseconds of a turn of the loop, and others have their turn between them."""

import asyncio
from itertools import pairwise

import pytest

from resolver.node.site_info import site_of
from resolver.service import loop_turns
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.service.hdl_peer import Peer
from resolver.service.loop_turns import TURN_S, LoopTurns, TurnsFull
from resolver.wire.header import OpFlag
from resolver.wire.message import Frame, Message
from tests.resolver.service.test_hdl_plain import PUBLIC, question
from tests.resolver.transport.hdl_node import rsa_key
from tests.support.builders import PREFIX_A, register, value
from tests.support.node import World

BIG, SMALL = f"{PREFIX_A}/big", f"{PREFIX_A}/small"
CERTIFIED = PUBLIC | OpFlag.CERTIFIED.value
VALUES = 300
COSTLY_S = 1.5 * TURN_S


class Work:
    """Requests of some networks, each of which takes a time of the clock; ``order`` is how they went."""

    def __init__(self, clock, cost_s):
        self.clock, self.cost_s = clock, cost_s
        self.turns = LoopTurns(clock.monotonic_s)
        self.order, self.passes = [], 0

    async def request(self, network, number):
        await self.turns.take(network)
        self.order.append((network, number, self.passes))
        self.clock.advance(self.cost_s)

    async def others(self):
        """What the loop does beside it: it is heard once in every pass."""
        while True:
            self.passes += 1
            await asyncio.sleep(0)

    async def run(self, *requests):
        beside = asyncio.create_task(self.others())
        async with asyncio.timeout(50):
            await asyncio.gather(*(self.request(network, number) for network, number in requests))
        beside.cancel()
        return self.order


def test_others_are_heard_between_any_two_costly_answers(clock):
    order = asyncio.run(Work(clock, COSTLY_S).run(*(("a", number) for number in range(200))))
    assert [number for _, number, _ in order] == [*range(200)]
    assert all(later > before for (*_, before), (*_, later) in pairwise(order))


def test_small_ones_share_a_turn(clock):
    order = asyncio.run(Work(clock, TURN_S / 9.5).run(*(("a", number) for number in range(100))))
    assert len({at for *_, at in order}) == 10
    assert [number for _, number, _ in order] == [*range(100)]


def test_a_network_with_many_requests_holds_up_its_own(clock):
    asked = [("many", number) for number in range(150)] + [("few", 0), ("one", 0), ("few", 1)]
    order = [(network, number) for network, number, _ in asyncio.run(Work(clock, COSTLY_S).run(*asked))]
    assert sorted(order) == sorted(asked)
    assert {("few", 0), ("one", 0), ("few", 1)} <= set(order[:8])
    assert [number for network, number in order if network == "many"] == [*range(150)]


def test_who_is_given_up_while_it_waits_holds_up_nobody(clock):
    async def main():
        work = Work(clock, COSTLY_S)
        tasks = [asyncio.create_task(work.request("a", number)) for number in range(6)]
        await asyncio.sleep(0)
        for given_up in (tasks[1], tasks[2], tasks[5]):
            given_up.cancel()
        async with asyncio.timeout(50):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for _, number, _ in work.order] == [0, 3, 4]
        assert (work.turns._waiting, work.turns._waiting_count) == ({}, 0)
        await asyncio.sleep(0)
        assert work.turns.has_room()

    asyncio.run(main())


@pytest.mark.parametrize("limit", ["WAITING_OF_NETWORK_MAX", "WAITING_MAX"])
def test_no_more_wait_than_there_is_room_for(clock, monkeypatch, limit):
    monkeypatch.setattr(loop_turns, limit, 3)

    async def main():
        work = Work(clock, COSTLY_S)
        ended = await asyncio.gather(*(work.request("a", number) for number in range(6)), return_exceptions=True)
        assert [type(each) for each in ended] == [type(None)] * 4 + [TurnsFull] * 2
        await work.request("a", 6)

    asyncio.run(main())


class Busy:
    """A clock on which everything takes a turn."""

    def __init__(self, clock):
        self._clock = clock

    def now_us(self):
        return self._clock.now_us()

    def monotonic_s(self):
        self._clock.advance(COSTLY_S)
        return self._clock.monotonic_s()


def run(engine, clock, randomness, check):
    async def body():
        world = World(engine, Busy(clock), randomness)
        register(engine, clock, BIG, [value(number + 1, "x" * 20) for number in range(VALUES)])
        register(engine, clock, SMALL)
        async with world.serving() as asker:
            site = site_of("127.0.0.1", 2641, 2641, rsa_key("node").public.to_wire(), "test")
            await check(HandleProtocol(asker.service.core, HandleOptions(0, "88.300", site, rsa_key("node"))))

    asyncio.run(body())


async def asked(protocol, octets, count, source="192.0.2.1"):
    """The answers to a question asked so many times at once, each with how often others were heard before it."""
    answers, passes = [], 0

    async def one():
        async def send(frame):
            answers.append((Message.from_frame(frame), passes))

        await protocol.respond(Frame.from_wire(octets), Peer.of(source, is_stream=True), send)

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    while not all(task.done() for task in tasks):
        passes += 1
        await asyncio.sleep(0)
    for task in tasks:
        task.result()
    return answers


def test_signed_answers_asked_for_at_once_let_others_in_between(lmdb_engine, clock, randomness):
    """Two hundred of them held every other client of the worker up for half a second."""

    async def check(protocol):
        answers = await asked(protocol, question(BIG, flags=CERTIFIED), 12)
        assert {(message.header.response_code, len(message.body.values)) for message, _ in answers} == {(1, VALUES)}
        assert all(message.credential is not None for message, _ in answers)
        assert len({heard for _, heard in answers}) == len(answers)

    run(lmdb_engine, clock, randomness, check)


def test_large_plain_answers_wait_for_their_turn_and_small_ones_do_not(lmdb_engine, clock, randomness):
    async def check(protocol):
        big, small, some = question(BIG), question(SMALL), question(BIG, types=("URL",))
        first = protocol.at_once(big, "192.0.2.1")
        assert first is not None
        assert [protocol.at_once(octets, "192.0.2.1") for octets in (big, some, big)] == [None] * 3
        assert protocol.at_once(small, "192.0.2.1") is not None
        await asyncio.sleep(0)
        assert protocol.at_once(some, "192.0.2.1") is not None
        ((answer, _),) = await asked(protocol, big, 1)
        assert answer == Message.from_wire(first)
        assert len({heard for _, heard in await asked(protocol, big, 9)}) == 9

    run(lmdb_engine, clock, randomness, check)


def test_who_finds_no_room_to_wait_is_told_so_unsigned(lmdb_engine, clock, randomness, monkeypatch):
    monkeypatch.setattr(loop_turns, "WAITING_MAX", 4)

    async def check(protocol):
        answers = await asked(protocol, question(BIG, flags=CERTIFIED), 8)
        told = [message for message, _ in answers if message.header.response_code == 3]
        assert len(told) == 3
        assert {(message.envelope.request_id, message.credential) for message in told} == {(77, None)}
        assert len(answers) == 8

    run(lmdb_engine, clock, randomness, check)
