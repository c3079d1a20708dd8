"""The HTTP server of one worker: sockets, TLS, drain, and the sweep over its connections.

It runs in the worker's loop beside the other doors. uvicorn gives configuration, protocol and ASGI; accepting and
leaving are ours, so that SO_REUSEPORT, the handshake's time and the drain are the same as at the Handle doors.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from resolver.telemetry.calls import HTTP
from resolver.transport.deadlines import check_all
from resolver.transport.http import bounds
from resolver.transport.http.application import Application
from resolver.transport.http.connection import HttpConnection
from resolver.transport.http.newcomer import Newcomer
from resolver.transport.unsent import UnsentAnswers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import Scope

    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import Door, Failure, Observe


_UNSENT_LOOK_S = 0.02
"""Seconds between two looks at what is still to be taken by clients when the door is drained."""


class HttpDoor:
    """All HTTP doors of a worker on one port."""

    def __init__(
        self,
        service: Service,
        options: HttpOptions,
        observe: Observe,
        *,
        idle_s: float,
        doors: Sequence[Door] | None = None,
        look: Callable[[], object] | None = None,
    ) -> None:
        """Make the port of ``doors``, all that there are when none are named.

        ``look`` is called every second: it may renew the certificate of the context.
        """
        self._service = service
        self._look = look
        self.idle_s = idle_s
        self.state = ServerState()
        self.newcomers: set[Newcomer] = set()
        self.unsent = UnsentAnswers(HTTP, self._count_cut_off, self._answered)
        settings: dict[str, Any] = {
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "proxy_headers": False,
            "loop": "none",
            "ws": "none",
        }
        self._application = Application(service, options, observe, doors)
        self.at_once = self._application.at_once
        self._config = uvicorn.Config(self._application, **settings)
        self._config.load()
        self.date = b""
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Answer on the port, shared with other workers; the port bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Newcomer(self._config, self),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=bounds.HANDSHAKE_TIMEOUT_S if tls is not None else None,
            reuse_port=True,
            backlog=bounds.BACKLOG,
        )
        self._set_date()
        self.unsent.start(loop)
        self._sweeper = asyncio.create_task(self._sweep())
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def refusal(self, scope: Scope, failure: Failure) -> Response:
        """The answer to what is refused before it is a request, in the form of the API of its path; it is counted."""
        return self._application.refusal(scope, failure)

    @property
    def connection_count(self) -> int:
        """Connections open."""
        return len(self.state.connections) + len(self.newcomers)

    def _connections(self) -> list[HttpConnection | Newcomer]:
        return [*self.newcomers, *self._answered()]

    def _answered(self) -> list[HttpConnection]:
        """The connections that have said something."""
        return [each for each in self.state.connections if isinstance(each, HttpConnection)]

    def _count_cut_off(self, door: str, connections: int) -> None:
        self._service.core.calls.cut_off(door, connections)

    def _set_date(self) -> None:
        self.date = formatdate(time.time(), usegmt=True).encode()
        self.state.default_headers = [(b"date", self.date)]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(bounds.SWEEP_S)
            self._set_date()
            if self._look is not None:
                self._look()
            now_s = time.monotonic()
            await check_all(self._connections(), now_s)
            self.unsent.look()

    def _has_unsent(self) -> bool:
        """Whether a client has still to take something of its answer."""
        return bool(self.state.tasks) or any(connection.owes for connection in self._answered())

    async def drain(self, grace_s: float) -> None:
        """Take no new connection, let answers under way finish and be taken for ``grace_s``, then end them."""
        over_s = time.monotonic() + grace_s
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.shutdown()
        # Once more when one has ended: the next of its pipeline has begun.
        while self.state.tasks and (left_s := over_s - time.monotonic()) > 0:
            await asyncio.wait(list(self.state.tasks), timeout=left_s)
        while self._has_unsent() and time.monotonic() < over_s:  # noqa: ASYNC110 - no transport tells when it is empty
            await asyncio.sleep(_UNSENT_LOOK_S)
        for connection in self._connections():
            connection.transport.abort()
        for task in list(self.state.tasks):
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
