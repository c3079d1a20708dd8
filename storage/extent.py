"""How long a data file has to be, and which pages are free, read from its own pages without the engine.

LMDB maps the file and trusts it: a file that was cut short ends the process by SIGBUS at the first page that is gone.
So its length is held against the newer of its two root pages before it is opened, and every second while a node runs
on it. A file may lack pages that are free: the engine writes none that a transaction took and gave back. Only then is
the list of free pages read, here, where a damaged page is an error and no signal. Otherwise writers alone read that
list: damaged, it lets a store be opened and read, and ends whoever changes it. So it is read before a node starts, too,
and by the check.

Pages are those of LMDB 0.9 on a machine of 64 bits, in its byte order (``MDB_page``, ``MDB_meta``, ``MDB_db`` and
``MDB_node`` of its mdb.c). A writer may be at work: what looks wrong is looked at again when the root has moved.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from storage.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMEDY = "restore a backup (idis restore) into another directory, or copy a mirror anew (idis mirror init)"
"""What to do about a store that is damaged."""

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_ORDER = sys.byteorder
_HEAD = Struct("=Q2xHHH")
"""Page: number, flags, and the offsets of its free space or the count of its pages."""
_META = Struct("=II8xQ I2xH8x8x8xQQ 48x QQ")
"""Root page behind its head: magic, version, map size; of the table of free pages the size of a page, depth, entries
and root; the last page used and the transaction."""
_NODE = Struct("=HHHH")
_NUMBER = Struct("=Q")
_BRANCH, _LEAF, _META_PAGE = 0x01, 0x02, 0x08
_BIG_DATA = 0x01
_DEPTH_MAX = 32
_ROOT_PAGES = 2
"""Pages before all others."""
_LOOKS_MAX = 5


class Root(NamedTuple):
    """What a root page says."""

    page_octets: int
    last_page: int
    transaction: int
    free_root: int
    free_depth: int


class _Wrong(Exception):
    """A page is not what it should be."""


def require_whole(data: Path) -> None:
    """Raise StoreDamaged when a data file is shorter than its pages in use; OSError when it cannot be read.

    A file that is no data file at all passes: the engine says so when it opens it. Costs some ten microseconds.
    """
    with data.open("rb", buffering=0) as file:
        for root, is_still in _roots(file.fileno()):
            octets = os.fstat(file.fileno()).st_size
            needed = (root.last_page + 1) * root.page_octets
            if octets >= needed:
                return
            with suppress(_Wrong):
                needed = _octets_in_use(file.fileno(), root, octets)
            if octets >= needed:
                return
            if is_still:
                raise StoreDamaged(
                    f"{data} is damaged: the last {needed - octets} of its {needed} octets are missing: {REMEDY}"
                )


def require_free_pages(data: Path) -> None:
    """Raise StoreDamaged when the list of free pages cannot be followed; OSError when the file cannot be read."""
    with data.open("rb", buffering=0) as file:
        for root, is_still in _roots(file.fileno()):
            with suppress(_Wrong):
                numbers = _free_pages(file.fileno(), root, root.free_root, root.free_depth, set())
                if all(_ROOT_PAGES <= number <= root.last_page for number in numbers):
                    return
            if is_still:
                raise StoreDamaged(
                    f"{data} is damaged: its list of free pages cannot be followed, and whoever changes anything "
                    f"needs it: {REMEDY}"
                )


def _roots(descriptor: int) -> Iterator[tuple[Root, bool]]:
    """The newer root page, time and again while somebody writes, and whether nobody has since the time before."""
    seen = -1
    for _ in range(_LOOKS_MAX):
        root = _newer_root(descriptor)
        if root is None:
            return
        yield root, root.transaction == seen
        seen = root.transaction


def _newer_root(descriptor: int) -> Root | None:
    """What the newer root page says; None when there is none."""
    first = _root(descriptor, 0)
    if first is None:
        return None
    second = _root(descriptor, first.page_octets)
    return first if second is None or second.transaction < first.transaction else second


def _root(descriptor: int, at: int) -> Root | None:
    octets = os.pread(descriptor, _HEAD.size + _META.size, at)
    if len(octets) < _HEAD.size + _META.size:
        return None
    flags = _HEAD.unpack_from(octets)[1]
    magic, version, _, page_octets, depth, _, free_root, last_page, transaction = _META.unpack_from(octets, _HEAD.size)
    if not flags & _META_PAGE or (magic, version) != (_MAGIC, _VERSION) or page_octets < len(octets):
        return None
    return Root(page_octets, last_page, transaction, free_root, depth)


def _octets_in_use(descriptor: int, root: Root, octets: int) -> int:
    """Where the last page ends that is not free. Raises _Wrong."""
    free = set()
    for number in _free_pages(descriptor, root, root.free_root, root.free_depth, set()):
        if number * root.page_octets >= octets:
            free.add(number)
    last = root.last_page
    while last in free:
        last -= 1
    return (last + 1) * root.page_octets


def _free_pages(descriptor: int, root: Root, number: int, depth: int, seen: set[int]) -> Iterator[int]:
    """The numbers of free pages below a page of their table. Raises _Wrong, also for a page that comes twice."""
    if depth == 0:
        return
    if number in seen:
        raise _Wrong
    seen.add(number)
    page = _octets(descriptor, number * root.page_octets, root.page_octets)
    stored, flags, lower, _ = _HEAD.unpack_from(page)
    kind = _LEAF if depth == 1 else _BRANCH
    if stored != number or flags & (_LEAF | _BRANCH) != kind or depth > _DEPTH_MAX:
        raise _Wrong
    for at in range(_HEAD.size, min(lower, root.page_octets), 2):
        node = int.from_bytes(page[at : at + 2], _ORDER)
        if node + _NODE.size > root.page_octets:
            raise _Wrong
        low, high, flags, key_octets = _NODE.unpack_from(page, node)
        if kind == _BRANCH:
            yield from _free_pages(descriptor, root, low | high << 16 | flags << 32, depth - 1, seen)
            continue
        begin, length = node + _NODE.size + key_octets, low | high << 16
        if flags & _BIG_DATA:
            big = int.from_bytes(page[begin : begin + _NUMBER.size], _ORDER)
            body = _octets(descriptor, big * root.page_octets + _HEAD.size, length)
        else:
            body = page[begin : begin + length]
        yield from (each[0] for each in _NUMBER.iter_unpack(body[_NUMBER.size : len(body) // 8 * 8]))


def _octets(descriptor: int, at: int, length: int) -> bytes:
    """So many octets of the file. Raises _Wrong when it has not so many."""
    if at + length > os.fstat(descriptor).st_size:  # looked at first: a damaged length may be gigabytes
        raise _Wrong
    octets = os.pread(descriptor, length, at)
    if len(octets) < length:
        raise _Wrong
    return octets
