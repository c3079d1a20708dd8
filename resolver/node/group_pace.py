"""How long a write lane lets its next group fill, judged by the last one.

Calls that were answered together come back one connection after the other. Who commits the first of them at once
spends two flushes on a few rows, and the rest waits for these. So a lane waits until half of the rows are back that it
has just answered, but for no more than a part of what a commit takes; a call that comes alone, or after a pause, never
waits. No clock and no thread: the lane has both.
"""

from __future__ import annotations

WAIT_SHARE = 0.5
"""The longest wait, as a part of the last commit: what a flush costs decides what a fuller group is worth."""
WAIT_S_MAX = 0.001
"""The longest wait of all, in seconds: a commit that takes longer than two of them takes it for its rows."""
ENOUGH_ROWS_MAX = 256
"""Rows for which a flush is cheap: nobody waits for more."""


class GroupPace:
    """What is remembered of the last group of a lane. Moments are seconds of one clock that does not jump."""

    __slots__ = ("_end_s", "_took_s", "enough_rows")

    def __init__(self) -> None:
        self.enough_rows = 0
        """With so many rows queued nobody waits."""
        self._took_s = 0.0
        self._end_s = 0.0

    def committed(self, rows: int, took_s: float, end_s: float) -> None:
        """Take in a group: its rows, the seconds from lock to disk, and when it was durable."""
        self.enough_rows = min(rows // 2, ENOUGH_ROWS_MAX)
        self._took_s = took_s
        self._end_s = end_s

    def wait_s(self, now_s: float) -> float:
        """How long to wait for more once the queue is no longer empty."""
        if now_s - self._end_s > self._took_s:
            return 0.0  # they do not come back, or not at once
        return min(WAIT_S_MAX, self._took_s * WAIT_SHARE)
