"""Making a tally anew from the records it counts.

A tally is carried on by every change and never compared with its records on the way; ``idis check`` does that. When its
row is damaged, or at a mirror says something else than the primary's, the records are what is right. It takes one pass
over the prefix, some seconds for a million of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node import record_octets
from storage.tables import SEAL_OCTETS, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from resolver.node.tally import Tally
    from storage.engine import Reader

    Pending = Mapping[bytes, tuple[bytes, bytes] | None]
    """Records that are not written yet, by key: public and restricted body, None for one that goes."""


def recount(tally: Tally, reader: Reader, prefix_key: bytes, pending: Pending) -> None:
    """Count the records of a prefix as they will be once ``pending`` is written. Damaged rows count as they are."""
    tally.handles = tally.octets = tally.set_hash = 0
    for key, public, restricted in _records(reader, prefix_key, pending):
        tally.handles += 1
        tally.octets += len(public) + len(restricted)
        tally.set_hash += int.from_bytes(record_octets.digest(key, public, restricted), "big")


def _records(reader: Reader, prefix_key: bytes, pending: Pending) -> Iterator[tuple[bytes, bytes, bytes]]:
    start, stop = prefix_key + b"/", prefix_key + b"0"
    for key, row in reader.scan_rows(Table.RECORDS, start, stop):
        if key not in pending:
            hidden = reader.get_row(Table.RESTRICTED, key)
            yield key, row[SEAL_OCTETS:], b"" if hidden is None else hidden[SEAL_OCTETS:]
    for key, record in pending.items():
        if record is not None and start <= key < stop:
            yield key, *record
