"""Files beside the store in a backup: behind the data file, in the same compressed stream, one after the other.

    32 octets  SHA-256 of the content
    8 octets   length of the content, big-endian
    …          the content

Contents are durable before the rows that name them and are never deleted, so a list made after the store was copied
has every content that a row of the copy names. One that does not fit its digest any more is left out and counted: it
was lost before the backup.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storage.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.files import FileStore

HEAD_OCTETS = 40
"""Octets before each content."""

CONTENT_OCTETS_MAX = 64 << 20
"""Octets of one content, which is held in memory; uploads have at most 5 MiB."""


class FilesDamaged(Exception):
    """The part of a backup that holds files is not what it should be."""


class Stream(Protocol):
    """What the compressed stream is read by."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many octets; none at the end."""


class Sink(Protocol):
    """What the compressed stream is written by."""

    def write(self, data: bytes, /) -> int:
        """Take octets."""


class Listed(NamedTuple):
    """Contents for a backup."""

    digests: tuple[bytes, ...] = ()
    octets: int = 0
    """Octets of all of them with their heads."""
    damaged: int = 0
    """Contents that do not fit their digest."""


def listed(store: FileStore) -> Listed:
    """Every content of a file store that fits its digest."""
    digests: list[bytes] = []
    octets = damaged = 0
    for digest in store.digests():
        content = store.get(digest)
        if content is None or len(content) > CONTENT_OCTETS_MAX:
            damaged += 1
            continue
        digests.append(digest)
        octets += HEAD_OCTETS + len(content)
    return Listed(tuple(digests), octets, damaged)


def write(out: Sink, store: FileStore, found: Listed, tell: Callable[[int], None]) -> None:
    """Append contents to a stream. Raises StoreFailed when one has gone since it was listed."""
    for digest in found.digests:
        content = store.get(digest)
        if content is None:
            raise StoreFailed(f"the file {store.place_of(digest)} has gone or changed while the backup was made: again")
        out.write(digest + len(content).to_bytes(8, "big"))
        out.write(content)
        tell(HEAD_OCTETS + len(content))


def read(stream: Stream, count: int, octets: int, keep: Callable[[bytes], object], tell: Callable[[int], None]) -> None:
    """Hand on the contents of a stream, each held against its digest. Raises FilesDamaged."""
    for _ in range(count):
        head = _exactly(stream, HEAD_OCTETS)
        length = int.from_bytes(head[32:], "big")
        octets -= HEAD_OCTETS + length
        if octets < 0 or length > CONTENT_OCTETS_MAX:
            raise FilesDamaged("a file in it is longer than the manifest says")
        content = _exactly(stream, length)
        if hashlib.sha256(content).digest() != head[:32]:
            raise FilesDamaged(f"the file with SHA-256 {head[:32].hex()} does not fit its digest")
        keep(content)
        tell(HEAD_OCTETS + length)
    if octets:
        raise FilesDamaged("its files are shorter than the manifest says")


def _exactly(stream: Stream, octets: int) -> bytes:
    """So many octets of a stream. Raises FilesDamaged when it ends before."""
    parts: list[bytes] = []
    while octets:
        part = stream.read(octets)
        if not part:
            raise FilesDamaged("it ends within its files")
        parts.append(part)
        octets -= len(part)
    return b"".join(parts)
