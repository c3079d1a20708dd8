"""The honest twin of the LMDB engine: the same promises, held in memory, for tests and simulations.

Honest means: rows are sealed, a block that raises leaves nothing, a reader keeps its moment while a
writer commits, there is one writer at a time, keys have 1 to 511 octets, and room runs out. Only
durability and other processes are missing. A transaction copies a table before it first changes it,
so a commit costs time in proportion to the tables it touches: it is a twin, not a cache.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from storage.engine import Space
from storage.errors import StorageError, StoreFailed, StoreFull
from storage.lmdb_engine import RESERVE_OCTETS_MAX, RESERVE_SHARE, LmdbEngine
from storage.tables import FORMAT_KEY, Table, format_row, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

KEY_OCTETS_MAX = 511
"""Octets of a key, as in LMDB."""

MEMORY_OCTETS = 1 << 30
"""Octets of keys and rows a store holds unless told otherwise."""


class _Rows:
    """One table at one moment: its keys in order, and what they stand for."""

    __slots__ = ("by_key", "keys")

    def __init__(self, keys: list[bytes], by_key: dict[bytes, bytes]) -> None:
        self.keys = keys
        self.by_key = by_key

    def copy(self) -> _Rows:
        return _Rows(self.keys.copy(), self.by_key.copy())


class MemoryReader:
    """A read transaction; see ``engine.Reader``."""

    def __init__(self, tables: dict[Table, _Rows]) -> None:
        self._tables = tables
        self._failure: StorageError | None = None

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The body under a key, None when there is none. Raises RowCorrupt."""
        row = self.get_row(table, key)
        return None if row is None else unseal(table, key, row)

    def get_row(self, table: Table, key: bytes) -> bytes | None:
        """The row under a key as stored, unchecked."""
        self._check_usable()
        if not key:
            raise ValueError(f"a key has 1 to {KEY_OCTETS_MAX} octets; this one has none")
        return self._tables[table].by_key.get(key)

    def get_rows(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row under each of many keys as stored, unchecked."""
        return [self.get_row(table, key) for key in keys]

    def scan(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and body of every row with ``start <= key < stop`` in key order, or against it."""
        for key, row in self.scan_rows(table, start, stop, reverse=reverse):
            yield key, unseal(table, key, row)

    def scan_rows(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and row as stored, unchecked, of every row with ``start <= key < stop``."""
        self._check_usable()
        rows = self._tables[table]
        # The place is found anew for each row, because a writer may change the table while it scans.
        place = len(rows.keys) if stop is None else bisect_left(rows.keys, stop)
        if not reverse:
            place = bisect_left(rows.keys, start) + 1
        while 0 < place <= len(rows.keys):
            key = rows.keys[place - 1]
            if key < start or (stop is not None and key >= stop):
                return
            yield key, rows.by_key[key]
            self._check_usable()
            rows = self._tables[table]
            place = bisect_left(rows.keys, key) if reverse else bisect_right(rows.keys, key) + 1

    def last_key(self, table: Table) -> bytes | None:
        """The greatest key of the table, None when it is empty."""
        self._check_usable()
        keys = self._tables[table].keys
        return keys[-1] if keys else None

    def count(self, table: Table) -> int:
        """Rows of the table."""
        self._check_usable()
        return len(self._tables[table].keys)

    def end(self) -> None:
        """Make every later use of this transaction an error."""
        self._failure = StoreFailed("the transaction has ended: begin another one")

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure


class MemoryWriter(MemoryReader):
    """A write transaction; see ``engine.Writer``."""

    def __init__(self, tables: dict[Table, _Rows], used_octets: int, octets_max: int) -> None:
        super().__init__(dict(tables))
        self.used_octets = used_octets
        self._octets_max = octets_max
        self._own: set[Table] = set()

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """Store a body under a key, in place of what was there. Raises StoreFull, ValueError."""
        self._check_usable()
        if not 0 < len(key) <= KEY_OCTETS_MAX:
            raise ValueError(f"a key has 1 to {KEY_OCTETS_MAX} octets; this one has {len(key)}")
        row = seal(key, body, marks)
        rows = self._owned(table)
        before = rows.by_key.get(key)
        grown = len(row) - len(before) if before is not None else len(key) + len(row)
        if grown > 0 and self.used_octets + grown > self._octets_max:
            self._failure = StoreFull(
                f"the store in memory has {self._octets_max} octets: delete rows or make it larger"
            )
            raise self._failure
        self.used_octets += grown
        if before is None:
            insort(rows.keys, key)
        rows.by_key[key] = row

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """Store a body under a key greater than every other of the table. Raises StoreFull, ValueError."""
        last = self.last_key(table)
        if last is not None and 0 < len(key) <= KEY_OCTETS_MAX and key <= last:
            raise ValueError(f"key {key!r} is not greater than the last of {table.name}")
        self.put(table, key, body)

    def append_many(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store many (key, body) under ascending keys greater than every other. Raises StoreFull, ValueError."""
        for key, body in rows:
            self.append(table, key, body)

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Store many (key, body, marks). Raises StoreFull, ValueError."""
        for key, body, marks in list(rows):
            self.put(table, key, body, marks=marks)

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; False when there was none. Raises ValueError."""
        before = self.get_row(table, key)
        if before is None:
            return False
        rows = self._owned(table)
        del rows.by_key[key]
        del rows.keys[bisect_left(rows.keys, key)]
        self.used_octets -= len(key) + len(before)
        return True

    def tables(self) -> dict[Table, _Rows]:
        """What the commit makes the store. Raises StoreFull when a method did."""
        self._check_usable()
        return self._tables

    def _owned(self, table: Table) -> _Rows:
        """The table as this transaction may change it: a copy of its own."""
        if table not in self._own:
            self._tables[table] = self._tables[table].copy()
            self._own.add(table)
        return self._tables[table]


class _Reading:
    """The block of a read transaction."""

    def __init__(self, reader: MemoryReader) -> None:
        self._reader = reader

    def __enter__(self) -> MemoryReader:
        return self._reader

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.end()


class _Writing:
    """The block of a write transaction."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    def __enter__(self) -> MemoryWriter:
        self._writer = self._engine.begin_write()
        return self._writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._engine.commit(self._writer)
        finally:
            self._writer.end()
            self._engine.end_write()


class MemoryEngine:
    """A store in memory, for one process and any of its threads."""

    def __init__(self, *, octets_max: int = MEMORY_OCTETS) -> None:
        """An empty store that holds ``octets_max`` octets of keys and rows."""
        self._octets_max = octets_max
        self._writing = threading.Lock()
        self._closed = False
        self._tables = {table: _Rows([], {}) for table in Table}
        self._tables[Table.META] = _Rows([FORMAT_KEY], {FORMAT_KEY: format_row()})
        self._used_octets = len(FORMAT_KEY) + len(format_row())

    def read(self) -> _Reading:
        """A read transaction for the length of a block."""
        self._check_open()
        return _Reading(MemoryReader(self._tables))

    def write(self) -> _Writing:
        """A write transaction: committed at the end of the block, undone when the block raises."""
        return _Writing(self)

    def begin_write(self) -> MemoryWriter:
        """Begin a write transaction; waits for the writer of any thread."""
        self._check_open()
        self._writing.acquire()
        return MemoryWriter(self._tables, self._used_octets, self._octets_max)

    def commit(self, writer: MemoryWriter) -> None:
        """Make what a writer did the store; readers begun before keep what they have."""
        self._tables = writer.tables()
        self._used_octets = writer.used_octets

    def end_write(self) -> None:
        """Let the next writer in."""
        self._writing.release()

    def space(self) -> Space:
        """Room left for writes."""
        reserve = min(RESERVE_OCTETS_MAX, int(self._octets_max * RESERVE_SHARE))
        return Space(max(0, self._octets_max - self._used_octets), reserve, self._used_octets)

    def copy_to(self, path: Path, *, takes_all_room: bool = False) -> None:
        """The rows of this moment as an LMDB store in a new directory. Raises StoreUnusable, StoreFull."""
        del takes_all_room  # memory keeps nothing back on a disk
        self._check_open()
        tables = self._tables
        copy = LmdbEngine(path)
        try:
            with copy.write() as writer:
                for table, rows in tables.items():
                    writer.put_rows(table, ((key, rows.by_key[key]) for key in rows.keys))
        finally:
            copy.close()

    def housekeep(self) -> int:
        """Nothing to clear: readers here cannot outlive their process."""
        return 0

    def close(self) -> None:
        """Give everything back."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("the store is closed: open another one")
