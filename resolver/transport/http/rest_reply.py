"""Answers of the Handle REST interface: HTTP status by response code, JSON, JSONP, and headers for scripts in browsers.

Every answer is an object with ``responseCode``; ``handle`` is the name exactly as it was asked for, since clients
compare the two. Scripts of any origin may call and read, without credentials of the browser.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from resolver.handle.codes import ResponseCode
from resolver.transport.http.rest_input import YES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from resolver.transport.http.rest_input import Parameters

JSON_TYPE = "application/json;charset=utf-8"
SCRIPT_TYPE = "application/javascript;charset=utf-8"

CORS_HEADERS = {"access-control-allow-origin": "*", "access-control-expose-headers": "Location, WWW-Authenticate"}
"""What lets a script of any origin read an answer."""

PREFLIGHT_HEADERS = CORS_HEADERS | {
    "access-control-allow-methods": "GET,POST,HEAD,PUT,DELETE",
    "access-control-allow-headers": "X-Requested-With,Authorization,Origin,Accept,Content-Type",
    "access-control-max-age": "86400",
}
"""The answer to a browser that asks before it lets a script call."""

_STATUSES: dict[int, int] = {
    ResponseCode.SUCCESS: 200,
    ResponseCode.SERVER_BUSY: 503,
    ResponseCode.PROTOCOL_ERROR: 400,
    ResponseCode.OPERATION_DENIED: 501,
    ResponseCode.SERVER_BACKUP: 503,
    ResponseCode.HANDLE_NOT_FOUND: 404,
    ResponseCode.HANDLE_ALREADY_EXISTS: 409,
    ResponseCode.INVALID_HANDLE: 400,
    ResponseCode.VALUES_NOT_FOUND: 400,
    ResponseCode.VALUE_ALREADY_EXISTS: 409,
    ResponseCode.INVALID_VALUE: 400,
    ResponseCode.SERVER_NOT_RESPONSIBLE: 400,
    ResponseCode.SERVICE_REFERRAL: 300,
    ResponseCode.PREFIX_REFERRAL: 300,
    ResponseCode.INVALID_ADMIN: 403,
    ResponseCode.INSUFFICIENT_PERMISSIONS: 403,
    ResponseCode.AUTHENTICATION_NEEDED: 401,
    ResponseCode.AUTHENTICATION_FAILED: 403,
    ResponseCode.INVALID_CREDENTIAL: 403,
    ResponseCode.DAILY_REQUEST_LIMIT: 429,
    ResponseCode.REGISTRATION_LIMIT: 429,
    ResponseCode.PREFIX_LIMIT: 429,
}
"""HTTP status by response code; those that are not here are 500, as in the reference server."""

_NOT_IN_A_NAME = re.compile(r"^[0-9]|[^\w$]")
_CALLBACK_LENGTH_MAX = 128


def status_of(code: int, *, reads: bool = False) -> int:
    """The HTTP status of a response code; a read that finds no values is none the worse for it."""
    if code == ResponseCode.VALUES_NOT_FOUND and reads:
        return 200
    return _STATUSES.get(code, 500)


def _parameters_of(request: Request) -> QueryParams | Parameters:
    """The parameters that say how to answer: with those of the body once they have been read."""
    found: Parameters | None = request.scope.get("parameters")
    return request.query_params if found is None else found


def callback_of(query: Mapping[str, str] | Parameters) -> str | None:
    """The function that a script wants called with the answer, with ``_`` for what is no letter of a name, or None."""
    given = query.get("callback")
    return None if given is None else _NOT_IN_A_NAME.sub("_", given[:_CALLBACK_LENGTH_MAX])


def to_json(document: Any, *, pretty: bool = False) -> bytes:
    """The JSON text of a document; letters that cannot be UTF-8 become question marks."""
    if pretty:
        return json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def frame_of(request: Request) -> tuple[bytes, bytes, dict[str, str]]:
    """What stands before and after the JSON of an answer, and its headers: those of a script when one was asked for."""
    callback = callback_of(_parameters_of(request))
    headers = CORS_HEADERS | {"content-type": JSON_TYPE if callback is None else SCRIPT_TYPE}
    headers["x-content-type-options"] = "nosniff"
    return (b"", b"", headers) if callback is None else (callback.encode("utf-8", "replace") + b"(", b");", headers)


def reply(
    request: Request,
    document: Mapping[str, Any],
    status: int,
    headers: Mapping[str, str] | None = None,
    *,
    values: Sequence[bytes] | None = None,
) -> Response:
    """The answer with a document; ``values`` are its last member, each as JSON."""
    before, after, own = frame_of(request)
    pretty = _parameters_of(request).get("pretty")
    if pretty is not None and pretty.lower() in YES:
        whole = document if values is None else {**document, "values": [json.loads(value) for value in values]}
        text = to_json(whole, pretty=True)
    else:
        text = to_json(document)
        if values is not None:
            text = b'%b,"values":[%b]}' % (text[:-1], b",".join(values))
    return Response(before + text + after, status, own | dict(headers or {}))


def bare(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body, where the reference server has none; the reason stands in a header for people."""
    return Response(b"", status, CORS_HEADERS | {"x-reason": reason} | dict(headers or {}))


def document_of(code: int, message: str = "", handle: str | None = None) -> dict[str, Any]:
    """The object that every answer begins with."""
    document: dict[str, Any] = {"responseCode": int(code)}
    if message:
        document["message"] = message
    if handle is not None:
        document["handle"] = handle
    return document
