"""One HTTP/2 connection of the gRPC door: the transport, the one write of each burst, the floods, the leaving.

nghttp2 keeps the state of the protocol, ``Calls`` what is asked and answered. Here stands when octets are read and
written, and when the connection ends: because its peer is silent, floods, takes nothing, has been idle, or because
this side has to go (GOAWAY twice, as RFC 9113 section 6.8 has it).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ngh2

from resolver import limits
from resolver.errors import ShuttingDown
from resolver.transport import h2_bounds as bounds
from resolver.transport.deadlines import Untaken, acknowledged_octets
from resolver.transport.h2_calls import Calls
from resolver.transport.h2_guard import Guard
from resolver.transport.h2_shared import certificate_of, source_of

if TYPE_CHECKING:
    from resolver.transport.h2_shared import Shared

_CONFIGURATION = ngh2.Configuration(
    auto_window_update=False,
    max_continuations=bounds.CONTINUATIONS_MAX,
    max_inbound_header_list_size=bounds.HEADER_LIST_OCTETS_MAX,
    max_inbound_header_count=bounds.HEADER_FIELDS_MAX,
    stream_reset_rate_limit=bounds.RESETS_UNCOUNTED,
)
_SETTINGS = {
    ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.STREAMS_MAX,
    ngh2.Setting.INITIAL_WINDOW_SIZE: bounds.STREAM_WINDOW_OCTETS,
    ngh2.Setting.MAX_HEADER_LIST_SIZE: 2 * limits.METADATA_OCTETS_MAX,
}
ACKNOWLEDGEMENT = b"\0\0\0\4\1\0\0\0\0"
"""The frame that acknowledges SETTINGS (RFC 9113 section 6.5)."""

_AGE_SPREAD = 0.1
"""Connections made together must not leave together: ages differ by up to this share of the age."""

_GOLDEN = 0.618_034


def _greet(session: ngh2.Connection) -> None:
    """Say what every peer hears first."""
    session.initiate_connection(_SETTINGS)
    session.set_local_window_size(bounds.CONNECTION_WINDOW_OCTETS)


def _greeting() -> bytes:
    session = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
    _greet(session)
    return bytes(session.data_to_send())


GREETING = _greeting()
"""The octets of it."""


class H2Connection(asyncio.Protocol):
    """One peer. ``Newcomer`` makes it, and counts it among the connections of the door."""

    def __init__(self, shared: Shared, made_s: float) -> None:
        """Make the side of a peer that connected at ``made_s``; ``begin`` comes next."""
        self._shared = shared
        self._session = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
        self._calls = Calls(shared, self._session, self.flush, self.flush_soon, self._control)
        self._made_s = made_s
        self._guard = Guard(self._made_s)
        self._age_s = limits.CONNECTION_AGE_S * (1 - _AGE_SPREAD * (shared.made * _GOLDEN % 1.0))
        self._transport: Any = None
        self._acknowledged = False
        self._flush_due = False
        self._paused = False
        self._stuck: tuple[int, float] | None = None
        self._untaken = Untaken()
        """Octets that the socket has not taken, and since when."""
        self._leaving_s: float | None = None
        self._last_stream_told = False
        self._closed_s: float | None = None

    # The transport

    def begin(self, transport: asyncio.Transport, said: bytes) -> None:
        """Go on with a peer. What it has ``said`` is a valid greeting that has been answered, or nothing yet."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=bounds.WRITE_OCTETS_HIGH, low=bounds.WRITE_OCTETS_LOW)
        self._calls.identify(source_of(transport), certificate_of(transport))
        _greet(self._session)
        if not said:
            self.flush()
            return
        self._session.data_to_send()  # both are on their way already
        self._session.receive_data(said)
        self._session.data_to_send()
        self._calls.take(self._session.events(), self._made_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        del exc
        self._mark_closed()
        self._shared.connections.discard(self)
        self._calls.part()
        self._transport = None

    def pause_writing(self) -> None:
        """The socket takes no more for now; what the peer asks meanwhile waits in the kernel."""
        self._paused = True
        self._transport.pause_reading()
        self._shared.unsent.note(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The socket takes octets again."""
        self._paused = False
        self._stuck = None
        if self._closed_s is None:
            self._transport.resume_reading()
            self.flush()

    def data_received(self, data: bytes) -> None:
        """One read burst."""
        if self._closed_s is not None:
            return
        try:
            self._session.receive_data(data)
        except ngh2.NGH2Error as error:
            self._give_up(error)
            return
        self._flush_due = True  # nobody below needs to ask for the write that comes anyway
        with suppress(ngh2.NGH2Error):  # the burst has ended the connection: its GOAWAY is what is written
            if self._calls.take(self._session.events(), self._shared.monotonic_s()):
                self._guard.on_answer()
        self.flush()

    def flush(self) -> None:
        """Write what may be written, in one piece."""
        self._flush_due = False
        if self._closed_s is not None or self._paused:
            return
        session = self._session
        try:
            octets = session.data_to_send(bounds.WRITE_OCTETS)
            while octets:
                self._transport.write(octets)
                if self._paused or len(octets) < bounds.WRITE_OCTETS:
                    break
                octets = session.data_to_send(bounds.WRITE_OCTETS)
            if self._calls.must_settle:
                self._calls.settle()
            if not session.want_read and not session.want_write:
                self._close()
        except ngh2.NGH2Error as error:
            self._give_up(error)

    def flush_soon(self) -> None:
        """Write at the end of this turn of the loop: one write for all that the turn has answered."""
        if not self._flush_due:
            self._flush_due = True
            self._guard.on_answer()
            self._shared.loop.call_soon(self.flush)

    # The connection

    def _control(self, kind: type, event: Any, now_s: float) -> None:
        """Take in a frame that is about the connection."""
        reason = None
        if kind is ngh2.StreamReset:
            reason = self._guard.on_reset(now_s)
        elif kind is ngh2.PingReceived:
            reason = self._guard.on_ping(now_s)
        elif kind is ngh2.SettingsReceived:
            reason = self._guard.on_settings(now_s)
        elif kind is ngh2.SettingsAcknowledged:
            self._acknowledged = True
        elif kind is ngh2.PingAcknowledged and self._leaving_s is not None:
            self._tell_last_stream()
        if reason is not None and self._closed_s is None:
            self._punish(reason)
        del event

    def _punish(self, reason: bytes) -> None:
        """End the connection of a peer that asks for too much."""
        with suppress(ngh2.NGH2Error):  # it is ending already
            self._session.send_goaway(ngh2.ErrorCode.ENHANCE_YOUR_CALM, debug_data=reason)
        self.flush()
        self._close()

    def _give_up(self, error: ngh2.NGH2Error) -> None:
        """End a connection whose state is lost; nghttp2 writes nothing any more, so the GOAWAY is made here."""
        code = ngh2.ErrorCode.PROTOCOL_ERROR
        if isinstance(error, ngh2.DenialOfServiceError):
            code = ngh2.ErrorCode.ENHANCE_YOUR_CALM
        if self._closed_s is None:
            self._transport.write(goaway(self._calls.last_stream_id, code))
            self._close()

    def _close(self) -> None:
        """Close after what is written has gone out."""
        if self._closed_s is None:
            self._mark_closed()
            over_s = self._shared.monotonic_s() + limits.HANDSHAKE_TIMEOUT_S
            self._untaken.begin(self._transport, over_s)
            self._transport.close()

    @property
    def unsent_octets(self) -> int:
        """Octets of answers that wait for windows or for the socket."""
        return int(self._session.queued_body_size() + self._transport.get_write_buffer_size())

    held_octets = unsent_octets
    """The same: what is written has small pieces."""

    def cut_off(self) -> None:
        """Close at once."""
        self._mark_closed()
        self._transport.abort()

    def _mark_closed(self) -> None:
        """Nothing is read or answered any more."""
        if self._closed_s is None:
            self._closed_s = self._shared.monotonic_s()
            self._calls.drop()

    # Leaving

    def drain(self) -> None:
        """Leave because the worker does: resolution streams have no end of their own."""
        if self._closed_s is None:
            self._calls.answer((), self._calls.questions(), self._shared.monotonic_s())
            self.leave()

    def leave(self) -> None:
        """Ask the peer to go: calls in flight go on, new ones belong on another connection."""
        if self._leaving_s is not None or self._closed_s is not None:
            return
        self._leaving_s = self._shared.monotonic_s()
        with suppress(ngh2.NGH2Error):  # it is ending already
            self._session.send_shutdown_notice()
            self._session.ping(b"leaving.")
        self.flush()

    def _tell_last_stream(self) -> None:
        """Take no stream after this one; nghttp2 wants no more once the last of them is closed."""
        if not self._last_stream_told:
            self._last_stream_told = True
            with suppress(ngh2.NGH2Error):  # it is ending already
                self._session.send_goaway(ngh2.ErrorCode.NO_ERROR, last_stream_id=self._calls.last_stream_id)
            self.flush_soon()

    def end(self) -> None:
        """End every call and the connection now."""
        if self._closed_s is not None:
            self._transport.abort()
            return
        self._calls.end_all(ShuttingDown("the worker is leaving: try again", retry_after_s=1.0))
        self.flush()
        if self._closed_s is None:
            with suppress(ngh2.NGH2Error):  # it is ending already
                self._session.terminate_connection(ngh2.ErrorCode.NO_ERROR)
            self.flush()
            self._close()

    def tick(self, now_s: float) -> None:
        """Now and then: end what is silent, stuck, idle or old; nothing when it went while others were looked at."""
        if self._transport is None:
            return
        if self._closed_s is not None:
            if self._untaken.is_over(self._transport, now_s, limits.HANDSHAKE_TIMEOUT_S):
                self._transport.abort()
        elif self._is_silent(now_s) or self._is_stuck(now_s):
            self.cut_off()
        else:
            if self._calls.streams:  # nghttp2 has ended some itself; a peer that says nothing more does not tell
                self._calls.take(self._session.events(), now_s)
            self._calls.tick(now_s)
            self._tick_leaving(now_s)

    def _is_silent(self, now_s: float) -> bool:
        """Whether the peer has neither heard our greeting nor asked anything."""
        is_unheard = not self._acknowledged and not self._calls.last_stream_id
        return is_unheard and now_s - self._made_s >= limits.HANDSHAKE_TIMEOUT_S

    def _is_stuck(self, now_s: float) -> bool:
        """Whether the socket has taken nothing for too long."""
        if not self._paused:
            return False
        acked = acknowledged_octets(self._transport)
        if self._stuck is None or acked > self._stuck[0]:
            self._stuck = (acked, now_s)
        return now_s - self._stuck[1] >= self._shared.write_timeout_s

    def _tick_leaving(self, now_s: float) -> None:
        """Go on with leaving, or begin it when the connection is old or idle."""
        if self._leaving_s is None:
            idle = not self._calls.streams and now_s - self._calls.active_s >= limits.CONNECTION_IDLE_S
            if idle or now_s - self._made_s >= self._age_s:
                self.leave()
        elif now_s - self._leaving_s >= limits.CONNECTION_AGE_GRACE_S and not self._shared.draining:
            self.end()
        elif now_s - self._leaving_s >= bounds.SHUTDOWN_NOTICE_S:
            self._tell_last_stream()


def goaway(last_stream_id: int, code: int) -> bytes:
    """A GOAWAY frame (RFC 9113 section 6.8)."""
    return b"\0\0\x08\x07\0\0\0\0\0" + last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big")
