"""How the calls of the HTTP/2 door are run that do not end in the burst they came with, and how failures are told."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from resolver.errors import Overloaded, ResolverError
from resolver.service.plain import STREAM_ANSWER_OCTETS_MAX
from resolver.service.reading import stored_rows_checked
from resolver.transport import h2_bounds as bounds
from resolver.transport.grpc_frames import FrameError
from resolver.transport.h2_cold import touch_questions
from resolver.transport.h2_mounts import Lane
from resolver.transport.outcome import Failure, failure_of
from resolver.transport.requests import parse
from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from resolver.service import Call
    from resolver.service.resolution import Resolution
    from resolver.transport.h2_calls import Calls
    from resolver.transport.h2_exchange import Exchange
    from resolver.v1 import resolution_pb2 as pb


def failure_in_words(error: BaseException, where: str) -> Failure:
    """The failure to send for an exception, those of the store and of framing included."""
    if isinstance(error, FrameError):
        return Failure(error.code, error.message, b"")
    if isinstance(error, StorageError):  # inside a burst nobody else translates them
        try:
            with stored_rows_checked():
                raise error  # noqa: TRY301 - the block that translates has to see it
        except Exception as translated:  # noqa: BLE001 - it is the translation
            error = translated
    return failure_of(error, where)


def start(calls: Calls, exchange: Exchange, message: bytes | None) -> None:
    """Start the handler of a call; ``message`` is None when it is a dialogue."""
    mount = exchange.ticket.mount
    try:
        if len(calls.tasks) >= bounds.TASKS_MAX:
            raise Overloaded(  # noqa: TRY301 - a failure of the call like those below
                "handlers of cancelled calls are still running for this connection: try again later", retry_after_s=1.0
            )
        call = calls.call_of(exchange.ticket)
        if mount.lane is Lane.QUESTIONS:
            calls.shared.core.require_resolution(call.caller)
            exchange.call = call
        elif mount.lane is Lane.DIALOGUE:
            _spawn(calls, exchange, exchange.run_stream(mount.handler(call, exchange.requests())))
        else:
            answer = mount.handler(call, parse(mount.method, message or b""))
            run = exchange.run_stream if mount.lane is Lane.STREAM else exchange.run_unary
            _spawn(calls, exchange, run(answer))
    except Exception as error:  # noqa: BLE001 - every failure becomes a status
        if message is not None or exchange.inbox or exchange.ended:
            calls.fail(exchange, error)
            return
        # A grpc.aio client whose first write meets a finished call reports the write and hides the status.
        exchange.refusal = error
        calls.loop.call_later(bounds.REFUSAL_DELAY_S, calls.fail, exchange, error)


def _spawn(calls: Calls, exchange: Exchange, run: Coroutine[None, None, None]) -> None:
    """Run a handler as a task that the connection keeps alive."""
    task = exchange.task = calls.loop.create_task(run)
    calls.tasks[task] = None
    task.add_done_callback(calls.tasks.pop)


def await_answer(calls: Calls, exchange: Exchange, answer: Awaitable[bytes]) -> None:
    """Wait beside the burst for the answer of a call that seemed to need no waiting."""
    if len(calls.tasks) >= bounds.TASKS_MAX:
        if isinstance(answer, Coroutine):
            answer.close()
        raise Overloaded("too many calls of this connection wait: try again later", retry_after_s=1.0)
    _spawn(calls, exchange, exchange.run_unary(answer))


def answer_questions(calls: Calls, exchange: Exchange) -> None:
    """Answer the questions of a resolution stream that are here, as far as its peer takes answers."""
    call = exchange.call
    if call is None:
        return  # refused, and about to hear it
    if calls.shared.core.residency.cold and not exchange.touched and touch_questions(calls, exchange):
        return
    exchange.touched = False
    fault: BaseException | None = None
    try:
        calls.shared.core.refuse_when_draining()
        while exchange.inbox and fault is None:
            if calls.is_full_for(exchange):
                calls.flush()
                if calls.is_full_for(exchange):
                    calls.block(exchange)
                    return
            calls.shared.core.identify_again(call)
            messages = exchange.take_some(exchange.at_once)
            count, octets, waiting = len(messages), 0, len(exchange.inbox)
            plain = calls.shared.plain.answer_stream(call.source, messages)
            if plain is not None:
                messages = [messages[place] for place in plain.rest]
                if plain.answer:
                    octets = len(plain.answer)
                    exchange.queue(plain.answer)
            if messages:
                fault, more = _answer_parsed(calls, exchange, call, messages)
                octets += more
            # Those that there was no room for are read again: next time as many as have room, if they are like these.
            count -= len(exchange.inbox) - waiting
            exchange.at_once = min(count * STREAM_ANSWER_OCTETS_MAX // (octets or 1), bounds.QUESTIONS_MAX) or 1
        if fault is None and not exchange.inbox:
            fault = exchange.fault
    except Exception as error:  # noqa: BLE001 - every failure becomes a status
        fault = error
    if fault is not None:
        calls.fail(exchange, fault)
    elif exchange.ended and not exchange.inbox and not exchange.late:
        calls.finish(exchange)


def _answer_parsed(
    calls: Calls, exchange: Exchange, call: Call, messages: Sequence[bytes]
) -> tuple[ResolverError | None, int]:
    """Answer questions that are not plain in one message: what is wrong with one, after the answers before, and octets.

    Those that one message has no room for go back to the inbox.
    """
    fault = None
    requests: list[pb.StreamResolveRequest] = []
    try:
        for message in messages:
            requests.append(parse(exchange.ticket.mount.method, message))  # type: ignore[arg-type]  # noqa: PERF401 - those before a fault count
    except ResolverError as error:
        fault = error
    if not requests:
        return fault, 0
    resolution = calls.shared.service.resolution
    later: list[pb.StreamResolveRequest] = []
    left: list[int] = []
    answer = resolution.answer_stream(call, requests, later, left)
    if answer:
        exchange.queue(answer)
    if left:
        exchange.put_back([*[messages[place] for place in left], *messages[len(requests) :]])
        fault = None  # it is met again
    if later:
        _answer_later(calls, exchange, resolution, later)
    return fault, len(answer)


def _answer_later(
    calls: Calls, exchange: Exchange, resolution: Resolution, requests: list[pb.StreamResolveRequest]
) -> None:
    """Send the answers of other nodes when they come; the stream ends when the last is sent."""
    if len(calls.tasks) >= bounds.TASKS_MAX or exchange.late + len(requests) > bounds.LATE_MAX:
        raise Overloaded("too many questions of this stream wait for other nodes: ask slower", retry_after_s=1.0)
    exchange.late += len(requests)

    async def run() -> None:
        try:
            async for answer in resolution.answer_later(requests):
                if exchange.over:
                    return
                exchange.late -= 1
                exchange.queue(answer)
            if exchange.ended and not exchange.inbox and not exchange.late:
                calls.finish(exchange)
        except Exception as error:  # noqa: BLE001 - every failure becomes a status
            calls.fail(exchange, error)

    task = calls.loop.create_task(run())
    calls.tasks[task] = None
    task.add_done_callback(calls.tasks.pop)
