"""A peer of the HTTP/2 door until it asks something: nearly nothing is kept for it.

A session of nghttp2 and the state of calls are some 15 KB. Crowds that connect and say nothing, or an octet a second,
or greet and then wait, get none of it: here is one small object for each, and when they have gone the worker is what
it was. Our greeting is the same for everybody (RFC 9113 section 3.4), so it is said here. Whoever says anything else
becomes an ``H2Connection``, which hears from the beginning what the peer has said, and does not answer again what was
answered here.
"""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import TYPE_CHECKING, Any

from resolver import limits
from resolver.transport import h2_bounds as bounds
from resolver.transport.h2_connection import ACKNOWLEDGEMENT, GREETING, H2Connection, goaway
from resolver.transport.h2_shared import speaks_h2

if TYPE_CHECKING:
    from resolver.transport.h2_shared import Shared

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = Struct(">HBBBI")
_FRAME_OCTETS = _FRAME.size
_SETTING = Struct(">HI")
_SETTINGS, _WINDOW_UPDATE, _ACK = 4, 8, 1
_WINDOW_UPDATE_OCTETS = 4
_WINDOW = 65_535
"""Octets of a connection's window before anybody has opened it (RFC 9113 section 6.9.2)."""
_LAST_STREAM_ID = 2**31 - 1
_SETTINGS_OCTETS_MAX = 32 * _SETTING.size
"""Octets of the settings of one frame that nghttp2 takes (``Configuration.max_settings``)."""
_SETTING_BOUNDS = {2: (0, 1), 4: (0, 2**31 - 1), 5: (2**14, 2**24 - 1), 8: (0, 1), 9: (0, 1)}
"""Values that settings may have; others end the connection (RFC 9113 section 6.5.2, RFC 8441, RFC 9218)."""


class Newcomer(asyncio.Protocol):
    """One peer that has asked nothing yet."""

    __slots__ = ("_acknowledged", "_heard", "_leaving_s", "_made_s", "_octets", "_shared", "_transport", "_widened")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._made_s = shared.monotonic_s()
        self._octets = b""
        self._heard = 0
        """Octets that have been understood: the preface, the peer's SETTINGS, and what may follow them."""
        self._widened = False
        self._acknowledged = False
        self._leaving_s: float | None = None
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
        """Hear a greeting; with anything beyond it the connection begins."""
        if self._transport.is_closing():
            return
        self._octets += data
        answered = self._heard
        if not self._hear():
            self._become(answered)
            return
        if answered < len(_PREFACE) <= self._heard:
            self._transport.write(GREETING)
        if answered <= len(_PREFACE) < self._heard:
            self._transport.write(ACKNOWLEDGEMENT)

    def _hear(self) -> bool:
        """Take in the octets of a greeting; False when these are none, or more than that."""
        octets = self._octets
        if len(octets) < len(_PREFACE):
            return _PREFACE.startswith(octets)
        if not self._heard:
            if not octets.startswith(_PREFACE):
                return False
            self._heard = len(_PREFACE)
        while len(octets) - self._heard >= _FRAME_OCTETS:
            high, low, kind, flags, stream_id = _FRAME.unpack_from(octets, self._heard)
            begin = self._heard + _FRAME_OCTETS
            end = begin + (high << 8 | low)
            if stream_id or end > bounds.GREETING_OCTETS_MAX or not self._expects(kind, flags, end - begin):
                return False
            if end > len(octets):
                break
            if not self._takes(kind, octets[begin:end]):
                return False
            self._heard = end
        return len(octets) <= bounds.GREETING_OCTETS_MAX

    def _expects(self, kind: int, flags: int, octets: int) -> bool:
        """Whether a frame may be the next of a greeting, by its head: SETTINGS, a wider window, the acknowledgement."""
        if self._heard == len(_PREFACE):
            return kind == _SETTINGS and not flags and not octets % _SETTING.size and octets <= _SETTINGS_OCTETS_MAX
        if kind == _WINDOW_UPDATE:
            return octets == _WINDOW_UPDATE_OCTETS and not self._widened
        return kind == _SETTINGS and flags == _ACK and not octets and not self._acknowledged

    def _takes(self, kind: int, payload: bytes) -> bool:
        """Take in a frame that was expected; False when what it says ends the connection."""
        if self._heard == len(_PREFACE):
            return _are_settings(payload)
        if kind == _WINDOW_UPDATE:
            self._widened = 0 < int.from_bytes(payload, "big") <= _LAST_STREAM_ID - _WINDOW
            return self._widened
        self._acknowledged = True
        return True

    def _become(self, answered: int) -> H2Connection:
        """Make the connection. So many octets of what the peer has said have had their answer."""
        connection = H2Connection(self._shared, self._made_s)
        self._shared.succeed(self, connection)
        self._transport.set_protocol(connection)
        connection.begin(self._transport, self._octets[:answered])
        if answered < len(self._octets):
            connection.data_received(self._octets[answered:])
        if self._leaving_s is not None:
            connection.leave()
        return connection

    def tick(self, now_s: float) -> None:
        """End a peer that is silent for too long, or that asks nothing for a very long time."""
        if self._leaving_s is not None:
            if now_s - self._leaving_s >= bounds.SHUTDOWN_NOTICE_S:
                self._transport.write(goaway(0, 0))
                self._transport.close()
        elif not self._acknowledged:
            if now_s - self._made_s >= limits.HANDSHAKE_TIMEOUT_S:
                self._transport.abort()
        elif now_s - self._made_s >= limits.CONNECTION_IDLE_S:
            self._leaving_s = now_s
            self._transport.write(goaway(_LAST_STREAM_ID, 0))

    def drain(self) -> None:
        """Leave because the worker does: a peer that has not even greeted misses nothing."""
        if self._heard and not self._transport.is_closing():
            self._become(self._heard).drain()
        else:
            self._transport.close()

    @property
    def unsent_octets(self) -> int:
        """Nothing: no answer has been asked for."""
        return 0

    held_octets = unsent_octets

    def cut_off(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def end(self) -> None:
        """End the connection now."""
        self._transport.abort()


def _are_settings(payload: bytes) -> bool:
    """Whether nothing in the payload of a SETTINGS frame ends the connection."""
    for name, value in _SETTING.iter_unpack(payload):
        low, high = _SETTING_BOUNDS.get(name, (0, value))
        if not low <= value <= high:
            return False
    return True
