"""Whose request goes on in this turn of the loop: some milliseconds of costly answers, then everybody else's turn.

An answer of 2,048 values takes two milliseconds to encode, as JSON or a page more, and one that is signed half a
millisecond. Two hundred of them at once are ready in one turn of the loop, which would hear nobody else for half a
second. So each asks here before it begins, and waits for another turn when this one has been used up; between two
turns the loop takes what has come from others. Networks take turns, so that one with many requests holds up its own.
"""

from __future__ import annotations

import asyncio
from itertools import chain, count, islice, zip_longest
from typing import TYPE_CHECKING

from resolver.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 0.002
"""Seconds of costly answers in one turn of the loop. One that has begun is finished: it may take as long again."""

WAITING_OF_NETWORK_MAX = 8_192
"""Requests of one network that may wait: a crowd behind one address, or seconds of the most costly."""

WAITING_MAX = 16_384
"""Requests that may wait in all: they hold some kilobytes each."""

WOKEN_MAX = 32
"""Requests woken for one turn: enough small ones to fill it. For whom it does not suffice, waits on in its place."""


RETRY_AFTER_S = 1.0


class TurnsFull(Overloaded):
    """Too many wait already."""


class LoopTurns:
    """The requests of one worker that wait for a turn of its loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._began_s: float | None = None
        self._is_due = False
        self._numbers = count()
        self._waiting: dict[str, dict[int, asyncio.Future[None]]] = {}
        self._waiting_count = 0

    def has_room(self) -> bool:
        """Whether a costly answer may be made now, before those that wait: only when none does."""
        return not self._waiting and self._may_go()

    async def take(self, network: str) -> None:
        """Wait until a request from a network may go on; at once when this turn is not used up and nobody waits.

        Raises TurnsFull.
        """
        if self.has_room():
            return
        number, loop = next(self._numbers), asyncio.get_running_loop()
        own = self._waiting.get(network, {})
        if self._waiting_count >= WAITING_MAX or len(own) >= WAITING_OF_NETWORK_MAX:
            raise TurnsFull("too many ask for large records: try again", retry_after_s=RETRY_AFTER_S)
        self._waiting[network] = own
        self._waiting_count += 1
        own[number] = loop.create_future()
        try:
            self._end_turn_soon()
            await own[number]
            while not self._may_go():
                own[number] = loop.create_future()
                await own[number]
        finally:
            self._waiting_count -= 1
            del own[number], self._waiting[network]
            if own:  # behind the other networks
                self._waiting[network] = own

    def _may_go(self) -> bool:
        if self._began_s is None:
            self._began_s = self._now_s()
            self._end_turn_soon()
            return True
        return self._now_s() - self._began_s < TURN_S

    def _end_turn_soon(self) -> None:
        """End this turn when the loop has looked at its sockets again."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        """Begin another turn with whoever is first, one of each network after the other."""
        self._is_due = False
        self._began_s = None
        networks = [own.values() for own in islice(self._waiting.values(), WOKEN_MAX)]
        in_turn = (future for future in chain.from_iterable(zip_longest(*networks)) if future is not None)
        woken = list(islice(in_turn, WOKEN_MAX))
        for future in woken:
            if not future.done():
                future.set_result(None)
        if woken:
            self._end_turn_soon()
