"""``grpc.health.v1``: whether the worker takes calls, as a whole and for each service.

Watches have no end of their own: when the worker leaves they hear so and are ended, or each drain would wait for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2 as pb

from resolver.errors import NotFound, ShuttingDown
from resolver.methods import METHODS, Method, Shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from resolver.service import Call

_SERVICE = "grpc.health.v1.Health"
CHECK = Method(_SERVICE, "Check", pb.HealthCheckRequest, pb.HealthCheckResponse)
WATCH = Method(_SERVICE, "Watch", pb.HealthCheckRequest, pb.HealthCheckResponse, shape=Shape.SERVER_STREAM)


class Health:
    """The state of the worker; ``leave`` comes first when it drains."""

    def __init__(self) -> None:
        self._serving = False
        self._leaving = False
        self._changed = asyncio.Event()
        self._services = {"", _SERVICE, *(method.service for method in METHODS.values())}

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the state itself
        """Change the state of every service and tell the watchers."""
        self._serving = serving
        self._changed.set()
        self._changed = asyncio.Event()

    def leave(self) -> None:
        """Serve no more, and end the watches once they have heard of it."""
        self._leaving = True
        self.set_serving(False)

    def _status(self) -> pb.HealthCheckResponse:
        status = pb.HealthCheckResponse.SERVING if self._serving else pb.HealthCheckResponse.NOT_SERVING
        return pb.HealthCheckResponse(status=status)

    def check(self, call: Call, request: pb.HealthCheckRequest) -> pb.HealthCheckResponse:
        """The state of a service; the standard asks for NOT_FOUND for one that is not here."""
        del call
        if request.service not in self._services:
            raise NotFound(f"this node has no service {request.service[:80]!r}: list them by reflection")
        return self._status()

    async def watch(self, call: Call, request: pb.HealthCheckRequest) -> AsyncIterator[pb.HealthCheckResponse]:
        """The state of a service, and each new one. Raises ShuttingDown when the worker leaves."""
        del call
        is_known = request.service in self._services
        if not is_known:
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
        while True:
            changed = self._changed
            if is_known:
                yield self._status()
            if self._leaving:
                raise ShuttingDown(
                    "this worker is shutting down: connect again, another one answers", retry_after_s=0.05
                )
            await changed.wait()
