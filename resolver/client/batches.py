"""Cutting any number of items into requests the node takes: at most so many items and so many octets.

Both limits are those of ``resolver.limits``. An item larger than the octet limit gets a batch of its own, and
the node says what is wrong with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from resolver import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from resolver.v1.registration_pb2 import NewHandle

ITEM_OCTETS = 6
"""Octets of tag and length that a batch adds to an item: at most 1 + 5."""

BATCH_OCTETS_MAX = limits.MESSAGE_OCTETS_MAX - (64 << 10)
"""Octets of items in one request; the rest is room for its other fields."""

T = TypeVar("T")


def cut(items: Iterable[T], count_max: int, weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """Lists of consecutive items, none empty, within count and octets."""
    batch: list[T] = []
    octets = 0
    for item in items:
        weight = weigh(item)
        if batch and (len(batch) == count_max or octets + weight > BATCH_OCTETS_MAX):
            yield batch
            batch, octets = [], 0
        batch.append(item)
        octets += weight
    if batch:
        yield batch


def of_names(names: Iterable[str], names_max: int = limits.BATCH_RESOLVE_MAX) -> Iterator[list[str]]:
    """Names in batches for BatchResolve, of ``names_max`` at most."""
    return cut(names, min(names_max, limits.BATCH_RESOLVE_MAX), _name_octets)


def of_handles(handles: Iterable[NewHandle], rows_max: int = limits.BATCH_CREATE_MAX) -> Iterator[list[NewHandle]]:
    """Handles in batches for BatchCreateHandles, or for the chunks of an import."""
    return cut(handles, rows_max, _handle_octets)


def _name_octets(name: str) -> int:
    # UTF-8 has at most four octets a character: an upper bound that needs no encoding.
    return 4 * len(name) + ITEM_OCTETS


def _handle_octets(handle: NewHandle) -> int:
    return handle.ByteSize() + ITEM_OCTETS
