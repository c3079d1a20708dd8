"""The times of connections: of many at once without keeping those waiting who ask, and of answers that are not taken.

Closing a connection takes some microseconds, and thousands that came together end together. A client that takes its
answers slowly is no idle one: it has its time for each piece, and not for the whole.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = structlog.get_logger("transport")

SWEEP_S = 1.0
"""Seconds between two looks."""

LOOKED_AT_ONCE = 128
"""Connections looked at before the loop does other things: about a millisecond when all of them are closed."""


WRITE_PROGRESS_OCTETS = 16 << 10
"""Octets that win an answer its time again; what is taken more slowly is cut off."""

_NEVER = float("inf")
_ACKED = slice(120, 128)
"""Where the octets acknowledged stand in what ``TCP_INFO`` gives."""


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


class Untaken:
    """What a client has not taken of its answers, from ``pause_writing`` to ``resume_writing`` of its connection."""

    __slots__ = ("_octets", "deadline_s")

    def __init__(self) -> None:
        self._octets = 0
        self.deadline_s = _NEVER
        """When a piece has to be taken."""

    @property
    def is_waiting(self) -> bool:
        """Whether the client has to take something before it is given more."""
        return self.deadline_s != _NEVER

    def begin(self, transport: asyncio.WriteTransport, deadline_s: float) -> None:
        """The client has until then to take some of what waits for it."""
        self._octets, self.deadline_s = acknowledged_octets(transport), deadline_s

    def end(self) -> None:
        """The client has taken enough to be given more."""
        self.deadline_s = _NEVER

    def is_over(self, transport: asyncio.WriteTransport, now_s: float, timeout_s: float) -> bool:
        """Whether it took too few in its time; else it has ``timeout_s`` again."""
        if now_s < self.deadline_s:
            return False
        if acknowledged_octets(transport) - self._octets < WRITE_PROGRESS_OCTETS:
            return True
        self.begin(transport, now_s + timeout_s)
        return False


def acknowledged_octets(transport: asyncio.WriteTransport) -> int:
    """Octets that a client has acknowledged since it came (``tcpi_bytes_acked`` of linux/tcp.h).

    What waits before the kernel tells little: it takes more only when a third of its buffer, which may have megabytes,
    is free, and an encrypted transport of uvloop says that nothing waits.
    """
    client = transport.get_extra_info("socket")
    if client is None:
        return 0
    try:
        told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)
    except (OSError, ValueError):  # it has gone
        return 0
    return int.from_bytes(told[_ACKED], sys.byteorder)
