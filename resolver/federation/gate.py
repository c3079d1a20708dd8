"""The way to one server: so many questions to it at a time, and none kept waiting when it has fallen silent.

A caller that waits for another node holds one of the few streams of its connection. When many wait, and nothing has
come from the server for a while, they are given up together: otherwise they would hold up questions for names of this
node on the same connections, for as long as one answer may take.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from resolver import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_GRACE_S = 0.05
"""Seconds for what has come to be read: when this process itself stood still, answers may lie there unread."""


class Gate:
    """Lets questions pass in turn; ``users`` is kept by whoever owns the gate."""

    def __init__(self) -> None:
        self.users = 0
        self._turns = asyncio.Semaphore(limits.UPSTREAM_PER_SERVER_MAX)
        self._waiting: dict[asyncio.Timeout, float] = {}
        """When each question that has no answer came, the oldest first."""
        self._heard_s = 0.0
        self._look: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, timeout_s: float) -> AsyncIterator[None]:
        """Wait for the turn of a question; the block is its asking. Raises TimeoutError, for both together."""
        async with asyncio.timeout(timeout_s) as limit:
            self._waiting[limit] = asyncio.get_running_loop().time()
            try:
                if self._look is None:
                    self._look_for_silence()
                async with self._turns:
                    yield
            finally:
                self._waiting.pop(limit, None)

    def heard(self) -> None:
        """The server has answered a question."""
        self._heard_s = asyncio.get_running_loop().time()

    def _look_for_silence(self, due_s: float = 0.0) -> None:
        """Give up all questions when many wait and nothing has come since the first of them; else look again then.

        ``due_s`` is the time of the loop at which this look was to be; a question that comes gives none.
        """
        self._look = None
        if len(self._waiting) < limits.UPSTREAM_SILENT_QUESTIONS:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        silent_at_s = max(self._heard_s, next(iter(self._waiting.values()))) + limits.UPSTREAM_SILENT_S
        if now_s < silent_at_s or now_s > due_s + _GRACE_S:
            due_s = max(silent_at_s, now_s + _GRACE_S)
            self._look = loop.call_at(due_s, self._look_for_silence, due_s)
            return
        given_up, self._waiting = self._waiting, {}  # they end in some turns of the loop; who comes meanwhile may wait
        for limit in given_up:
            if not limit.expired():
                limit.reschedule(now_s)
