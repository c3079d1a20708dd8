"""The admin door: /livez, /readyz, /metrics, /version over plain HTTP, for operators and balancers.

It runs in the supervisor and knows the node only by ``View``. A full disk does not make a node unready:
it still resolves, and taking it out of rotation would help nobody; /readyz says it in its body and
``idis_store_free_bytes`` in /metrics. So it is with a silent top of the tree. Clients that connect and ask nothing, or
take no answer, are closed and make room for those that ask: a probe that gets no answer has a healthy node restarted.
Needs the extra ``[http]``.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from resolver.transport.deadlines import WRITE_PROGRESS_OCTETS, acknowledged_octets

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.requests import Request


LOOK_S = 5.0
"""Seconds between two looks at a client: one whose request is not whole, or that takes nothing, twice is closed."""

REQUEST_OCTETS_MAX = 32 << 10
"""Octets of a request: it has no body."""

CONNECTIONS_MAX = 100
"""Connections at a time: with more, the one that has asked nothing for longest is closed."""


class Readiness(NamedTuple):
    """Whether callers should come, and what is the matter part by part."""

    ready: bool
    parts: dict[str, str]


class View(Protocol):
    """What the admin door may ask of the node."""

    def readiness(self) -> Readiness:
        """The state of now."""

    def version(self) -> dict[str, str]:
        """Who the node is."""

    def metrics(self) -> bytes:
        """Everything that is counted, in Prometheus' text format; called in a thread."""


def make_app(view: View) -> Starlette:
    """The pages."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        readiness = view.readiness()
        return JSONResponse({"ready": readiness.ready, **readiness.parts}, status_code=200 if readiness.ready else 503)

    async def version(_request: Request) -> Response:
        return JSONResponse(view.version())

    async def metrics(_request: Request) -> Response:
        # Many worker files take a while to sum; the loop has signals to see to.
        text = await asyncio.to_thread(view.metrics)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    pages = {"/livez": livez, "/readyz": readyz, "/version": version, "/metrics": metrics}
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])


class _Connection(HttpToolsProtocol):
    """A client of the door, which may not stay without asking or listening."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the client, in the place of one that asks nothing when there are too many."""
        super().connection_made(transport)
        self.began_s = time.monotonic()
        self._was_stuck = False
        self._octets = self._acked = 0
        self.loop.call_later(LOOK_S, self._look)
        here = [each for each in self.connections if isinstance(each, _Connection) and not each.transport.is_closing()]
        if len(here) > CONNECTIONS_MAX:
            resting = (each for each in here if not each.is_answered)
            min(resting, key=lambda each: each.began_s, default=self).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take octets of a request, so many and no more."""
        self._octets += len(data)
        if self._octets > REQUEST_OCTETS_MAX:
            self.transport.abort()
        else:
            super().data_received(data)

    def on_message_complete(self) -> None:
        """A request is whole; the next one counts for itself."""
        self._octets = 0
        super().on_message_complete()

    @property
    def is_answered(self) -> bool:
        """Whether a request of the client is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        """Close the connection when nothing has come of it since the last look; uvicorn closes those that rest."""
        is_closing = self.transport.is_closing()
        acked, self._acked = self._acked, acknowledged_octets(self.transport)
        is_untaken = (self.flow.write_paused or is_closing) and self._acked - acked < WRITE_PROGRESS_OCTETS
        is_stuck = is_untaken or not (is_closing or self.is_answered or self.timeout_keep_alive_task)
        if is_stuck and self._was_stuck:
            self.transport.abort()
            return
        self._was_stuck = is_stuck
        self.loop.call_later(LOOK_S, self._look)


class _Server(uvicorn.Server):
    """A server that leaves the signals to the supervisor."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class AdminDoor:
    """The door on a listening socket."""

    def __init__(self, view: View) -> None:
        self._app = make_app(view)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket) -> None:
        """Answer on the socket; returns when it does."""
        settings: dict[str, Any] = {
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "loop": "none",
            "http": _Connection,
            "ws": "none",
            "timeout_keep_alive": 30,
            "timeout_graceful_shutdown": 2,
        }
        server = _Server(uvicorn.Config(self._app, **settings))
        self._server = server
        self._task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Stop answering."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
