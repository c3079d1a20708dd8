"""Rows become import chunks, always the same chunks for the same file.

A chunk that is sent again must be the same one, so its borders depend on nothing but the rows: no
clock, no answer of the node. Rows in error travel in the chunk where they stand and count as rows,
so results come out in the order of the file and a file of nothing but errors needs no memory. Only
chunks with something to register get a sequence number: the protocol numbers those without gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import RecordTooLarge
from resolver.intake.rows import Row, refused_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resolver.v1 import registration_pb2

CHUNK_OCTETS_MAX = limits.MESSAGE_OCTETS_MAX - (64 << 10)
"""Octets of the registrations of one chunk: a message less room for its other fields."""


class Chunk(NamedTuple):
    """Rows in the order of the file. ``sequence`` counts from 1; 0 when there is nothing to send.

    ``octets`` is what the registrations need inside a message.
    """

    sequence: int
    rows: tuple[Row, ...]
    octets: int

    @property
    def handles(self) -> list[registration_pb2.NewHandle]:
        """The registrations, in order: row k of the answer belongs to number k of these."""
        return [row.handle for row in self.rows if row.handle is not None]


def chunks(
    rows: Iterable[Row],
    rows_max: int = limits.BATCH_CREATE_MAX,
    octets_max: int = CHUNK_OCTETS_MAX,
    record_octets_max: int = limits.RECORD_OCTETS_MAX,
) -> Iterator[Chunk]:
    """The rows in chunks of at most ``rows_max`` rows and ``octets_max`` octets of registrations.

    A registration above ``record_octets_max``, or above what a chunk holds, becomes a row error
    RECORD_TOO_LARGE. When the rows raise, what was read before is yielded as a last chunk first.
    """
    if rows_max < 1 or octets_max < 1:
        raise ValueError("a chunk must hold at least one row")
    record_octets_max = min(record_octets_max, octets_max - _framing(octets_max))
    sequence = 0
    held: list[Row] = []
    octets = good = 0
    failure: Exception | None = None
    source = iter(rows)
    while True:
        try:
            row = next(source, None)
        except Exception as error:  # noqa: BLE001 - kept until the rows before it are out, then raised again
            row, failure = None, error
        size = 0
        if row is not None and row.handle is not None:
            size = row.handle.ByteSize()
            if size > record_octets_max:
                row, size = _too_large(row, size, record_octets_max), 0
            else:
                size += _framing(size)
        if held and (row is None or len(held) >= rows_max or octets + size > octets_max):
            sequence += 1 if good else 0
            yield Chunk(sequence if good else 0, tuple(held), octets)
            held, octets, good = [], 0, 0
        if row is None:
            break
        held.append(row)
        octets += size
        good += row.handle is not None
    if failure is not None:
        raise failure


def _framing(size: int) -> int:
    """Octets that a field of this size adds inside a message: its tag and its length."""
    return 1 + max(1, -(-size.bit_length() // 7))


def _too_large(row: Row, size: int, record_octets_max: int) -> Row:
    name = row.handle.name if row.handle is not None else row.name
    error = RecordTooLarge(
        f"the registration has {size} octets; at most {record_octets_max} are allowed: keep large data elsewhere and "
        "register its URL"
    )
    return refused_row(row.number, error, name)
