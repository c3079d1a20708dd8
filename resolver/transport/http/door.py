"""What one API on the HTTP port is made of. The package tells how one is added."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, NamedTuple

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from resolver.errors import InternalError, MalformedMessage, NotFound, NotImplementedYet, ResolverError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from resolver.service import Service
    from resolver.telemetry.calls import Operation
    from resolver.transport.http.calls import HttpOptions

    AtOnce = Callable[[bytes, list[tuple[bytes, bytes]], str, bytes], bytes | None]
    """The octets of the answer to a GET, from target, headers, source and date; None when the long way must answer."""

    Observe = Callable[[Operation, int | str, float, int, str], None]
    """Takes what was asked for, the HTTP status, the seconds of an answer, 1, and the name of the door."""

_log = structlog.get_logger("http")

BODY_OCTETS_MAX = 4 << 20
"""Octets of a body when a door says nothing else: as for a gRPC message."""


class Failure(NamedTuple):
    """Why there is no answer: the HTTP status, the error, and headers that belong to the status."""

    status: int
    error: ResolverError
    headers: dict[str, str]


class Door(NamedTuple):
    """One API on the HTTP port; see the package for how one is added."""

    name: str
    """Its label in the metrics."""
    prefixes: tuple[str, ...]
    """Beginnings of the paths it answers."""
    routes: Callable[[Service, HttpOptions], Sequence[BaseRoute]]
    failed: Callable[[Request, Failure], Response]
    octets_max: int = BODY_OCTETS_MAX
    """Octets of a request's body."""
    at_once: Callable[[Service, HttpOptions], AtOnce | None] | None = None
    """Makes what answers plain GETs without a task; see ``AtOnce``."""


def failure_of(error: BaseException, where: str) -> Failure:
    """The failure to tell for an exception; a defect is logged with its trace."""
    headers: dict[str, str] = {}
    match error:
        case ResolverError():
            if error.retry_after_s is not None:
                headers["retry-after"] = str(max(1, round(error.retry_after_s)))
            return Failure(error.meaning.http, error, headers)
        case HTTPException(status_code=404):
            return Failure(404, NotFound("nothing is here: check the path"), {})
        case HTTPException(status_code=405 | 501):
            allowed = (error.headers or {}).get("Allow", "")
            words = f"this path does not take the method; it takes {allowed}"
            return Failure(error.status_code, NotImplementedYet(words), dict(error.headers or {}))
        case HTTPException():
            words = error.detail or http.HTTPStatus(error.status_code).phrase
            return Failure(error.status_code, MalformedMessage(words), dict(error.headers or {}))
        case _:
            _log.error("defect in a handler", path=where, exc_info=error)
            return Failure(500, InternalError("the node has a defect: the operator finds the trace in the log"), {})


def told_plainly(_request: Request, failure: Failure) -> Response:
    """A failure as text, for paths that belong to no API."""
    return PlainTextResponse(failure.error.message + "\n", failure.status, failure.headers)
