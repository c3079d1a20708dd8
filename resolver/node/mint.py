"""Minted suffixes: unique, and sorted by time, so that registering them appends instead of scattering.

26 characters of Crockford's base 32: 48 bits of milliseconds, then 80 bits of randomness that count up within one
millisecond. The alphabet is free of I, L, O and U and has no lower case, so a suffix survives being read aloud.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.clock import Clock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


class Mint:
    """Makes suffixes; those of one mint ascend strictly, even when the clock goes back."""

    def __init__(self, clock: Clock, randomness: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._randomness = randomness
        self._last = 0

    def suffix(self) -> str:
        """The next suffix."""
        start = (self._clock.now_us() // 1_000) << _RANDOM_BITS
        if start >> _RANDOM_BITS > self._last >> _RANDOM_BITS:
            self._last = start | int.from_bytes(self._randomness(_RANDOM_BITS // 8), "big") >> 1
        else:
            self._last += 1 + self._randomness(1)[0]
        number, letters = self._last, []
        for _ in range(26):
            letters.append(ALPHABET[number & 31])
            number >>= 5
        return "".join(reversed(letters))
