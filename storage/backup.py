"""Backups: one file with a store and the files beside it, made while the node runs, checked before it is ever opened.

The file, by convention ``NAME.idisbak``:

    8 octets   magic, ``IDISBAK2``
    4 octets   length of the manifest, big-endian
    manifest   JSON in UTF-8: what is inside, when it was taken, SHA-256 of the data file
    32 octets  SHA-256 of the manifest
    32 octets  SHA-256 of the rest as it lies there
    the rest   the data file and then the files beside the store (``backup_files``), compressed by zstd

The store is first copied at full speed to a private directory, because a copy that waits for a slow
destination pins old pages and lets the store grow; compression works on that copy. Reading goes the
other way round: hold the packed octets against their digest, unpack into a private directory, hold the
data file against the manifest, walk the pages without the engine, and only then open it. The first
digest is there because a bit can be lost in packed data without a change of what it unpacks to, which
nobody would notice before the next one. Digests find damage, not forgery: keep backups where only
trusted people write.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from storage import backup_files
from storage.backup_manifest import Manifest, read_head, write_digest, write_head
from storage.check import CheckReport, check
from storage.directories import make_directory, sync_directory
from storage.errors import BackupUnusable, StoreFailed, StoreFull, StoreUnusable
from storage.files import FILES_DIRECTORY, FileStore
from storage.lmdb_engine import DATA_FILE, STORE_DIRECTORY, LmdbEngine
from storage.tables import FORMAT_VERSION, Table
from storage.unfinished import becoming, private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storage.engine import Engine

    Progress = Callable[[int, int], None]
    """Called with octets done and octets in all."""

SUFFIX = ".idisbak"
"""How the name of a backup ends."""

CHUNK_OCTETS = 1 << 20
"""Octets read and written at a time: memory stays at a few of these."""

ZSTD_LEVEL = 3
"""Level of compression: about 200 MB/s on one core, which keeps up with most disks."""

ZSTD_WINDOW_OCTETS_MAX = 8 << 20
"""Largest window a backup may ask the reader to keep in memory; level 3 asks for 2 MiB."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What looking into a backup found."""

    manifest: Manifest
    report: CheckReport
    """The scrub of the store inside; see ``report.ok``."""
    pages_walked: bool
    """Whether the structure of the pages was verified without the engine."""


def back_up(
    engine: Engine,
    path: Path,
    progress: Progress | None = None,
    *,
    files: FileStore | None = None,
    scratch: Path | None = None,
    now_s: Callable[[], float] = time.time,
) -> Manifest:
    """Write a backup of the store as it is now to a new file, while others read and write.

    Args:
        engine: the store.
        path: the file to make, readable by its owner only; it appears whole or not at all.
        progress: octets done and in all; each octet of the copy counts twice, for its digest and its compression.
        files: the files beside the store, which the backup then holds too.
        scratch: an existing directory on a fast local disk with room for a copy of the store; by default the one
            of ``path``.
        now_s: the clock, seconds since 1970-01-01T00:00:00Z.

    Raises BackupUnusable when the file exists, StoreFull, StoreFailed.
    """
    if path.exists():
        raise BackupUnusable(f"{path} exists already: choose another name or remove it")
    with _disk_errors(path), private_directory(scratch or path.parent) as private:
        taken = datetime.fromtimestamp(now_s(), UTC).isoformat(timespec="seconds")
        copy = private / STORE_DIRECTORY
        engine.copy_to(copy)
        rows = _rows_of(copy)
        data = copy / DATA_FILE
        octets = data.stat().st_size
        beside = backup_files.Listed() if files is None else backup_files.listed(files)
        told = _Told(progress, 2 * octets + beside.octets)
        digest = hashlib.sha256()
        for chunk in _chunks(data):
            digest.update(chunk)
            told.add(len(chunk))
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            time=taken,
            rows=rows,
            data_octets=octets,
            data_sha256=digest.hexdigest(),
            byte_order=sys.byteorder,
            files=len(beside.digests),
            files_octets=beside.octets,
            files_damaged=beside.damaged,
        )
        with becoming(path) as out:
            _write(out, manifest, data, told, lambda sink: _append(sink, files, beside, told))
        sync_directory(path.parent)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """What a backup says of itself, without looking at its data. Raises BackupUnusable, StoreFailed."""
    with _disk_errors(path), path.open("rb") as file:
        return read_head(file, path)[0]


def verify(
    path: Path, progress: Progress | None = None, *, scratch: Path | None = None, walk_pages: bool = True
) -> Verified:
    """Unpack a backup to a private directory and check all of it: digest, pages, seals, journal, row counts.

    Args:
        path: the backup.
        progress: octets done and in all: those of the file, and each octet inside twice, for unpacking and the scrub.
        scratch: an existing directory with room for the store; by default the one of the backup.
        walk_pages: verify the structure of the pages, at some 20 to 70 MB/s.

    Raises BackupUnusable when the file is damaged, StoreFull when the directory has no room, StoreFailed. Damage
    of single rows, which the store had already, is in the report.
    """
    with _disk_errors(path), private_directory(scratch or path.parent) as private:
        return _unpack_and_check(path, private / STORE_DIRECTORY, None, progress, walk_pages=walk_pages)


def restore(
    path: Path,
    data_dir: Path,
    progress: Progress | None = None,
    *,
    walk_pages: bool = True,
    accept_findings: bool = False,
) -> Verified:
    """Make a backup the store of a data directory that has none. The node must not run.

    Args:
        path: the backup; it is verified first.
        data_dir: the data directory, made when missing.
        progress: as for ``verify``.
        walk_pages: as for ``verify``.
        accept_findings: restore although the scrub found damaged rows, which then stay unreadable.

    Raises StoreUnusable when there is a store already, BackupUnusable, StoreFull, StoreFailed.
    """
    store = data_dir / STORE_DIRECTORY
    with _disk_errors(data_dir):
        make_directory(data_dir)
        _refuse_existing(store)
        with private_directory(data_dir) as private:
            unpacked = private / STORE_DIRECTORY
            files = FileStore(private / FILES_DIRECTORY)
            verified = _unpack_and_check(path, unpacked, files, progress, walk_pages=walk_pages)
            if not verified.report.ok and not accept_findings:
                first = verified.report.findings[0]
                raise BackupUnusable(
                    f"the store in {path} has {verified.report.finding_count} findings, first {first.table} "
                    f"{first.key!r} {first.problem}: use another backup, or accept that these rows are lost"
                )
            sync_directory(unpacked)
            FileStore(data_dir / FILES_DIRECTORY).take_over(files)  # before the rows that name them
            try:
                unpacked.rename(store)
            except OSError:
                _refuse_existing(store)
                raise
        sync_directory(data_dir)
    return verified


def _refuse_existing(store: Path) -> None:
    if store.exists() and any(store.iterdir()):
        raise StoreUnusable(f"{store} holds a store already: move it away first, nothing was changed")


def _rows_of(copy: Path) -> dict[str, int]:
    """Rows of each table of a copy made a moment ago."""
    engine = LmdbEngine(copy, readonly=True)
    try:
        with engine.read() as reader:
            return {table.name: reader.count(table) for table in Table}
    finally:
        engine.close()


def _append(sink: backup_files.Sink, files: FileStore | None, beside: backup_files.Listed, told: _Told) -> None:
    if files is not None:
        backup_files.write(sink, files, beside, told.add)


def _write(
    out: BinaryIO, manifest: Manifest, data: Path, told: _Told, append: Callable[[backup_files.Sink], None]
) -> None:
    """Write the container and make it durable."""
    write_head(out, manifest)
    digested = _Digested(out)
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    size = manifest.data_octets + manifest.files_octets
    with compressor.stream_writer(cast("BinaryIO", digested), size=size, closefd=False) as packed:
        for chunk in _chunks(data):
            packed.write(chunk)
            told.add(len(chunk))
        append(packed)
    write_digest(out, digested.digest.digest())
    out.flush()
    os.fsync(out.fileno())


def _unpack_and_check(
    path: Path, store: Path, files: FileStore | None, progress: Progress | None, *, walk_pages: bool
) -> Verified:
    """Unpack a backup into new directories and check it; the data file is opened only once its digest fits."""
    store.mkdir(mode=0o700)
    with path.open("rb") as file:
        manifest, digest = read_head(file, path)
        packed_octets = os.fstat(file.fileno()).st_size - file.tell()
        octets_before_scrub = packed_octets + manifest.data_octets + manifest.files_octets
        told = _Told(progress, octets_before_scrub + manifest.data_octets)
        _check_packed(file, path, digest, told)
        _unpack(file, path, manifest, store / DATA_FILE, files, told)
    walked = walk_pages and _walk_pages(store / DATA_FILE, path)

    def tell(done_rows: int, all_rows: int) -> None:
        told.reach(octets_before_scrub + manifest.data_octets * min(done_rows, all_rows) // max(all_rows, 1))

    try:
        # For writing, because the copy is ours and may come from a version with fewer tables.
        engine = LmdbEngine(store)
    except StoreUnusable as error:
        raise BackupUnusable(f"what {path} holds is no store: {error}") from error
    try:
        report = check(engine, tell, still=True)
    finally:
        engine.close()
    for table in Table:
        said, seen = manifest.rows.get(table.name, 0), report.rows[table.name]
        if said != seen:
            report.find(table, b"", f"has {seen} rows where the manifest says {said}")
    if manifest.files_damaged:
        report.find(Table.FILES, b"", f"{manifest.files_damaged} files beside the store were damaged: they are lost")
    (store / "lock.mdb").unlink(missing_ok=True)
    told.reach(octets_before_scrub + manifest.data_octets)
    return Verified(manifest, report, walked)


def _check_packed(file: BinaryIO, path: Path, said: bytes, told: _Told) -> None:
    """Hold the rest of the file against its digest, and go back to where it begins."""
    begin = file.tell()
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_OCTETS):
        digest.update(chunk)
        told.add(len(chunk))
    if digest.digest() != said:
        raise BackupUnusable(
            f"{path} is damaged: its octets do not fit the digest in its head, nothing of it was unpacked: "
            "take another backup"
        )
    file.seek(begin)


def _unpack(file: BinaryIO, path: Path, manifest: Manifest, data: Path, files: FileStore | None, told: _Told) -> None:
    """Decompress to private files, never more than the manifest says, and hold their digests against them."""
    digest = hashlib.sha256()
    octets = 0
    handle = os.open(data, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_OCTETS_MAX)
    with os.fdopen(handle, "wb") as out:
        try:
            with unpacker.stream_reader(file, read_across_frames=True, closefd=False) as unpacked:
                while left := manifest.data_octets - octets:
                    if not (chunk := unpacked.read(min(CHUNK_OCTETS, left))):
                        break
                    octets += len(chunk)
                    digest.update(chunk)
                    out.write(chunk)
                    told.add(len(chunk))
                if octets == manifest.data_octets and digest.hexdigest() == manifest.data_sha256:
                    keep = _forget if files is None else files.put
                    backup_files.read(unpacked, manifest.files, manifest.files_octets, keep, told.add)
                is_whole = not unpacked.read(1)
        except (zstandard.ZstdError, backup_files.FilesDamaged) as error:
            raise BackupUnusable(f"{path} is damaged: {error}: take another backup") from error
        out.flush()
        os.fsync(out.fileno())
    if not is_whole or digest.hexdigest() != manifest.data_sha256:
        raise BackupUnusable(
            f"{path} is damaged: its data does not fit the digest in its manifest, nothing of it was opened: "
            "take another backup"
        )


def _forget(content: bytes) -> None:
    """Keep nothing."""


def _walk_pages(data: Path, path: Path) -> bool:
    """Verify the structure of a data file without the engine; False when this py-lmdb cannot."""
    try:
        walker = importlib.import_module("lmdb.verify")
    except ImportError:
        return False
    try:
        problems = walker.verify(str(data))
    except walker.VerifyError as error:
        problems = [error]
    if problems:
        raise BackupUnusable(
            f"the data file in {path} has {len(problems)} damaged structures, first: {problems[0]}: use another backup"
        )
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_OCTETS):
            yield chunk


class _Digested:
    """Writes on, and digests what it writes."""

    def __init__(self, out: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._out = out

    def write(self, data: bytes, /) -> int:
        """Take octets."""
        self.digest.update(data)
        return self._out.write(data)


class _Told:
    """Keeps count for a progress callback."""

    def __init__(self, progress: Progress | None, total_octets: int) -> None:
        self._progress = progress
        self._total = total_octets
        self._done = 0

    def add(self, octets: int) -> None:
        """So many octets more are done."""
        self.reach(self._done + octets)

    def reach(self, octets: int) -> None:
        """So many octets are done; never more than there are."""
        self._done = min(octets, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into those of the store."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StoreFull(f"there is no room beside {path}: free some or name another scratch directory") from error
        raise StoreFailed(f"{path}: {error.strerror or error}") from error
