"""What each mirror holds, in a file that all workers of a primary map: one follows a mirror, any may wait for it.

A place is 96 octets: the mirror's name (64, NUL after it), then serial, sequence, time in microseconds, each 8 octets
little-endian and aligned, so that each is read whole. The file says nothing a restart needs: mirrors greet again.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import structlog

from resolver.errors import Overloaded, StorageFull, Unconfirmed
from resolver.limits import MIRRORS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from resolver.errors import ResolverError

_PLACE = struct.Struct("<64s4Q")
_NUMBER = struct.Struct("<Q")
_NAME_OCTETS = 64
_OCTETS = _PLACE.size * MIRRORS_MAX
_LOOK_S = 0.001

_log = structlog.get_logger("mirror")


class Held(NamedTuple):
    """What a mirror has acknowledged, and when."""

    mirror_id: str
    serial: int
    sequence: int
    time_us: int


class Confirmations:
    """The file. ``needed`` mirrors must hold a change before it is acknowledged, ``timeout_s`` is how long to wait."""

    def __init__(self, path: Path, *, needed: int = 0, timeout_s: float = 4.0) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._map: mmap.mmap | None = None
        self.needed = needed
        self._timeout_s = timeout_s
        self._missed = False
        self._mapped()

    def close(self) -> None:
        """Give the file back."""
        if self._map is not None:
            self._map.close()
        os.close(self._descriptor)

    def _mapped(self) -> mmap.mmap | None:
        """The file, None while the disk has no room for it: a page without a block would end the process by SIGBUS."""
        if self._map is None:
            with suppress(OSError):
                os.posix_fallocate(self._descriptor, 0, _OCTETS)
                self._map = mmap.mmap(self._descriptor, _OCTETS)
        return self._map

    def clear(self) -> None:
        """Forget every mirror: a new epoch begins."""
        places = self._mapped()
        if places is not None:
            places[:] = bytes(_OCTETS)

    def place(self, mirror_id: str) -> int:
        """The place of a mirror. Raises Overloaded when all are taken, StorageFull on a full disk."""
        name, places = mirror_id.encode(), self._mapped()
        if places is None:
            raise StorageFull("the disk has no room to note what mirrors hold: free some", retry_after_s=2.0)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            found: int | None = None
            for number in range(MIRRORS_MAX):
                taken = _name(places, number)
                if taken == name:
                    return number
                if not taken and found is None:
                    found = number
            if found is None:
                raise Overloaded(f"the primary knows {MIRRORS_MAX} mirrors: restart it to forget those that have left")
            places[found * _PLACE.size : (found + 1) * _PLACE.size] = _PLACE.pack(name, 0, 0, 0, 0)
            return found
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def note(self, place: int, serial: int, sequence: int, time_us: int) -> None:
        """Keep what a mirror has acknowledged."""
        places, at = self._mapped(), place * _PLACE.size + _NAME_OCTETS
        if places is None:
            return
        for number, value in enumerate((serial, sequence, time_us)):
            _NUMBER.pack_into(places, at + number * 8, value)

    def held(self) -> Iterator[Held]:
        """Every mirror that has greeted."""
        places = self._mapped()
        if places is None:
            return
        for number in range(MIRRORS_MAX):
            name, serial, sequence, time_us, _ = _PLACE.unpack_from(places, number * _PLACE.size)
            if name[0]:
                yield Held(name.rstrip(b"\0").decode(), serial, sequence, time_us)

    def confirm(self, serial: int, sequence: int) -> ResolverError | None:
        """Wait until enough mirrors hold a position; the failure when they do not in time."""
        if not self.needed:
            return None
        deadline = time.monotonic() + self._timeout_s
        while True:
            count = sum(held.serial >= serial and held.sequence >= sequence for held in self.held())
            if count >= self.needed:
                self._tell(missed=False, count=count)
                return None
            if time.monotonic() > deadline:
                self._tell(missed=True, count=count)
                return Unconfirmed(
                    f"the change is on this node's disk, and {count} of {self.needed} mirrors held it within "
                    f"{self._timeout_s:g} s: whether it lasts is not known; ask again with the same request_id",
                    retry_after_s=1.0,
                )
            time.sleep(_LOOK_S)

    def _tell(self, *, missed: bool, count: int) -> None:
        """Say once in the log that changes begin, or cease, to be answered as unconfirmed."""
        if missed is self._missed:
            return
        self._missed = missed
        if missed:
            _log.warning(
                "changes are answered as unconfirmed: too few mirrors hold them in time",
                needed=self.needed,
                held_by=count,
                next="idis mirror status tells of each; mirror.confirmations says how many must",
            )
        else:
            _log.info("mirrors hold changes in time again", needed=self.needed)


def _name(places: mmap.mmap, number: int) -> bytes:
    at = number * _PLACE.size
    return places[at : at + _NAME_OCTETS].rstrip(b"\0")
