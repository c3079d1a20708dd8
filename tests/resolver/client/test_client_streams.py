"""Imports and resolution streams survive cut connections: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time

import grpc
import pytest
from scripted_node import Link, refuse, running

from resolver import methods
from resolver.client import (
    AsyncClient,
    CallFailed,
    InvalidArgument,
    PermissionDenied,
    RetryPolicy,
    Unavailable,
    chunks_of,
    new_handle,
)
from resolver.client.importing import ImportWindow
from resolver.v1 import registration_pb2, resolution_pb2
from resolver.v1.handle_pb2 import HandleRecord

QUICK = RetryPolicy(attempts_max=None, first_delay_s=0.001, delay_max_s=0.01, resets_too=True)


class Importer:
    """Applies each chunk once and tells a repeated one apart, as the node does; ends streams when told to."""

    def __init__(self):
        self.applied = {}
        self.received = []
        self.streams = 0
        self.fail_at = {}
        self.refuse_at = {}
        self.hold_at = {}
        self.taken = [0]
        self.lock = threading.Lock()

    def handle(self, requests, context):
        with self.lock:
            self.streams += 1
        for request in requests:
            with self.lock:
                self.received.append(request.sequence)
                refusal = self.refuse_at.get(request.sequence)
            if refusal is not None:
                refusal(context)
            with self.lock:
                repeated = request.sequence in self.applied
                if request.handles and not repeated:
                    assert request.sequence == max(self.applied, default=0) + 1, "a gap"
                    self.applied[request.sequence] = [handle.name for handle in request.handles]
                fault = self.fail_at.pop(request.sequence, None)
            if fault is not None:
                until_s = time.monotonic() + 60
                while self.taken[-1] < request.sequence - 1 and time.monotonic() < until_s:
                    time.sleep(0.001)  # what is acknowledged and not taken yet would be lost with the stream
                fault(context)  # after the chunk is durable and before it is acknowledged
                return
            if request.sequence in self.hold_at:
                self.hold_at[request.sequence].wait(60)
            yield registration_pb2.ImportHandlesResponse(
                sequence=request.sequence,
                durable_sequence=max(self.applied, default=0),
                repeated_chunk=repeated,
                results=[registration_pb2.RowResult(row=row) for row in range(len(request.handles))],
            )


def handles(count):
    return [new_handle(f"88.300.1/{number}", []) for number in range(count)]


async def imported(target, chunks, taken=()):
    acknowledged = []
    async with AsyncClient(target, retry_streams=QUICK) as client:
        async for each in client.import_session("load-1").run(chunks):
            acknowledged.append(each)
            if taken:
                taken.append(each.sequence)
    return acknowledged


def test_an_import_is_acknowledged_in_order():
    importer = Importer()
    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        acknowledged = asyncio.run(imported(target, chunks_of(handles(250), rows_max=10)))
    assert [each.sequence for each in acknowledged] == list(range(1, 26))
    assert [name for names in importer.applied.values() for name in names] == [handle.name for handle in handles(250)]
    assert importer.streams == 1


def test_an_asynchronous_source_is_taken():
    importer = Importer()

    async def source():
        for chunk in chunks_of(handles(9), rows_max=3):
            await asyncio.sleep(0)
            yield chunk

    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        acknowledged = asyncio.run(imported(target, source()))
    assert [len(each.results) for each in acknowledged] == [3, 3, 3]


def test_an_empty_import_ends():
    importer = Importer()
    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        assert asyncio.run(imported(target, [])) == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda context: refuse(context, grpc.StatusCode.UNAVAILABLE, "drain", reason="SHUTTING_DOWN"),
        lambda context: refuse(context, grpc.StatusCode.CANCELLED, "drain"),
        lambda context: refuse(context, grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        lambda context: None,  # the stream ends in good order with chunks open
    ],
)
def test_a_broken_stream_is_resumed_with_the_same_numbers(fault):
    importer = Importer()
    importer.fail_at = {3: fault, 4: fault, 11: fault}
    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        acknowledged = asyncio.run(imported(target, chunks_of(handles(60), rows_max=5), importer.taken))
    assert [each.sequence for each in acknowledged] == list(range(1, 13))
    assert [each.sequence for each in acknowledged if each.repeated_chunk] == [3, 4, 11]
    assert [name for names in importer.applied.values() for name in names] == [handle.name for handle in handles(60)]
    assert importer.streams == 4


def test_a_connection_cut_at_random_loses_and_repeats_nothing():
    importer = Importer()
    cuts = set(random.Random(11).sample(range(1, 80), 6))
    importer.hold_at = {sequence + 1: threading.Event() for sequence in cuts}

    async def main(target):
        async with Link(target) as link, AsyncClient(link.target, retry_streams=QUICK) as client:
            acknowledged = []
            async for each in client.import_session("load-1").run(chunks_of(handles(800), rows_max=10)):
                acknowledged.append(each.sequence)
                if each.sequence in cuts:
                    async with asyncio.timeout(60):
                        while each.sequence + 1 not in importer.received:  # noqa: ASYNC110 - the node's threads tell
                            await asyncio.sleep(0.001)
                    link.cut()
                    importer.hold_at[each.sequence + 1].set()
            return acknowledged, link.connections

    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        acknowledged, connections = asyncio.run(main(target))
    assert acknowledged == list(range(1, 81))
    assert [name for names in importer.applied.values() for name in names] == [handle.name for handle in handles(800)]
    assert connections > len(cuts)
    assert len(importer.received) >= 80 + len(cuts)  # each was felt


@pytest.mark.parametrize("refused", [1, 2, 12])
def test_a_refusal_is_heard_even_while_chunks_are_being_written(refused):
    streams = []

    def behaviour(requests, context):
        streams.append(context)
        for request in requests:
            if request.sequence == refused:
                refuse(context, grpc.StatusCode.PERMISSION_DENIED, "not yours", reason="PERMISSION_DENIED")
            yield registration_pb2.ImportHandlesResponse(sequence=request.sequence)

    with running({methods.IMPORT_HANDLES: behaviour}) as target, pytest.raises(PermissionDenied, match="not yours"):
        asyncio.run(imported(target, chunks_of(handles(600), rows_max=1)))
    assert len(streams) <= 3  # one that may hide the refusal, and careful ones


def test_a_refused_import_is_told():
    importer = Importer()
    importer.refuse_at = {
        2: lambda context: refuse(
            context, grpc.StatusCode.INVALID_ARGUMENT, "another chunk", reason="REQUEST_ID_REUSED"
        )
    }
    with (
        running({methods.IMPORT_HANDLES: importer.handle}) as target,
        pytest.raises(InvalidArgument, match="another chunk"),
    ):
        asyncio.run(imported(target, chunks_of(handles(9), rows_max=3)))
    assert sorted(importer.applied) == [1]


def test_a_source_that_fails_is_told_after_what_came_before_is_durable():
    importer = Importer()

    def source():
        yield from chunks_of(handles(4), rows_max=2)
        raise OSError("the file is gone")

    seen = []

    async def main(target):
        async with AsyncClient(target) as client:
            async for each in client.import_session("load-1").run(source()):
                seen.append(each.sequence)  # noqa: PERF401 - what came before the failure must be kept

    with running({methods.IMPORT_HANDLES: importer.handle}) as target, pytest.raises(OSError, match="the file is gone"):
        asyncio.run(main(target))
    assert seen == [1, 2]


def test_no_more_than_the_window_is_in_flight():
    release = threading.Event()
    received = []

    def slow(requests, context):
        for request in requests:
            received.append(request.sequence)
            if len(received) == 3:
                release.wait(60)
            yield registration_pb2.ImportHandlesResponse(sequence=request.sequence)

    taken = []

    def source():
        for chunk in chunks_of(handles(20), rows_max=1):
            taken.append(chunk[0])
            yield chunk

    async def main(target):
        async with AsyncClient(target) as client:
            run = client.import_session("load-1", window=2).run(source())
            assert (await anext(run)).sequence == 1
            assert (await anext(run)).sequence == 2
            async with asyncio.timeout(60):
                while len(taken) < 5:  # noqa: ASYNC110 - a source is asked, and tells nobody
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert taken == [1, 2, 3, 4, 5]  # two open and one waiting for room
            release.set()
            assert [each.sequence async for each in run] == list(range(3, 21))

    with running({methods.IMPORT_HANDLES: slow}) as target:
        asyncio.run(main(target))


def test_leaving_an_import_early_ends_its_stream():
    importer = Importer()

    async def main(target):
        async with AsyncClient(target) as client:
            run = client.import_session("load-1").run(chunks_of(handles(100), rows_max=1))
            await anext(run)
            await run.aclose()
            running_still = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
            assert not {name for name in running_still if name.startswith("Exchange")}

    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        asyncio.run(main(target))


def test_no_node_at_all_ends_the_patience():
    with running({}) as target:
        pass

    async def main():
        async with AsyncClient(target, retry_streams=QUICK, patience_s=0.2) as client:
            async for _ in client.import_session("load-1").run(chunks_of(handles(1))):
                pass

    with pytest.raises(Unavailable):
        asyncio.run(main())


def test_an_import_tells_where_it_stands():
    importer = Importer()

    async def main(target):
        async with AsyncClient(target) as client:
            session = client.import_session("load-1")
            assert await session.durable_sequence() == 0
            async for _ in session.run(chunks_of(handles(6), rows_max=2)):
                pass
            assert await session.durable_sequence() == 3

    with running({methods.IMPORT_HANDLES: importer.handle}) as target:
        asyncio.run(main(target))


def test_wrong_imports_are_told_before_anything_is_sent():
    with pytest.raises(ValueError, match="1 to 48"):
        ImportWindow("识" * 17, window=1)
    with pytest.raises(ValueError, match="1 or more"):
        ImportWindow("a", window=0)
    window = ImportWindow("a", window=4)
    window.accept((5, handles(1)))
    with pytest.raises(ValueError, match="without gaps"):
        window.accept((7, handles(1)))
    with pytest.raises(ValueError, match="2001 rows"):
        window.accept((6, handles(2_001)))


def test_acknowledgements_out_of_order_wait_for_their_turn():
    window = ImportWindow("a", window=4)
    for sequence in (1, 2, 3):
        window.accept((sequence, handles(1)))
        assert window.next_request().sequence == sequence
    acknowledge = registration_pb2.ImportHandlesResponse
    assert window.take(acknowledge(sequence=2)) == []
    assert [each.sequence for each in window.take(acknowledge(sequence=1))] == [1, 2]
    assert window.take(acknowledge(sequence=1)) == []
    window.reconnected()
    assert window.next_request().sequence == 3
    assert window.next_request() is None


def answering(seen, *, break_after=None):
    """BatchResolve: names ending in '-' are missing; the batch that passes ``break_after`` names fails once."""
    lock = threading.Lock()
    broken = []

    def behaviour(request, context):
        with lock:
            before = len(seen)
            seen.extend(request.names)
            breaks = break_after is not None and before <= break_after < len(seen) and not broken
            if breaks:
                broken.append(before)
        if breaks:
            refuse(context, grpc.StatusCode.UNAVAILABLE, "drain")
        response = resolution_pb2.BatchResolveResponse()
        for position, name in enumerate(request.names):
            if name.endswith("-"):
                response.misses.add(position=position, code=5, reason="HANDLE_NOT_FOUND")
            else:
                response.records.add(name=name)
        return response

    return {methods.BATCH_RESOLVE: behaviour}


def streamed(target, names, **options):
    async def main():
        async with AsyncClient(target, retry_streams=QUICK) as client:
            return [each async for each in client.resolve_stream(names, **options)]

    return asyncio.run(main())


async def slowly(names):
    for number, name in enumerate(names):
        if number % 7 == 0:
            await asyncio.sleep(0.001)
        yield name


@pytest.mark.parametrize("break_after", [None, 137])
@pytest.mark.parametrize("source", [iter, slowly])
def test_a_resolution_stream_says_for_each_answer_which_name_it_is_for(source, break_after):
    names = [f"n{number}{'-' if number % 5 == 0 else ''}" for number in range(1_000)]
    seen = []
    with running(answering(seen, break_after=break_after)) as target:
        resolved = streamed(target, source(names), open_max=300)
    assert sorted(each.position for each in resolved) == list(range(1_000))
    for position, name, answer in resolved:
        assert names[position] == name
        if name.endswith("-"):
            assert (answer.reason, answer.position) == ("HANDLE_NOT_FOUND", position)
        else:
            assert answer.name == name
    assert (len(seen) > 1_000) == (break_after is not None)


def test_names_of_one_turn_share_a_burst_and_no_more_than_open_max_are_open():
    sizes, release = [], threading.Semaphore(0)

    def behaviour(request, context):
        del context
        sizes.append(len(request.names))
        release.acquire()
        return resolution_pb2.BatchResolveResponse(records=[HandleRecord(name=name) for name in request.names])

    async def main(target):
        async with (
            AsyncClient(target) as client,
            contextlib.aclosing(client.resolve_stream((f"n{number}" for number in range(100)), open_max=40)) as answers,
        ):
            first = asyncio.ensure_future(anext(answers))
            async with asyncio.timeout(60):
                while len(sizes) < 4:  # noqa: ASYNC110 - the node's threads tell
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert sizes == [10, 10, 10, 10], "four bursts side by side, and no more than 40 names"
            release.release(100)
            await first
            return 1 + len([each async for each in answers])

    with running({methods.BATCH_RESOLVE: behaviour}) as target:
        assert asyncio.run(main(target)) == 100


def test_leaving_a_resolution_stream_early_asks_no_more():
    seen = []

    async def main(target):
        names = (f"n{number}" for number in range(10**9))
        async with (
            AsyncClient(target) as client,
            contextlib.aclosing(client.resolve_stream(names, open_max=8)) as found,
        ):
            async for _ in found:
                break

    with running(answering(seen)) as target:
        asyncio.run(main(target))
    assert 1 <= len(seen) <= 16


def test_a_source_of_names_that_fails_is_told_after_the_answers_before():
    def source():
        yield from ("a", "b")
        raise LookupError("no more")

    found = []

    async def main(target):
        async with AsyncClient(target) as client:
            async for each in client.resolve_stream(source()):
                found.append(each.name)  # noqa: PERF401 - what comes before the failure

    with running(answering([])) as target, pytest.raises(LookupError):
        asyncio.run(main(target))
    assert found == ["a", "b"]


def test_a_refused_burst_ends_the_stream():
    with running({}) as target, pytest.raises(CallFailed):
        streamed(target, ["a"])
    with pytest.raises(ValueError, match="0 open questions"):
        streamed("127.0.0.1:1", ["a"], open_max=0)
