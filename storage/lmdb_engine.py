"""The engine a node runs on: LMDB 0.9 through py-lmdb, synchronous, without a writable map.

Why these settings: ``writemap`` dies of SIGBUS on a full disk, ``metasync=False`` loses acknowledged
commits in a power cut, the 1.0 engine gave false corruption errors to concurrent readers, and a map
that grows while others have it open is fragile. The map is therefore one huge sparse mapping of fixed
size, which costs address space only (limit memory by cgroup, not by ``ulimit -v``). Do not open a
store before ``fork``: spawn.

Errors of LMDB become errors of the store in the method that meets them; what the caller's block raises itself
passes through untouched.
"""

from __future__ import annotations

import errno
import os
import resource
from functools import partial
from typing import TYPE_CHECKING

import lmdb

from storage.directories import make_directory, sync_directory
from storage.engine import Space
from storage.errors import PageCorrupt, StoreDamaged, StoreFull, StoreUnusable
from storage.extent import REMEDY, require_whole
from storage.lmdb_errors import translate
from storage.lmdb_transactions import LmdbReader, LmdbWriter
from storage.tables import FORMAT_KEY, FORMAT_VERSION, Table, format_of, format_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from storage.errors import StorageError

STORE_DIRECTORY = "store"
"""Name of the store's directory in the data directory of a node."""

DATA_FILE = "data.mdb"
"""The file with the rows; beside it ``lock.mdb`` holds the reader slots and may be deleted when nobody runs."""

MAP_OCTETS = 1 << 40
"""Size of the sparse map: 1 TiB opens in a millisecond and holds some billions of records."""

READERS_MAX = 512
"""Reader slots: four for each of 128 workers and tools; a full table makes every new reader fail."""

RESERVE_OCTETS_MAX = 1 << 30
"""Most room kept back for deletions and the journal."""

RESERVE_SHARE = 0.1
"""Share of the file system or map kept back when it is small: a tenth of it, at most RESERVE_OCTETS_MAX."""

SPARE_READS = 2
"""Finished read transactions kept for the next one: each saves a tenth of a microsecond and holds a reader slot."""


class _Reading:
    """The block of a read transaction; a class because a generator costs three times as much."""

    __slots__ = ("_engine", "_reader")

    def __init__(self, engine: LmdbEngine) -> None:
        self._engine = engine

    def __enter__(self) -> LmdbReader:
        self._reader = self._engine.begin_read()
        return self._reader

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.txn.abort()
        if isinstance(error, lmdb.Error):
            self._reader.fail(error)


class _Writing:
    """The block of a write transaction: commits at its end, undoes everything when it raises."""

    __slots__ = ("_engine", "_writer")

    def __init__(self, engine: LmdbEngine) -> None:
        self._engine = engine

    def __enter__(self) -> LmdbWriter:
        self._writer = self._engine.begin_write()
        return self._writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._writer.txn.commit()
            except lmdb.Error as failure:
                self._writer.fail(failure)
            return
        self._writer.txn.abort()
        if isinstance(error, lmdb.Error):
            self._writer.fail(error)


class LmdbEngine:
    """A store in a directory. Open it once in a process, and never before ``fork``."""

    def __init__(self, path: Path, *, readonly: bool = False, map_octets: int = MAP_OCTETS) -> None:
        """Open the store at ``path``, made when missing unless ``readonly``. Raises StoreUnusable, StoreDamaged."""
        self.path = path
        fresh = not (path / DATA_FILE).exists()
        if fresh and readonly:
            raise StoreUnusable(f"{path} holds no store: there is no {DATA_FILE}")
        try:
            if fresh:
                make_directory(path)
            else:
                require_whole(path / DATA_FILE)
            self._env = lmdb.open(
                str(path),
                map_size=map_octets,
                max_dbs=len(Table),
                max_readers=READERS_MAX,
                max_spare_txns=SPARE_READS,
                readonly=readonly,
                create=not readonly,
                sync=True,
                metasync=True,
                writemap=False,
                readahead=False,
                meminit=True,  # else pages take to the disk what lay in memory before: tokens, passwords, keys
                mode=0o600,
            )
        except (lmdb.Error, OSError, MemoryError) as error:
            raise _unusable(path, error) from error
        try:
            self._dbs = self._open_tables(readonly=readonly)
            if not readonly:  # whoever made the file may have died before it could do so
                sync_directory(path)
                sync_directory(path.parent)
        except lmdb.Error as error:
            self._env.close()
            raise _unusable(path, error) from error
        except BaseException:
            self._env.close()
            raise

    def _open_tables(self, *, readonly: bool) -> dict[Table, lmdb._Database]:
        """Open every table and check the format; write only what is missing. Raises StoreUnusable."""
        if self._env.stat()["entries"]:
            self._check_format()
        elif readonly:
            raise StoreUnusable(f"{self.path} holds no tables: it is not a store of this node")
        try:
            return {table: self._env.open_db(table.value, create=False) for table in Table}
        except lmdb.NotFoundError as error:
            if readonly:
                raise StoreUnusable(
                    f"{self.path} lacks a table of this version: open it once for writing, then again: {error}"
                ) from error
        # One transaction for all tables and the format: no crash leaves a store without a format.
        with self._env.begin(write=True) as txn:
            dbs = {table: self._env.open_db(table.value, txn=txn) for table in Table}
            txn.put(FORMAT_KEY, format_row(), overwrite=False, db=dbs[Table.META])
        return dbs

    def _check_format(self) -> None:
        """Refuse a file that is not a store of this format before anything is written to it."""
        try:
            meta = self._env.open_db(Table.META.value, create=False)
        except lmdb.NotFoundError as error:
            raise StoreUnusable(
                f"{self.path} has no table META: it is a database of something else, or damaged, and then to be "
                "restored from a backup"
            ) from error
        with self._env.begin(db=meta) as txn:
            stored = format_of(txn.get(FORMAT_KEY))
        if stored != FORMAT_VERSION:
            raise StoreUnusable(
                f"{self.path} has format {stored or 'unknown'} and this version reads {FORMAT_VERSION}: "
                "see storage/FORMAT.md"
            )

    def read(self) -> _Reading:
        """A read transaction for the length of a block. Raises StoreFailed, PageCorrupt, StoreBroken."""
        return _Reading(self)

    def write(self) -> _Writing:
        """A write transaction: committed durably at the end of the block, undone when the block raises."""
        return _Writing(self)

    def begin_read(self) -> LmdbReader:
        """Begin a read transaction; clears the slots of dead readers once when all are taken."""
        try:
            txn = self._env.begin(db=self._dbs[Table.RECORDS])
        except lmdb.ReadersFullError:
            self.housekeep()
            try:
                txn = self._env.begin(db=self._dbs[Table.RECORDS])
            except lmdb.Error as error:
                raise self._translated(error) from error
        except lmdb.Error as error:
            raise self._translated(error) from error
        return LmdbReader(txn, self._dbs, self._translated)

    def begin_write(self) -> LmdbWriter:
        """Begin a write transaction; waits for the writer of any process."""
        try:
            return LmdbWriter(self._env.begin(write=True), self._dbs, self._translated)
        except lmdb.Error as error:
            raise self._translated(error) from error

    def space(self) -> Space:
        """Room left for writes; free pages inside the store count when room is nearly used up."""
        disk = os.statvfs(self.path)
        info = self._env.info()
        page = self._env.stat()["psize"]
        used = (info["last_pgno"] + 1) * page
        whole = min(disk.f_blocks * disk.f_frsize, info["map_size"])
        reserve = min(RESERVE_OCTETS_MAX, int(whole * RESERVE_SHARE))
        free = max(0, min(self._room_octets(), info["map_size"] - used))
        if free < reserve:
            free += max(0, used - self._live_octets(page))
        return Space(free, reserve, used)

    def _room_octets(self) -> int:
        """Octets by which the file may still grow: free space, or what a limit on file sizes leaves."""
        room = _free_octets(self.path)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            room = min(room, limit - (self.path / DATA_FILE).stat().st_size)
        return room

    def _live_octets(self, page: int) -> int:
        """Octets of the pages that hold rows now; the rest of the file is free or pinned by readers."""
        stats = [self._env.stat()]
        with self._env.begin() as txn:
            stats.extend(txn.stat(db) for db in self._dbs.values())
        pages = 2 + sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
        return pages * page

    def copy_to(self, path: Path, *, takes_all_room: bool = False) -> None:
        """A consistent, compact copy of the store in a new directory, while others read and write.

        Give it a fast local disk: the copy is one read transaction and pins old pages for as long as it takes.
        Raises StoreFull before anything is written when it would take the room that the store itself keeps back, which
        ``takes_all_room`` lets it have.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        keeps = not takes_all_room and path.stat().st_dev == self.path.stat().st_dev
        kept = self.space().reserve_octets if keeps else 0
        needed, room = self._live_octets(self._env.stat()["psize"]), max(0, _free_octets(path) - kept)
        if room < needed:
            raise StoreFull(
                f"a copy of the store has {needed} octets, and the file system of {path.parent} has room for {room} "
                "beside what the store keeps back: free some, or name a scratch directory on another one (--scratch)"
            )
        try:
            self._env.copy(str(path), compact=True)
        except lmdb.Error as error:
            # EFAULT is what writing a page from behind the end of the file gives.
            if isinstance(error, _DAMAGES) or os.strerror(errno.EFAULT) in str(error):
                raise PageCorrupt(f"the store at {self.path} has a damaged page ({error}): {REMEDY}") from error
            raise translate(error, path, partial(_free_octets, path)) from error
        (path / DATA_FILE).chmod(0o600)

    def housekeep(self) -> int:
        """Clear the reader slots of dead processes; how many there were."""
        try:
            return self._env.reader_check()
        except lmdb.Error as error:
            raise self._translated(error) from error

    def oldest_reader_txns(self) -> int:
        """How many transactions behind the newest the oldest reader is; 0 without readers."""
        newest = self._env.info()["last_txnid"]
        ages = [newest - int(txnid) for txnid in _reader_txnids(self._env.readers())]
        return max(ages, default=0)

    def close(self) -> None:
        """Give everything back."""
        self._env.close()

    def _translated(self, error: lmdb.Error) -> StorageError | ValueError:
        return translate(error, self.path, self._room_octets)


_DAMAGES = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.BadTxnError)


def _unusable(path: Path, error: Exception) -> StoreUnusable:
    """What an error met while opening means."""
    sentence = f"{path} cannot be opened as a store: {error}"
    return StoreDamaged(f"{sentence}: {REMEDY}") if isinstance(error, _DAMAGES) else StoreUnusable(sentence)


def _free_octets(path: Path) -> int:
    """Octets that this user may still write to a file system."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def _reader_txnids(listing: str) -> Iterator[str]:
    """The transaction ids in py-lmdb's reader listing: lines of pid, thread and txnid or '-'."""
    for line in listing.splitlines()[1:]:
        parts = line.split()
        if len(parts) == 3 and parts[2].isdigit():
            yield parts[2]
