"""The engine a node runs on: LMDB 0.9 through py-lmdb, synchronous, without a writable map.

Why these settings: ``writemap`` dies of SIGBUS on a full disk, ``metasync=False`` loses acknowledged
commits in a power cut, the 1.0 engine gave false corruption errors to concurrent readers, and a map
that grows while others have it open is fragile. The map is therefore one huge sparse mapping of fixed size, which
costs address space only. Do not open a store before ``fork``: spawn.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import lmdb

from storage.engine import Space
from storage.errors import StoreBroken, StoreFailed, StoreFull, StoreUnusable
from storage.tables import FORMAT_VERSION, Table, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MAP_OCTETS = 1 << 40
"""Size of the sparse map: 1 TiB opens in a millisecond and holds some billions of records."""

READERS_MAX = 512
"""Reader slots: four for each of 128 workers and tools; a full table makes every new reader fail."""

RESERVE_OCTETS_MAX = 1 << 30
"""Most room kept back for deletions and the journal."""

RESERVE_SHARE = 0.1
"""Share of the file system kept back when it is small: a tenth of it, at most RESERVE_OCTETS_MAX."""

_ROOM_ERRORS = (lmdb.MapFullError, lmdb.DiskError)
_FORMAT_KEY = b"format"


class LmdbReader:
    """A read transaction; see ``engine.Reader``."""

    __slots__ = ("_dbs", "txn")

    def __init__(self, txn: lmdb.Transaction, dbs: dict[Table, lmdb._Database]) -> None:
        self.txn = txn
        self._dbs = dbs

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The body under a key, None when there is none. Raises RowCorrupt."""
        row: bytes | None = self.txn.get(key, None, self._dbs[table])
        return None if row is None else unseal(table, key, row)

    def get_row(self, table: Table, key: bytes) -> bytes | None:
        """The row under a key as stored, unchecked."""
        row: bytes | None = self.txn.get(key, None, self._dbs[table])
        return row

    def scan(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and body of every row with ``start <= key < stop`` in key order, or against it."""
        with self.txn.cursor(self._dbs[table]) as cursor:
            if reverse:
                found = _seek_below(cursor, stop)
                rows = cursor.iterprev(keys=True, values=True) if found else iter(())
                for key, row in rows:
                    if key < start:
                        return
                    yield key, unseal(table, key, row)
                return
            found = cursor.set_range(start) if start else cursor.first()
            rows = cursor.iternext(keys=True, values=True) if found else iter(())
            for key, row in rows:
                if stop is not None and key >= stop:
                    return
                yield key, unseal(table, key, row)

    def last_key(self, table: Table) -> bytes | None:
        """The greatest key of the table, None when it is empty."""
        with self.txn.cursor(self._dbs[table]) as cursor:
            return cursor.key() if cursor.last() else None

    def count(self, table: Table) -> int:
        """Rows of the table."""
        entries: int = self.txn.stat(self._dbs[table])["entries"]
        return entries


def _seek_below(cursor: lmdb.Cursor, stop: bytes | None) -> bool:
    """Put the cursor on the greatest key below ``stop``."""
    if stop is None or not cursor.set_range(stop):
        return bool(cursor.last())
    return bool(cursor.prev())


class LmdbWriter(LmdbReader):
    """A write transaction; see ``engine.Writer``."""

    __slots__ = ()

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """Store a body under a key, in place of what was there."""
        self.txn.put(key, seal(key, body, marks), db=self._dbs[table])

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """Store a body under a key greater than every other of the table. Raises ValueError."""
        try:
            stored = self.txn.put(key, seal(key, body), append=True, db=self._dbs[table])
        except lmdb.KeyExistsError:
            stored = False
        if not stored:
            raise ValueError(f"key {key!r} is not greater than the last of {table.name}")

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Store many (key, body, marks); sorted by key it is faster."""
        sealed = [(key, seal(key, body, marks)) for key, body, marks in rows]
        with self.txn.cursor(self._dbs[table]) as cursor:
            cursor.putmulti(sealed)

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; False when there was none."""
        removed: bool = self.txn.delete(key, db=self._dbs[table])
        return removed


class LmdbEngine:
    """A store in a directory. Open it once in a process, and never before ``fork``."""

    def __init__(self, path: Path, *, readonly: bool = False, map_octets: int = MAP_OCTETS) -> None:
        """Open the store at ``path``, made when missing unless ``readonly``. Raises StoreUnusable."""
        self.path = path
        try:
            self._env = lmdb.open(
                str(path),
                map_size=map_octets,
                max_dbs=len(Table),
                max_readers=READERS_MAX,
                readonly=readonly,
                create=not readonly,
                sync=True,
                metasync=True,
                writemap=False,
                readahead=False,
                meminit=False,
                mode=0o600,
            )
            with self._translated():
                self._dbs = self._open_tables(readonly=readonly)
        except lmdb.Error as error:
            raise StoreUnusable(f"{path} cannot be opened as a store: {error}") from error

    def _open_tables(self, *, readonly: bool) -> dict[Table, lmdb._Database]:
        """Open every table and check the format. Raises StoreUnusable."""
        if readonly:
            dbs = {}
            for table in Table:
                try:
                    dbs[table] = self._env.open_db(table.value, create=False)
                except lmdb.NotFoundError as error:
                    raise StoreUnusable(
                        f"{self.path} has no table {table.name}: it is not a store of this node"
                    ) from error
        else:
            dbs = {table: self._env.open_db(table.value) for table in Table}
        with self._env.begin(write=not readonly) as txn:
            meta = dbs[Table.META]
            stored = txn.get(_FORMAT_KEY, db=meta)
            if stored is None and not readonly:
                txn.put(_FORMAT_KEY, seal(_FORMAT_KEY, FORMAT_VERSION.to_bytes(4, "big")), db=meta)
            elif stored is None or unseal(Table.META, _FORMAT_KEY, stored) != FORMAT_VERSION.to_bytes(4, "big"):
                raise StoreUnusable(f"{self.path} has another format than {FORMAT_VERSION}: see storage/FORMAT.md")
        return dbs

    @contextmanager
    def read(self) -> Iterator[LmdbReader]:
        """A read transaction."""
        with self._translated(), self._env.begin() as txn:
            yield LmdbReader(txn, self._dbs)

    @contextmanager
    def write(self) -> Iterator[LmdbWriter]:
        """A write transaction: committed durably at the end of the block, undone when the block raises."""
        with self._translated(), self._env.begin(write=True) as txn:
            yield LmdbWriter(txn, self._dbs)

    def getter(self, reader: LmdbReader, table: Table) -> Callable[[bytes], bytes | None]:
        """The fastest way to get many stored rows of one table, unchecked."""
        return partial(reader.txn.get, default=None, db=self._dbs[table])

    def space(self) -> Space:
        """Room left for writes; free pages inside the store count when the file system is nearly full."""
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        reserve = min(RESERVE_OCTETS_MAX, int(disk.f_blocks * disk.f_frsize * RESERVE_SHARE))
        info = self._env.info()
        page = self._env.stat()["psize"]
        used = (info["last_pgno"] + 1) * page
        room_in_map = info["map_size"] - used
        if free < reserve:
            free += max(0, used - self._live_octets(page))
        return Space(min(free, room_in_map), reserve, used)

    def _live_octets(self, page: int) -> int:
        """Octets of the pages that hold rows now; the rest of the file is free or pinned by readers."""
        pages = 2
        with self._env.begin() as txn:
            for db in (None, *self._dbs.values()):
                stat = txn.stat(db) if db is not None else self._env.stat()
                pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * page

    def copy_to(self, path: Path) -> None:
        """A consistent, compact copy of the store in a new directory, while others read and write."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._translated():
            self._env.copy(str(path), compact=True)

    def housekeep(self) -> int:
        """Clear the reader slots of dead processes; how many there were."""
        cleared: int = self._env.reader_check()
        return cleared

    def oldest_reader_txns(self) -> int:
        """How many transactions behind the newest the oldest reader is; 0 without readers."""
        newest: int = self._env.info()["last_txnid"]
        ages = [newest - int(txnid) for txnid in _reader_txnids(self._env.readers())]
        return max(ages, default=0)

    def close(self) -> None:
        """Give everything back."""
        self._env.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the engine's errors into the store's."""
        try:
            yield
        except lmdb.PanicError as error:
            raise StoreBroken(f"the store cannot go on in this process: {error}") from error
        except lmdb.MapFullError as error:
            raise StoreFull(f"the map of the store is full: {error}") from error
        except lmdb.Error as error:
            if self._is_room_error(error):
                raise StoreFull(f"the file system of {self.path} has no room: {error}") from error
            raise StoreFailed(f"the store failed: {error}") from error

    def _is_room_error(self, error: lmdb.Error) -> bool:
        """Whether an error means a full disk: LMDB says "input/output error" for a short write."""
        text = str(error)
        if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
            return True
        if os.strerror(errno.EIO) not in text and "SHORT_WRITE" not in text:
            return False
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize < RESERVE_OCTETS_MAX * RESERVE_SHARE


def _reader_txnids(listing: str) -> Iterator[str]:
    """The transaction ids in py-lmdb's reader listing: lines of pid, thread and txnid or '-'."""
    for line in listing.splitlines()[1:]:
        parts = line.split()
        if len(parts) == 3 and parts[2].isdigit():
            yield parts[2]
