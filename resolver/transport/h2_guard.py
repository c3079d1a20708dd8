"""When a peer of the HTTP/2 door asks for too much that is no call: the counting, without the acting.

nghttp2 bounds header lists, CONTINUATION frames and queued acknowledgements itself; here stands what needs a clock.
Each method returns None, or why the connection has to end.
"""

from __future__ import annotations

from resolver import limits
from resolver.transport import h2_bounds as bounds

TOO_MANY_PINGS = b"too_many_pings"
"""The word by which gRPC clients know that they have to ping less often."""


class Guard:
    """The counts of one connection, each from the first thing there is to count."""

    __slots__ = ("_pinged_s", "_pings", "_resets", "_settings", "_strikes")

    def __init__(self, now_s: float) -> None:
        self._resets: bounds.Bucket | None = None
        self._settings: bounds.Bucket | None = None
        self._pings: bounds.Bucket | None = None
        self._pinged_s = now_s - limits.PING_INTERVAL_MIN_S
        self._strikes = 0

    def on_answer(self) -> None:
        """Answers were sent: pings beside data are bandwidth probes and no strikes."""
        self._strikes = 0
        self._pinged_s = 0.0

    def on_ping(self, now_s: float) -> bytes | None:
        """A PING arrived."""
        beside_answers = not self._pinged_s
        idle_s = now_s - self._pinged_s
        self._pinged_s = now_s
        if beside_answers:
            return None  # no more of these than answers, so they need no rate
        self._pings = self._pings or bounds.Bucket(bounds.PINGS_RATE, now_s)
        if not self._pings.spend(now_s):
            return TOO_MANY_PINGS
        if idle_s < limits.PING_INTERVAL_MIN_S:
            self._strikes += 1
        return TOO_MANY_PINGS if self._strikes > limits.PING_STRIKES_MAX else None

    def on_reset(self, now_s: float) -> bytes | None:
        """The peer cancelled a stream."""
        self._resets = self._resets or bounds.Bucket(bounds.RESETS_RATE, now_s)
        return None if self._resets.spend(now_s) else b"too_many_resets"

    def on_settings(self, now_s: float) -> bytes | None:
        """SETTINGS arrived."""
        self._settings = self._settings or bounds.Bucket(bounds.SETTINGS_RATE, now_s)
        return None if self._settings.spend(now_s) else b"too_many_settings"
