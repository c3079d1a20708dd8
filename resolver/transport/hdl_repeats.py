"""Session set-ups that come again over UDP, and what was answered to them a moment ago.

A client that waits for its answer sends the same datagram again after half a second, and puts the packets of an
answer together by the id of its request. Every answer to a set-up has another key, so the packets of two make a
message that is neither: a repetition gets the packets of the first answer, and nothing while that is being made. What
else is asked over UDP has one packet, or a number of its own each time. Bounded by number and time, an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

KEPT_S = 4.0
"""Seconds an answer is kept: the reference client sends three times within three seconds."""

ENTRIES_MAX = 256
"""Answers kept by one worker: some hundred thousand octets."""


class Repeats:
    """The answers to set-ups of one worker's UDP door."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._kept: OrderedDict[tuple[Hashable, bytes], tuple[float, list[bytes]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def first(self, address: Hashable, message: bytes, now_s: float) -> tuple[list[bytes], bool]:
        """The packets that answer a message from an address, to be filled, and whether it is new."""
        while self._kept and next(iter(self._kept.values()))[0] <= now_s:
            self._kept.popitem(last=False)
        key = address, message
        found = self._kept.get(key)
        if found is not None:
            return found[1], False
        if len(self._kept) >= self._entries_max:
            self._kept.popitem(last=False)
        packets: list[bytes] = []
        self._kept[key] = now_s + KEPT_S, packets
        return packets, True
