"""How the top of the tree is seen by all workers together, for /readyz and the log.

A top that is silent does not make a node unready: it goes on answering what is its own and what it has kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.app.messages import Above

_log = structlog.get_logger("federation")


def said(seen: Iterable[Above | None]) -> str:
    """One sentence about what the workers see; workers without a top above them see None."""
    above = [each for each in seen if each is not None]
    silent = [each.silent_since_us for each in above if each.silent_since_us]
    if not above:
        return "none"
    if silent:
        since = datetime.fromtimestamp(min(silent) / 1e6, UTC).isoformat(timespec="seconds")
        return f"unreachable since {since} for {len(silent)} of {len(above)} workers"
    return "reachable" if any(each.is_asked for each in above) else "not asked yet"


class Watch:
    """Tells the log when the top falls silent, and when it answers again."""

    def __init__(self) -> None:
        self._before = ""

    def look(self, seen: Iterable[Above | None]) -> None:
        """Compare with the last look."""
        now = said(seen).partition(" ")[0]
        if now == "unreachable" and self._before != now:
            _log.warning("the top of the tree does not answer: local names and kept answers go on")
        elif now == "reachable" and self._before == "unreachable":
            _log.info("the top of the tree answers again")
        self._before = now
