"""Minted suffixes: unique, and sorted by time, so that registering them appends instead of scattering.

26 characters of Crockford's base 32: 48 bits of milliseconds, then 80 bits of randomness that count up within one
millisecond. The alphabet is free of I, L, O and U and has no lower case, so a suffix survives being read aloud.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resolver.clock import Clock
    from resolver.node.shares import Share

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_PAIR_BITS = 10
_LOW_PAIRS = 3
"""Pairs of letters at the end that are written anew for every suffix; what stands before them changes rarely."""
_LOW_BITS = _LOW_PAIRS * _PAIR_BITS
_STEPS = 256
"""Random octets drawn at once: asking the system for one costs as much as all else about a suffix."""


class Mint:
    """Makes suffixes; those of one mint ascend strictly, even when the clock goes back."""

    def __init__(self, clock: Clock, randomness: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._randomness = randomness
        self.share: Share | None = None
        """The names that may be minted; None for any."""
        self._last = 0
        self._high = -1
        self._high_text = ""
        self._steps: Iterator[int] = iter(())

    def take_share(self, share: Share | None) -> None:
        """Mint names of a share from now on."""
        self.share = share

    def name(self, start: str) -> str:
        """A name that begins with ``start``; where servers share handles by hash, one of this server's."""
        share = self.share
        return start + self.suffix() if share is None else share.first_held(lambda: start + self.suffix())

    def suffix(self) -> str:
        """The next suffix."""
        start = self._clock.now_us() // 1_000
        last = self._last
        if start > last >> _RANDOM_BITS:
            start <<= _RANDOM_BITS
            number = start | int.from_bytes(self._randomness(_RANDOM_BITS // 8), "big") >> 1
        else:
            step = next(self._steps, None)
            if step is None:
                self._steps = iter(self._randomness(_STEPS))
                step = next(self._steps)
            number = last + 1 + step
        self._last = number
        high = number >> _LOW_BITS
        if high != self._high:
            self._high, self._high_text = high, _text(high, 26 - 2 * _LOW_PAIRS)
        return f"{self._high_text}{_PAIRS[number >> 20 & 0x3FF]}{_PAIRS[number >> 10 & 0x3FF]}{_PAIRS[number & 0x3FF]}"


def _text(number: int, letters: int) -> str:
    """The last so many letters of a number, an even count."""
    pairs = [_PAIRS[number >> shift & 0x3FF] for shift in range(0, letters // 2 * _PAIR_BITS, _PAIR_BITS)]
    return "".join(reversed(pairs))
