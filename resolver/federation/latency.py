"""How quickly other servers answer, and which are better left alone for a moment.

A server nobody has asked yet goes first, so that it gets known. One that failed is left alone for a while that
doubles with each failure; when that is over one question tries it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.federation.contacts import Contact

_WEIGHT = 0.3
"""What a new measurement counts in the smoothed latency; TCP uses an eighth, but asks far more often."""


@dataclass(slots=True)
class _Known:
    smoothed_s: float = 0.0
    failures: int = 0
    cool_until_s: float = 0.0
    is_tried: bool = False
    """Whether one question tries it again after a failure."""


class Latencies:
    """What is known of servers; the one not asked for longest is forgotten first."""

    def __init__(self, servers_max: int = limits.SERVERS_KNOWN_MAX) -> None:
        self._servers_max = servers_max
        self._known: dict[tuple[str, str, int], _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def answered(self, contact: Contact, took_s: float) -> None:
        """A server has answered."""
        known = self._of(contact)
        known.smoothed_s += (took_s - known.smoothed_s) * (_WEIGHT if known.smoothed_s else 1.0)
        known.failures = 0
        known.cool_until_s = 0.0
        known.is_tried = False

    def failed(self, contact: Contact, now_s: float) -> None:
        """A server has not answered, or not in a way that can be believed."""
        known = self._of(contact)
        if now_s < known.cool_until_s and not known.is_tried:
            return  # questions that were under way together fail together: that is one failure
        first_s, most_s = limits.COOL_DOWN_S
        known.cool_until_s = now_s + min(first_s * 2 ** min(known.failures, 16), most_s)
        known.failures += 1
        known.is_tried = False

    def is_cooling(self, contact: Contact, now_s: float) -> bool:
        """Whether a server failed so short ago that it is not asked. The first question afterwards tries it alone."""
        known = self._known.get(contact[:3])
        if known is None or not known.failures:
            return False
        if now_s < known.cool_until_s:
            return True
        known.is_tried = True
        known.cool_until_s = now_s + limits.UPSTREAM_ASK_SECONDS_MAX
        return False

    def order(self, contacts: Iterable[Contact]) -> list[Contact]:
        """The quickest first, those that failed last."""
        nobody = _Known()

        def rank(contact: Contact) -> tuple[int, float]:
            known = self._known.get(contact[:3], nobody)
            return known.failures, known.smoothed_s

        return sorted(contacts, key=rank)

    def _of(self, contact: Contact) -> _Known:
        key = contact[:3]
        known = self._known.pop(key, None) or _Known()
        if len(self._known) >= self._servers_max:
            del self._known[next(iter(self._known))]
        self._known[key] = known
        return known
