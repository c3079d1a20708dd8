"""Failures of the JSON API: ``google.rpc.Status`` as JSON, with ErrorInfo, BadRequest and RetryInfo (AIP-193)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from resolver.errors import DOMAIN

if TYPE_CHECKING:
    from starlette.requests import Request

    from resolver.errors import ResolverError
    from resolver.transport.http.door import Failure

MEDIA_TYPE = "application/json"
_TYPE = "type.googleapis.com/google.rpc."


def status_of(error: ResolverError) -> dict[str, Any]:
    """The error as google.rpc.Status."""
    info: dict[str, Any] = {"@type": f"{_TYPE}ErrorInfo", "reason": error.reason, "domain": DOMAIN}
    if error.details:
        info["metadata"] = error.details
    details = [info]
    if error.field:
        violation = {"field": error.field, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    return {"code": error.meaning.grpc, "message": error.message, "details": details}


def failed(_request: Request, failure: Failure) -> Response:
    """The answer that tells a failure."""
    headers = failure.headers
    if failure.status == 401:
        headers = {"www-authenticate": 'Bearer realm="idis"', **headers}
    return Response(encoded(status_of(failure.error)), failure.status, headers, MEDIA_TYPE)


def encoded(value: dict[str, Any]) -> bytes:
    """JSON of text that may hold halves of surrogate pairs, which UTF-8 has no octets for."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        value["message"] = value["message"].encode("utf-8", "backslashreplace").decode()
        return msgspec.json.encode({"code": value["code"], "message": value["message"], "details": []})
