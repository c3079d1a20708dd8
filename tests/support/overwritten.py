"""Damage done to a data file on purpose: pages that send whoever follows them out of the file.

Which pages of a store are free, and so are read by nobody, depends on how its writes fell into transactions. A copy
without free pages takes its place first.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import lmdb

from storage.tables import FORMAT_KEY, Table

PAGE = 4096
LEAF = 0x02
HEAD = 16
SPARED = (Table.PRINCIPALS.value, FORMAT_KEY)
"""What lies on pages without which there is no store at all: the names of the tables, and its format."""


def overwrite_leaves(data: Path) -> None:
    """Overwrite the leaves at the end of a file, heads excepted: the offsets of their rows point behind its end."""
    octets = _without_free_pages(data)
    count = 0
    for page in range(max(2, len(octets) // PAGE - 15) * PAGE, len(octets), PAGE):
        is_leaf = int.from_bytes(octets[page + 10 : page + 12], "little") == LEAF
        if is_leaf and not any(name in octets[page : page + PAGE] for name in SPARED):
            octets[page + HEAD : page + PAGE] = b"\xff" * (PAGE - HEAD)
            count += 1
    assert count, "no leaf is near enough to the end of the file"
    data.write_bytes(octets)


def _without_free_pages(data: Path) -> bytearray:
    with tempfile.TemporaryDirectory() as directory, lmdb.open(str(data.parent), lock=False, readonly=True) as store:
        store.copy(directory, compact=True)
        return bytearray((Path(directory) / data.name).read_bytes())


def scramble(data: Path, wanted: bytes) -> None:
    """Fill the pages with noise that hold some octets ten times: those of a table, not what is left over on others."""
    octets = bytearray(data.read_bytes())
    for page in range(2 * PAGE, len(octets), PAGE):
        if octets.count(wanted, page, page + PAGE) >= 10:
            octets[page : page + PAGE] = random.Random(page).randbytes(PAGE)
    data.write_bytes(octets)
