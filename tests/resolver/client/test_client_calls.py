"""Calls of both front ends against a real server: retries, failures, credentials, batches, pages, the journal."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from scripted_node import refuse, running

from resolver import methods
from resolver.client import (
    Aborted,
    AlreadyExists,
    AsyncClient,
    CallFailed,
    Client,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RetryPolicy,
    Unauthenticated,
    Unavailable,
    new_handle,
)
from resolver.handle.value import HandleValue
from resolver.v1 import changes_pb2, node_pb2, registration_pb2, resolution_pb2
from resolver.v1.handle_pb2 import HandleRecord

Code = grpc.StatusCode
QUICK = RetryPolicy(first_delay_s=0.001, delay_max_s=0.002)
QUICK_STREAMS = RetryPolicy(attempts_max=None, first_delay_s=0.001, delay_max_s=0.002, resets_too=True)


class Blocking:
    """Runs one method of ``Client``."""

    def one(self, target, name, *args, client=None, **kwargs):
        with Client(target, **{"retry": QUICK, "retry_streams": QUICK_STREAMS, **(client or {})}) as opened:
            return getattr(opened, name)(*args, **kwargs)

    def many(self, target, name, *args, client=None, **kwargs):
        with Client(target, **{"retry": QUICK, "retry_streams": QUICK_STREAMS, **(client or {})}) as opened:
            return list(getattr(opened, name)(*args, **kwargs))


class Asynchronous:
    """Runs one method of ``AsyncClient``."""

    def one(self, target, name, *args, client=None, **kwargs):
        async def main():
            async with AsyncClient(
                target, **{"retry": QUICK, "retry_streams": QUICK_STREAMS, **(client or {})}
            ) as opened:
                return await getattr(opened, name)(*args, **kwargs)

        return asyncio.run(main())

    def many(self, target, name, *args, client=None, **kwargs):
        async def main():
            async with AsyncClient(
                target, **{"retry": QUICK, "retry_streams": QUICK_STREAMS, **(client or {})}
            ) as opened:
                return [item async for item in getattr(opened, name)(*args, **kwargs)]

        return asyncio.run(main())


@pytest.fixture(params=[Blocking, Asynchronous])
def front(request):
    return request.param()


def failing(times, code, then, seen):
    """A method that fails so many times and then answers; it notes every request."""

    def behaviour(request, context):
        seen.append(request)
        if len(seen) <= times:
            refuse(context, code, "not now")
        return then

    return behaviour


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.CANCELLED])
def test_a_write_is_retried_under_the_same_request_id(front, code):
    seen = []
    receipt = registration_pb2.WriteReceipt(name="88.300.1/A", version=1, serial=9)
    done = registration_pb2.CreateHandleResponse(receipt=receipt)
    with running({methods.CREATE_HANDLE: failing(2, code, done, seen)}) as target:
        assert front.one(target, "create", "88.300.1/a", [HandleValue(1, "URL", b"u")]) == receipt
    assert len(seen) == 3
    assert len(seen[0].request_id) == 36
    assert seen[0] == seen[1] == seen[2]


def test_each_write_has_its_own_request_id_and_a_given_one_is_kept(front):
    seen = []
    done = registration_pb2.DeleteHandleResponse()
    with running({methods.DELETE_HANDLE: failing(0, None, done, seen)}) as target:
        front.one(target, "delete", "88.300.1/a")
        front.one(target, "delete", "88.300.1/a")
        front.one(target, "delete", "88.300.1/a", request_id="mine", if_version=4)
    assert seen[0].request_id != seen[1].request_id
    assert seen[2] == registration_pb2.DeleteHandleRequest(name="88.300.1/a", request_id="mine", if_version=4)
    assert not seen[0].HasField("if_version")


def test_the_message_of_the_caller_is_not_changed(front):
    mine = registration_pb2.DeleteHandleRequest(name="88.300.1/a")
    done = registration_pb2.DeleteHandleResponse()
    with running({methods.DELETE_HANDLE: failing(0, None, done, [])}) as target:
        front.one(target, "call", methods.DELETE_HANDLE, mine)
    assert not mine.request_id


def test_attempts_end_and_the_last_failure_is_told(front):
    seen = []
    with (
        running({methods.RESOLVE: failing(99, Code.UNAVAILABLE, None, seen)}) as target,
        pytest.raises(Unavailable, match="not now") as caught,
    ):
        front.one(target, "resolve", "88.300.1/a")
    assert len(seen) == QUICK.attempts_max
    assert isinstance(caught.value.__cause__, Unavailable)


def test_nobody_listening_is_unavailable_within_the_deadline(front):
    with running({}) as target:
        pass
    with pytest.raises(CallFailed) as caught:
        front.one(target, "resolve", "88.300.1/a", timeout_s=0.5)
    assert caught.value.code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}


def test_the_deadline_reaches_the_node_and_ends_the_call(front):
    left = []
    release = threading.Event()

    def behaviour(request, context):
        left.append(context.time_remaining())
        release.wait(60)
        return resolution_pb2.ResolveResponse()

    with running({methods.RESOLVE: behaviour}) as target:
        for timeout_s in (1.5, 6.0, 24.0):  # a longer one when the first was over before the call had reached the node
            with pytest.raises(CallFailed) as caught:
                front.one(target, "resolve", "88.300.1/a", timeout_s=timeout_s)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
            if left:
                break
        release.set()
    assert len(left) == 1
    assert 0 < left[0] <= timeout_s + 0.01


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.NOT_FOUND, NotFound),
        (Code.ALREADY_EXISTS, AlreadyExists),
        (Code.PERMISSION_DENIED, PermissionDenied),
        (Code.UNAUTHENTICATED, Unauthenticated),
        (Code.ABORTED, Aborted),
        (Code.RESOURCE_EXHAUSTED, ResourceExhausted),
        (Code.DATA_LOSS, CallFailed),
    ],
)
def test_a_refusal_is_told_once_in_its_class(front, code, kind):
    seen = []
    with running({methods.RESOLVE: failing(9, code, None, seen)}) as target, pytest.raises(CallFailed) as caught:
        front.one(target, "resolve", "88.300.1/a")
    assert type(caught.value) is kind
    assert caught.value.code is code
    assert len(seen) == 1


def test_rich_details_are_decoded(front):
    def behaviour(request, context):
        refuse(
            context,
            Code.INVALID_ARGUMENT,
            "the name is empty: give one",
            reason="INVALID_NAME",
            retry_after_s=1.25,
            fields=[("name", "is empty")],
            metadata={"limit": "2048"},
        )

    with running({methods.RESOLVE: behaviour}) as target, pytest.raises(InvalidArgument) as caught:
        front.one(target, "resolve", "")
    failed = caught.value
    assert (failed.reason, failed.domain, failed.metadata) == ("INVALID_NAME", "idis-node", {"limit": "2048"})
    assert failed.field_violations == [("name", "is empty")]
    assert failed.retry_after_s == 1.25
    assert str(failed) == "INVALID_ARGUMENT INVALID_NAME: the name is empty: give one; name: is empty"
    assert vars(failed.copy()) == vars(failed)


def test_details_that_are_no_message_leave_the_plain_status(front):
    def behaviour(request, context):
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
        context.abort(Code.NOT_FOUND, "no such handle")

    with running({methods.RESOLVE: behaviour}) as target, pytest.raises(NotFound, match="no such handle"):
        front.one(target, "resolve", "88.300.1/a")


def test_retry_info_is_waited_for(front):
    seen = []
    waits = []

    def behaviour(request, context):
        seen.append(request)
        if len(seen) == 1:
            refuse(context, Code.RESOURCE_EXHAUSTED, "slower", reason="WATCH_TOO_SLOW", retry_after_s=0.25)
        return resolution_pb2.ResolveResponse(record=HandleRecord(name="N"))

    def sleep(delay_s):
        waits.append(delay_s)

    async def async_sleep(delay_s):
        waits.append(delay_s)

    chosen = sleep if isinstance(front, Blocking) else async_sleep
    with running({methods.RESOLVE: behaviour}) as target:
        assert front.one(target, "resolve", "88.300.1/a", client={"sleep": chosen, "random": lambda: 0.0}).name == "N"
    assert waits == [0.25]


def test_a_token_file_is_read_again_when_the_token_is_refused(front, tmp_path):
    path = tmp_path / "app.token"
    path.write_text("old\n", encoding="ascii")
    seen = []

    def behaviour(request, context):
        metadata = dict(context.invocation_metadata())
        seen.append(metadata.get("authorization"))
        if seen[-1] != "Bearer new":
            path.write_text("new\n", encoding="ascii")
            refuse(context, Code.UNAUTHENTICATED, "revoked", reason="CREDENTIAL_INVALID")
        return resolution_pb2.ResolveResponse(record=HandleRecord(name="N"))

    with running({methods.RESOLVE: behaviour}) as target:
        front.one(target, "resolve", "88.300.1/a", client={"token_file": path})
    assert seen == ["Bearer old", "Bearer new"]


def test_a_token_that_is_none_is_refused_before_any_call(tmp_path):
    for bad in ["", "two words", "line\nbreak", "识别"]:
        with pytest.raises(ValueError, match="printable ASCII"):
            Client("127.0.0.1:1", token=bad)
    (tmp_path / "empty").write_text("\n", encoding="ascii")
    with pytest.raises(ValueError, match="empty"):
        Client("127.0.0.1:1", token_file=tmp_path / "empty")
    with pytest.raises(ValueError, match="one of them"):
        Client("127.0.0.1:1", token="a", token_file=tmp_path / "empty")


def resolving(requests):
    """BatchResolve: names ending in '-' are missing, in '!' too large for a batch."""

    def batch(request, context):
        requests.append(len(request.names))
        response = resolution_pb2.BatchResolveResponse()
        for position, name in enumerate(request.names):
            if name.endswith("-"):
                response.misses.add(position=position, code=5, reason="HANDLE_NOT_FOUND", message="not there")
            elif name.endswith("!"):
                response.misses.add(position=position, code=8, reason="ANSWER_TOO_LARGE", message="ask alone")
            else:
                response.records.add(name=name)
        return response

    def alone(request, context):
        requests.append(request.name)
        if request.name == "gone!":
            refuse(context, Code.NOT_FOUND, "gone since", reason="HANDLE_NOT_FOUND")
        return resolution_pb2.ResolveResponse(record=HandleRecord(name=request.name))

    return {methods.BATCH_RESOLVE: batch, methods.RESOLVE: alone}


def test_any_number_of_names_is_answered_in_order(front):
    names = [f"n{number}{'-' if number % 7 == 3 else ''}" for number in range(2_500)]
    names[1_234], names[2_400] = "big!", "gone!"
    requests = []
    with running(resolving(requests)) as target:
        answers = front.many(target, "resolve_many", iter(names))
    assert len(answers) == len(names)
    for position, (name, answer) in enumerate(zip(names, answers, strict=True)):
        if name.endswith("-") or name == "gone!":
            assert (answer.position, answer.reason) == (position, "HANDLE_NOT_FOUND")
        else:
            assert answer.name == name
    assert sorted(each for each in requests if isinstance(each, int)) == [500, 1_000, 1_000]
    assert sorted(each for each in requests if isinstance(each, str)) == ["big!", "gone!"]


def test_answers_that_do_not_add_up_are_a_failure(front):
    def short(request, context):
        return resolution_pb2.BatchResolveResponse(records=[HandleRecord(name="one")])

    with (
        running({methods.BATCH_RESOLVE: short}) as target,
        pytest.raises(CallFailed, match="do not fit together") as caught,
    ):
        front.many(target, "resolve_many", ["one", "two"])
    assert caught.value.code is Code.INTERNAL


def test_many_handles_are_created_in_batches_with_rows_counted_over_all(front):
    ids = []

    def batch(request, context):
        ids.append(request.request_id)
        response = registration_pb2.BatchCreateHandlesResponse()
        for row, handle in enumerate(request.handles):
            response.results.add(row=row, reason="CREATED", message=handle.name)
        return response

    handles = [new_handle(f"88.300.1/{number}", []) for number in range(4_100)]
    with running({methods.BATCH_CREATE_HANDLES: batch}) as target:
        results = front.many(target, "create_many", handles)
    assert [(result.row, result.message) for result in results] == [
        (row, handle.name) for row, handle in enumerate(handles)
    ]
    assert len(set(ids)) == 3


def test_every_page_is_read(front):
    pages = {"": (["a", "b"], "p2"), "p2": ([], "p3"), "p3": (["c"], "")}

    def behaviour(request, context):
        names, token = pages[request.page_token]
        assert request.suffix_start == "x"
        if request.include_records:
            records = [HandleRecord(name=name) for name in names]
            return resolution_pb2.ListHandlesResponse(records=records, next_page_token=token)
        return resolution_pb2.ListHandlesResponse(names=names, next_page_token=token)

    with running({methods.LIST_HANDLES: behaviour}) as target:
        assert front.many(target, "list_handles", "88.300.1", suffix_start="x") == ["a", "b", "c"]
        records = front.many(target, "list_records", "88.300.1", suffix_start="x")
    assert [record.name for record in records] == ["a", "b", "c"]


def test_a_watch_resumes_without_gap_or_repeat(front):
    starts = []

    def journal(request, context):
        starts.append(request.from_serial)
        if len(starts) == 1:
            yield answer([5, 6], 8)  # 7 and 8 are filtered out
            refuse(context, Code.UNAVAILABLE, "draining", reason="SHUTTING_DOWN")
        if len(starts) == 2:
            return  # ends in good order, as a draining worker may
        yield answer([8, 9], 9)
        yield answer([], 11)
        if len(starts) == 3:
            refuse(context, Code.CANCELLED, "cut")
        yield answer([12], 12)

    def answer(serials, through):
        changes = [changes_pb2.WatchedChange(change=changes_pb2.Change(serial=serial)) for serial in serials]
        return changes_pb2.WatchResponse(changes=changes, through_serial=through)

    def info(request, context):
        return node_pb2.GetNodeInfoResponse(serial=4)

    def serials(changes):
        return [change.change.serial for change in changes]

    with running({methods.WATCH: journal, methods.GET_NODE_INFO: info}) as target:
        if isinstance(front, Blocking):
            with Client(target, retry_streams=QUICK_STREAMS) as client:
                watch = client.watch()
                assert serials(next(watch) for _ in range(4)) == [5, 6, 9, 12]
                watch.close()
        else:

            async def main():
                async with AsyncClient(target, retry_streams=QUICK_STREAMS) as client:
                    watch = client.watch()
                    assert serials([await anext(watch) for _ in range(4)]) == [5, 6, 9, 12]
                    await watch.aclose()

            asyncio.run(main())
    assert starts == [5, 9, 9, 12]


def test_a_watch_to_the_end_ends_there(front):
    def journal(request, context):
        assert request.stop_at_end
        assert list(request.prefixes) == ["88.300.1"]
        yield changes_pb2.WatchResponse(through_serial=3)

    with running({methods.WATCH: journal}) as target:
        assert front.many(target, "watch", 1, ["88.300.1"], stop_at_end=True) == []


def test_a_watch_without_progress_gives_up(front):
    def journal(request, context):
        yield from ()
        refuse(context, Code.UNAVAILABLE, "never")

    with running({methods.WATCH: journal}) as target, pytest.raises(Unavailable, match="never"):
        front.many(target, "watch", 1, client={"patience_s": 0.1})


def test_closing_the_client_tells_open_calls_so():
    release = threading.Event()
    entered = threading.Event()

    def behaviour(request, context):
        entered.set()
        release.wait(60)
        return resolution_pb2.ResolveResponse()

    async def main(target):
        client = AsyncClient(target)
        call = asyncio.create_task(client.resolve("88.300.1/a"))
        await asyncio.to_thread(entered.wait, 60)
        await client.close()
        with pytest.raises(CallFailed) as caught:
            await call
        assert caught.value.code is Code.CANCELLED

    with running({methods.RESOLVE: behaviour}) as target:
        asyncio.run(main(target))
        release.set()


def test_a_cancelled_task_is_cancelled_and_not_retried():
    seen = []
    release = threading.Event()
    entered = threading.Event()

    def behaviour(request, context):
        seen.append(request)
        entered.set()
        release.wait(60)
        return resolution_pb2.ResolveResponse()

    async def main(target):
        async with AsyncClient(target) as client:
            call = asyncio.create_task(client.resolve("88.300.1/a"))
            await asyncio.to_thread(entered.wait, 60)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    with running({methods.RESOLVE: behaviour}) as target:
        asyncio.run(main(target))
        release.set()
    assert len(seen) == 1
