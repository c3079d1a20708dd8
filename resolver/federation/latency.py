"""How quickly other servers answer, and which are better left alone for a moment.

A server nobody has asked yet goes first, so that it gets known. One that failed is left alone for a while that
doubles with each failure; when that is over one question tries it again. Questions beside that one may wait for what
becomes of it, so that the first moments of a server that is back are not spent on refusals; a bounded number of them,
because it may not be back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from resolver import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.federation.contacts import Contact

_WEIGHT = 0.3
"""What a new measurement counts in the smoothed latency; TCP uses an eighth, but asks far more often."""


_LATE_S = 0.5
"""Seconds that the end of a trial may come later than its time."""


def trial_seconds() -> float:
    """Seconds after which nobody counts on a trial any more: its driver has lost it."""
    return limits.UPSTREAM_ASK_SECONDS_MAX + _LATE_S


class Standing(Enum):
    """Whether a server may be asked."""

    READY = "it may; a server that failed is tried with this very question"
    TRIED = "it failed, and another question tries it now"
    COOLING = "it failed a moment ago"


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
        self._known: dict[str, _Known] = {}
        self._waiting = 0
        """Questions that wait for what becomes of those which try a server."""

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

    def standing(self, contact: Contact, now_s: float) -> Standing:
        """Whether a server may be asked. The first question after a while of rest tries it alone."""
        known = self._known.get(contact.text)
        if known is None or not known.failures:
            return Standing.READY
        if now_s < known.cool_until_s:
            return Standing.TRIED if known.is_tried else Standing.COOLING
        known.is_tried = True
        known.cool_until_s = now_s + trial_seconds()
        return Standing.READY

    def join(self) -> bool:
        """Wait for a question that tries a server, unless enough others wait already; ``leave`` afterwards."""
        if self._waiting >= limits.UPSTREAM_TRIAL_WAITING_MAX:
            return False
        self._waiting += 1
        return True

    def leave(self) -> None:
        """Wait no longer."""
        self._waiting -= 1

    def is_failing(self, server: str) -> bool:
        """Whether a server (``Contact.text``) has not answered since it last failed."""
        known = self._known.get(server)
        return known is not None and known.failures > 0

    def order(self, contacts: Iterable[Contact]) -> list[Contact]:
        """The quickest first, those that failed last."""
        nobody = _Known()

        def rank(contact: Contact) -> tuple[int, float]:
            known = self._known.get(contact.text, nobody)
            return known.failures, known.smoothed_s

        return sorted(contacts, key=rank)

    def _of(self, contact: Contact) -> _Known:
        key = contact.text
        known = self._known.pop(key, None) or _Known()
        if len(self._known) >= self._servers_max:
            del self._known[next(iter(self._known))]
        self._known[key] = known
        return known
