"""How often something failed, in one small file that all processes of a node share and that outlives them.

A file of fixed size, made whole when it is new: buckets of eight slots, found by a keyed digest of what failed, so
that nobody can choose names that share a bucket. A new failure takes a free slot or that of the oldest one. Reading and
writing cost a lock and one call each and no sync: what a crash of the machine takes away is the last seconds, and
strangers who fail on purpose cause no write of the store. Nothing here knows what fails, or what follows from it.

    "idisfail" 8 | version 4 | key 16 | 4 | slot*      slot: digest 16 | times 4 | 4 | last 8 | until 8
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections import OrderedDict
from contextlib import contextmanager, suppress
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storage.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Failures(NamedTuple):
    """How often something failed: times in a row, the last time, and until when it is to wait, in epoch seconds."""

    times: int
    last_s: float
    until_s: float


class FailureTable(Protocol):
    """What remembers failures by name."""

    def get(self, name: bytes) -> Failures | None:
        """What is remembered of a name."""

    def change(self, name: bytes, change: Callable[[Failures | None], Failures | None]) -> None:
        """Put in place what a function makes of what is remembered, None meaning nothing; nobody comes between."""

    def close(self) -> None:
        """Let go of what the table is kept in."""


FILE_NAME = "failures"
"""The file in a data directory."""

BUCKETS = 2_048
SLOTS = 8
"""Slots of a bucket: with those of all buckets 16,384 names are remembered, in 640 KiB."""

MEMORY_ENTRIES_MAX = 20_000
"""Names that a table in memory remembers."""

_MAGIC = b"idisfail"
_VERSION = 1
_HEAD = Struct(">8sI16s4x")
_SLOT = Struct(">16sI4xdd")
_BUCKET_OCTETS = SLOTS * _SLOT.size
_FILE_OCTETS = _HEAD.size + BUCKETS * _BUCKET_OCTETS
_FREE = bytes(16)


class SharedFailures:
    """The table in a file. Raises StoreFailed when it cannot be opened or made; what it cannot read is forgotten."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}") from error
        try:
            with self._locked():
                self._key = self._read_key() or self._make()
        except OSError as error:
            os.close(self._file)
            raise StoreFailed(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out for some microseconds; one that dies lets go."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read_key(self) -> bytes | None:
        head = os.pread(self._file, _HEAD.size, 0)
        if len(head) < _HEAD.size or os.fstat(self._file).st_size != _FILE_OCTETS:
            return None
        magic, version, key = _HEAD.unpack(head)
        return bytes(key) if (magic, version) == (_MAGIC, _VERSION) else None

    def _make(self) -> bytes:
        """Write an empty table, all its blocks included: a disk that fills up later must not matter."""
        key = secrets.token_bytes(16)
        os.ftruncate(self._file, 0)
        os.posix_fallocate(self._file, 0, _FILE_OCTETS)
        os.pwrite(self._file, _HEAD.pack(_MAGIC, _VERSION, key), 0)
        return key

    def _place(self, name: bytes) -> tuple[bytes, int]:
        """The digest of a name, and where its bucket begins."""
        digest = hashlib.blake2b(name, digest_size=16, key=self._key).digest()
        return digest, _HEAD.size + int.from_bytes(digest[:4], "big") % BUCKETS * _BUCKET_OCTETS

    def _bucket(self, at: int) -> list[tuple[bytes, int, float, float]]:
        octets = os.pread(self._file, _BUCKET_OCTETS, at)
        return list(_SLOT.iter_unpack(octets.ljust(_BUCKET_OCTETS, b"\0")))

    def get(self, name: bytes) -> Failures | None:
        """What is remembered of a name."""
        digest, at = self._place(name)
        try:
            with self._locked():
                bucket = self._bucket(at)
        except OSError:
            return None
        return next((Failures(*slot[1:]) for slot in bucket if slot[0] == digest), None)

    def change(self, name: bytes, change: Callable[[Failures | None], Failures | None]) -> None:
        """Put in place what a function makes of what is remembered, None meaning nothing; nobody comes between."""
        digest, at = self._place(name)
        with suppress(OSError), self._locked():
            bucket = self._bucket(at)
            taken = [number for number, slot in enumerate(bucket) if slot[0] == digest]
            after = change(Failures(*bucket[taken[0]][1:]) if taken else None)
            if after is None and not taken:
                return
            number = taken[0] if taken else min(range(SLOTS), key=lambda each: _age(bucket[each]))
            octets = bytes(_SLOT.size) if after is None else _SLOT.pack(digest, *after)
            os.pwrite(self._file, octets, at + number * _SLOT.size)


def _age(slot: tuple[bytes, int, float, float]) -> tuple[bool, float]:
    """What orders slots by how well they can be given up: free ones, then the one that failed longest ago."""
    return slot[0] != _FREE, slot[2]


class MemoryFailures:
    """The same for one process and its life."""

    def __init__(self, *, entries_max: int = MEMORY_ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._failures: OrderedDict[bytes, Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def get(self, name: bytes) -> Failures | None:
        """What is remembered of a name."""
        return self._failures.get(name)

    def change(self, name: bytes, change: Callable[[Failures | None], Failures | None]) -> None:
        """Put in place what a function makes of what is remembered, None meaning nothing; nobody comes between."""
        after = change(self._failures.pop(name, None))
        if after is None:
            return
        if len(self._failures) >= self._entries_max:
            self._failures.popitem(last=False)
        self._failures[name] = after

    def close(self) -> None:
        """Nothing is kept in anything."""
