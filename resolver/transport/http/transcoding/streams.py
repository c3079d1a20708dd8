"""Streams over HTTP: lines of JSON in both directions, or server-sent events in one.

A stream goes as fast as its slower side: the next line is read when the handler asks for it, and the next answer is
made when the peer has taken the last. What fails before the first answer has its HTTP status; what fails later is a
last line ``{"error": STATUS}``. A client that sends a long stream must read the answers while it sends.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from resolver.errors import InternalError, InvalidField, MessageTooLarge, ResolverError
from resolver.methods import IMPORT_HANDLES, Method, Shape
from resolver.transport.http.transcoding import json_in, json_out
from resolver.transport.http.transcoding.failures import encoded, status_of
from resolver.transport.outcome import log_defect
from resolver.v1 import registration_pb2 as registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from google.protobuf.message import Message
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"

ROWS_PER_CHUNK = 500
"""Rows of an import that are committed and acknowledged together."""

CHUNK_OCTETS_MAX = 1 << 20
"""Octets of lines that make a chunk when they are fewer rows."""

AT_ONCE_OCTETS_MAX = 16 << 10
"""Octets of a line that becomes a message in one go."""

FIRST_ANSWER_S = 0.25
"""Seconds that a status waits for the first answer, so that a refusal can be one."""

KEEP_ALIVE_S = 15.0
"""Seconds of silence after which a stream of events or lines says that it is alive, the latter by an empty line:
proxies end silent ones after 30 to 60, and a client that has vanished is noticed by what it does not acknowledge."""

_IMPORT_PARAMETERS = ("import_id", "on_existing", "validate_only")


def wants_events(request: Request) -> bool:
    """Whether the client asks for server-sent events."""
    return EVENTS in request.headers.get("accept", "")


def resume_after_last_event(request: Request, message: Message) -> None:
    """Go on after the event that the client had last, when it says so (HTML standard, server-sent events)."""
    last = request.headers.get("last-event-id", "")
    if not last:
        return
    if not (last.isascii() and last.isdigit() and len(last) < 20):
        raise InvalidField("Last-Event-ID is no serial of this node's journal", field="from_serial")
    if "from_serial" in message.DESCRIPTOR.fields_by_name:
        message.from_serial = int(last) + 1  # type: ignore[attr-defined]  # looked up


class Dialogue:
    """The requests in the lines of a body, and the answers to them."""

    def __init__(self, method: Method[Message, Message], parameters: Sequence[tuple[str, str]]) -> None:
        """Take query parameters too: an import with an ``importId`` has a row in each line. Raises InvalidField."""
        self._method = method
        self._chunk: registration.ImportHandlesRequest | None = None
        self._only_failures = False
        given = list(parameters)
        if method is IMPORT_HANDLES:
            shown = [value for name, value in given if name == "results"]
            if shown and shown[-1] not in {"all", "failed"}:
                raise InvalidField("results is 'all' or 'failed'", field="results")
            self._only_failures = shown[-1:] == ["failed"]
            given = [(name, value) for name, value in given if name != "results"]
        if not given:
            return
        if method is not IMPORT_HANDLES:
            raise InvalidField(f"{method.name} takes no query parameters: each line is a request", field=given[0][0])
        chunk = registration.ImportHandlesRequest()
        json_in.read_parameters(chunk, given, {})
        for field, _ in chunk.ListFields():
            if field.name not in _IMPORT_PARAMETERS:
                raise InvalidField(f"{field.name} stands in the lines", field=field.name)
        if not chunk.import_id:
            raise InvalidField("give importId to send a row in each line", field="import_id")
        self._chunk = chunk

    async def requests(self, request: Request) -> AsyncIterator[Message]:
        """The requests of the body."""
        lines = _lines(request, self._method.octets_max * 2)
        if self._chunk is not None:
            async for chunk in self._chunks(lines, self._chunk):
                yield chunk
            return
        async for number, line in lines:
            message = self._method.request()
            await _read(message, line, number)
            yield message

    @staticmethod
    async def _chunks(
        lines: AsyncIterator[tuple[int, bytes]], chunk: registration.ImportHandlesRequest
    ) -> AsyncIterator[registration.ImportHandlesRequest]:
        """Rows gathered into chunks, in the same way every time, so that an import can be sent again."""
        octets = 0
        async for number, line in lines:
            await _read(chunk.handles.add(), line, number)
            octets += len(line)
            if len(chunk.handles) == ROWS_PER_CHUNK or octets >= CHUNK_OCTETS_MAX:
                yield _next_chunk(chunk)
                octets = 0
        if chunk.handles:
            yield _next_chunk(chunk)

    def answers(self, message: Any) -> Iterator[bytes]:
        """The line of an answer."""
        if self._only_failures:
            failed = [row for row in message.results if row.code]
            del message.results[:]
            message.results.extend(failed)
        yield json_out.to_json(message)


def _next_chunk(chunk: registration.ImportHandlesRequest) -> registration.ImportHandlesRequest:
    """A copy of the chunk with the next number; the chunk is empty again."""
    chunk.sequence += 1
    ready = registration.ImportHandlesRequest()
    ready.CopyFrom(chunk)
    del chunk.handles[:]
    return ready


async def _read(message: Message, line: bytes, number: int) -> None:
    """Fill a message from a line, a long one in turns. Raises the error with the number of the line."""
    try:
        if len(line) > AT_ONCE_OCTETS_MAX:
            await json_in.read_in_turns(message, line)
        else:
            json_in.read(message, line)
    except ResolverError as error:
        error.message = f"line {number}: {error.message}"
        error.args = (error.message,)
        raise


async def _lines(request: Request, octets_max: int) -> AsyncIterator[tuple[int, bytes]]:
    """The lines of a body with their numbers, empty ones left out. Raises MessageTooLarge."""
    begun, number = bytearray(), 0  # of a line that is not whole, grown in place: it may come in thousands of pieces
    async for piece in request.stream():
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            begun += piece[start:end]
            line, start = bytes(begun), end + 1
            begun.clear()
            number += 1
            if line.strip():
                yield number, line
        begun += piece[start:]
        if len(begun) > octets_max:
            raise MessageTooLarge(f"line {number + 1} has more than {octets_max} octets: a line is one request")
    if begun.strip():
        yield number + 1, bytes(begun)


def _each(message: Message) -> Iterator[bytes]:
    yield json_out.to_json(message)


class Lines(Response):
    """An answer that is a stream."""

    def __init__(
        self,
        method: Method[Message, Message],
        responses: AsyncIterator[Any],
        *,
        as_events: bool = False,
        answers: Callable[[Any], Iterator[bytes]] = _each,
    ) -> None:
        super().__init__(media_type=EVENTS if as_events else LINES)
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store"
        self.headers["x-accel-buffering"] = "no"
        self._method = method
        self._responses = responses
        self._as_events = as_events
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or the client has gone."""
        del scope
        responses: Any = self._responses
        gone: asyncio.Task[Any] | None = None
        self._ask()
        try:
            await asyncio.wait({self._coming}, timeout=FIRST_ANSWER_S)
            if self._coming.done():
                self._coming.result()  # what is refused at once is refused with its status
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._method.shape is not Shape.BIDIRECTIONAL:  # a dialogue hears of it where it reads
                gone = asyncio.create_task(_wait_until_gone(receive))
            if await self._send_all(gone, send):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await _cancelled(self._coming, gone)
            await responses.aclose()

    def _ask(self) -> None:
        """Ask the handler for its next answer, None at its end."""
        responses: Any = self._responses
        self._coming: asyncio.Future[Any] = asyncio.ensure_future(anext(responses, None))

    async def _send_all(self, gone: asyncio.Task[Any] | None, send: Send) -> bool:
        """Send every answer; False when the client has gone."""
        while True:
            waiting = {self._coming} if gone is None else {self._coming, gone}
            await asyncio.wait(waiting, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if gone is not None and gone.done():
                return False
            if not self._coming.done():
                if self._as_events:
                    await _piece(send, b": alive\n\n")
                elif gone is not None:
                    await _piece(send, b"\n")
                continue
            try:
                response = self._coming.result()
            except ClientDisconnect:
                return False
            except Exception as error:  # noqa: BLE001 - the status is sent: the stream itself has to tell
                await _piece(send, self._failure(error))
                return True
            if response is None:
                return True
            if type(response) is bytes:
                response = self._method.response.FromString(response)
            await _piece(send, self._encoded(response))
            self._ask()

    def _encoded(self, response: Any) -> bytes:
        if not self._as_events:
            return b"".join(line + b"\n" for line in self._answers(response))
        serial = getattr(response, "through_serial", None)
        place = b"" if serial is None else b"id: %d\n" % serial
        return place + b"data: " + json_out.to_json(response) + b"\n\n"

    def _failure(self, error: Exception) -> bytes:
        if not isinstance(error, ResolverError):
            log_defect(error, self._method.path)
            error = InternalError("the node has a defect: the operator finds the trace in the log")
        status = encoded(status_of(error))
        if self._as_events:
            return b"event: error\ndata: " + status + b"\n\n"
        return b'{"error":' + status + b"}\n"


async def _piece(send: Send, body: bytes) -> None:
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _cancelled(*tasks: asyncio.Future[Any] | None) -> None:
    """End what still runs: a generator can only be closed when nobody waits for it."""
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            with suppress(BaseException):
                await task


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
