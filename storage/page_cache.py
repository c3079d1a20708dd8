"""The store in the kernel's page cache: read in order at a start, and page by page.

A store that is not in memory is read by single faults, a tenth of a millisecond each; reading it in order brings a
gigabyte in less than a second. And *how* it came into memory matters to those who write: a file that was copied,
restored or appended to in large pieces lies in the cache in large folios (ext4 since Linux 6.16, XFS for longer),
and then each scattered page of a commit costs the kernel 25 to 35 µs of CPU instead of 5, because it looks at the whole
folio. Pages dropped and read ahead by ``posix_fadvise`` come back one by one. Pages that a process has mapped stay as
they are, so this is done before the workers come. Nothing is lost: dirty pages are not dropped.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PIECE_OCTETS = 1 << 20
"""Octets asked for at once: the kernel cuts longer requests short."""

_MEMORY_SHARE = 4
"""Of the memory that is available a store may fill one part in so many; the pages of a larger one come as needed."""


def read_ahead(path: Path, octets_max: int) -> int:
    """Read a file through the page cache, a piece after another; its octets, 0 for a file of more than ``octets_max``.

    A piece is there again before the next is dropped, so that whoever reads meanwhile hardly ever waits for the disk.
    Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        octets = os.fstat(handle).st_size
        if octets > octets_max:
            return 0
        for start in range(0, octets, PIECE_OCTETS):
            os.posix_fadvise(handle, start, PIECE_OCTETS, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(handle, start, PIECE_OCTETS, os.POSIX_FADV_WILLNEED)
            os.pread(handle, PIECE_OCTETS, start)  # waits for it
    finally:
        os.close(handle)
    return octets


def room_octets() -> int:
    """Octets that a store may fill without pushing much else out of memory; 0 where the kernel does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1_024 // _MEMORY_SHARE
    return 0
