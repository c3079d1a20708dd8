"""How many answers a network gets over UDP in a second: fixed buckets, so that no flood grows them.

Networks share buckets by a keyed hash; with a million buckets two rarely meet. Above the rate every second datagram
is answered by the small answer that sends a client to TCP, the rest get nothing: a forged source is left alone and a
real client still gets through. Loopback addresses cannot be forged from outside and are not counted.
"""

from __future__ import annotations

from array import array
from enum import Enum
from typing import TYPE_CHECKING

from resolver.service.hdl_peer import network_of

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKETS = 1 << 20
"""Buckets of one worker: six octets each."""

_COUNT_MAX = 0xFFFF


class Pace(Enum):
    """What a datagram gets."""

    ANSWER = "answer"
    SLIP = "slip"
    NOTHING = "nothing"


class AnswerRate:
    """The rate of one worker; ``answers_per_s`` 0 means no limit."""

    def __init__(self, answers_per_s: int, randomness: Callable[[int], bytes], *, buckets: int = BUCKETS) -> None:
        self._limit = answers_per_s
        self._key = randomness(16)
        self._buckets = buckets
        self._seconds = array("I", bytes(4 * buckets)) if answers_per_s else array("I")
        self._counts = array("H", bytes(2 * buckets)) if answers_per_s else array("H")

    def take(self, source: str, now_s: float) -> Pace:
        """Count a datagram from an address, for its network, and say what it gets."""
        if not self._limit or source.startswith("127.") or source == "::1":
            return Pace.ANSWER
        place = hash((self._key, network_of(source))) % self._buckets
        second = int(now_s) & 0xFFFF_FFFF
        if self._seconds[place] != second:
            self._seconds[place] = second
            self._counts[place] = 1
            return Pace.ANSWER
        count = min(self._counts[place] + 1, _COUNT_MAX)
        self._counts[place] = count
        if count <= self._limit:
            return Pace.ANSWER
        return Pace.SLIP if (count - self._limit) % 2 else Pace.NOTHING
