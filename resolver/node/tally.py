"""The tally of one prefix in a write transaction: what the row said, and what has been done since.

The set hash is the sum modulo 2^256 of the digests of all records, so a record can be taken out as cheaply as put in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.v1 import stored_pb2 as stored

if TYPE_CHECKING:
    from collections.abc import Sequence

_HASH_MODULUS = 1 << 256
_HASH_OCTETS = 32


class Tally:
    """What a transaction has done under one prefix, on top of the row it found."""

    __slots__ = ("creates", "deletes", "handles", "modifies", "octets", "serial", "set_hash")

    def __init__(self, row: stored.StoredTally) -> None:
        self.handles: int = row.handle_count
        self.octets: int = row.record_octets
        self.set_hash = int.from_bytes(row.set_hash, "big")
        self.serial: int = row.serial
        self.creates = self.modifies = self.deletes = 0

    def add_new(self, records: Sequence[bytes], digests: Sequence[bytes], serial: int) -> None:
        """Count new records without restricted values, and the serial of the last of them."""
        self.handles += len(records)
        self.creates += len(records)
        self.octets += sum(map(len, records))
        self.set_hash += sum([int.from_bytes(digest, "big") for digest in digests])
        self.serial = serial

    def row(self) -> bytes:
        """The row to store."""
        return stored.StoredTally(
            handle_count=self.handles,
            record_octets=self.octets,
            set_hash=self._hash_octets(),
            serial=self.serial,
        ).SerializeToString()

    def agrees(self, row: stored.StoredTally) -> bool:
        """Whether a row tallies the same records."""
        theirs = (row.handle_count, row.record_octets, row.set_hash or bytes(_HASH_OCTETS))
        return (self.handles, self.octets, self._hash_octets()) == theirs

    def _hash_octets(self) -> bytes:
        return (self.set_hash % _HASH_MODULUS).to_bytes(_HASH_OCTETS, "big")
