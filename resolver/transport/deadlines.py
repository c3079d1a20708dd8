"""Looks at the deadlines of many connections without keeping those waiting who ask.

Closing a connection takes some microseconds, and thousands that came together end together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = structlog.get_logger("transport")

LOOKED_AT_ONCE = 128
"""Connections looked at before the loop does other things: about a millisecond when all of them are closed."""


class Timed(Protocol):
    """A connection, or who waits to be one."""

    def check(self, now_s: float) -> None:
        """End it when its time is over; nothing when it has ended already."""


async def check_all(connections: Sequence[Timed], now_s: float) -> None:
    """Check every connection, some at a time."""
    for number, connection in enumerate(connections, 1):
        try:
            connection.check(now_s)
        except Exception:  # noqa: BLE001 - one connection may not stop the look at all others, now and for ever
            _log.exception("defect in a connection")
        if number % LOOKED_AT_ONCE == 0:
            await asyncio.sleep(0)
