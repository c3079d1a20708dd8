"""What a file looked like when reading began, to notice that it changed.

An import that resumes must meet the same rows in the same order. Size, time of the last change and
a digest of the first and last MiB tell that cheaply for a file of any size; a change in the middle
that keeps size and time is not noticed, nobody makes one by accident.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, Self

from resolver.intake.rows import IntakeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from resolver.intake.rows import Row

SAMPLE_OCTETS = 1 << 20
"""Octets from the start and from the end that the digest covers."""


class Fingerprint(NamedTuple):
    """Size in octets, time of the last change in nanoseconds, SHA-256 of the first and last MiB as hex."""

    size: int
    mtime_ns: int
    sha256: str

    def to_text(self) -> str:
        """One line for a file that keeps the state of an import."""
        return f"{self.size}-{self.mtime_ns}-{self.sha256}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The fingerprint of ``to_text``. Raises IntakeError."""
        size, _, rest = text.partition("-")
        mtime_ns, _, sha256 = rest.partition("-")
        if not (size.isdigit() and mtime_ns.lstrip("-").isdigit() and len(sha256) == 64):
            raise IntakeError(f"{text[:100]!r} is no fingerprint of a file: start the import again without --resume")
        return cls(int(size), int(mtime_ns), sha256)


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file. Raises IntakeError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            digest = hashlib.sha256(stream.read(SAMPLE_OCTETS))
            stream.seek(max(0, status.st_size - SAMPLE_OCTETS))
            digest.update(stream.read(SAMPLE_OCTETS))
    except OSError as error:
        raise IntakeError(f"{path} cannot be read: {error.strerror or error}") from error
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def check_unchanged(path: Path, before: Fingerprint) -> None:
    """Raise IntakeError when the size or the time of the file is no longer that of ``before``."""
    try:
        status = path.stat()
    except OSError as error:
        raise IntakeError(
            f"{path} was there when the import began and is gone ({error.strerror or error}): put it back and resume"
        ) from error
    if (status.st_size, status.st_mtime_ns) != (before.size, before.mtime_ns):
        raise IntakeError(
            f"{path} changed while it was read (from {before.size} to {status.st_size} octets): rows registered so "
            "far are kept; import the finished file again, rows that are there already are recognised"
        )


def guarded(rows: Iterator[Row], path: Path, before: Fingerprint) -> Iterator[Row]:
    """The same rows, and at their end IntakeError when the file changed under them."""
    yield from rows
    check_unchanged(path, before)
