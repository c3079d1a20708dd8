"""The proxy: ``GET /<handle>`` leads to what a handle stands for, or shows it (section 8.2 of the protocol).

What is led to: the choice among the locations of the handle and of its prefix, else the first URL value, else the
first whose type begins with ``URL.``. Without any, or when asked not to go, the page of the handle is shown. An alias
leads to the handle it names. A ``POST`` of a form asks as a GET does, one with a Handle message is a tunnel.
"""

from __future__ import annotations

import inspect
import random
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resolver.errors import HandleNotFound, InvalidField, NotFound, PrefixElsewhere, ResolverError
from resolver.handle.name import Handle, fold, has_type
from resolver.node import location_sets, locations
from resolver.node.locations import Target, web_address
from resolver.node.templates import template_row
from resolver.service import Call
from resolver.service.hdl_peer import network_of
from resolver.service.large_records import LARGE_OCTETS
from resolver.telemetry.calls import RESOLUTION, REST, Operation
from resolver.transport.http import handle_rest, page, proxy_request
from resolver.transport.http.calls import source_of
from resolver.transport.http.door import Door, failure_of, told_plainly
from resolver.transport.http.handle_rest import HandleRest
from resolver.transport.http.handle_tunnel import HandleTunnel, is_message
from resolver.transport.http.page_text import CHINESE, language_of
from resolver.transport.http.proxy_request import JSON, REDIRECT, SHOW_LOCATIONS, ProxyRequest, name_of, without_scheme
from resolver.transport.http.rest_input import query_of
from resolver.transport.http.rest_reply import CORS_HEADERS, PREFLIGHT_HEADERS
from resolver.transport.http.turns import turn_for
from resolver.v1 import resolution_pb2
from resolver.wire.cursor import text_from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from resolver.node.location_sets import LocationSet
    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import Failure
    from resolver.transport.http.rest_input import Parameters
    from resolver.v1 import handle_pb2 as pb
    from resolver.v1.template_pb2 import Template

ALIASES_MAX = 20
"""Aliases followed one after the other, as by the reference proxy."""

VALUES_AT_ONCE_MAX = 32
"""Values that a page shows whatever the time is: each takes as long as twenty in JSON."""

STYLE_AGE_S = 3_600

_ALIAS = "HS_ALIAS"
_PROXY = Operation("rest", "proxy", RESOLUTION)
_METHODS = {"allow": "GET, HEAD, POST, OPTIONS"}
_SAFE_IN_QUERY = "!$%&'()*+,/:;=?@[]~"


class HandleProxy:
    """The handlers of one worker."""

    def __init__(self, service: Service, options: HttpOptions) -> None:
        self._service = service
        self._options = options
        self._pages = page.Pages(options.node_prefix)
        self._rest = None if options.handle is None else HandleRest(service, options.handle, options)
        self._random = random.Random(int.from_bytes(service.core.randomness(16), "big"))  # noqa: S311 - spreads load

    async def home(self, request: Request) -> Response:
        """The first page; the form on it leads to the handle typed in."""
        query = query_of(request)
        language = _language(request, query)
        name = (query.get("handle") or query.get("hdl") or "").strip()
        if not name:
            return self._pages.home(language)
        path = page.path_of(without_scheme(name))
        shown = "" if language == CHINESE and not query.get("lang") else f"&lang={language}"
        return Response(b"", 303, page.HEADERS | {"location": f"{path}?noredirect{shown}"})

    async def style(self, _request: Request) -> Response:
        """The style of the pages."""
        headers = {"content-type": "text/css;charset=utf-8", "cache-control": f"public, max-age={STYLE_AGE_S}"}
        return Response(self._pages.style, 200, headers | {"x-content-type-options": "nosniff"})

    async def show(self, request: Request) -> Response:
        """Lead to what a handle stands for, or show it."""
        request.scope["operation"] = _PROXY
        source = source_of(request, self._options)
        asked = await proxy_request.read(request, source)
        language = _language(request, asked.parameters)
        if not asked.name:
            return self._pages.home(language)
        if asked.action == JSON:
            return await self._json(request, asked.name)
        name, record, led = await self._record(request, asked, source)
        values = asked.wanted(record.values)
        if led and asked.action == REDIRECT and request.method != "POST":
            return self._moved(request, name, led)
        with self._service.core.reading() as reader:
            shared = [] if asked.has("type") or asked.has("index") else location_sets.shared_of(reader, record.name)
        found = location_sets.of_values(values, shared)
        if asked.action == SHOW_LOCATIONS and found.locations:
            headers = CORS_HEADERS | {"content-type": "text/xml;charset=utf-8", "x-content-type-options": "nosniff"}
            return Response(location_sets.to_xml(found, record.name), 200, headers)
        target, used = self._target(found, record.name, asked)
        if target is None or asked.action != REDIRECT:
            if len(values) > VALUES_AT_ONCE_MAX and record.ByteSize() <= LARGE_OCTETS:  # a larger one has had its turn
                await self._service.core.turns.take(network_of(source))
            alias = "" if fold(record.name) == fold(Handle.from_text(asked.name).text) else asked.name
            template = self._template(record)
            url = "" if target is None else target.url
            return self._pages.handle(record, values, language, url, alias=alias, template=template)
        return self._pages.redirect(asked.name, target.url, target.status, language, self._expires(used))

    async def _json(self, request: Request, name: str) -> Response:
        """What the REST interface answers for a handle."""
        if self._rest is None:
            return Response(b"", 302, page.HEADERS | {"location": "/api/handles" + page.path_of(name)})
        try:
            return await self._rest.challenged(request, self._rest.read(request, name, query_of(request)))
        except ResolverError as error:
            failure = failure_of(error, request.scope["path"])
            response = handle_rest.failed(request, failure)
            response.headers.update(failure.headers)
            return response

    def _expires(self, values: Sequence[pb.HandleValue]) -> dict[str, str]:
        now_s = self._service.core.clock.now_us() / 1e6
        return {"expires": formatdate(location_sets.expires_s(values, now_s), usegmt=True)}

    def _moved(self, request: Request, name: str, aliases: Sequence[pb.HandleValue]) -> Response:
        """The way from an alias to the handle it stands for, with the same parameters."""
        query: bytes = request.scope["query_string"]
        behind = "?" + quote(query, safe=_SAFE_IN_QUERY) if query else ""
        location = {"location": page.path_of(name) + behind}
        return Response(b"", 301, page.HEADERS | self._expires(aliases) | location)

    async def _record(
        self, request: Request, asked: ProxyRequest, source: str
    ) -> tuple[str, pb.HandleRecord, list[pb.HandleValue]]:
        """The name and record that a name leads to, and the aliases on the way."""
        name, seen, led = asked.name, set[str](), list["pb.HandleValue"]()
        while True:
            Handle.from_text(name)
            await turn_for(request, self._service.core, name, source)
            record = await self._resolve(name, source)
            alias = next((value for value in asked.wanted(record.values) if has_type(value.type, _ALIAS)), None)
            if alias is None or asked.has("ignore_aliases"):
                return name, record, led
            seen.add(fold(name))
            led.append(alias)
            name = without_scheme(text_from_wire(alias.data).strip())
            if fold(name) in seen or len(seen) > ALIASES_MAX:
                raise HandleNotFound(
                    "the aliases of the handle lead in a circle, or too far", details={"page": "ALIAS"}
                )

    async def _resolve(self, name: str, source: str) -> pb.HandleRecord:
        call = Call(source=source, door=REST)
        answer = self._service.resolution.resolve(call, resolution_pb2.ResolveRequest(name=name))
        octets = await answer if inspect.isawaitable(answer) else answer
        found = resolution_pb2.ResolveResponse.FromString(octets)
        if not found.HasField("record"):
            raise PrefixElsewhere("the handle lives in another node")
        return found.record

    def _template(self, record: pb.HandleRecord) -> Template | None:
        """The template that a handle of this node follows; None for another node's, which may be called the same."""
        if not record.template_id:
            return None
        prefix = fold(record.name.partition("/")[0])
        with self._service.core.reading() as reader:
            try:
                template = template_row(reader, record.template_id)
            except NotFound:
                return None
            is_here = self._service.core.served.refusal(reader, prefix) is None
        return template if is_here and fold(template.prefix) in {"", prefix} else None

    def _target(
        self, found: LocationSet, name: str, asked: ProxyRequest
    ) -> tuple[Target | None, Sequence[pb.HandleValue]]:
        """Where to lead, and the values that say so. Raises InvalidField for what may not be appended."""
        target, used = None, found.values
        if not found.is_plain:
            chosen = locations.choose(found.locations, found.settings, asked.asked, self._random.random)
            target = None if chosen is None else locations.target_of(chosen, found.settings, name)
        if target is None:
            for value in found.values:
                url = web_address(value.data.decode("utf-8", "replace"))
                if url is not None:
                    target, used = Target(url), (value,)
                    break
        appended = asked.parameters.get("urlappend") or ""
        if target is None or not appended:
            return target, used
        url = web_address(target.url, appended)
        if url is None:
            raise InvalidField("urlappend would change the site that is led to", details={"page": "APPENDED"})
        return target._replace(url=url), used

    def told(self, request: Request, failure: Failure) -> Response:
        """The page that says why there is nothing to show."""
        error, parameters = failure.error, proxy_request.parameters_or_none(request)
        status = 404 if error.reason in {"PREFIX_ELSEWHERE", "PREFIX_NOT_ENABLED"} else failure.status
        reason = error.details.get("page") or error.reason
        page = self._pages.missing(name_of(request), status, reason, _language(request, parameters), error.details)
        page.headers.update(failure.headers)
        return page


def _language(request: Request, query: Parameters) -> str:
    return language_of(request.headers.get("accept-language", ""), query.get("lang") or "")


async def _robots(_request: Request) -> Response:
    """What crawlers may fetch: the pages, which ask not to be indexed, and not the interfaces."""
    return PlainTextResponse("User-agent: *\nDisallow: /api/\nDisallow: /v1/\n")


async def _icon(_request: Request) -> Response:
    """No icon. Browsers ask for one with every page, which is no question for a handle and must not count as one."""
    return Response(b"", 404, {"cache-control": f"public, max-age={STYLE_AGE_S}"})


def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]:
    """Every path that no other door has."""
    proxy = HandleProxy(service, options)
    tunnel = None if options.handle is None else HandleTunnel(options.handle, options)

    async def any_path(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(b"", 200, PREFLIGHT_HEADERS | _METHODS)
        if request.method == "POST" and is_message(request):
            if tunnel is None:
                raise InvalidField("this node takes no Handle messages: they are for nodes with Handle doors")
            return await tunnel.answer(request)
        try:
            if request.scope["raw_path"] == b"/" and request.method != "POST":
                return await proxy.home(request)
            return await proxy.show(request)
        except ResolverError as error:
            return proxy.told(request, failure_of(error, request.scope["path"]))

    return [
        Route("/_page/page.css", proxy.style, methods=["GET", "HEAD"]),
        Route("/robots.txt", _robots, methods=["GET", "HEAD"]),
        Route("/favicon.ico", _icon, methods=["GET", "HEAD"]),
        Route("/{name:path}", any_path, methods=["GET", "HEAD", "POST", "OPTIONS"]),
    ]


DOOR = Door(REST, ("/",), routes, told_plainly)
"""The proxy, and the tunnel for Handle messages: every path that no other door has."""
