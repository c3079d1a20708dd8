"""Memory given back to the system after a crowd has gone.

The C library keeps freed memory that lies between living blocks: ten thousand connections that come, ask and go leave
a hundred megabytes with a worker for good. Now and then the worker asks how much lies idle, and returns it.
"""

from __future__ import annotations

import ctypes
from typing import Any

import structlog

IDLE_OCTETS = 2 << 20
"""Freed memory from which on it is returned: a tenth of a millisecond for each MiB, and as much to have it again."""

PAUSE_S = 10.0
"""Seconds between two returns: a busy worker would need the memory again at once."""

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1
"""mallopt(3), from ``malloc.h``."""

_OWN_PAGES_OCTETS = 8 << 20
"""Size from which on a block has pages of its own, which go back with it: above any message."""

_TOP_OCTETS = 16 << 20
"""Free memory at the end of the heap from which on it goes back at once: some copies of the largest message."""

log = structlog.get_logger()


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and later (mallinfo(3))."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def share_one_arena() -> bool:
    """Let all threads take memory from one place; False where there is no glibc. To be called before they start.

    Other arenas than the first keep free memory at their end, which nobody can return: after floods the threads of
    grpcio's core kept a third of what a worker has. Threads that wait for the interpreter's lock are in nobody's way.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (OSError, AttributeError):
        return False


def keep_large_blocks() -> bool:
    """Let memory of messages be used again instead of given back with each; False where there is no glibc.

    An answer of a mebibyte is copied some times on its way. As the C library is set, each copy gets fresh pages from
    the kernel, which fills them with zeros: that is four fifths of what such an answer costs. ``IdleMemory`` gives back
    what stays behind.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_OCTETS) and mallopt(_M_TRIM_THRESHOLD, _TOP_OCTETS))


class IdleMemory:
    """Looks at the C library's heap. ``look`` every second or so; does nothing where there is no glibc."""

    def __init__(self) -> None:
        self._mallinfo: Any = None
        self._again_s = 0.0
        try:
            library = ctypes.CDLL(None)
            self._mallinfo, self._trim = library.mallinfo2, library.malloc_trim
            self._mallinfo.restype = _Mallinfo2
        except (OSError, AttributeError):
            self._mallinfo = None

    def look(self, now_s: float) -> bool:
        """Give back what is idle; whether it was enough to try."""
        if self._mallinfo is None or now_s < self._again_s:
            return False
        idle_octets = self._mallinfo().fordblks
        if idle_octets < IDLE_OCTETS:
            return False
        self._again_s = now_s + PAUSE_S
        self._trim(0)
        log.debug("idle memory given back", idle_octets=idle_octets)
        return True
