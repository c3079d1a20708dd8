"""A clock that stands still until a test moves it, and randomness that repeats."""

import random

START_US = 1_780_000_000_000_000
"""2026-05-28T20:26:40Z."""

DAY_US = 86_400 * 1_000_000


class FakeClock:
    """Wall-clock and monotonic time that only ``advance`` and ``set_back`` change."""

    def __init__(self, now_us=START_US):
        self._now_us = now_us
        self._monotonic_s = 0.0

    def now_us(self):
        return self._now_us

    def monotonic_s(self):
        return self._monotonic_s

    def advance(self, seconds):
        self._now_us += int(seconds * 1_000_000)
        self._monotonic_s += seconds

    def set_back(self, seconds):
        """What an administrator or a broken time server does: only the wall clock jumps."""
        self._now_us -= int(seconds * 1_000_000)


def seeded_randomness(seed=1):
    """A source of octets that gives the same ones for the same seed."""
    return random.Random(seed).randbytes
