"""Unfinished work on disk: private directories and files that go when it ends, and are cleared when it was cut short.

A copy of a store is as large as the store, so one that a power cut leaves behind must not stay for ever. Whoever works
holds a lock on its directory or file, which the system lets go with the process; what nobody holds is left over. Before
new work begins beside them, such leftovers are removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

START = ".idis-unfinished-"
"""How the names of all of them begin."""

FRESH_S = 5.0
"""Age in seconds below which one is left alone: between its making and its lock lies a moment."""


@contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """A new directory in an existing one for the length of the block. Raises OSError."""
    clear(parent)
    with tempfile.TemporaryDirectory(prefix=START, dir=parent) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _hold(descriptor)
            yield Path(name)
        finally:
            os.close(descriptor)


@contextmanager
def becoming(path: Path, parent: Path | None = None) -> Iterator[BinaryIO]:
    """A file with mode 0600 that is whole and durable when it takes its name at the end of the block.

    It is gone when the block raises. ``parent`` is where it lies until then, on the same file system; by default beside
    its place. Its new name is durable when its directory is synced: do that next. Raises OSError.
    """
    parent = parent or path.parent
    clear(parent)
    descriptor, unfinished = tempfile.mkstemp(prefix=START, dir=parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _hold(descriptor)
            yield file
            file.flush()
            os.fsync(descriptor)
            Path(unfinished).replace(path)  # while it is held
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def clear(directory: Path) -> None:
    """Remove what was left over in a directory by those who died."""
    for path in directory.glob(f"{START}*"):
        with suppress(OSError):  # somebody works on it, it is another user's, or has just gone
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(descriptor).st_mtime < FRESH_S:
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)


def _hold(descriptor: int) -> None:
    """Tell others that somebody works here; on a file system without locks they do not clear at all."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
