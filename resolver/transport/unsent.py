"""Answers that wait for their peers, at all connections of one door of a worker together.

What one connection may leave untaken is bounded where it is answered; thousands that ask for long answers and read none
would still fill the memory together. So a door adds up what waits whenever it looks at its connections anyway, and as
soon as enough has met peers who took nothing since: between two looks a flood could bring gigabytes. Above the bound
those are cut off who have been stuck for longest, of equals the largest. Who reads is never among the oldest: what
waits for it becomes less from look to look, and its time begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

_log = structlog.get_logger("transport")

UNSENT_OCTETS_MAX = 256 << 20
"""Octets of answers that wait for their peers at one door of one worker: those of 64 connections that leave all a gRPC
connection may have queued, or of 250 that leave a record of a mebibyte; two workers of three doors stay below 2 GiB."""

LOOK_SHARE = 4
"""A look comes at the latest when this part of the bound has met peers who took nothing."""

TELL_S = 1.0
"""Least seconds between two sentences about it in the log."""


class Peer(Protocol):
    """A connection that answers may wait at."""

    @property
    def unsent_octets(self) -> int:
        """Octets of answers that the peer has not taken."""

    @property
    def held_octets(self) -> int:
        """Octets in memory because of that: a transport keeps what it was given whole until the last of it is taken."""

    def cut_off(self) -> None:
        """End the connection and forget what waits."""


class UnsentAnswers:
    """What waits at one door. ``note`` what a peer does not take, ``look`` now and then."""

    def __init__(self, door: str, count: Callable[[str, int], None], peers: Callable[[], Iterable[Peer]]) -> None:
        """Watch a door, named as in the metrics; ``peers`` gives its connections, ``count`` hears of who is cut off."""
        self._door = door
        self._count = count
        self._peers = peers
        self._stuck: dict[Peer, tuple[int, float, int]] = {}
        """Octets that waited at the last look, since when they have not become less, and those in memory."""
        self._noted = 0
        self._untold, self._told_s = 0, -TELL_S
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look by oneself when it is urgent."""
        self._loop = loop

    def note(self, octets: int) -> None:
        """A peer has left octets of its answers untaken. Call it where that is found, never for what goes out."""
        before, bound = self._noted, UNSENT_OCTETS_MAX // LOOK_SHARE
        self._noted += octets
        if before < bound <= self._noted and self._loop is not None:
            self._loop.call_soon(self.look)

    def look(self) -> None:
        """Add up what waits, and cut off peers until it is below the bound. Call it after ``start``."""
        assert self._loop is not None  # noqa: S101 - see above
        now_s = self._loop.time()
        self._noted = 0
        before, total = self._stuck, 0
        stuck: dict[Peer, tuple[int, float, int]] = {}
        for peer in self._peers():
            try:
                octets = peer.unsent_octets
                held = peer.held_octets if octets else 0
            except Exception:  # noqa: BLE001 - one connection may not stop the look at all others, now and for ever
                _log.exception("defect in a connection")
                continue
            if octets:
                last = before.get(peer)
                stuck[peer] = (octets, now_s if last is None or octets < last[0] else last[1], held)
                total += held
        self._stuck = stuck
        if total > UNSENT_OCTETS_MAX:
            self._cut_off(total)
        if self._untold and now_s - self._told_s >= TELL_S:
            self._tell(now_s)

    def _cut_off(self, total: int) -> None:
        """Cut peers off until what waits is below the bound."""
        count, left = 0, total
        for peer, (_, _, held) in sorted(self._stuck.items(), key=_turn):
            if left <= UNSENT_OCTETS_MAX:
                break
            left -= held
            count += 1
            del self._stuck[peer]
            peer.cut_off()
        self._count(self._door, count)
        self._untold += count

    def _tell(self, now_s: float) -> None:
        """Say how many have been cut off since it was said last."""
        _log.warning(
            "answers that nobody took were filling the memory: connections are cut off",
            door=self._door,
            connections=self._untold,
            octets_max=UNSENT_OCTETS_MAX,
        )
        self._untold, self._told_s = 0, now_s


def _turn(stuck: tuple[Peer, tuple[int, float, int]]) -> tuple[float, int]:
    """Who goes first: the one stuck for longest, of equals the one with most."""
    _, since_s, held = stuck[1]
    return since_s, -held
