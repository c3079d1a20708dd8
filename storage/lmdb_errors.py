"""What the errors of LMDB mean to a store: one table, and one question asked of the file system.

LMDB reports a short write, which is what a full file system gives it at commit, as "Input/output
error". Only the room left tells it from a failing disk, so whoever translates brings a function
that measures it.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import lmdb

from storage.errors import PageCorrupt, StorageError, StoreBroken, StoreFailed, StoreFull
from storage.extent import REMEDY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOM_SUSPECT_OCTETS = 128 << 20
"""An input/output error with less room than this is a full disk: the largest commit stays below it."""

_ROOM_TEXTS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_SHORT_WRITE_TEXTS = (os.strerror(errno.EIO), "MDB_SHORT_WRITE")

_SENTENCES: dict[type[lmdb.Error], tuple[type[StorageError], str]] = {
    lmdb.PanicError: (StoreBroken, "the store at {path} cannot go on in this process, open it anew: {error}"),
    lmdb.MapFullError: (StoreFull, "the map of the store at {path} is full, delete rows or open it larger: {error}"),
    lmdb.CorruptedError: (PageCorrupt, "the store at {path} has a damaged page ({error}): {remedy}"),
    lmdb.PageNotFoundError: (PageCorrupt, "the store at {path} lacks a page ({error}): {remedy}"),
    # A page that fails a check may spoil the transaction before an error names it.
    lmdb.BadTxnError: (PageCorrupt, "the store at {path} has a page that cannot be read ({error}): {remedy}"),
    lmdb.ReadersFullError: (StoreFailed, "all reader slots of the store at {path} are taken: {error}"),
}


def translate(error: lmdb.Error, path: Path, room_octets: Callable[[], int]) -> StorageError | ValueError:
    """The error of a store that an error of LMDB means; ValueError for a key that cannot be one."""
    if isinstance(error, lmdb.BadValsizeError):
        return ValueError(f"a key has 1 to 511 octets and a value fewer than 2^32: {error}")
    for kind, (meaning, sentence) in _SENTENCES.items():
        if isinstance(error, kind):
            return meaning(sentence.format(path=path, error=error, remedy=REMEDY))
    text = str(error)
    if any(part in text for part in _ROOM_TEXTS) or (
        any(part in text for part in _SHORT_WRITE_TEXTS) and room_octets() < ROOM_SUSPECT_OCTETS
    ):
        return StoreFull(f"the file system of {path} has no room, free some: {error}")
    return StoreFailed(f"the store at {path} failed: {error}")
