"""The blocking front end: drives plans and streams over a grpcio channel. It decides nothing.

What to ask is in ``plans``, when to ask again in ``policy``, where a watch stands in ``watching``. Methods are
the plans themselves, bound by ``_one`` (a result) and ``_many`` (an iterator), so their arguments and
documentation stand once for both front ends. A client may be used by many threads.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from resolver import methods
from resolver.client import failures, plans
from resolver.client.channel import Connection, Options
from resolver.client.watching import WatchCursor, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Unpack

    from google.protobuf.message import Message

    from resolver.client.policy import Attempts
    from resolver.v1.changes_pb2 import WatchedChange

Req = TypeVar("Req", bound="Message")
Resp = TypeVar("Resp", bound="Message")
P = ParamSpec("P")
T = TypeVar("T")


def _one(plan: Callable[P, plans.Plan[T]]) -> Callable[Concatenate[Client, P], T]:
    """The plan as a method that returns its result."""

    @functools.wraps(plan)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.drive(plan(*args, **kwargs))

    return method


def _many(
    each: Callable[P, Iterator[plans.Plan[list[T]]]],
) -> Callable[Concatenate[Client, P], Generator[T, None, None]]:
    """The plans as a method that iterates over the items of all results."""

    @functools.wraps(each)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        for plan in each(*args, **kwargs):
            yield from self.drive(plan)

    return method


class Client:
    """A blocking client of one node.

    ``target`` is HOST:PORT; the keyword arguments are those of ``Options``. Close it, or use it in ``with``.
    Every failure is a ``CallFailed``.
    """

    def __init__(self, target: str, *, sleep: Callable[[float], None] = time.sleep, **options: Unpack[Options]) -> None:
        self._connection = Connection(target, options)
        self._options = options
        self._others: dict[str, Client] = {}
        """Clients of other servers of the site, by place."""
        self._sleep = sleep
        self._closed = False
        credentials, arguments = self._connection.credentials, self._connection.channel_options
        self._channel = (
            grpc.insecure_channel(target, arguments)
            if credentials is None
            else grpc.secure_channel(target, credentials, arguments)
        )
        self._stubs: dict[methods.Method[Any, Any], Any] = {}

    def close(self) -> None:
        """Closes the connection; calls in flight fail with CANCELLED."""
        self._closed = True
        self._channel.close()
        for other in self._others.values():
            other.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: methods.Method[Req, Resp], request: Req, *, timeout_s: float | None = None) -> Resp:
        """Makes any unary call of ``resolver.methods``, with retries and, where the request has one, a request_id.

        ``timeout_s`` bounds all attempts together; None takes the client's. Raises ``CallFailed``.
        """
        request = plans.with_request_id(method, request)
        attempts = self._connection.attempts(timeout_s)
        client, sent_on = self, 0
        before: failures.CallFailed | None = None
        while True:
            attempts.start()
            try:
                response: Resp = client._stub(method)(
                    request, timeout=attempts.left_s, metadata=attempts.metadata, wait_for_ready=attempts.is_retry
                )
            except grpc.RpcError as error:
                failed = failures.from_grpc(error, client._connection.target)
                if failed.other_place and sent_on < plans.SERVERS_FOLLOWED_MAX:
                    client, sent_on = self._at(failed.other_place), sent_on + 1
                    continue
                before = self._pause(attempts, failed, before)
            else:
                return response

    def _at(self, place: str) -> Client:
        """A client of another server of the site, with the same credential; kept."""
        client = self._others.get(place)
        if client is None:
            client = self._others[place] = Client(place, sleep=self._sleep, **self._options)
        return client

    def drive(self, plan: plans.Plan[T]) -> T:
        """Makes the calls of a plan and returns its result. Raises what the plan lets through."""
        try:
            call = next(plan)
            while True:
                try:
                    client = self._at(call.place) if call.place else self
                    response = client.call(call.method, call.request, timeout_s=call.timeout_s)
                except failures.CallFailed as failed:
                    call = plan.throw(failed)
                else:
                    call = plan.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    resolve = _one(plans.resolve)
    resolve_many = _many(plans.resolve_many)
    create = _one(plans.create)
    update = _one(plans.update)
    put_values = _one(plans.put_values)
    remove_values = _one(plans.remove_values)
    delete = _one(plans.delete)
    create_many = _many(plans.create_many)
    list_handles = _many(plans.list_handles)
    list_records = _many(plans.list_records)

    def watch(
        self,
        from_serial: int = 0,
        prefixes: Iterable[str] = (),
        *,
        include_records: bool = False,
        stop_at_end: bool = False,
    ) -> Generator[WatchedChange, None, None]:
        """The journal from a serial on, reconnecting as needed, without gap or repeat.

        ``from_serial`` 0 means changes from now on. ``stop_at_end`` ends at the newest change. Close the
        iterator to leave early. Raises ``CallFailed`` when there is no progress for the client's patience.
        """
        start = from_serial or self.drive(plans.newest_serial()) + 1
        cursor = WatchCursor(start, prefixes, include_records=include_records, stop_at_end=stop_at_end)
        stub = self._stub(methods.WATCH)
        attempts = self._connection.stream_attempts()
        while True:
            attempts.start()
            call = stub(cursor.request(), metadata=attempts.metadata)
            try:
                for response in call:
                    attempts.progress()
                    yield from cursor.take(response)
                if stop_at_end:
                    return
                failed = ended()
            except grpc.RpcError as error:
                failed = failures.from_grpc(error, self._connection.target)
            finally:
                call.cancel()
            self._pause(attempts, failed, None)

    def _stub(self, method: methods.Method[Any, Any]) -> Any:
        stub = self._stubs.get(method)
        if stub is None:
            make = self._channel.unary_unary if method.shape is methods.Shape.UNARY else self._channel.unary_stream
            stub = make(method.path, method.request.SerializeToString, method.response.FromString)
            self._stubs[method] = stub
        return stub

    def _pause(
        self, attempts: Attempts, failed: failures.CallFailed, before: failures.CallFailed | None
    ) -> failures.CallFailed:
        """Waits until the next attempt; raises the failure when there is none."""
        delay_s = None if self._closed else attempts.wait_s(failed)
        if delay_s is None:
            raise failed from before
        self._sleep(delay_s)
        return failed
