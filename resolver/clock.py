"""Time as an argument: whoever needs the time takes a Clock, so tests bring their own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Source of wall-clock and monotonic time."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z; may jump."""

    def monotonic_s(self) -> float:
        """Seconds since some start; never goes back."""


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Seconds since some start."""
        return time.monotonic()


def day_of(time_us: int) -> int:
    """The UTC day of a time in microseconds, as the number yyyymmdd."""
    parts = time.gmtime(time_us // 1_000_000)
    return parts.tm_year * 10_000 + parts.tm_mon * 100 + parts.tm_mday
