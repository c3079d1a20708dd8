"""One damaged octet in what is only counted stops no registration, no statistics and no retry of a request."""

import asyncio

from resolver import methods
from resolver.clock import day_of
from resolver.node.day_counts import NODE_KEY
from resolver.node.ledger import day_key, serial_key
from resolver.telemetry.calls import GRPC, REGISTRATION
from resolver.v1 import handle_pb2, registry_pb2, stored_pb2
from storage.tables import Table
from tests.support.builders import PREFIX_A, add_prefix
from tests.support.clock import DAY_US
from tests.support.damage import damage

NAME = f"{PREFIX_A}/"


async def register(asker, number, **fields):
    values = [handle_pb2.HandleValue(index=1, type="URL", data=b"x")]
    return await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{NAME}{number}", values=values, **fields)


def damaged_rows(clock):
    day = day_of(clock.now_us())
    yield Table.ACTIVITY, day.to_bytes(4, "big") + f"{REGISTRATION}\0{GRPC}".encode()
    yield Table.STATISTICS, day_key(day, NODE_KEY)
    yield Table.STATISTICS, day_key(day, PREFIX_A.encode())
    yield Table.SOURCES, day_key(day, PREFIX_A.encode()) + b"\0" + b"192.0.2.1"
    yield Table.RATES, b"ent-a"


def test_writes_and_statistics_go_on(world, clock):
    async def main():
        async with world.serving() as asker:
            quota = registry_pb2.Quota(writes_per_s=100, writes_per_day=100)
            row = (await asker.ask("administrator", methods.GET_ENTERPRISE, enterprise_id="ent-a")).enterprise
            row.quota.CopyFrom(quota)
            await asker.ask("administrator", methods.UPDATE_ENTERPRISE, enterprise=row)
            asker.service.core.counting.resolved(PREFIX_A, "192.0.2.1", 4, 4)
            await asker.service.core.flush_counts()
            await register(asker, 1)
            for table, key in damaged_rows(clock):
                damage(world.engine, table, key)
            await register(asker, 2)
            asker.service.core.counting.resolved(PREFIX_A, "192.0.2.1", 2, 2)
            await asker.service.core.flush_counts()
            answer = await asker.ask(
                "administrator", methods.GET_STATISTICS, from_day=20260101, include_activity=True, include_sources=True
            )
            counted = next(each for each in answer.days if each.prefix == PREFIX_A)
            assert (counted.creates, counted.resolutions, counted.handle_count) == (1, 2, 2), "counted since the damage"
            assert [source.resolutions for source in counted.sources] == [2]

    asyncio.run(main())


def test_a_damaged_tally_that_only_a_quota_reads_is_made_anew_once(world):
    """It was counted again, a pass over the prefix under the writer lock, with every change of its enterprise."""
    idle = "88.300.11"
    with world.engine.write() as writer:
        add_prefix(writer, idle, "ent-a")

    async def main():
        async with world.serving() as asker:
            row = (await asker.ask("administrator", methods.GET_ENTERPRISE, enterprise_id="ent-a")).enterprise
            row.quota.CopyFrom(registry_pb2.Quota(handles_max=100))
            await asker.ask("administrator", methods.UPDATE_ENTERPRISE, enterprise=row)
            values = [handle_pb2.HandleValue(index=1, type="URL", data=b"x")]
            await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{idle}/1", values=values)
            with world.engine.read() as reader:
                before = stored_pb2.StoredTally.FromString(reader.get(Table.TALLIES, idle.encode()))
            damage(world.engine, Table.TALLIES, idle.encode())
            await register(asker, 1)
            with world.engine.read() as reader:
                after = stored_pb2.StoredTally.FromString(reader.get(Table.TALLIES, idle.encode()))
            assert (after.handle_count, after.record_octets, after.set_hash) == (
                before.handle_count,
                before.record_octets,
                before.set_hash,
            )

    asyncio.run(main())


def test_old_rows_are_forgotten_over_a_damaged_one(world, clock):
    async def main():
        async with world.serving(statistics_keep_days=3, sources_keep_days=3) as asker:
            await register(asker, 1, request_id="old")
            day = day_of(clock.now_us())
            clock.advance(10 * DAY_US / 1e6)
            with world.engine.read() as reader:
                (old,) = [key for key, _ in reader.scan_rows(Table.OUTCOMES)]
            damage(world.engine, Table.OUTCOMES, old)
            damage(world.engine, Table.STATISTICS, day_key(day, NODE_KEY))
            await register(asker, 2, request_id="new")
            await asker.service.core.flush_counts()
            with world.engine.read() as reader:
                assert reader.get_row(Table.OUTCOMES, old) is None
                assert reader.get_row(Table.STATISTICS, day_key(day, NODE_KEY)) is None
                assert reader.count(Table.OUTCOMES) == 1

    asyncio.run(main())


def test_changes_follow_a_damaged_entry_of_the_journal(world):
    async def main():
        async with world.serving() as asker:
            first = await register(asker, 1)
            damage(world.engine, Table.CHANGES, serial_key(first.receipt.serial))
            second = await register(asker, 2)
            assert second.receipt.serial == first.receipt.serial + 1

    asyncio.run(main())
