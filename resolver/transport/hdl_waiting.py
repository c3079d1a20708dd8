"""Requests that have come on a Handle connection and are not begun.

They come by the thousand in one read, and their answers may be a thousand times as large: so plain questions are
answered until there is something to write, and the others are begun a few at a time. The connection asks for more when
its peer takes what was written, and reads nothing while anything waits here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from resolver.service.hdl_counted import count_plain
from resolver.telemetry.calls import HDL_TCP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resolver.service.core import Core
    from resolver.service.handle_protocol import HandleProtocol
    from resolver.wire.message import Frame

REQUESTS_IN_FLIGHT_MAX = 64
"""Requests of one connection being answered; further ones wait, and it is not read from meanwhile."""

WRITES_AT_ONCE = 16
"""Pieces of answers written before other connections have their turn: some milliseconds."""

_ANSWERS_OCTETS = 64 << 10
"""Octets of answers that are put together before they are written."""


class WaitingRequests:
    """What waits on one connection."""

    __slots__ = ("_core", "_frames", "_protocol")

    def __init__(self, core: Core, protocol: HandleProtocol) -> None:
        self._core = core
        self._protocol = protocol
        self._frames: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frames: Iterable[Frame]) -> None:
        """Let requests wait behind those that do."""
        self._frames.extend(frames)

    def clear(self) -> None:
        """Forget what waits: nobody will be answered any more."""
        self._frames.clear()

    def begin(self, source: str, start: Callable[[Frame], None], most: int) -> bytes:
        """Answer plain questions in one read transaction, and ``start`` up to ``most`` others; the answers, joined.

        It ends with enough answers to write, not only with the last request: call it again when they are taken.
        """
        frames, now_s = self._frames, self._core.clock.monotonic_s
        answers: list[bytes] = []
        octets = 0
        started_s = now_s()
        with self._core.burst():
            while frames and most > 0 and octets < _ANSWERS_OCTETS:
                frame = frames.popleft()
                answer = self._protocol.at_once(frame.to_wire(), source)
                if answer is None:
                    most -= 1
                    start(frame)
                else:
                    answers.append(answer)
                    octets += len(answer)
        if answers:
            count_plain(self._core.calls, answers, now_s() - started_s, HDL_TCP)
        return b"".join(answers)
