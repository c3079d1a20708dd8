"""The largest records asked for by the thousand: a request of some kilobytes costs no gigabytes and no seconds."""

import asyncio
import tracemalloc

from resolver import limits
from resolver.service import resolution
from resolver.v1 import resolution_pb2 as pb
from tests.support.builders import PREFIX_A, register, value

BIG = f"{PREFIX_A}/big"
SMALL = f"{PREFIX_A}/small"
VALUES = 2_000


def fill(world):
    register(world.engine, world.clock, BIG, [value(number + 1, "x" * 480) for number in range(VALUES)])
    register(world.engine, world.clock, SMALL)


def run(world, main):
    async def body():
        fill(world)
        async with world.serving() as asker:
            await main(asker)

    asyncio.run(body())


async def measured(asker, names, **fields):
    """The answer to a batch, and the most octets that were held for it."""
    request = pb.BatchResolveRequest(names=names, **fields)
    tracemalloc.start()
    try:
        answer = asker.service.resolution.batch_resolve(asker.call(""), request)
        return pb.BatchResolveResponse.FromString(answer), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_thousand_large_records_are_not_held_together(world):
    async def main(asker):
        response, held = await measured(asker, [SMALL] + [BIG] * (limits.BATCH_RESOLVE_MAX - 1))
        assert [len(record.values) for record in response.records] == [1] + [VALUES] * 4
        assert {miss.reason for miss in response.misses} == {"ANSWER_TOO_LARGE"}
        assert len(response.records) + len(response.misses) == limits.BATCH_RESOLVE_MAX
        assert held < 30 << 20

    run(world, main)


def test_no_more_is_read_for_a_batch_than_some_answers_and_the_rest_can_be_asked_again(world):
    async def main(asker):
        names = [BIG] * 40
        response, _ = await measured(asker, names, types=["EMAIL"])
        reasons = [miss.reason for miss in response.misses]
        read = reasons.count("VALUES_NOT_FOUND")
        assert reasons == ["VALUES_NOT_FOUND"] * read + ["ANSWER_TOO_LARGE"] * (len(names) - read)
        assert resolution._READ_OCTETS_MAX < read << 20 < 2 * resolution._READ_OCTETS_MAX
        response, _ = await measured(asker, names[read:][:read], types=["EMAIL"])
        assert [miss.reason for miss in response.misses] == ["VALUES_NOT_FOUND"] * read

    run(world, main)


def test_questions_that_one_answer_of_a_stream_has_no_room_for_are_left(world):
    async def main(asker):
        requests = [
            pb.StreamResolveRequest(name=name, tag=tag) for tag, name in enumerate([BIG] * 9 + [SMALL, "88.7/x"])
        ]
        places, tags, missed, rounds = [*range(len(requests))], [], [], 0
        while places:
            left = []
            answer = asker.service.resolution.answer_stream(
                asker.call(""), [requests[place] for place in places], None, left
            )
            assert len(answer) <= limits.ANSWER_OCTETS_MAX + 200
            response = pb.StreamResolveResponse.FromString(answer)
            tags += response.tags
            missed += [miss.position for miss in response.misses]
            assert len(response.records) == len(response.tags) > 0 or response.misses
            places = [places[place] for place in left]
            rounds += 1
        assert (sorted(tags), missed, rounds) == ([*range(10)], [10], 3)
        counted = asker.service.core.counting._now
        assert counted[PREFIX_A, "192.0.2.1", "grpc"] == [10, 10]

    run(world, main)
