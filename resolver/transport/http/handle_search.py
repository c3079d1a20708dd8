"""Reverse look-up over HTTP, ``GET /hrls/handles?URL=*example*``, as pyhandle's search client asks it.

A JSON list of handles is answered, to whoever may list handles of their prefixes; see ``service/reverse_lookup.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from resolver.errors import CredentialMissing, InvalidField
from resolver.service.reverse_lookup import ReverseLookup
from resolver.telemetry.calls import REST, Operation
from resolver.transport.http.door import Door
from resolver.transport.http.rest_authorization import NotVerified, RestAuthorization
from resolver.transport.http.rest_input import query_of
from resolver.transport.http.rest_reply import CORS_HEADERS, document_of, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import Failure

_SEARCH = Operation("rest", "search")
_HEADERS = CORS_HEADERS | {"content-type": "application/json;charset=utf-8", "x-content-type-options": "nosniff"}


class HandleSearch:
    """The handlers of one worker."""

    def __init__(self, service: Service, authorization: RestAuthorization) -> None:
        self._authorization = authorization
        self._lookup = ReverseLookup(service.core)

    async def find(self, request: Request) -> Response:
        """Handles by their values; only for those who say who they are."""
        request.scope["operation"] = _SEARCH
        try:
            asker = await self._authorization.asker(request)
        except NotVerified as refusal:
            return self._refuse(request, str(refusal))
        if asker.identity is None:
            if asker.is_believed:
                return self._refuse(request, "")
            raise CredentialMissing("a search needs a credential, and one counts over https only")
        wanted: dict[str, str] = {}
        for type_, pattern in query_of(request).pairs:
            if type_ in wanted:
                raise InvalidField(f"{type_[:80]!r} is asked for twice")
            wanted[type_] = pattern
        names = await self._lookup.find(asker.identity.caller, wanted)
        return Response(to_json(names), 200, _HEADERS)

    def _refuse(self, request: Request, error: str) -> Response:
        response = Response(to_json(document_of(402, "a search needs a credential")), 401, _HEADERS)
        for value in self._authorization.wanted(request, error=error):
            response.headers.append("www-authenticate", value)
        return response


def failed(_request: Request, failure: Failure) -> Response:
    """A failure as an object with its words."""
    # 403, as everywhere over plain HTTP: a client that sent its credential again would only show it once more.
    status = 403 if failure.status == 401 else failure.status
    return Response(to_json(document_of(failure.error.response_code, failure.error.message)), status, _HEADERS)


def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]:
    """The path of the look-up, with and without a slash at its end."""
    if options.handle is None:
        return ()
    search = HandleSearch(service, RestAuthorization(options.handle.identity, options))
    return [Route(path, search.find, methods=["GET", "HEAD"]) for path in ("/hrls/handles", "/hrls/handles/")]


DOOR = Door(REST, ("/hrls/",), routes, failed)
"""Reverse look-up."""
