"""Whether a table has none of many keys: one look for each stretch without rows, instead of one for each key.

Names that ascend fall between few rows of those that are there, or behind all of them. Random ones fall each into a
stretch of its own; after a few of these the rows themselves are asked for, which then costs less.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.engine import Reader
    from storage.tables import Table

_STRETCHES_SHARE = 8
"""A look for a stretch costs twice what a get does; of so many keys one may be spent on it."""


def is_vacant(reader: Reader, table: Table, keys: Sequence[bytes]) -> bool:
    """Whether no row has one of these keys, which ascend."""
    at, stop = 0, keys[-1] + b"\0"
    for _ in range(1 + len(keys) // _STRETCHES_SHARE):
        for key, _ in reader.scan_rows(table, keys[at], stop):
            at = bisect_left(keys, key, at)
            if keys[at] == key:
                return False
            break
        else:
            return True
    return not any(reader.get_rows(table, keys[at:]))
