"""The asyncio front end: drives plans and streams over a grpc.aio channel. It decides nothing.

What to ask is in ``plans``, when to ask again in ``policy``, what joins a batch in ``coalescing``, how a
bidirectional stream survives in ``exchange``. Methods are the plans themselves, bound by ``_one`` and
``_many``, as in the blocking front end. A client belongs to one event loop: its channel opens with the first
call.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from resolver import methods
from resolver.client import failures, plans
from resolver.client.bursts import OPEN_DEFAULT, Bursts, Resolved
from resolver.client.channel import Connection, Options
from resolver.client.coalescing import Chosen, Coalescer
from resolver.client.exchange import Line
from resolver.client.importing import WINDOW_DEFAULT, ImportSession
from resolver.client.watching import WatchCursor, ended
from resolver.v1.resolution_pb2 import BatchResolveRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Iterator
    from typing import Unpack

    from google.protobuf.message import Message

    from resolver.client.policy import Attempts
    from resolver.v1.changes_pb2 import WatchedChange
    from resolver.v1.handle_pb2 import HandleRecord
    from resolver.v1.registration_pb2 import OnExisting
    from resolver.v1.resolution_pb2 import BatchResolveResponse

IN_FLIGHT_DEFAULT = 4
"""Batches in flight of one client: hides the round trip; more only queue at the node."""

CONNECTIONS_DEFAULT = 4
"""Connections of one client, at most: the kernel spreads them over the workers of a node, and a call that finds the
first one busy opens the next."""

Req = TypeVar("Req", bound="Message")
Resp = TypeVar("Resp", bound="Message")
P = ParamSpec("P")
T = TypeVar("T")


def _one(plan: Callable[P, plans.Plan[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The plan as a method to await."""

    @functools.wraps(plan)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.drive(plan(*args, **kwargs))

    return method


def _many(
    each: Callable[P, Iterator[plans.Plan[list[T]]]], *, side_by_side: bool = False
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]:
    """The plans as a method to iterate over; ``side_by_side`` when one plan does not depend on another."""

    @functools.wraps(each)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        todo = each(*args, **kwargs)
        running: deque[asyncio.Task[list[T]]] = deque()
        try:
            while True:
                while len(running) < (self.in_flight_max if side_by_side else 1):
                    plan = next(todo, None)
                    if plan is None:
                        break
                    running.append(asyncio.create_task(self.drive(plan)))
                if not running:
                    return
                for item in await running[0]:
                    yield item
                running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    return method


class AsyncClient:
    """An asyncio client of one node.

    ``target`` is HOST:PORT. With ``coalesce`` the ``resolve`` calls of one event-loop turn become batches, at
    most ``in_flight_max`` at once. Calls that are made side by side use up to ``connections_max`` connections, calls
    one after the other the same one. The other keyword arguments are those of ``Options``. Close it, or use it in
    ``async with``. Every failure is a ``CallFailed``.
    """

    def __init__(
        self,
        target: str,
        *,
        coalesce: bool = False,
        in_flight_max: int = IN_FLIGHT_DEFAULT,
        connections_max: int = CONNECTIONS_DEFAULT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **options: Unpack[Options],
    ) -> None:
        if in_flight_max < 1:
            raise ValueError(f"{in_flight_max} batches in flight ask nothing: give 1 or more")
        if connections_max < 1:
            raise ValueError(f"{connections_max} connections reach nothing: give 1 or more")
        self.in_flight_max = in_flight_max
        self._connection = Connection(target, options)
        self._options = options
        self._others: dict[str, AsyncClient] = {}
        """Clients of other servers of the site, by place."""
        self._coalesce = coalesce
        self._coalescer: Coalescer | None = None
        self._sleep = sleep
        self._channels: list[grpc.aio.Channel | None] = [None] * connections_max
        self._busy = [0] * connections_max
        """Calls in flight on each channel."""
        self._stubs: dict[tuple[methods.Method[Any, Any], int], Any] = {}
        self._closed = False

    async def close(self) -> None:
        """Closes the connection; calls in flight fail with CANCELLED."""
        self._closed = True
        if self._coalescer is not None:
            await self._coalescer.close()
        for channel in self._channels:
            if channel is not None:
                await channel.close(grace=None)
        for other in self._others.values():
            await other.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, method: methods.Method[Req, Resp], request: Req, *, timeout_s: float | None = None) -> Resp:
        """Makes any unary call of ``resolver.methods``, with retries and, where the request has one, a request_id.

        ``timeout_s`` bounds all attempts together; None takes the client's. Raises ``CallFailed``.
        """
        return await self._call(method, request, self._connection.attempts(timeout_s))

    async def _call(self, method: methods.Method[Req, Resp], request: Req, attempts: Attempts) -> Resp:
        request = plans.with_request_id(method, request)
        client, sent_on = self, 0
        before: failures.CallFailed | None = None
        while True:
            attempts.start()
            place = self._busy.index(min(self._busy))
            self._busy[place] += 1
            try:
                response: Resp = await client._stub(method, 0 if sent_on else place)(
                    request, timeout=attempts.left_s, metadata=attempts.metadata, wait_for_ready=attempts.is_retry
                )
            except grpc.RpcError as error:
                failed = failures.from_grpc(error, client._connection.target)
                if failed.other_place and sent_on < plans.SERVERS_FOLLOWED_MAX:
                    client, sent_on = self._at(failed.other_place), sent_on + 1
                    continue
                before = await self._pause(attempts, failed, before)
            except asyncio.CancelledError:
                self._raise_if_closed()
                raise
            else:
                return response
            finally:
                self._busy[place] -= 1

    def _at(self, place: str) -> AsyncClient:
        """A client of another server of the site, with the same credential; kept."""
        client = self._others.get(place)
        if client is None:
            client = self._others[place] = AsyncClient(place, connections_max=1, sleep=self._sleep, **self._options)
        return client

    async def drive(self, plan: plans.Plan[T]) -> T:
        """Makes the calls of a plan and returns its result. Raises what the plan lets through."""
        return await self._drive(plan, self._connection.attempts)

    async def _drive(self, plan: plans.Plan[T], attempts: Callable[[float | None], Attempts]) -> T:
        try:
            call = next(plan)
            while True:
                try:
                    if call.place:
                        other = self._at(call.place)
                        response = await other.call(call.method, call.request, timeout_s=call.timeout_s)
                    else:
                        response = await self._call(call.method, call.request, attempts(call.timeout_s))
                except failures.CallFailed as failed:
                    call = plan.throw(failed)
                else:
                    call = plan.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    async def resolve(
        self,
        name: str,
        *,
        types: Iterable[str] = (),
        indexes: Iterable[int] = (),
        include_restricted: bool = False,
        timeout_s: float | None = None,
    ) -> HandleRecord:
        """Resolves one handle, as ``plans.resolve`` says; in a batch with others when the client coalesces."""
        if self._coalesce:
            return await self.resolve_soon(
                name, types=types, indexes=indexes, include_restricted=include_restricted, timeout_s=timeout_s
            )
        return await self._resolve_alone(name, (tuple(types), tuple(indexes), include_restricted, timeout_s))

    def resolve_soon(
        self,
        name: str,
        *,
        types: Iterable[str] = (),
        indexes: Iterable[int] = (),
        include_restricted: bool = False,
        timeout_s: float | None = None,
    ) -> asyncio.Future[HandleRecord]:
        """Asks for a handle in the next batch and returns the future record: the cheapest way to ask for many.

        Works with and without ``coalesce``; ``await asyncio.gather(*map(client.resolve_soon, names))``.
        """
        coalescer = self._coalescer
        if coalescer is None:
            coalescer = self._coalescer = Coalescer(
                self._ask_batch, self._resolve_alone, in_flight_max=self.in_flight_max
            )
        if types or indexes or include_restricted or timeout_s is not None:
            return coalescer.ask(name, (tuple(types), tuple(indexes), include_restricted, timeout_s))
        return coalescer.ask(name)

    resolve_many = _many(plans.resolve_many, side_by_side=True)
    create = _one(plans.create)
    update = _one(plans.update)
    put_values = _one(plans.put_values)
    remove_values = _one(plans.remove_values)
    delete = _one(plans.delete)
    create_many = _many(plans.create_many)
    list_handles = _many(plans.list_handles)
    list_records = _many(plans.list_records)

    async def watch(
        self,
        from_serial: int = 0,
        prefixes: Iterable[str] = (),
        *,
        include_records: bool = False,
        stop_at_end: bool = False,
    ) -> AsyncGenerator[WatchedChange, None]:
        """The journal from a serial on, as ``Client.watch``; close the iterator (``aclosing``) to leave early."""
        start = from_serial or await self.drive(plans.newest_serial()) + 1
        cursor = WatchCursor(start, prefixes, include_records=include_records, stop_at_end=stop_at_end)
        stub = self._stub(methods.WATCH)
        attempts = self._connection.stream_attempts()
        while True:
            attempts.start()
            call = stub(cursor.request(), metadata=attempts.metadata)
            try:
                async for response in call:
                    attempts.progress()
                    for change in cursor.take(response):
                        yield change
                if stop_at_end:
                    return
                failed = ended()
            except grpc.RpcError as error:
                failed = failures.from_grpc(error, self._connection.target)
            except asyncio.CancelledError:
                self._raise_if_closed()
                raise
            finally:
                call.cancel()
            await self._pause(attempts, failed, None)

    async def resolve_stream(
        self,
        names: AsyncIterable[str] | Iterable[str],
        *,
        types: Iterable[str] = (),
        indexes: Iterable[int] = (),
        include_restricted: bool = False,
        open_max: int = OPEN_DEFAULT,
    ) -> AsyncGenerator[Resolved, None]:
        """Resolves names as they come, in bursts; yields answers as they come, each with its name.

        At most ``open_max`` questions are open. Each burst is tried again for as long as the client's patience. For
        names known beforehand ``resolve_many`` keeps their order.
        """
        chosen = BatchResolveRequest(types=types, indexes=indexes, include_restricted=include_restricted)

        def ask(some: list[str], first: int) -> Awaitable[list[plans.Answer]]:
            plan = plans.resolve_batch(some, first, chosen, None)
            return self._drive(plan, lambda _: self._connection.stream_attempts())

        bursts = Bursts(ask, open_max=open_max, in_flight_max=self.in_flight_max)
        async with contextlib.aclosing(bursts.run(names)) as answers:
            async for resolved in answers:
                yield resolved

    def import_session(
        self,
        import_id: str,
        *,
        window: int = WINDOW_DEFAULT,
        on_existing: OnExisting | None = None,
        validate_only: bool = False,
        keep_timestamps: bool = False,
    ) -> ImportSession:
        """An import of any length; ``import_id`` names it when it is resumed. Next: iterate its ``run``.

        ``keep_timestamps`` is for administrators who migrate.
        """
        return ImportSession(
            import_id,
            self._line(methods.IMPORT_HANDLES),
            window=window,
            on_existing=on_existing,
            validate_only=validate_only,
            keep_timestamps=keep_timestamps,
            drive=self.drive,
        )

    async def _ask_batch(self, request: BatchResolveRequest, timeout_s: float | None) -> BatchResolveResponse:
        return await self.call(methods.BATCH_RESOLVE, request, timeout_s=timeout_s)

    async def _resolve_alone(self, name: str, chosen: Chosen) -> HandleRecord:
        types, indexes, include_restricted, timeout_s = chosen
        return await self.drive(
            plans.resolve(
                name, types=types, indexes=indexes, include_restricted=include_restricted, timeout_s=timeout_s
            )
        )

    def _line(self, method: methods.Method[Any, Any]) -> Line:
        return Line(
            open_call=lambda metadata: self._stub(method)(metadata=metadata),
            attempts=self._connection.stream_attempts,
            sleep=self._sleep,
            raise_if_closed=self._raise_if_closed,
        )

    def _stub(self, method: methods.Method[Any, Any], place: int = 0) -> Any:
        stub = self._stubs.get((method, place))
        if stub is None:
            channel = self._open_channel(place)
            makes: dict[methods.Shape, Any] = {
                methods.Shape.UNARY: channel.unary_unary,
                methods.Shape.SERVER_STREAM: channel.unary_stream,
                methods.Shape.BIDIRECTIONAL: channel.stream_stream,
            }
            stub = makes[method.shape](method.path, method.request.SerializeToString, method.response.FromString)
            self._stubs[method, place] = stub
        return stub

    def _open_channel(self, place: int) -> grpc.aio.Channel:
        channel = self._channels[place]
        if channel is None:
            target, arguments = self._connection.target, self._connection.channel_options
            credentials = self._connection.credentials
            channel = self._channels[place] = (
                grpc.aio.insecure_channel(target, options=arguments)
                if credentials is None
                else grpc.aio.secure_channel(target, credentials, options=arguments)
            )
        return channel

    async def _pause(
        self, attempts: Attempts, failed: failures.CallFailed, before: failures.CallFailed | None
    ) -> failures.CallFailed:
        """Waits until the next attempt; raises the failure when there is none."""
        delay_s = None if self._closed else attempts.wait_s(failed)
        if delay_s is None:
            raise failed from before
        await self._sleep(delay_s)
        return failed

    def _raise_if_closed(self) -> None:
        """Tells a call that the client was closed under it from a task that the application cancelled."""
        task = asyncio.current_task()
        if self._closed and (task is None or not task.cancelling()):
            raise failures.closed()
