"""Reading and writing rows inside a transaction of LMDB; ``lmdb_engine.py`` begins and ends them.

Every method turns an error of LMDB into one of the store where it meets it; ``try`` costs nothing until
it catches. Buffers are never asked for, so keys and rows are ``bytes``, and the annotations say so once.
"""

from __future__ import annotations

from itertools import pairwise, repeat
from typing import TYPE_CHECKING, NoReturn

import lmdb

from storage.errors import StorageError
from storage.tables import Table, seal, seal_many, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class LmdbReader:
    """A read transaction; see ``engine.Reader``."""

    __slots__ = ("_dbs", "_failure", "_translate", "txn")

    def __init__(
        self,
        txn: lmdb.Transaction[bytes],
        dbs: dict[Table, lmdb._Database],
        translate_error: Callable[[lmdb.Error], Exception],
    ) -> None:
        self.txn = txn
        self._dbs = dbs
        self._translate = translate_error
        self._failure: StorageError | None = None

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The body under a key, None when there is none. Raises RowCorrupt."""
        try:
            row = self.txn.get(key, None, self._dbs[table])
        except lmdb.Error as error:
            self.fail(error)
        return None if row is None else unseal(table, key, row)

    def get_row(self, table: Table, key: bytes) -> bytes | None:
        """The row under a key as stored, unchecked."""
        try:
            return self.txn.get(key, None, self._dbs[table])
        except lmdb.Error as error:
            self.fail(error)

    def get_rows(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row under each of many keys as stored, unchecked."""
        try:
            return list(map(self.txn.get, keys, repeat(None), repeat(self._dbs[table])))
        except lmdb.Error as error:
            self.fail(error)

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
        try:
            with self.txn.cursor(self._dbs[table]) as cursor:
                if reverse:
                    rows = cursor.iterprev() if _seek_below(cursor, stop) else iter(())
                    for key, row in rows:
                        if key < start:
                            return
                        yield key, row
                    return
                found = cursor.set_range(start) if start else cursor.first()
                rows = cursor.iternext() if found else iter(())
                for key, row in rows:
                    if stop is not None and key >= stop:
                        return
                    yield key, row
        except lmdb.Error as error:
            self.fail(error)

    def last_key(self, table: Table) -> bytes | None:
        """The greatest key of the table, None when it is empty."""
        try:
            with self.txn.cursor(self._dbs[table]) as cursor:
                return cursor.key() if cursor.last() else None
        except lmdb.Error as error:
            self.fail(error)

    def count(self, table: Table) -> int:
        """Rows of the table."""
        try:
            return self.txn.stat(self._dbs[table])["entries"]
        except lmdb.Error as error:
            self.fail(error)

    def fail(self, error: lmdb.Error) -> NoReturn:
        """Raise what an error of LMDB means.

        After a failed write LMDB answers everything with "bad transaction"; the first failure is the one to tell.
        """
        if self._failure is not None and isinstance(error, lmdb.BadTxnError):
            raise self._failure from error
        meaning = self._translate(error)
        if isinstance(meaning, StorageError):
            self._failure = meaning
        raise meaning from error


def _seek_below(cursor: lmdb.Cursor[bytes], stop: bytes | None) -> bool:
    """Put the cursor on the greatest key below ``stop``."""
    if stop == b"":
        return False
    if stop is None or not cursor.set_range(stop):
        return cursor.last()
    return cursor.prev()


class LmdbWriter(LmdbReader):
    """A write transaction; see ``engine.Writer``."""

    __slots__ = ()

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """Store a body under a key, in place of what was there. Raises StoreFull, ValueError."""
        try:
            self.txn.put(key, seal(key, body, marks), db=self._dbs[table])
        except lmdb.Error as error:
            self.fail(error)

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """Store a body under a key greater than every other of the table. Raises StoreFull, ValueError."""
        try:
            stored = self.txn.put(key, seal(key, body), append=True, db=self._dbs[table])
        except lmdb.Error as error:
            self.fail(error)
        if not stored:
            raise ValueError(f"key {key!r} is not greater than the last of {table.name}")

    def append_many(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store many (key, body) under ascending keys greater than every other. Raises StoreFull, ValueError."""
        rows = list(rows)
        sealed = seal_many([row[0] for row in rows], [row[1] for row in rows])
        try:
            with self.txn.cursor(self._dbs[table]) as cursor:
                _, stored = cursor.putmulti(sealed, append=True)
        except lmdb.Error as error:
            self.fail(error)
        if stored != len(sealed):
            raise ValueError(f"keys for {table.name} do not ascend from its last one")

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Store many (key, body, marks); sorted by key it is faster. Raises StoreFull, ValueError."""
        rows = list(rows)
        keys, bodies, marks = zip(*rows, strict=True) if rows else ((), (), ())
        if any(marks):
            self.put_rows(table, [(key, seal(key, body, bits)) for key, body, bits in rows])
        else:
            self.put_rows(table, seal_many(keys, bodies))

    def put_rows(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store many rows as they are, seals included. Raises StoreFull, ValueError.

        Ascending rows above the last of the table are appended: pages are filled whole instead of split in half,
        which makes a table loaded in key order a third smaller.
        """
        rows = list(rows)
        if not rows:
            return
        try:
            with self.txn.cursor(self._dbs[table]) as cursor:
                above = not cursor.last() or cursor.key() < rows[0][0]
                ascending = above and all(row[0] < following[0] for row, following in pairwise(rows))
                cursor.putmulti(rows, append=ascending)
        except lmdb.Error as error:
            self.fail(error)

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; False when there was none. Raises StoreFull, ValueError."""
        try:
            return self.txn.delete(key, db=self._dbs[table])
        except lmdb.Error as error:
            self.fail(error)
