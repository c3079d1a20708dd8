"""Progress of a long command on a terminal: share done, count, rate and the time that is left.

Nothing is written when standard error is no terminal. The line is rewritten in place a few times a second and
cleared at the end, so what follows is clean.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

EVERY_S = 0.2
"""Seconds between two rewrites of the line."""

BLOCK_OCTETS = 1 << 20


class Progress:
    """A line of progress; use it in ``with``. ``total`` is in the same unit as ``done``, 0 when unknown."""

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        stream: TextIO | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._unit = unit
        self._stream = stream or sys.stderr
        self._shows = self._stream.isatty()
        self._monotonic_s = monotonic_s
        self._begun_s = self._shown_s = monotonic_s()
        self._first_done: int | None = None
        self._first_count = 0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def begin(self, done: int, count: int) -> None:
        """What an earlier run had done counts neither for the rate nor for the time left."""
        self._begun_s = self._monotonic_s()
        self._first_done, self._first_count = done, count

    def update(self, done: int, count: int) -> None:
        """``done`` of the total, and how many of the unit that is."""
        now_s = self._monotonic_s()
        if not self._shows or now_s - self._shown_s < EVERY_S:
            return
        self._shown_s = now_s
        line = self.line(done, count, now_s - self._begun_s)
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = max(self._width, len(line))

    def line(self, done: int, count: int, elapsed_s: float) -> str:
        """The line: ``43 %  43,210 rows  8,130/s  0:07 left``."""
        first = self._first_done or 0
        rate = (count - self._first_count) / elapsed_s if elapsed_s > 0 else 0.0
        parts = [f"{count:,} {self._unit}", f"{rate:,.0f}/s"]
        if self.total:
            share = min(1.0, done / self.total)
            parts.insert(0, f"{share:4.0%}")
            if done > first:
                left_s = elapsed_s * max(0, self.total - done) / (done - first)
                parts.append(f"{int(left_s) // 60}:{int(left_s) % 60:02d} left")
        return "  ".join(parts)


def lines_of(path: Path) -> int:
    """Line feeds of a file, at about 2 GB a second; 0 when it cannot be read."""
    count = 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(BLOCK_OCTETS):
                count += block.count(b"\n")
    except OSError:
        return 0
    return count
