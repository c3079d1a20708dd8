"""Names that outlive a power cut: a file is durable only when the directory that names it is, and so on upwards.

A file system may keep the octets of a synced file and lose its name, or that of a directory above it. What is told as
done is therefore written, synced, renamed, and the directory synced; a directory that was made for it is synced into
the one above.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory with mode 0700 and those above it that are missing, each durably. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)
