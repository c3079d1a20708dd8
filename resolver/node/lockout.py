"""Wrong secrets make an identity wait, at the source they come from and nowhere else.

After a few wrong answers further ones from the same source network are refused unchecked for a while, longer each
time. The owner of the identity, who comes from elsewhere, notices nothing. What is counted is kept by a table that all
workers share and a restart does not empty, so guesses are not multiplied by workers. Times are epoch seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.failures import Failures, MemoryFailures

if TYPE_CHECKING:
    from storage.failures import FailureTable

FREE_FAILURES = 10
"""Wrong answers before the first wait: people mistype, programs are misconfigured."""

FIRST_WAIT_S = 10.0
"""Seconds of the first wait; it doubles with each further failure."""

WAIT_MAX_S = 3_600.0
"""Seconds of the longest wait."""

FORGET_S = 3_600.0
"""Seconds without a failure after which an identity starts anew."""

_DOUBLINGS_MAX = 20


class Lockout:
    """Who has to wait, by what a table remembers."""

    def __init__(self, table: FailureTable | None = None, *, free_failures: int = FREE_FAILURES) -> None:
        self._table = MemoryFailures() if table is None else table
        self._free_failures = free_failures

    def is_locked(self, identity: str, network: str, now_s: float) -> bool:
        """Whether answers for the identity from the network are refused unchecked.

        A wait that is longer than any can be is one of a clock that was wrong.
        """
        found = self._table.get(_name(identity, network))
        return found is not None and now_s < found.until_s <= now_s + WAIT_MAX_S

    def failed(self, identity: str, network: str, now_s: float) -> None:
        """Count a wrong answer."""

        def count(before: Failures | None) -> Failures:
            times = 1 if before is None or abs(now_s - before.last_s) > FORGET_S else before.times + 1
            over = min(times - self._free_failures, _DOUBLINGS_MAX)
            wait_s = min(FIRST_WAIT_S * 2.0**over, WAIT_MAX_S) if over >= 0 else 0.0
            return Failures(times, now_s, now_s + wait_s)

        self._table.change(_name(identity, network), count)

    def succeeded(self, identity: str, network: str) -> None:
        """Forget the failures of an identity that has proven itself."""
        name = _name(identity, network)
        if self._table.get(name) is not None:
            self._table.change(name, lambda _: None)


def _name(identity: str, network: str) -> bytes:
    return f"{identity}\0{network}".encode("utf-8", "surrogatepass")
