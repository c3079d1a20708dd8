"""Files beside the store, by the digest of their content: ``ROOT/ab/cdef…``, written whole or not at all.

A file is durable before ``put`` returns, so that a row that names it may be committed after. The same content is one
file. Nothing here deletes: a content without a row is what is left of an upload that was not committed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from storage.errors import StoreFailed, StoreFull

if TYPE_CHECKING:
    from pathlib import Path


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
        digest = hashlib.sha256(octets).digest()
        path = self._root / self.place_of(digest)
        try:
            if path.exists():
                return digest
            self._write(path, octets)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreFull(f"{path.parent}: {error.strerror}") from error
            raise StoreFailed(f"{path}: {error.strerror}") from error
        return digest

    def _write(self, path: Path, octets: bytes) -> None:
        for directory in (self._root, path.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_name(f".{secrets.token_hex(8)}")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        for directory in (path.parent, self._root):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def put_if(self, digest: bytes, octets: bytes) -> bool:
        """Store a content that should have this SHA-256; False when it has another. Raises as ``put`` does."""
        return hashlib.sha256(octets).digest() == digest and bool(self.put(octets))

    def has(self, digest: bytes) -> bool:
        """Whether a content is here; it is not read."""
        return (self._root / self.place_of(digest)).exists()

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
