"""The head of a backup: what it says of itself, before anything in it is unpacked."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from os import SEEK_CUR
from typing import TYPE_CHECKING, Any, BinaryIO

from storage.errors import BackupUnusable
from storage.tables import FORMAT_VERSION

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"IDISBAK2"
"""First octets of a backup; the digit is the version of the container."""

DIGEST_OCTETS = 32
"""Octets of a SHA-256."""

MANIFEST_OCTETS_MAX = 1 << 20
"""Octets of a manifest; real ones have about 700."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format_version: int
    """Version of the layout of keys and rows, ``tables.FORMAT_VERSION``."""
    time: str
    """When it was taken, ISO 8601 in UTC."""
    rows: dict[str, int]
    """Rows of each table, by name."""
    data_octets: int
    """Octets of the data file."""
    data_sha256: str
    """SHA-256 of the data file, lower-case hexadecimal."""
    byte_order: str
    """Order of octets of the machine; LMDB files cannot be read on the other kind."""
    files: int = 0
    """Files beside the store."""
    files_octets: int = 0
    """Octets of that part of the stream."""
    files_damaged: int = 0
    """Files beside the store that did not fit their digests when it was taken; they are not in it."""

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> Manifest:
        """The manifest a JSON object holds; members it does not know are ignored. Raises BackupUnusable."""
        try:
            manifest = cls(
                format_version=int(found["format_version"]),
                time=str(found["time"]),
                rows={str(name): int(count) for name, count in found["rows"].items()},
                data_octets=int(found["data_octets"]),
                data_sha256=str(found["data_sha256"]),
                byte_order=str(found["byte_order"]),
                files=int(found.get("files", 0)),
                files_octets=int(found.get("files_octets", 0)),
                files_damaged=int(found.get("files_damaged", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BackupUnusable(f"the manifest of the backup is damaged: {error!r}: take another backup") from error
        if min(manifest.data_octets, manifest.files, manifest.files_octets) < 0:
            raise BackupUnusable("the manifest of the backup is damaged: it counts below zero: take another backup")
        if manifest.format_version != FORMAT_VERSION:
            raise BackupUnusable(
                f"the backup has format {manifest.format_version} and this version reads {FORMAT_VERSION}: "
                "see storage/FORMAT.md"
            )
        if manifest.byte_order != sys.byteorder:
            raise BackupUnusable(
                f"the backup is of a {manifest.byte_order}-endian machine and this one is {sys.byteorder}-endian: "
                "move the records by dump and import"
            )
        return manifest


def write_head(out: BinaryIO, manifest: Manifest) -> None:
    """Write the container up to where the data begins; ``write_digest`` fills in what is not known yet."""
    head = json.dumps(manifest.to_json(), indent=1).encode()
    out.write(MAGIC + len(head).to_bytes(4, "big") + head + hashlib.sha256(head).digest() + bytes(DIGEST_OCTETS))


def write_digest(out: BinaryIO, digest: bytes) -> None:
    """Write the SHA-256 of everything behind the head into the head, once all of it is written."""
    out.seek(len(MAGIC))
    out.seek(int.from_bytes(out.read(4), "big") + DIGEST_OCTETS, SEEK_CUR)
    out.write(digest)


def read_head(file: BinaryIO, path: Path) -> tuple[Manifest, bytes]:
    """Read the container up to where the data begins: what it says of itself, and the SHA-256 of the rest."""
    if file.read(len(MAGIC)) != MAGIC:
        raise BackupUnusable(f"{path} is not a backup of this node: it does not begin with {MAGIC.decode()}")
    octets = int.from_bytes(file.read(4), "big")
    head = file.read(min(octets, MANIFEST_OCTETS_MAX))
    digest_of_head, digest = file.read(DIGEST_OCTETS), file.read(DIGEST_OCTETS)
    try:
        if len(head) != octets or digest_of_head != hashlib.sha256(head).digest() or len(digest) != DIGEST_OCTETS:
            raise BackupUnusable(f"{path} ends or is damaged within its manifest: take another backup")
        found = json.loads(head)
    except ValueError as error:
        raise BackupUnusable(f"the manifest of {path} is damaged: {error}: take another backup") from error
    return Manifest.from_json(found), digest
