"""The proxy: ``GET /<handle>`` leads to what a handle stands for, or shows it (section 8.2 of the protocol).

What is led to: the choice of a 10320/loc value of the handle, else one of its prefix, else the first URL value, else
the first whose type begins with ``URL.``. Without any, or when asked not to go, the page of the handle is shown. A
handle with an alias stands for the handle it names. A ``POST`` with a Handle message is a tunnel.
"""

from __future__ import annotations

import inspect
import random
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resolver.errors import HandleNotFound, InvalidField, NotFound, PrefixElsewhere, ResolverError, WireError
from resolver.handle.name import Handle, fold, type_matches
from resolver.node import handle_admin, locations
from resolver.node.locations import Asked, Target, web_address
from resolver.node.templates import template_row
from resolver.service import Call
from resolver.telemetry.calls import RESOLUTION, REST, Operation
from resolver.transport.http import page
from resolver.transport.http.calls import path_octets, source_of
from resolver.transport.http.door import Door, failure_of, told_plainly
from resolver.transport.http.handle_tunnel import HandleTunnel, is_message
from resolver.transport.http.page_text import CHINESE, language_of
from resolver.transport.http.rest_input import Parameters, query_of
from resolver.v1 import resolution_pb2
from resolver.wire.cursor import text_from_wire
from resolver.wire.predefined.loc_10320 import Loc10320

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import Failure
    from resolver.v1 import handle_pb2 as pb
    from resolver.v1.template_pb2 import Template

ALIASES_MAX = 20
"""Aliases followed one after the other, as by the reference proxy."""

STYLE_AGE_S = 3_600

_SCHEMES = ("hdl:", "doi:", "info:doi/", "info:hdl/", "urn:hdl:", "urn:doi:")
_LOCATIONS_TYPE = "10320/LOC"
_PUBLIC_READ = 2
_ACTIONS = {"", "showurls", "showvalues", "redirect", "api", "metadata"}
_PROXY = Operation("rest", "proxy", RESOLUTION)
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "*/*")


class HandleProxy:
    """The handlers of one worker."""

    def __init__(self, service: Service, options: HttpOptions) -> None:
        self._service = service
        self._options = options
        self._pages = page.Pages(options.node_prefix)
        self._random = random.Random(int.from_bytes(service.core.randomness(16), "big"))  # noqa: S311 - spreads load

    async def home(self, request: Request) -> Response:
        """The first page; the form on it leads to the handle typed in."""
        query = query_of(request)
        language = _language(request, query)
        name = (query.get("handle") or query.get("hdl") or "").strip()
        if not name:
            return self._pages.home(language)
        path = page.path_of(_without_scheme(name))
        shown = "" if language == CHINESE and not query.get("lang") else f"&lang={language}"
        return Response(b"", 303, page.HEADERS | {"location": f"{path}?noredirect{shown}"})

    async def style(self, _request: Request) -> Response:
        """The style of the pages."""
        headers = {"content-type": "text/css;charset=utf-8", "cache-control": f"public, max-age={STYLE_AGE_S}"}
        return Response(self._pages.style, 200, headers | {"x-content-type-options": "nosniff"})

    async def show(self, request: Request) -> Response:
        """Lead to what a handle stands for, or show it."""
        request.scope["operation"] = _PROXY
        name = _without_scheme(text_from_wire(unquote_to_bytes(path_octets(request)[1:])))
        query = query_of(request)
        action = query.get("action") or ""
        if action not in _ACTIONS:
            raise InvalidField(f"action {action[:40]!r} is unknown: {', '.join(sorted(_ACTIONS - {''}))} are known")
        if action in {"api", "metadata"}:
            return Response(b"", 302, page.HEADERS | {"location": "/api/handles" + page.path_of(name)})
        source = source_of(request, self._options)
        record = await self._record(name, source, follows=not query.flag("ignore_aliases"))
        language = _language(request, query)
        values = _wanted(record.values, query)
        target = self._target(record, values, _asked(request, query, source), query)
        if target is None or action in {"showurls", "showvalues"} or query.flag("noredirect"):
            if action == "showurls":
                values = [value for value in values if _leads(value)]
            alias = "" if fold(record.name) == fold(Handle.from_text(name).text) else name
            template = self._template(record)
            url = "" if target is None else target.url
            return self._pages.handle(record, values, language, url, alias=alias, template=template)
        lives_s = min((value.ttl_s for value in values if value.WhichOneof("ttl") == "ttl_s"), default=0)
        now_s = self._service.core.clock.now_us() / 1e6
        headers = {"expires": formatdate(now_s + lives_s, usegmt=True)}
        return self._pages.redirect(name, target.url, target.status, language, headers)

    async def _record(self, name: str, source: str, *, follows: bool) -> pb.HandleRecord:
        """The record of a name, or of the handle that its aliases lead to."""
        seen: set[str] = set()
        while True:
            Handle.from_text(name)
            record = await self._resolve(name, source)
            alias = next((value for value in record.values if fold(value.type) == "HS_ALIAS"), None)
            if alias is None or not follows:
                return record
            seen.add(fold(name))
            name = _without_scheme(text_from_wire(alias.data).strip())
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
        self, record: pb.HandleRecord, values: list[pb.HandleValue], asked: Asked, query: Parameters
    ) -> Target | None:
        """Where to lead; None when there is nowhere. Raises InvalidField for what may not be appended."""
        appended = query.get("urlappend") or ""
        chosen = self._located(values, asked, record.name)
        if chosen is None and not query.all("type") and not query.all("index"):
            chosen = self._located_by_prefix(record.name, asked)
        if chosen is None:
            urls = [value for value in values if fold(value.type) == "URL"]
            urls += [value for value in values if fold(value.type).startswith("URL.")]
            for value in urls:
                url = web_address(value.data.decode("utf-8", "replace"))
                if url is not None:
                    chosen = Target(url)
                    break
        if chosen is None or not appended:
            return chosen
        url = web_address(chosen.url, appended)
        if url is None:
            raise InvalidField("urlappend would change the site that is led to", details={"page": "APPENDED"})
        return chosen._replace(url=url)

    def _located(self, values: Sequence[pb.HandleValue], asked: Asked, name: str) -> Target | None:
        for value in values:
            if fold(value.type) != _LOCATIONS_TYPE:
                continue
            try:
                location = locations.choose(Loc10320.from_wire(value.data), asked, self._random.random)
            except WireError:
                continue
            target = None if location is None else locations.target_of(location, name)
            if target is not None:
                return target
        return None

    def _located_by_prefix(self, name: str, asked: Asked) -> Target | None:
        """The choice of the locations that the prefix handle has for all its handles."""
        try:
            prefix_handle = Handle.from_text(name).prefix_handle
            with self._service.core.reading() as reader:
                values = handle_admin.values_of(reader, prefix_handle)
        except ResolverError:
            return None
        return self._located([value for value in values if value.permissions & _PUBLIC_READ], asked, name)

    def told(self, request: Request, failure: Failure) -> Response:
        """The page that says why there is nothing to show."""
        try:
            query = query_of(request)
        except ResolverError:
            query = Parameters(())
        error = failure.error
        name = text_from_wire(unquote_to_bytes(path_octets(request)[1:]))
        status = 404 if error.reason in {"PREFIX_ELSEWHERE", "PREFIX_NOT_ENABLED"} else failure.status
        reason = error.details.get("page") or error.reason
        return self._pages.missing(_without_scheme(name), status, reason, _language(request, query), error.details)


def _without_scheme(name: str) -> str:
    """The handle in a name that a person or a link wrote with what kind of name it is."""
    for scheme in _SCHEMES:
        if name[: len(scheme)].lower() == scheme:
            return name[len(scheme) :]
    return name


def _language(request: Request, query: Parameters) -> str:
    return language_of(request.headers.get("accept-language", ""), query.get("lang") or "")


def _wanted(values: Sequence[pb.HandleValue], query: Parameters) -> list[pb.HandleValue]:
    """The values with one of the indexes or types asked for; all when none is."""
    indexes, types = set(query.indexes()), query.all("type")
    if not indexes and not types:
        return list(values)
    return [
        value for value in values if value.index in indexes or any(type_matches(type_, value.type) for type_ in types)
    ]


def _leads(value: pb.HandleValue) -> bool:
    type_ = fold(value.type)
    return type_ in {"URL", _LOCATIONS_TYPE} or type_.startswith("URL.")


def _asked(request: Request, query: Parameters, source: str) -> Asked:
    """What is known of whoever asks."""
    attributes = []
    for text in query.all("locatt")[:16]:
        name, colon, wanted = text.partition(":")
        if colon:
            attributes.append((name, wanted))
    accept = request.headers.get("accept", "*/*").lower()
    wants_data = not any(kind in accept for kind in _PAGE_TYPES)
    return Asked(tuple(attributes), query.get("country") or "", query.get("ip") or source, wants_data)


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
        if request.method == "POST":
            if tunnel is None or not is_message(request):
                raise InvalidField("a POST here carries a Handle message: Content-Type application/x-hdl-message")
            return await tunnel.answer(request)
        try:
            if request.scope["raw_path"] == b"/":
                return await proxy.home(request)
            return await proxy.show(request)
        except ResolverError as error:
            return proxy.told(request, failure_of(error, request.scope["path"]))

    return [
        Route("/_page/page.css", proxy.style, methods=["GET", "HEAD"]),
        Route("/robots.txt", _robots, methods=["GET", "HEAD"]),
        Route("/favicon.ico", _icon, methods=["GET", "HEAD"]),
        Route("/{name:path}", any_path, methods=["GET", "HEAD", "POST"]),
    ]


DOOR = Door(REST, ("/",), routes, told_plainly)
"""The proxy, and the tunnel for Handle messages: every path that no other door has."""
