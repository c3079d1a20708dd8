"""The fast gRPC door: HTTP/2 by nghttp2 (the ``ngh2`` wheel), driven from the worker's loop without threads.

It mounts the table that the grpcio door mounts, so both give the same answers; it costs a tenth. Answers are never
compressed, as at the other door: records go out as they are stored. Requests may be (gzip, deflate). Importing this
file fails where the wheel is missing: the caller then uses the other door.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from resolver import limits
from resolver.transport import h2_bounds as bounds
from resolver.transport.deadlines import LOOKED_AT_ONCE
from resolver.transport.h2_mounts import mounts_of
from resolver.transport.h2_newcomer import Newcomer
from resolver.transport.h2_shared import Shared
from resolver.transport.health import Health
from resolver.transport.table import table_of

if TYPE_CHECKING:
    from resolver.clock import Clock
    from resolver.service import Service
    from resolver.transport.h2_shared import Observe
    from resolver.transport.tls import TlsFiles

_log = structlog.get_logger("door")

_TICK_S = 1.0
_DRAIN_LOOK_S = 0.02


class H2Door:
    """One listening gRPC server of a worker."""

    def __init__(
        self,
        service: Service,
        *,
        observe: Observe,
        clock: Clock,
        reflection: bool = True,
        write_timeout_s: float = 30.0,
    ) -> None:
        self._service = service
        self._observe = observe
        self._clock = clock
        self._write_timeout_s = write_timeout_s
        self._health = Health()
        self._mounts = mounts_of(table_of(service, self._health, with_reflection=reflection))
        self._shared: Shared | None = None
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: TlsFiles | None) -> int:
        """Listen; the port bound. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        shared = self._shared = Shared(
            self._service,
            self._mounts,
            observe=self._observe,
            clock=self._clock,
            loop=loop,
            write_timeout_s=self._write_timeout_s,
            tls=tls,
        )
        listener = _bound(host, port)
        try:
            self._server = await loop.create_server(
                lambda: Newcomer(shared),
                sock=listener,
                backlog=bounds.BACKLOG,
                ssl=None if tls is None else tls.ssl_context(),
                ssl_handshake_timeout=None if tls is None else limits.HANDSHAKE_TIMEOUT_S,
            )
        except OSError:
            listener.close()
            raise
        self._ticking = loop.create_task(self._tick(shared))
        return int(listener.getsockname()[1])

    @property
    def connection_count(self) -> int:
        """Connections open."""
        return 0 if self._shared is None else len(self._shared.connections)

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the state itself
        """What health says."""
        self._health.set_serving(serving)

    async def drain(self, grace_s: float) -> None:
        """Take no new calls, give those in flight some seconds, then end them. Called again, it hurries."""
        self._health.leave()
        shared = self._shared
        if shared is None or self._server is None or self._ticking is None:
            return
        self._server.close()
        shared.draining = True
        for connection in list(shared.connections):
            connection.drain()
        deadline_s = shared.loop.time() + grace_s
        while shared.connections and shared.loop.time() < deadline_s:  # noqa: ASYNC110 - a second call hurries
            await asyncio.sleep(_DRAIN_LOOK_S)
        for connection in list(shared.connections):
            connection.end()
        self._ticking.cancel()

    async def _tick(self, shared: Shared) -> None:
        """Look at every connection now and then: cheaper than timers of their own."""
        while True:
            await asyncio.sleep(min(_TICK_S, self._write_timeout_s / 4))
            now_s = self._clock.monotonic_s()
            for number, connection in enumerate(list(shared.connections), 1):
                try:
                    connection.tick(now_s)
                except Exception:  # noqa: BLE001 - one connection may not stop the look at all others
                    _log.exception("defect in a connection, it is ended")
                    with suppress(Exception):  # whose state is not sound may not end either
                        connection.end()
                if number % LOOKED_AT_ONCE == 0:
                    await asyncio.sleep(0)  # thousands that came together end together
            shared.unsent.look()


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address that other workers share; ``::`` also takes IPv4. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setblocking(False)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"gRPC cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
