"""Damage done to a data file on purpose: pages that send whoever follows them out of the file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from storage.tables import FORMAT_KEY, Table

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096
LEAF = 0x02
HEAD = 16
SPARED = (Table.PRINCIPALS.value, FORMAT_KEY)
"""What lies on pages without which there is no store at all: the names of the tables, and its format."""


def overwrite_leaves(data: Path) -> None:
    """Overwrite the leaves at the end of a file, heads excepted: the offsets of their rows point behind its end."""
    octets = bytearray(data.read_bytes())
    for page in range(len(octets) - 15 * PAGE, len(octets), PAGE):
        is_leaf = int.from_bytes(octets[page + 10 : page + 12], "little") == LEAF
        if is_leaf and not any(name in octets[page : page + PAGE] for name in SPARED):
            octets[page + HEAD : page + PAGE] = b"\xff" * (PAGE - HEAD)
    data.write_bytes(octets)


def scramble(data: Path, wanted: bytes) -> None:
    """Fill the pages with noise that hold some octets ten times: those of a table, not what is left over on others."""
    octets = bytearray(data.read_bytes())
    for page in range(2 * PAGE, len(octets), PAGE):
        if octets.count(wanted, page, page + PAGE) >= 10:
            octets[page : page + PAGE] = random.Random(page).randbytes(PAGE)
    data.write_bytes(octets)
