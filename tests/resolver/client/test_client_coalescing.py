"""Resolutions of one loop turn become batches; every asker gets its own outcome."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from scripted_node import refuse, running

from resolver import methods
from resolver.client import AsyncClient, CallFailed, InvalidArgument, NotFound, RetryPolicy, Unavailable
from resolver.client.coalescing import SHARE_MIN, Coalescer
from resolver.v1 import resolution_pb2
from resolver.v1.handle_pb2 import HandleRecord

QUICK = RetryPolicy(attempts_max=2, first_delay_s=0.001)


class Node:
    """Answers batches: names ending in '-' are missing, in '!' too large for a batch. Notes what was asked."""

    def __init__(self):
        self.batches = []
        self.alone = []
        self.open = self.open_max = 0
        self.failing = False
        self.release = None
        self.entered = threading.Event()
        self._lock = threading.Lock()

    def methods(self):
        return {methods.BATCH_RESOLVE: self._batch, methods.RESOLVE: self._alone}

    def _batch(self, request, context):
        with self._lock:
            self.batches.append(request)
            self.entered.set()
            self.open += 1
            self.open_max = max(self.open_max, self.open)
        if self.release is not None:
            self.release.wait(60)
        with self._lock:
            self.open -= 1
        if self.failing:
            refuse(context, grpc.StatusCode.UNAVAILABLE, "down")
        response = resolution_pb2.BatchResolveResponse()
        for position, name in enumerate(request.names):
            if name.endswith("-"):
                response.misses.add(position=position, code=5, reason="HANDLE_NOT_FOUND", message="not there")
            elif name.endswith("!"):
                response.misses.add(position=position, code=8, reason="ANSWER_TOO_LARGE", message="ask alone")
            else:
                response.records.add(name=name)
        return response

    def _alone(self, request, context):
        self.alone.append(request.name)
        return resolution_pb2.ResolveResponse(record=HandleRecord(name=request.name, version=7))


@pytest.fixture
def node():
    return Node()


def run(node, ask, **options):
    async def main(target):
        async with AsyncClient(target, coalesce=True, retry=QUICK, **options) as client:
            return await ask(client)

    with running(node.methods()) as target:
        return asyncio.run(main(target))


def test_calls_of_one_turn_share_batches_and_duplicates_are_asked_once(node):
    async def ask(client):
        names = [f"n{number % 1_500}" for number in range(3_000)]
        records = await asyncio.gather(*(client.resolve(name) for name in names))
        assert [record.name for record in records] == names

    run(node, ask, in_flight_max=2)
    assert sorted(len(request.names) for request in node.batches) == [750, 750]
    assert len({name for request in node.batches for name in request.names}) == 1_500


def test_few_names_are_not_spread_and_a_batch_is_never_too_long(node):
    async def ask(client):
        await asyncio.gather(*(client.resolve(f"few{number}") for number in range(SHARE_MIN)))
        await asyncio.gather(*(client.resolve(f"many{number}") for number in range(4_500)))

    run(node, ask)
    assert next(len(request.names) for request in node.batches) == SHARE_MIN
    assert sorted(len(request.names) for request in node.batches[1:]) == [500, 1_000, 1_000, 1_000, 1_000]


def test_a_name_asked_by_several_answers_each_even_when_the_first_gave_up(node):
    async def ask(client):
        futures = [client.resolve_soon("same") for _ in range(4)] + [client.resolve_soon("gone-") for _ in range(2)]
        futures[0].cancel()
        futures[4].cancel()
        return await asyncio.gather(*futures, return_exceptions=True)

    first, *others, gone, failed = run(node, ask)
    assert isinstance(first, asyncio.CancelledError)
    assert [record.name for record in others] == ["same"] * 3
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(failed, NotFound)


def test_calls_side_by_side_use_several_connections_and_calls_in_turn_one(node):
    peers = set()

    def note(request, context):
        peers.add(context.peer())
        return Node._alone(node, request, context)

    async def main(target):
        async with AsyncClient(target, connections_max=3) as client:
            for name in "abc":
                await client.resolve(name)
            assert len(peers) == 1
            await asyncio.gather(*(client.resolve(name) for name in "abcdef"))
            assert len(peers) == 3

    with running({methods.RESOLVE: note}) as target:
        asyncio.run(main(target))
    with pytest.raises(ValueError, match="0 connections reach nothing"):
        AsyncClient("127.0.0.1:1", connections_max=0)


def test_misses_fail_only_their_own_callers(node):
    async def ask(client):
        return await asyncio.gather(*map(client.resolve, ["a", "b-", "c!", "b-"]), return_exceptions=True)

    first, second, third, fourth = run(node, ask)
    assert (first.name, third.name, third.version) == ("a", "c!", 7)
    assert isinstance(second, NotFound)
    assert second.reason == "HANDLE_NOT_FOUND"
    assert isinstance(fourth, NotFound)
    assert fourth is not second
    assert node.alone == ["c!"]
    assert list(node.batches[0].names) == ["a", "b-", "c!"]


def test_other_options_go_in_another_batch(node):
    async def ask(client):
        await asyncio.gather(client.resolve("a"), client.resolve("a", types=["URL"]), client.resolve("b"))

    run(node, ask)
    assert sorted((list(request.types), list(request.names)) for request in node.batches) == [
        ([], ["a", "b"]),
        (["URL"], ["a"]),
    ]


def test_a_batch_that_fails_fails_every_caller_with_an_exception_of_its_own(node):
    node.failing = True

    async def ask(client):
        return await asyncio.gather(*map(client.resolve, ["a", "b"]), return_exceptions=True)

    one, other = run(node, ask)
    assert isinstance(one, Unavailable)
    assert isinstance(other, Unavailable)
    assert one is not other
    assert len(node.batches) == QUICK.attempts_max


def test_a_name_that_is_no_unicode_fails_alone(node):
    async def ask(client):
        return await asyncio.gather(*map(client.resolve, ["a", "\udcff", "b"]), return_exceptions=True)

    first, second, third = run(node, ask)
    assert (first.name, third.name) == ("a", "b")
    assert isinstance(second, InvalidArgument)
    assert second.reason == "INVALID_NAME"


def test_cancelling_one_caller_leaves_the_others(node):
    async def ask(client):
        calls = [asyncio.ensure_future(client.resolve("same")) for _ in range(3)]
        await asyncio.sleep(0)
        calls[1].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third = run(node, ask)
    assert first.name == third.name == "same"
    assert isinstance(second, asyncio.CancelledError)


def test_batches_in_flight_are_bounded_and_the_waiting_join(node):
    node.release = threading.Event()

    async def ask(client):
        futures = []
        for number in range(50):
            futures.append(client.resolve_soon(f"n{number}"))
            await asyncio.sleep(0.001)
        async with asyncio.timeout(60):
            while node.open_max < 2:  # noqa: ASYNC110 - the node's threads tell
                await asyncio.sleep(0.005)
        node.release.set()
        records = await asyncio.gather(*futures)
        assert [record.name for record in records] == [f"n{number}" for number in range(50)]

    run(node, ask, in_flight_max=2)
    assert node.open_max == 2
    assert len(node.batches) == 3  # two that started at once, and one of all that waited


def test_what_is_no_text_is_refused_and_holds_up_no_other(node):
    async def ask(client):
        fine = client.resolve_soon("a")
        for name in (None, 7, b"b"):
            with pytest.raises(TypeError, match="give the handle as text"):
                client.resolve_soon(name)
        assert (await fine).name == "a"

    run(node, ask)


def test_closing_fails_whoever_waits_as_other_calls_fail(node):
    node.release = threading.Event()

    async def main(target):
        client = AsyncClient(target, coalesce=True, in_flight_max=1)
        sent = client.resolve_soon("a")
        await asyncio.to_thread(node.entered.wait, 60)
        waiting = client.resolve_soon("b")
        await client.close()
        for future in (sent, waiting):
            with pytest.raises(CallFailed, match="client was closed") as failed:
                await future
            assert failed.value.code is grpc.StatusCode.CANCELLED

    with running(node.methods()) as target:
        asyncio.run(main(target))
        node.release.set()


def test_who_asks_in_the_turn_in_which_the_client_is_closed_is_told_so():
    """A batch whose task was cancelled before its first step told nobody: who had asked waited for ever."""

    async def never(*_):
        raise AssertionError("nothing is asked any more")

    async def main():
        asking = Coalescer(never, never, in_flight_max=2)
        future = asking.ask("88.1/A")
        await asyncio.sleep(0)  # the batch has its task, which has not begun
        await asking.close()
        with pytest.raises(CallFailed, match="was closed"):
            await asyncio.wait_for(future, 20)

    asyncio.run(main())
