"""Registrations at the h2 door: a burst goes to the lane together, and each call is answered as it deserves."""

import asyncio

import grpc
import pytest

from resolver import methods
from resolver.node.ledger import last_serial
from resolver.v1 import registration_pb2 as registration
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.resolver.transport.h2_doors import RST_STREAM, Peer, both_clients, h2_client, run, until
from tests.resolver.transport.test_grpc_h2_calls import StuckLane
from tests.support.builders import HIDDEN, PREFIX_A, PREFIX_B, register, value
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import Failed, World

PATH = methods.CREATE_HANDLE.path


def create(name, **fields):
    return registration.CreateHandleRequest(name=name, values=[value()], **fields)


def token(world, who="user_a"):
    return [("authorization", f"Bearer {world.tokens[who]}")]


def serial_of(world):
    with world.engine.read() as reader:
        return last_serial(reader)


async def queued(client, rows):
    await until(lambda: client.service.core.lane.queued_rows == rows)


def test_a_burst_is_one_commit_and_every_call_has_its_own_answer(world):
    commits = []

    async def main():
        register(world.engine, world.clock, f"{PREFIX_A}/there")
        async with h2_client(world) as client:
            client.service.core._observe_commit = commits.append
            peer = await Peer.connect(client.place.port)
            with StuckLane(world.engine) as lane:
                ahead = asyncio.create_task(client.ask("user_a", methods.CREATE_HANDLE, create(f"{PREFIX_A}/ahead")))
                await lane.until_it_waits()
                asked = [
                    create(f"{PREFIX_A}/a"),
                    create(f"{PREFIX_A}/there"),
                    create(f"{PREFIX_B}/foreign"),
                    create(f"{PREFIX_A}/零件"),
                    create(f"{PREFIX_A}/a"),
                    create(f"{PREFIX_A}/lot-", mint_suffix=True),
                    create("10.1000/unknown"),
                    create(f"{PREFIX_A}/b", request_id="r-1"),
                    create(f"{PREFIX_A}/b", request_id="r-1"),
                    create(f"{PREFIX_A}/dry", validate_only=True),
                    create(f"{PREFIX_A}/template", template_id="none"),
                ]
                for number, request in enumerate(asked):
                    peer.request(2 * number + 1, request.SerializeToString(), path=PATH, extra=token(world))
                await until(lambda: client.service.core.lane.queued_rows >= len(asked) - 1)
            await ahead
            answers = [await answer_of(peer, 2 * number + 1, len(asked)) for number in range(len(asked))]
            statuses = [fields["grpc-status"] for fields, _ in answers]
            assert statuses == ["0", "6", "7", "0", "6", "0", "5", "0", "0", "0", "5"]
            names = [registration.CreateHandleResponse.FromString(data[5:]).receipt.name for _, data in answers if data]
            assert names[:2] == [f"{PREFIX_A}/a", f"{PREFIX_A}/零件"]
            assert names[2].startswith(f"{PREFIX_A}/lot-0")
            assert answers[7] == answers[8], "the retry got another answer"
            assert serial_of(world) == 6
            assert {code for _, code, _ in client.place.observed} == {0, 5, 6, 7}
            assert len([1 for method, _, _ in client.place.observed if method is methods.CREATE_HANDLE]) == 12

    run(main())
    assert max(commit.jobs for commit in commits) >= 9


async def answer_of(peer, stream_id, streams):
    """The answer on a stream; those of other streams are kept for when they are asked for."""
    if not hasattr(peer, "answers"):
        peer.answers = {}
        for _ in range(streams):
            where, answer = await one_answer(peer)
            peer.answers[where] = answer
    return peer.answers[stream_id]


async def one_answer(peer):
    """The next answer to be complete: its stream, headers and octets."""
    open_answers = peer.__dict__.setdefault("open_answers", {})
    while True:
        kind, flags, where, payload = await peer.frame()
        fields, data = open_answers.setdefault(where, ({}, []))
        if kind == 1:
            fields.update(peer._decoder.decode(payload))
        elif kind == 0:
            data.append(payload)
        if kind in {0, 1} and flags & 1:
            del open_answers[where]
            return where, (fields, b"".join(data))


def test_what_is_cancelled_before_its_turn_is_not_written(world):
    async def main():
        async with h2_client(world) as client:
            peer, leaving = await Peer.connect(client.place.port), await Peer.connect(client.place.port)
            with StuckLane(world.engine) as lane:
                peer.request(1, create(f"{PREFIX_A}/first").SerializeToString(), path=PATH, extra=token(world))
                await lane.until_it_waits()
                peer.request(3, create(f"{PREFIX_A}/cancelled").SerializeToString(), path=PATH, extra=token(world))
                peer.request(5, create(f"{PREFIX_A}/kept").SerializeToString(), path=PATH, extra=token(world))
                leaving.request(1, create(f"{PREFIX_A}/left").SerializeToString(), path=PATH, extra=token(world))
                await queued(client, 3)
                peer.send(RST_STREAM, 0, 3, b"\0\0\0\x08")
                leaving.writer.close()
                await until(lambda: [code for _, code, _ in client.place.observed].count(1) == 2)
            for stream_id in (1, 5):
                where, (fields, _) = await one_answer(peer)
                assert (where, fields["grpc-status"]) == (stream_id, "0")
            assert serial_of(world) == 2

    run(main())


def test_a_full_queue_is_said_to_each_call_that_finds_it_full(world):
    async def main():
        async with h2_client(world, lane_queue_max=3) as client:
            with StuckLane(world.engine) as lane:
                ahead = asyncio.create_task(client.ask("user_a", methods.CREATE_HANDLE, create(f"{PREFIX_A}/ahead")))
                await lane.until_it_waits()
                peer = await Peer.connect(client.place.port)
                for number in range(5):
                    octets = create(f"{PREFIX_A}/{number}").SerializeToString()
                    peer.request(2 * number + 1, octets, path=PATH, extra=token(world))
                refused = [await one_answer(peer) for _ in range(2)]
                assert [(where, fields["grpc-status"]) for where, (fields, _) in refused] == [(7, "14"), (9, "14")]
                assert client.service.core.lane.queued_rows == 3
            await ahead
            assert [(await one_answer(peer))[1][0]["grpc-status"] for _ in range(3)] == ["0"] * 3
            assert serial_of(world) == 4

    run(main())


def test_a_drain_answers_what_waits(world):
    async def main():
        async with h2_client(world) as client:
            peer = await Peer.connect(client.place.port)
            with StuckLane(world.engine) as lane:
                for stream_id in (1, 3):
                    octets = create(f"{PREFIX_A}/{stream_id}").SerializeToString()
                    peer.request(stream_id, octets, path=PATH, extra=token(world))
                await lane.until_it_waits()
                await client.place.door.drain(0.1)
                statuses = {(await one_answer(peer))[1][0]["grpc-status"] for _ in range(2)}
                assert statuses == {"14"}

    run(main())


CASES = {
    "plain": create(f"{PREFIX_A}/x"),
    "chinese": create(f"{PREFIX_A}/产品一"),
    "folded prefix": create(f"{PREFIX_A.lower()}/Case"),
    "there": create(f"{PREFIX_A}/There"),
    "there, keep": create(f"{PREFIX_A}/there", on_existing=registration.ON_EXISTING_KEEP),
    "there, replace": create(f"{PREFIX_A}/there", on_existing=registration.ON_EXISTING_REPLACE),
    "on_existing unknown": create(f"{PREFIX_A}/y", on_existing=9),
    "foreign": create(f"{PREFIX_B}/x"),
    "unknown prefix": create("10.1000/x"),
    "no suffix": create(f"{PREFIX_A}/"),
    "no name": create(""),
    "control": create(f"{PREFIX_A}/a\nb"),
    "long": create(f"{PREFIX_A}/" + "x" * 400),
    "too long": create(f"{PREFIX_A}/" + "x" * 3_000),
    "no values": registration.CreateHandleRequest(name=f"{PREFIX_A}/none"),
    "restricted": registration.CreateHandleRequest(name=f"{PREFIX_A}/r", values=[value(1, permissions=HIDDEN)]),
    "unordered": registration.CreateHandleRequest(name=f"{PREFIX_A}/u", values=[value(3), value(1), value(2_000)]),
    "repeated index": registration.CreateHandleRequest(name=f"{PREFIX_A}/i", values=[value(1), value(1)]),
    "mint without slash": create(PREFIX_A, mint_suffix=True),
    "template": create(f"{PREFIX_A}/t", template_id="none"),
    "request id": create(f"{PREFIX_A}/once", request_id="r"),
    "request id too long": create(f"{PREFIX_A}/once2", request_id="r" * 65),
    "dry": create(f"{PREFIX_A}/dry", validate_only=True),
    "garbage": b"\x0a\xff",
    "bad utf-8": b"\x0a\x0c88.300.10/\xff\xff",
    "unknown field": create(f"{PREFIX_A}/later").SerializeToString() + b"\x98\x06\x01",
}


@pytest.mark.parametrize("who", ["user_a", "app_a", "", "administrator"])
def test_both_doors_register_alike(lmdb_engine, tmp_path, who):
    """Each case at each door, on two stores that were alike before: same status, sentence, receipt and record."""
    found = {}

    async def main(kind, engine):
        world = World(engine, FakeClock(), seeded_randomness())
        register(world.engine, world.clock, f"{PREFIX_A}/there", values=[value(1, "other")])
        async with both_clients(world) as clients:
            for case, request in CASES.items():
                octets = request if isinstance(request, bytes) else request.SerializeToString()
                try:
                    answer = (await clients[kind].ask(who, methods.CREATE_HANDLE, octets))[0]
                    found[kind, case] = answer.SerializeToString(deterministic=True)
                except Failed as failed:
                    found[kind, case] = (failed.code, failed.message, failed.status)
        with engine.read() as reader:
            found[kind, "records"] = list(reader.scan(Table.RECORDS)), list(reader.scan(Table.RESTRICTED))
            found[kind, "journal"] = list(reader.scan(Table.CHANGES))

    run(main("h2", lmdb_engine))
    other = LmdbEngine(tmp_path / "other")
    run(main("grpcio", other))
    other.close()
    for case in [*CASES, "records", "journal"]:
        assert found["h2", case] == found["grpcio", case], case


def test_a_retry_at_the_other_door_gets_the_first_answer(world):
    async def main():
        async with both_clients(world) as clients:
            for first, second in (("h2", "grpcio"), ("grpcio", "h2")):
                request = create(f"{PREFIX_A}/{first}", request_id=f"id of {first}")
                answer = await clients[first].ask("user_a", methods.CREATE_HANDLE, request)
                assert await clients[second].ask("user_a", methods.CREATE_HANDLE, request) == answer
                request.name += "-other"
                with pytest.raises(Failed) as caught:
                    await clients[second].ask("user_a", methods.CREATE_HANDLE, request)
                assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert serial_of(world) == 2

    run(main())
