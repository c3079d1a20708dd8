"""Wrong secrets make an identity wait, at the source they come from and nowhere else.

After a few wrong answers further ones from the same source network are refused unchecked for a while, longer each
time. The owner of the identity, who comes from elsewhere, notices nothing. The table is bounded; what is pushed out
are the oldest failures.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

FREE_FAILURES = 10
"""Wrong answers before the first wait: people mistype, programs are misconfigured."""

FIRST_WAIT_S = 10.0
"""Seconds of the first wait; it doubles with each further failure."""

WAIT_MAX_S = 3_600.0
"""Seconds of the longest wait."""

FORGET_S = 3_600.0
"""Seconds without a failure after which an identity starts anew."""

ENTRIES_MAX = 20_000
"""Pairs of identity and source remembered in one worker."""


class _Failures(NamedTuple):
    times: int
    last_s: float
    locked_until_s: float


class Lockout:
    """The failures of one worker."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, free_failures: int = FREE_FAILURES) -> None:
        self._entries_max = entries_max
        self._free_failures = free_failures
        self._failures: OrderedDict[tuple[str, Hashable], _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def is_locked(self, identity: str, network: Hashable, now_s: float) -> bool:
        """Whether answers for the identity from the network are refused unchecked."""
        found = self._failures.get((identity, network))
        return found is not None and found.locked_until_s > now_s

    def failed(self, identity: str, network: Hashable, now_s: float) -> None:
        """Count a wrong answer."""
        place = (identity, network)
        before = self._failures.pop(place, None)
        count = 1 if before is None or now_s - before.last_s > FORGET_S else before.times + 1
        over = count - self._free_failures
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(over, 20), WAIT_MAX_S) if over >= 0 else 0.0
        if len(self._failures) >= self._entries_max:
            self._failures.popitem(last=False)
        self._failures[place] = _Failures(count, now_s, now_s + wait_s)

    def succeeded(self, identity: str, network: Hashable) -> None:
        """Forget the failures of an identity that has proven itself."""
        self._failures.pop((identity, network), None)
