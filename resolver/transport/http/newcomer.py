"""A client of the HTTP port until its first octet: nearly nothing is kept for it.

Parser, flow control and protocol of uvicorn are dozens of objects. A crowd that connects and says nothing gets none of
them, so when it has gone the worker is what it was.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from resolver.transport.hdl_sockets import keep_alive
from resolver.transport.http import bounds
from resolver.transport.http.connection import HttpConnection

if TYPE_CHECKING:
    from uvicorn.config import Config

    from resolver.transport.http.server import HttpDoor


class Newcomer(asyncio.Protocol):
    """One client that has not said anything yet."""

    __slots__ = ("_config", "_deadline_s", "_door", "transport")

    def __init__(self, config: Config, door: HttpDoor) -> None:
        self._config = config
        self._door = door
        self._deadline_s = time.monotonic() + bounds.HEADER_TIMEOUT_S
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client, or close the connection when there are too many."""
        self.transport = cast("asyncio.Transport", transport)  # TCP gives nothing else
        if self._door.connection_count >= bounds.CONNECTIONS_MAX:
            self.transport.abort()
        else:
            self._door.newcomers.add(self)
            client = transport.get_extra_info("socket")
            if client is not None:
                with suppress(OSError):  # it has gone already
                    keep_alive(client)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        del exc
        self._door.newcomers.discard(self)

    def data_received(self, data: bytes) -> None:
        """Become a connection."""
        if self.transport.is_closing():
            return
        self._door.newcomers.discard(self)
        connection = HttpConnection(self._config, self._door, self._deadline_s)
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        connection.data_received(data)

    def check(self, now_s: float) -> None:
        """Close the connection when its time is over."""
        if self._deadline_s <= now_s:
            self.transport.abort()

    def shutdown(self) -> None:
        """Leave because the worker does: a client that has asked nothing misses nothing."""
        self.transport.close()
