"""The door ``/v1/``: finds the method of a request, fills its message, asks the service, answers with JSON.

Whoever calls is found and judged as at the gRPC doors, by the same handlers; ``Idempotency-Key`` is another way to
give the ``request_id`` of a write.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from resolver.errors import CredentialMissing, InvalidField, MalformedMessage, MessageTooLarge
from resolver.methods import LIST_HANDLES, LOG_IN, Shape
from resolver.node.authorize import ANONYMOUS
from resolver.telemetry.calls import HTTP, Operation
from resolver.transport.http import calls
from resolver.transport.http.door import Door
from resolver.transport.http.transcoding import exporting, json_in, json_out, openapi, streams
from resolver.transport.http.transcoding.bindings import Binding, bindings
from resolver.transport.http.transcoding.failures import MEDIA_TYPE, failed
from resolver.transport.http.transcoding.paths import Paths, decoded
from resolver.transport.http.transcoding.plain import plain_reads
from resolver.transport.http.turns import turn_for
from resolver.v1.resolution_pb2 import ResolveRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message
    from starlette.types import Receive, Scope, Send

    from resolver.methods import Method
    from resolver.service import Service
    from resolver.service.call import Call, Handler
    from resolver.transport.http.calls import HttpOptions

JSON_OVERHEAD = 2
"""How many times larger than its protobuf form a request may be in JSON."""

BODY_OCTETS_MAX = 8 << 20
"""Octets of a body that is no stream: the largest gRPC message as JSON."""

STREAM_OCTETS_MAX = 1 << 50
"""Octets of a body that is a stream of lines: each line has its own bound, together they have none."""

_JSON_TYPES = {"application/json", "text/json", "application/x-ndjson", "application/jsonl", ""}
_DOCUMENT = Operation("http", "openapi")


class Transcoder:
    """Answers requests to ``/v1/`` for one service."""

    def __init__(self, service: Service, options: HttpOptions) -> None:
        self._service = service
        self._options = options
        self._handlers: dict[str, Handler] = service.handlers()
        self._paths = Paths((each.http_method, each.template, each) for each in bindings())

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        path = calls.path_octets(request).partition(b"?")[0]
        if path == openapi.PATH.encode():
            request.scope["operation"] = _DOCUMENT
            return _document(request)
        # HEAD is what GET answers without the body, which the server leaves out; a stream has no such beginning.
        http_method = "GET" if request.method == "HEAD" else request.method
        if request.method == "GET" and (prefix := exporting.prefix_of(path)) is not None:
            request.scope["operation"] = exporting.EXPORT
            return self._export(request, decoded(prefix))
        found = self._paths.find(path)
        if found is None:
            raise HTTPException(404)
        target = found.target(http_method)
        if target is None or (request.method == "HEAD" and target[0].method.shape is not Shape.UNARY):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(found.by_method))})
        binding, fields = target
        request.scope["operation"] = binding.method
        if binding.method.shape is Shape.UNARY:
            return await self._unary(request, binding, fields)
        handler: Any = self._handlers[binding.method.path]
        call = calls.caller(request, self._service, self._options)
        if binding.is_dialogue:
            _require_credential(binding.method, call)
            dialogue = streams.Dialogue(binding.method, parameters_of(request))
            return streams.Lines(binding.method, handler(call, dialogue.requests(request)), answers=dialogue.answers)
        message = binding.method.request()
        as_events = streams.wants_events(request)
        json_in.read_parameters(message, parameters_of(request), fields)
        if as_events:
            streams.resume_after_last_event(request, message)
        return streams.Lines(binding.method, handler(call, message), as_events=as_events)

    async def _unary(self, request: Request, binding: Binding, fields: dict[str, str]) -> Response:
        method = binding.method
        if method is LOG_IN:
            calls.require_confidential(request, self._options)  # the password is in the body
        call = calls.caller(request, self._service, self._options)
        _require_credential(method, call)
        message = method.request()
        if binding.has_body:
            await json_in.read_in_turns(message, await body_of(request, method.octets_max * JSON_OVERHEAD))
        elif request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            raise MalformedMessage(f"{request.method} takes no body here: name the fields in the query")
        json_in.read_parameters(message, parameters_of(request), fields)
        take_idempotency_key(request, message)
        if message.ByteSize() > method.octets_max:
            raise MessageTooLarge(f"the request is larger than the {method.octets_max} octets {method.name} takes")
        if isinstance(message, ResolveRequest):
            await turn_for(request, self._service.core, message.name, call.source)
        handler: Any = self._handlers[method.path]
        answer = handler(call, message)
        if inspect.isawaitable(answer):
            answer = await answer
        if type(answer) is bytes:
            answer = method.response.FromString(answer)
        return Response(await json_out.to_json_in_turns(answer), media_type=MEDIA_TYPE)

    def _export(self, request: Request, prefix: str) -> Response:
        call = calls.caller(request, self._service, self._options)
        handler: Any = self._handlers[LIST_HANDLES.path]
        pages = exporting.pages(self._service.core, call, handler, prefix, parameters_of(request))
        return streams.Lines(LIST_HANDLES, pages, answers=exporting.records)


def _require_credential(method: Method[Message, Message], call: Call) -> None:
    """Refuse a stranger who would write before any of the body is read. Raises CredentialMissing."""
    if method.writes and call.caller is ANONYMOUS:
        raise CredentialMissing("this needs a credential: send the header 'Authorization: Bearer TOKEN'")


async def body_of(request: Request, octets_max: int) -> bytes:
    """The body. Raises HTTPException for another media type, MessageTooLarge."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        raise HTTPException(415, f"the body is {media_type[:80]}: send application/json")
    pieces, octets = [], 0
    async for piece in request.stream():
        octets += len(piece)
        if octets > octets_max:
            raise MessageTooLarge(f"the body has more than the {octets_max} octets that this path takes")
        pieces.append(piece)
    return b"".join(pieces)


def parameters_of(request: Request) -> list[tuple[str, str]]:
    """The query parameters in order. Raises MalformedMessage when they are no UTF-8."""
    query: bytes = request.scope["query_string"]
    found = []
    for part in filter(None, query.split(b"&")):
        name, _, value = part.replace(b"+", b"%20").partition(b"=")
        found.append((decoded(name), decoded(value)))
    return found


def take_idempotency_key(request: Request, message: Message) -> None:
    """Let the header Idempotency-Key be the request id. Raises InvalidField when both are there and differ."""
    key = request.headers.get("idempotency-key")
    if key is None or "request_id" not in message.DESCRIPTOR.fields_by_name:
        return
    key = key.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]  # both the bare form and that of a structured field are in use
    before: str = message.request_id  # type: ignore[attr-defined]  # looked up above
    if before not in {"", key}:
        raise InvalidField(f"request_id is {before!r} and Idempotency-Key is {key!r}: give one", field="request_id")
    message.request_id = key  # type: ignore[attr-defined]  # as above


def _document(request: Request) -> Response:
    if request.method not in {"GET", "HEAD"}:
        raise HTTPException(405, headers={"Allow": "GET, HEAD"})
    return Response(openapi.document(), media_type=MEDIA_TYPE)


def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]:
    """Everything below ``/v1/`` goes through one transcoder, which has its own table of paths."""
    return [_Everything(Transcoder(service, options))]


class _Everything(BaseRoute):
    """A route that takes whatever comes to the door: the transcoder finds paths in its own table, and cheaper."""

    def __init__(self, transcoder: Transcoder) -> None:
        self._answer = transcoder.answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Every path."""
        del scope
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is raised is told by the application."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


DOOR = Door(HTTP, ("/v1/",), routes, failed, BODY_OCTETS_MAX, plain_reads)
"""The JSON API."""

STREAMS = Door(HTTP, tuple(each.template for each in bindings() if each.is_dialogue), routes, failed, STREAM_OCTETS_MAX)
"""The same, for the paths whose bodies are streams."""
