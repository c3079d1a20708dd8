"""Seeded names and records: the same seed gives the same keys in the same order, here and in every peer.

A record is a product with four values and about 300 octets as stored; the content depends on its number only, so an
answer can be checked without remembering what was registered.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from resolver.v1 import handle_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "88.300.1"
"""The enterprise prefix that every new node has."""

NAME_OCTETS = len(PREFIX) + 1 + 3 + 16
"""Octets of every name of ``name_of``."""


def name_of(number: int) -> str:
    """Name of a record: fixed length, so that requests can be made by copying."""
    return f"{PREFIX}/SN-{number:016d}"


def values_of(number: int) -> list[pb.HandleValue]:
    """The four values of a record."""
    return [
        pb.HandleValue(index=1, type="URL", data=b"https://products.example.com/item/%016d" % number, timestamp_s=1),
        pb.HandleValue(index=2, type="EMAIL", data=b"service@products.example.com", timestamp_s=1),
        pb.HandleValue(index=3, type="PRODUCT", data=b"Valve DN50 PN16 stainless, lot %010d" % (number // 100)),
        pb.HandleValue(
            index=4,
            type="DESC",
            data=b'{"made":"2026-11-01","line":"L%04d","grade":"A","standard":"GB/T 12237"}' % (number % 997),
        ),
    ]


def six_values_of(number: int) -> list[pb.HandleValue]:
    """The six values of a row of an import."""
    return [
        *values_of(number),
        pb.HandleValue(index=5, type="WEIGHT", data=b"%d g" % (number % 9_000)),
        pb.HandleValue(index=6, type="MAKER", data=b"Example Valves Limited"),
    ]


def numbers(records: int, seed: int) -> Iterator[int]:
    """Random numbers of records, uniform, without end: a new key for every request."""
    source = random.Random(seed)
    while True:
        yield from source.choices(range(records), k=4_096)


def shuffled(records: int, seed: int) -> list[int]:
    """Every number once, in random order."""
    order = list(range(records))
    random.Random(seed).shuffle(order)
    return order
