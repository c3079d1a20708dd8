"""When the store is judged to be on disk, what is read ahead then, and that answers are the same either way."""

import asyncio

import grpc
import pytest

from resolver import limits, methods
from resolver.service.residency import COLD_FAULTS_MIN, LOOK_S, WARM_LOOK_S, Residency
from resolver.v1 import resolution_pb2 as pb
from resolver.wire import requests
from storage.errors import StoreFailed
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.resolver.transport.h2_doors import door_of
from tests.resolver.transport.hdl_node import handle_node
from tests.resolver.transport.hdl_node import value as hdl_value
from tests.support.builders import PREFIX_A, register, value
from tests.support.node import Client, Failed


class Faults:
    """A process whose threads have taken so many faults."""

    def __init__(self):
        self.count = 0
        self.each_read = 0

    def __call__(self):
        self.count += self.each_read
        return self.count


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def residency(faults):
    judged = Residency(MemoryEngine(), lambda: 0.0, faults=faults)
    judged.look(1.0)  # what happened before the first look does not count
    yield judged
    judged.close()


def test_many_faults_in_a_short_time_make_it_cold(residency, faults):
    faults.count += COLD_FAULTS_MIN
    residency.look(1.0 + LOOK_S)
    assert residency.cold


@pytest.mark.parametrize(("news", "passed_s"), [(COLD_FAULTS_MIN - 1, LOOK_S), (COLD_FAULTS_MIN, 1.0), (150, 1.0)])
def test_few_or_rare_faults_do_not(residency, faults, news, passed_s):
    faults.count += news
    residency.look(1.0 + passed_s)
    assert not residency.cold


def test_it_looks_no_more_often_than_it_has_to(residency, faults):
    faults.count += 100
    residency.look(1.0 + LOOK_S / 2)
    assert not residency.cold
    residency.look(1.0 + LOOK_S)
    assert residency.cold


def test_without_threads_it_is_never_cold(faults):
    residency = Residency(MemoryEngine(), lambda: 0.0, faults=faults, threads=0)
    residency.look(1.0)
    faults.count += 1_000
    residency.look(2.0)
    assert not residency.cold


def made_cold(residency, faults):
    faults.count += 1_000
    residency.look(2.0)
    assert residency.cold


@pytest.mark.parametrize(("each_read", "stays_cold"), [(0, False), (1, True)])
def test_it_is_warm_again_when_reading_ahead_hardly_faults(residency, faults, each_read, stays_cold):
    made_cold(residency, faults)
    faults.each_read = each_read

    async def main():
        await residency.touch([b"88.1/%d" % number for number in range(20)])

    asyncio.run(main())
    residency.look(2.0 + WARM_LOOK_S / 2)
    assert residency.cold, "not yet"
    residency.look(2.0 + WARM_LOOK_S)
    assert residency.cold is stays_cold


class Failing(MemoryEngine):
    """A store without a free reader slot."""

    def read(self):
        raise StoreFailed("no slots")


def test_what_one_turn_asks_for_is_read_together_in_parts(monkeypatch):
    engine = MemoryEngine()
    reads = []
    monkeypatch.setattr(
        "storage.memory_engine.MemoryReader.get_rows", lambda _, table, keys: reads.append((table, list(keys)))
    )
    residency = Residency(engine, lambda: 0.0, faults=Faults())

    async def main():
        keys = [b"88.1/%d" % number for number in range(40)]
        groups = {residency.touch(keys[:15]), residency.touch([*keys[15:], b"", b"x" * 500])}
        assert len(groups) == 1
        await groups.pop()
        assert len(reads) == limits.READ_AHEAD_THREADS
        assert {table for table, _ in reads} == {Table.RECORDS}
        assert sorted(key for _, part in reads for key in part) == sorted(keys), "keys that no store has are left out"
        await residency.touch([])

    asyncio.run(main())
    residency.close()


def test_a_store_that_fails_leaves_the_failure_to_the_answer():
    residency = Residency(Failing(), lambda: 0.0, faults=Faults())

    async def main():
        async with asyncio.timeout(60):
            await residency.touch([b"88.1/a"])

    asyncio.run(main())
    residency.close()


@pytest.mark.parametrize("timeout", [None, 200.0])
@pytest.mark.parametrize("kind", ["h2", "grpcio"])
def test_a_cold_store_gives_the_answers_of_a_warm_one(world, kind, timeout):
    names = [f"{PREFIX_A}/{number}" for number in range(120)]
    for name in names:
        register(world.engine, world.clock, name, [value(1, name)])
    asked = [*names, f"{PREFIX_A}/none", "88.300.77/x"]

    async def answers(client):
        async def ask(method, *requests):
            return await client.ask("", method, *requests, timeout=timeout)

        singles = [ask(methods.RESOLVE, pb.ResolveRequest(name=name)) for name in names[:30]]
        found = await asyncio.gather(*singles)
        found.append(await ask(methods.BATCH_RESOLVE, pb.BatchResolveRequest(names=asked)))
        questions = [pb.StreamResolveRequest(tag=tag, name=name) for tag, name in enumerate(asked)]
        streamed = await ask(methods.STREAM_RESOLVE, *questions)
        records = {tag: record for answer in streamed for tag, record in zip(answer.tags, answer.records, strict=True)}
        misses = {miss.position: miss.reason for answer in streamed for miss in answer.misses}
        return [*found, records, misses]

    async def main():
        async with (
            world.serving() as asker,
            door_of(kind, asker.service) as place,
            grpc.aio.insecure_channel(place.target) as channel,
        ):
            client = Client(channel, world)
            warm = await answers(client)
            residency = asker.service.core.residency
            touched = []
            usual = residency.touch
            residency.touch = lambda keys: touched.extend(keys) or usual(keys)
            residency.cold = True
            residency.look = lambda _: None
            assert await answers(client) == warm
            assert {key.decode() for key in touched} >= {*names}
            assert len(warm[-2]) == len(names)

    asyncio.run(main())


def test_who_may_not_resolve_has_nothing_read_from_disk(world):
    register(world.engine, world.clock, f"{PREFIX_A}/1", [value(1, "x")])

    async def main():
        async with (
            world.serving(public_resolution=False) as asker,
            door_of("h2", asker.service) as place,
            grpc.aio.insecure_channel(place.target) as channel,
        ):
            client = Client(channel, world)
            residency = asker.service.core.residency
            touched = []
            usual = residency.touch
            residency.touch = lambda keys: touched.extend(keys) or usual(keys)
            residency.cold = True
            residency.look = lambda _: None
            question = pb.ResolveRequest(name=f"{PREFIX_A}/1")
            with pytest.raises(Failed):
                await client.ask("", methods.RESOLVE, question)
            assert touched == []
            assert (await client.ask("app_a", methods.RESOLVE, question))[0].record.name == f"{PREFIX_A}/1"
            assert touched == [f"{PREFIX_A}/1".encode()]

    asyncio.run(main())


def test_the_handle_doors_of_a_cold_store_give_the_answers_of_a_warm_one(tmp_path):
    with handle_node(tmp_path) as node:
        node.store("88.300.1/A", hdl_value(1, "URL", "https://example.com/"))
        (service,) = node.services

        def answers():
            found = []
            for name in ("88.300.1/A", "88.300.1/a", "88.300.1/NONE"):
                client = node.client()
                header = client.send(client.request(1, requests.Resolution(name))).header
                found.append((header.response_code, header.op_code))
            return found

        warm = answers()
        touched = []
        usual = service.core.residency.touch
        service.core.residency.touch = lambda keys: touched.extend(keys) or usual(keys)
        service.core.residency.look = lambda _: None
        service.core.residency.cold = True
        assert answers() == warm
        assert set(touched) == {b"88.300.1/A", b"88.300.1/NONE"}
