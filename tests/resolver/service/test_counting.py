"""Counts on their way to the store: folded by the second, kept when they cannot be written, forgotten when old."""

import pytest

from resolver import methods
from resolver.errors import StorageFull
from resolver.node import site_role
from resolver.service import counting
from resolver.service.core import MirrorOptions
from resolver.service.counting import Counting
from resolver.telemetry.calls import CallCounts
from resolver.v1 import stored_pb2
from tests.support.builders import PREFIX_A, ledger_on
from tests.support.clock import DAY_US

NOTHING = CallCounts(lambda: 0).take()


def written(store, clock, *countings):
    for each in countings:
        each.roll(NOTHING)
        job = each.take()
        if job is not None:
            with ledger_on(store, clock) as ledger:
                job.apply(ledger)


def day_of_node(asker_answer):
    return next(row for row in asker_answer.days if row.whole_node)


def run(world, main, **options):
    import asyncio

    async def go():
        async with world.serving(**options) as asker:
            return await main(asker)

    return asyncio.run(go())


def test_workers_add_up(world, clock):
    workers = [Counting(clock) for _ in range(3)]
    for number, worker in enumerate(workers):
        for _ in range(4):
            worker.resolved(PREFIX_A, f"192.0.2.{number}", 10, 7, "hdl_udp")
        worker.resolved("", "192.0.2.9", 5, 0)
    written(world.engine, clock, *workers)

    async def main(asker):
        answer = await asker.ask("administrator", methods.GET_STATISTICS, from_day=20260101, include_activity=True)
        node = day_of_node(answer)
        assert (node.resolutions, node.resolutions_found) == (135, 84)
        assert answer.node.prefix_count == 4  # the node's own, the ready one, and two of the world
        rows = {row.protocol: row for row in answer.activity if row.kind == "resolution"}
        assert (rows["hdl_udp"].items, rows["grpc"].items, rows[""].items) == (120, 15, 135)
        assert rows[""].peak_per_s == 135
        assert rows[""].peak_time_s == clock.now_us() // 1_000_000
        told = await asker.ask("administrator", methods.LIST_SOURCE_STATISTICS, from_day=20260101, limit=2)
        assert [(row.address, row.resolutions) for row in told.sources] == [("192.0.2.0", 40), ("192.0.2.1", 40)]
        assert told.address_count == 4

    run(world, main)


def test_a_second_is_that_in_which_the_questions_came(world, clock):
    counts = Counting(clock)
    second = clock.now_us() // 1_000_000
    for asked in (3, 9, 2):
        counts.resolved(PREFIX_A, "192.0.2.1", asked, 0)
        clock.advance(1.0)
        counts.roll(NOTHING)
    (work,) = counts.take().waiting.work.values()
    assert work["grpc"].seconds == {second: 3, second + 1: 9, second + 2: 2}


def test_an_address_is_one_whatever_the_door_listens_on(world, clock):
    counts = Counting(clock)
    counts.resolved(PREFIX_A, "192.0.2.1", 1, 1)
    counts.resolved(PREFIX_A, "::ffff:192.0.2.1", 2, 2, "hdl_tcp")
    counts.roll(NOTHING)
    assert {key[2]: count for key, count in counts.take().waiting.sources.items()} == {"192.0.2.1": 3}


def test_midnight_parts_the_days(world, clock):
    counts = Counting(clock)
    counts.resolved(PREFIX_A, "192.0.2.1", 1, 1)
    clock.advance(DAY_US / 1e6)
    counts.roll(NOTHING)
    counts.resolved(PREFIX_A, "192.0.2.1", 1, 1)
    counts.roll(NOTHING)
    assert sorted(day for day, prefix in counts.take().waiting.prefixes if prefix == PREFIX_A) == [20260528, 20260529]


def test_memory_is_bounded_by_sources_without_an_address(world, clock, monkeypatch):
    monkeypatch.setattr(counting, "_SOURCES_IN_MEMORY", 10)
    counts = Counting(clock)
    for number in range(100):
        counts.resolved(PREFIX_A, f"2001:db8::{number}", 1, 1)
    written(world.engine, clock, counts)

    async def main(asker):
        told = await asker.ask("administrator", methods.LIST_SOURCE_STATISTICS, prefix=PREFIX_A, from_day=20260101)
        assert sum(row.resolutions for row in told.sources) + told.unattributed == 100
        assert 0 < len(told.sources) <= 10

    run(world, main)


def test_counts_that_find_no_room_are_kept(world, clock):
    async def main(asker):
        core = asker.service.core
        core.counting.resolved(PREFIX_A, "192.0.2.1", 4, 4)
        submit = core.lane.submit

        async def no_room(job, **options):
            raise StorageFull("full")

        core.lane.submit = no_room
        await core.flush_counts()
        core.counting.resolved(PREFIX_A, "192.0.2.1", 1, 1)
        await core.flush_counts()
        core.lane.submit = submit
        answer = await asker.ask("administrator", methods.GET_STATISTICS, from_day=20260101)
        assert day_of_node(answer).resolutions == 5

    run(world, main)


def test_counts_that_no_mirror_has_confirmed_are_counted_once(world, clock, tmp_path):
    """They are on this node's disk: written again with each flush they grow as long as the mirrors are away."""
    with world.engine.write() as writer:
        site_role.store(writer, stored_pb2.StoredSite(logging=True))

    async def main(asker):
        core = asker.service.core
        core.counting.resolved(PREFIX_A, "192.0.2.1", 4, 4)
        for _ in range(3):
            await core.flush_counts()
        answer = await asker.ask("administrator", methods.GET_STATISTICS, from_day=20260101)
        assert day_of_node(answer).resolutions == 4

    run(world, main, mirror=MirrorOptions(tmp_path, confirmations=1, confirm_timeout_s=0.01))


@pytest.mark.parametrize(("keep", "left"), [(0, True), (3, False), (30, True)])
def test_what_is_old_is_forgotten(world, clock, keep, left):
    counts = Counting(clock)
    counts.resolved(PREFIX_A, "192.0.2.1", 1, 1)
    written(world.engine, clock, counts)
    clock.advance(10 * DAY_US / 1e6)

    async def main(asker):
        await asker.service.core.flush_counts()
        answer = await asker.ask(
            "administrator", methods.GET_STATISTICS, from_day=20260101, include_activity=True, include_sources=True
        )
        assert bool(answer.days) is left
        assert bool(answer.activity) is left
        told = await asker.ask("administrator", methods.LIST_SOURCE_STATISTICS, from_day=20260101)
        assert bool(told.sources) is left

    run(world, main, statistics_keep_days=keep, sources_keep_days=keep)
