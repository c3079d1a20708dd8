"""Files beside the store, by the digest of their content: ``ROOT/ab/cdef…``, written whole or not at all.

A file is durable before ``put`` returns, so that a row that names it may be committed after. The same content is one
file. Nothing here deletes: a content without a row is what is left of an upload that was not committed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from storage.directories import make_directory, sync_directory
from storage.errors import StoreFailed, StoreFull
from storage.unfinished import becoming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FILES_DIRECTORY = "files"
"""Where they lie in a data directory."""

_DIGEST_DIGITS = 64


def digest_of(octets: bytes) -> bytes:
    """What a content is stored under: its SHA-256."""
    return hashlib.sha256(octets).digest()


class FileStore:
    """Contents of files under one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place_of(self, digest: bytes) -> str:
        """Where the content with a SHA-256 lies, below the root."""
        name = digest.hex()
        return f"{name[:2]}/{name[2:]}"

    def put(self, octets: bytes) -> bytes:
        """Store a content durably and return its SHA-256. Raises StoreFull, StoreFailed."""
        digest = digest_of(octets)
        path = self._root / self.place_of(digest)
        try:
            if self.get(digest) is None:
                self._write(path, octets)
            else:  # whoever put it here may not have come to this yet, or have died before
                self._sync(path.parent)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreFull(f"{path.parent}: {error.strerror}") from error
            raise StoreFailed(f"{path}: {error.strerror}") from error
        return digest

    def _write(self, path: Path, octets: bytes) -> None:
        make_directory(path.parent)
        with becoming(path, self._root) as file:
            file.write(octets)
        self._sync(path.parent)

    def _sync(self, parent: Path) -> None:
        """Make the name of a file durable, and those of the directories that lead to it."""
        for directory in (parent, self._root, self._root.parent):
            sync_directory(directory)

    def put_if(self, digest: bytes, octets: bytes) -> bool:
        """Store a content that should have this SHA-256; False when it has another. Raises as ``put`` does."""
        return hashlib.sha256(octets).digest() == digest and bool(self.put(octets))

    def has(self, digest: bytes) -> bool:
        """Whether a content is here; it is not read."""
        return (self._root / self.place_of(digest)).exists()

    def digests(self) -> Iterator[bytes]:
        """The digest of every content that is here, in order; what else lies there is passed over."""
        try:
            directories = sorted(entry.name for entry in self._root.iterdir() if len(entry.name) == len("ab"))
        except FileNotFoundError:
            return
        for directory in directories:
            for name in sorted(entry.name for entry in (self._root / directory).iterdir()):
                try:
                    digest = bytes.fromhex(directory + name)
                except ValueError:
                    continue
                if len(directory + name) == _DIGEST_DIGITS and self.place_of(digest) == f"{directory}/{name}":
                    yield digest

    def take_over(self, other: FileStore) -> None:
        """Move every content of another store on the same file system here, where it is not here already."""
        for digest in tuple(other.digests()):
            if self.get(digest) is None:
                path = self._root / self.place_of(digest)
                make_directory(path.parent)
                (other._root / other.place_of(digest)).replace(path)
                self._sync(path.parent)

    def part(self, digest: bytes, offset: int, octets_max: int) -> tuple[bytes, int] | None:
        """Octets of a content from an offset on, as they are on disk, and its size; None when it is not here."""
        try:
            with (self._root / self.place_of(digest)).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(min(offset, size))
                return file.read(octets_max), size
        except OSError:
            return None

    def get(self, digest: bytes) -> bytes | None:
        """The content with a SHA-256; None when it is not here or damaged."""
        try:
            octets = (self._root / self.place_of(digest)).read_bytes()
        except OSError:
            return None
        return octets if hashlib.sha256(octets).digest() == digest else None
