"""What one API on the HTTP port is made of. The package tells how one is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from resolver.errors import ResolverError
    from resolver.service import Service
    from resolver.telemetry.calls import Operation
    from resolver.transport.http.calls import HttpOptions

    Observe = Callable[[Operation, int | str, float, int, str], None]
    """Takes what was asked for, the HTTP status, the seconds of an answer, 1, and the name of the door."""

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
