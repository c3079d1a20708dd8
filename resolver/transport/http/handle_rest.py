"""The Handle REST interface, ``/api``: the operations of the Handle protocol in JSON, as CNRI's server has them.

A handler turns a request into the operation that a Handle client would ask, and its answer into JSON. What is
permitted, which code comes first and how an identity is checked are the same as at the Handle doors, because it is the
same code. Sessions and verifications are in ``rest_sessions``, reverse look-up in ``handle_search``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from resolver.errors import InvalidField, InvalidName, MalformedMessage, ResolverError, WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.handle.name import Prefix
from resolver.node.record_json import json_of
from resolver.service.hdl_answers import code_of, words_of
from resolver.service.hdl_turn import ChallengeWanted
from resolver.telemetry.calls import REGISTRATION, REST, Operation
from resolver.transport.http import rest_reply
from resolver.transport.http.door import Door
from resolver.transport.http.rest_authorization import NotVerified, RestAuthorization
from resolver.transport.http.rest_input import (
    STRANGER_OCTETS_MAX,
    VARIOUS,
    Parameters,
    carries_values,
    form_of,
    name_in,
    query_of,
    values_in,
)
from resolver.transport.http.rest_plain import READ, PlainReads
from resolver.transport.http.rest_reply import document_of, reply, status_of
from resolver.transport.http.rest_sessions import SESSIONS_METHODS, RestSessions
from resolver.transport.http.turns import turn_for
from resolver.wire import requests
from resolver.wire.header import OpFlag
from resolver.wire.responses import Created
from resolver.wire.value_json import value_to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from resolver.handle.value import HandleValue
    from resolver.service import Service
    from resolver.service.hdl_requests import Answered
    from resolver.transport.http.calls import HandleParts, HttpOptions
    from resolver.transport.http.door import AtOnce, Failure
    from resolver.transport.http.rest_authorization import Asker
    from resolver.wire.requests import RequestBody

    Handler = Callable[[Request], Awaitable[Response]]

_HANDLES = b"/api/handles/"
_PREFIXES = b"/api/prefixes/"
_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS"]
_LIST_METHODS = ["GET", "HEAD", "POST", "DELETE", "TRACE", "OPTIONS"]
_HOME_METHODS = ["POST", "DELETE", "TRACE", "OPTIONS"]
_READ_METHODS = ["GET", "HEAD", "TRACE", "OPTIONS"]
_NO_METHODS = ["TRACE", "OPTIONS"]
"""Methods in the order in which servlets name them. A POST is a GET with its parameters in the body, and
taken also where it is not named.
"""


class HandleRest:
    """The handlers of one worker."""

    def __init__(self, service: Service, parts: HandleParts, options: HttpOptions) -> None:
        self._core = service.core
        self._parts = parts
        self.authorization = RestAuthorization(parts.identity, options)

    async def handle(self, request: Request) -> Response:
        """One handle: read, write, delete."""
        name = name_in(request, _HANDLES)
        if not name:
            return await self.listed(request)
        match request.method:
            case "GET" | "HEAD":
                return await self.read(request, name, query_of(request))
            case "POST":
                response = await self.read(request, name, await _asked(request))
                if await carries_values(request):
                    response.headers["x-reason"] = "a POST reads a handle, whatever its body: PUT writes values"
                return response
            case "PUT":
                return await self._write(request, name)
            case _:
                return await self._delete(request, name)

    async def challenged(self, request: Request, answer: Awaitable[Response]) -> Response:
        """An answer, or 401 for a credential that does not do; with a challenge where that or a nonce asks for one."""
        error = ""
        try:
            response = await answer
        except NotVerified as refusal:
            error, response = str(refusal), Response(b"", 401, rest_reply.CORS_HEADERS)
        signs = request.scope.get("signs")
        if error or (signs is not None and "www-authenticate" not in response.headers):
            for value in self.authorization.wanted(request, signs, error):
                response.headers.append("www-authenticate", value)
        return response

    async def _ask(self, op_code: OpCode, body: RequestBody, asker: Asker, flags: int = 0) -> list[Answered]:
        return await self._parts.requests.ask(op_code, body, asker.peer, asker.identity, flags=flags)

    def _told(
        self,
        request: Request,
        asker: Asker,
        document: dict[str, Any],
        *,
        reads: bool = False,
        retry_after_s: float | None = None,
    ) -> Response:
        """An answer by its code; who has to say who it is hears how, who may come again when."""
        code = document["responseCode"]
        if code != ResponseCode.AUTHENTICATION_NEEDED:
            headers = {} if retry_after_s is None else {"retry-after": str(max(1, round(retry_after_s)))}
            return reply(request, document, status_of(code, reads=reads), headers)
        if not asker.is_believed:
            document.setdefault("message", "credentials are not looked at over plain HTTP: write over https")
            return reply(request, document, 403)  # nothing that came over this connection would be believed
        response = reply(request, document, 401)
        for value in self.authorization.wanted(request, asker.session):
            response.headers.append("www-authenticate", value)
        return response

    async def read(self, request: Request, name: str, query: Parameters) -> Response:
        """The values of a handle."""
        request.scope["operation"] = READ
        asker = await self.authorization.asker(request)
        indexes = tuple(query.indexes())
        body = requests.Resolution(name, indexes, tuple(query.all("type")))
        flags = 0
        if query.says_yes("publicOnly", default=asker.identity is None):
            flags |= OpFlag.PUBLIC_ONLY.value
        for parameter, flag in _READ_FLAGS.items():
            if query.says_yes(parameter):
                flags |= flag
        await turn_for(request, self._core, name, asker.peer.source)
        (found,) = await self._ask(OpCode.RESOLUTION, body, asker, flags)
        document = document_of(found.code, found.message, name)
        match found.code:
            case ResponseCode.SUCCESS:
                return reply(request, document, 200, values=json_of(found.stored))
            case ResponseCode.VALUES_NOT_FOUND:
                document["values"] = []
            case ResponseCode.SERVICE_REFERRAL | ResponseCode.PREFIX_REFERRAL:
                document |= _referral(found)
        return self._told(request, asker, document, reads=True, retry_after_s=found.retry_after_s)

    async def _write(self, request: Request, name: str) -> Response:
        request.scope["operation"] = _CREATE
        query = query_of(request)
        asker = await self.authorization.asker(request)
        if asker.identity is None and len(await request.body()) > STRANGER_OCTETS_MAX:
            return self._told(request, asker, document_of(ResponseCode.AUTHENTICATION_NEEDED, "", name))
        given = await values_in(request, name, self._core.clock.now_us() // 1_000_000)
        flags = OpFlag.OVERWRITE.value if query.is_true("overwrite", default=True) else 0
        op_code = OpCode.CREATE_HANDLE
        if query.get("index") is not None:
            _require_same(query, given)
            request.scope["operation"], op_code = _PUT_VALUES, OpCode.ADD_VALUE
        elif query.is_true("mintNewSuffix"):
            flags |= OpFlag.MINT_SUFFIX.value
        (made,) = await self._ask(op_code, requests.WithValues(name, tuple(given)), asker, flags)
        if made.code != ResponseCode.SUCCESS:
            document = document_of(made.code, made.message, name)
            return self._told(request, asker, document, retry_after_s=made.retry_after_s)
        if flags & OpFlag.MINT_SUFFIX.value and isinstance(made.body, Created) and made.body.handle:
            name = made.body.handle
        return reply(request, document_of(made.code, "", name), 200 if made.has(OpFlag.OVERWRITE) else 201)

    async def _delete(self, request: Request, name: str) -> Response:
        request.scope["operation"] = _DELETE
        query = query_of(request)
        body: RequestBody = requests.OfHandle(name)
        op_code = OpCode.DELETE_HANDLE
        if query.get("index") is not None:
            request.scope["operation"] = _REMOVE_VALUES
            op_code, body = OpCode.REMOVE_VALUE, requests.RemoveValues(name, tuple(query.indexes()))
        asker = await self.authorization.asker(request)
        (done,) = await self._ask(op_code, body, asker)
        document = document_of(done.code, done.message, name)
        return self._told(request, asker, document, retry_after_s=done.retry_after_s)

    async def listed(self, request: Request) -> Response:
        """The handles of a prefix, all of them or a page."""
        request.scope["operation"] = _LIST
        if request.method in {"PUT", "DELETE"}:
            raise InvalidName("the handle is empty: name one, as in /api/handles/88.300.1/ABC")
        query = await _asked(request)
        text = query.get("prefix")
        if text is None:
            raise InvalidName("name a handle, as in /api/handles/88.300.1/ABC, or a prefix, as in ?prefix=88.300.1")
        asker = await self.authorization.asker(request)
        page, size = query.number("page"), query.number("pageSize")
        try:
            prefix = Prefix.from_text(text)
            self._parts.protocol.listing.require_handles(asker.identity, prefix)
        except ChallengeWanted:
            document = document_of(ResponseCode.AUTHENTICATION_NEEDED, "", text)
            return self._told(request, asker, document)
        except ResolverError as error:
            return self._told(request, asker, document_of(code_of(error), words_of(error), text))
        listing = self._parts.protocol.listing
        head: dict[str, Any] = {"responseCode": 1, "prefix": text, "totalCount": str(listing.handle_count(prefix))}
        skip, count = 0, None
        if page is not None and size is not None:
            head |= {"page": page, "pageSize": size}
            skip, count = page * size, size
        assert asker.identity is not None  # noqa: S101 - nobody may list nameless
        names = listing.pages(asker.identity, prefix, skip, count)
        before, after, headers = rest_reply.frame_of(request)
        return StreamingResponse(_stream(before, head, names, after), 200, headers)

    async def site(self, request: Request) -> Response:
        """The record of this site."""
        request.scope["operation"] = _SITE
        return reply(request, {"responseCode": 1, "site": self._parts.protocol.site.to_json()}, 200)

    async def prefixes(self, request: Request) -> Response:
        """The prefixes homed here; POST homes one, DELETE ends that."""
        request.scope["operation"] = _PREFIXES_ASKED
        query = await _asked(request)
        name = _prefix_in(request, query)
        if name and request.method not in {"POST", "DELETE"}:
            return rest_reply.bare(405, "POST homes a prefix, DELETE ends that", {"allow": ", ".join(_HOME_METHODS)})
        asker = await self.authorization.asker(request)
        if request.method in {"POST", "DELETE"}:
            if not name:
                raise MalformedMessage("name a prefix, as in /api/prefixes/0.NA/88.300.1")
            full = name if "/" in name else f"0.NA/{name}"
            op_code = OpCode.HOME_PREFIX if request.method == "POST" else OpCode.UNHOME_PREFIX
            (done,) = await self._ask(op_code, requests.OfHandle(full), asker)
            return self._told(request, asker, document_of(done.code, done.message, name))
        page, size = query.number("page"), query.number("pageSize")
        found = await self._ask(OpCode.LIST_HOMED_PREFIXES, requests.OfHandle("0.NA/0.NA"), asker)
        if found[0].code != ResponseCode.SUCCESS:
            return self._told(request, asker, document_of(found[0].code, found[0].message))
        prefixes = [prefix for part in found for prefix in part.names]
        document: dict[str, Any] = {"responseCode": 1, "totalCount": str(len(prefixes))}
        if page is not None and size is not None:
            document |= {"page": page, "pageSize": size}
            prefixes = prefixes[page * size : (page + 1) * size]
        return reply(request, document | {"prefixes": prefixes}, 200)


_CREATE = Operation("rest", "create_handle", REGISTRATION)
_PUT_VALUES = Operation("rest", "put_values", REGISTRATION)
_DELETE = Operation("rest", "delete_handle", REGISTRATION)
_REMOVE_VALUES = Operation("rest", "remove_values", REGISTRATION)
_LIST = Operation("rest", "list_handles")
_PREFIXES_ASKED = Operation("rest", "prefixes")
_SITE = Operation("rest", "site")
"""What is asked for, as it is counted."""

_READ_FLAGS = {
    "auth": OpFlag.AUTHORITATIVE.value,
    "cert": OpFlag.CERTIFIED.value,
    "doNotRefer": OpFlag.DO_NOT_REFER.value,
}


async def _asked(request: Request) -> Parameters:
    """The parameters of a request: those of the path, and with a POST or DELETE those in the body. Raises WireError."""
    query = query_of(request)
    if request.method in {"GET", "HEAD"}:
        return query
    query = request.scope["parameters"] = Parameters((*query.pairs, *(await form_of(request)).pairs))
    return query


def _prefix_in(request: Request, query: Parameters) -> str:
    """The prefix that a request names as a parameter, or else in its path; empty for none."""
    named = query.get("prefix")
    return name_in(request, _PREFIXES) if named is None else named


def _require_same(query: Parameters, given: Sequence[HandleValue]) -> None:
    """Raise InvalidField unless the indexes in the query are those in the body."""
    if query.get("index") != VARIOUS and set(query.indexes()) != {value.index for value in given}:
        raise InvalidField("the parameters index and the indexes of the values in the body are not the same")


def _referral(found: Answered) -> dict[str, Any]:
    referral: dict[str, Any] = {}
    if name := getattr(found.body, "handle", ""):
        referral["referralHandle"] = name
    if found.values:
        referral["values"] = [value_to_json(value) for value in found.values]
    return referral


async def _stream(
    before: bytes, head: dict[str, Any], pages: AsyncIterator[list[str]], after: bytes
) -> AsyncIterator[bytes]:
    """A list as JSON, page by page: a prefix may have more handles than fit in memory."""
    yield before + rest_reply.to_json(head)[:-1] + b',"handles":['
    separator = b""
    async for names in pages:
        if names:
            yield separator + rest_reply.to_json(names)[1:-1]
            separator = b","
    yield b"]}" + after


def _allowed(request: Request, methods: Sequence[str]) -> dict[str, str]:
    """The header that names the methods of a path."""
    if methods is _LIST_METHODS and _prefix_in(request, query_of(request)):
        methods = _HOME_METHODS
    elif methods is SESSIONS_METHODS and name_in(request, b"/api/sessions/"):
        methods = _METHODS
    return {"allow": ", ".join(methods)}


def _guarded(rest: HandleRest, handler: Handler, methods: Sequence[str]) -> Handler:
    """A handler with what every path has: answers to browsers that ask first, its methods, and refused credentials."""

    def takes(method: str) -> bool:
        # Sessions say for themselves what they take, paths of no endpoint take everything to say so.
        return method in methods or methods in (SESSIONS_METHODS, _NO_METHODS) or method == "POST"

    async def answer(request: Request) -> Response:
        if not takes(request.method) or (methods is _NO_METHODS and request.method not in _METHODS):
            # As servlets have it: 405 for a method that other paths have, 501 for one that none has.
            raise HTTPException(405 if request.method in _METHODS else 501, headers=_allowed(request, methods))
        if request.method == "OPTIONS":
            return Response(b"", 200, rest_reply.PREFLIGHT_HEADERS | _allowed(request, methods))
        if request.method == "TRACE":
            raise InvalidField("TRACE is not answered")
        return await rest.challenged(request, handler(request))

    return answer


async def _unknown(request: Request) -> Response:
    """A path of no endpoint."""
    return reply(request, _nowhere(request), 404)


def _nowhere(request: Request) -> dict[str, Any]:
    path = request.scope["raw_path"].decode("ascii", "replace")
    return document_of(ResponseCode.PROTOCOL_ERROR, f"Unknown HTTP API endpoint {request.method} {path}")


def failed(request: Request, failure: Failure) -> Response:
    """A failure in the words of this interface."""
    error, status = failure.error, failure.status
    if request.method not in _METHODS:
        unknown = document_of(ResponseCode.PROTOCOL_ERROR, f"Unknown method {request.method}")
        return reply(request, unknown, 501, {"allow": ", ".join(_METHODS)})
    if status == 405:
        return reply(request, _nowhere(request), 405)
    code = code_of(error) if isinstance(error, ResolverError) else ResponseCode.ERROR
    if isinstance(error, WireError) and status == 400:
        status = status_of(code)
    return reply(request, document_of(code, error.message), status)


def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]:
    """The paths of the interface."""
    if options.handle is None:
        return [Route("/api/{rest:path}", _unknown, methods=_METHODS)]
    rest = HandleRest(service, options.handle, options)
    sessions = RestSessions(rest.authorization, options)
    paths: dict[str, tuple[Handler, list[str]]] = {
        "/api/handles": (rest.listed, _METHODS),
        "/api/handles/{name:path}": (rest.handle, _METHODS),
        "/api/site": (rest.site, _READ_METHODS),
        "/api/site/": (rest.site, _READ_METHODS),
        "/api/prefixes": (rest.prefixes, _LIST_METHODS),
        "/api/prefixes/{name:path}": (rest.prefixes, _LIST_METHODS),
        "/api/sessions": (sessions.answer, SESSIONS_METHODS),
        "/api/sessions/{name:path}": (sessions.answer, SESSIONS_METHODS),
        "/api/verifications": (sessions.verify, _READ_METHODS),
        "/api/verifications/{name:path}": (sessions.verify, _READ_METHODS),
        "/api": (_unknown, _NO_METHODS),
        "/api/{rest:path}": (_unknown, _NO_METHODS),
    }
    every = [*_METHODS, "PATCH"]
    return [Route(path, _guarded(rest, handler, methods), methods=every) for path, (handler, methods) in paths.items()]


def _plain_reads(service: Service, options: HttpOptions) -> AtOnce | None:
    """What answers plain reads."""
    if options.handle is None:
        return None
    return PlainReads(service.core, options.handle.protocol.resolution.count).at_once


DOOR = Door(REST, ("/api/",), routes, failed, at_once=_plain_reads)
"""The Handle REST interface."""
