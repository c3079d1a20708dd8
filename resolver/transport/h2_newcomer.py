"""A peer of the HTTP/2 door until it has said the preface: nearly nothing is kept for it.

A session of nghttp2 and the state of calls are some 26 KB. Crowds that connect and say nothing, or an octet a second,
get none of it: here is one small object for each, and when they have gone the worker is what it was. Whoever has said
the preface, or anything else, becomes an ``H2Connection``, which then also refuses what is no preface. No answer comes
later by this: both sides begin with their preface (RFC 9113 section 3.4), and clients do not wait for ours.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from resolver import limits
from resolver.transport.h2_connection import H2Connection
from resolver.transport.h2_shared import speaks_h2

if TYPE_CHECKING:
    from resolver.transport.h2_shared import Shared

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Newcomer(asyncio.Protocol):
    """One peer that has not greeted yet."""

    __slots__ = ("_made_s", "_octets", "_shared", "_transport")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._made_s = shared.monotonic_s()
        self._octets = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the peer in, unless there are too many or it wants another protocol."""
        self._transport = transport
        if not speaks_h2(transport) or not self._shared.admit(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        del exc
        self._shared.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect the preface; with its last octet the connection begins."""
        if self._transport.is_closing():
            return
        self._octets += data
        if len(self._octets) < len(_PREFACE) and _PREFACE.startswith(self._octets):
            return
        connection = H2Connection(self._shared, self._made_s)
        self._shared.succeed(self, connection)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        connection.data_received(self._octets)

    def tick(self, now_s: float) -> None:
        """End a peer that is silent for too long."""
        if now_s - self._made_s >= limits.HANDSHAKE_TIMEOUT_S:
            self._transport.abort()

    def drain(self) -> None:
        """Leave because the worker does: a peer that has asked nothing misses nothing."""
        self._transport.close()

    def end(self) -> None:
        """End the connection now."""
        self._transport.abort()
