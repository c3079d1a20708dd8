"""What only the LMDB engine promises: other processes, durability errors, files of others."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import stat

import lmdb
import pytest

from storage import lmdb_engine
from storage.errors import PageCorrupt, StorageError, StoreBroken, StoreFailed, StoreFull, StoreUnusable
from storage.lmdb_engine import DATA_FILE, READERS_MAX, LmdbEngine
from storage.lmdb_errors import ROOM_SUSPECT_OCTETS, translate
from storage.tables import FORMAT_KEY, Table, seal

RECORDS, CHANGES = Table.RECORDS, Table.CHANGES
SPAWN = multiprocessing.get_context("spawn")


def write_and_read_in_child(path, pipe):
    engine = LmdbEngine(path)
    for _ in range(3):
        key = pipe.recv()
        with engine.read() as reader:
            seen = reader.get(RECORDS, key)
        with engine.write() as writer:
            writer.put(RECORDS, b"child of " + key, b"child")
        pipe.send(seen)
    engine.close()


def hold_read_in_child(path, pipe):
    engine = LmdbEngine(path)
    block = engine.read()
    block.__enter__()
    pipe.send("holding")
    signal.pause()


def take_all_slots_in_child(path, pipe):
    engine = LmdbEngine(path)
    blocks = [engine.read() for _ in range(READERS_MAX)]
    for block in blocks:
        block.__enter__()
    pipe.send("holding")
    signal.pause()


def fill_under_file_limit(path, pipe):
    engine = LmdbEngine(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    outcomes = []
    try:
        with engine.write() as writer:
            writer.put_many(RECORDS, [(b"%04d" % number, b"x" * 3000, 0) for number in range(1000)])
    except StorageError as error:
        outcomes.append((type(error).__name__, str(error)))
    with engine.read() as reader:
        outcomes.append([key for key, _ in reader.scan(RECORDS)])
    with engine.write() as writer:
        outcomes.append(writer.delete(RECORDS, b"before"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with engine.write() as writer:
        writer.put(RECORDS, b"after", b"1")
    engine.close()
    pipe.send(outcomes)


def spawned(target, path):
    here, there = SPAWN.Pipe()
    child = SPAWN.Process(target=target, args=(path, there))
    child.start()
    there.close()
    return child, here


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def engine(path):
    engine = LmdbEngine(path)
    yield engine
    engine.close()


def test_two_processes_see_each_others_commits(engine, path):
    child, pipe = spawned(write_and_read_in_child, path)
    for key in (b"a", b"b", b"c"):
        with engine.write() as writer:
            writer.put(RECORDS, key, b"parent " + key)
        pipe.send(key)
        assert pipe.recv() == b"parent " + key
        with engine.read() as reader:
            assert reader.get(RECORDS, b"child of " + key) == b"child"
    child.join(100)
    assert child.exitcode == 0


def test_the_reader_of_a_killed_process_is_cleared_by_housekeeping(engine, path):
    child, pipe = spawned(hold_read_in_child, path)
    assert pipe.recv() == "holding"
    for number in range(5):
        with engine.write() as writer:
            writer.put(RECORDS, b"k", b"%d" % number)
    assert engine.housekeep() == 0, "a living reader is not cleared"
    assert engine.oldest_reader_txns() == 5
    os.kill(child.pid, signal.SIGKILL)
    child.join(100)
    assert engine.oldest_reader_txns() == 5, "a dead reader still pins pages"
    assert engine.housekeep() == 1
    assert engine.oldest_reader_txns() == 0


def test_when_all_reader_slots_are_taken_the_error_says_so(engine):
    blocks = [engine.read() for _ in range(READERS_MAX)]
    for block in blocks:
        block.__enter__()
    with pytest.raises(StoreFailed, match="all reader slots"), engine.read():
        pass
    for block in blocks:
        block.__exit__(None, None, None)
    del block, blocks
    with engine.read() as reader:
        assert reader.count(RECORDS) == 0


def test_slots_left_full_by_a_dead_process_are_cleared_by_the_next_reader(engine, path):
    child, pipe = spawned(take_all_slots_in_child, path)
    assert pipe.recv() == "holding"
    with pytest.raises(StoreFailed, match="all reader slots"), engine.read():
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.join(100)
    with engine.read() as reader:
        assert reader.count(RECORDS) == 0


def test_a_commit_that_cannot_grow_the_file_is_full_and_leaves_nothing(path):
    engine = LmdbEngine(path)
    with engine.write() as writer:
        writer.put(RECORDS, b"before", b"1")
    engine.close()
    child, pipe = spawned(fill_under_file_limit, path)
    (name, message), keys, deleted = pipe.recv()
    child.join(100)
    assert name == "StoreFull"
    assert "has no room, free some" in message
    assert keys == [b"before"]
    assert deleted is True
    engine = LmdbEngine(path, readonly=True)
    with engine.read() as reader:
        assert [key for key, _ in reader.scan(RECORDS)] == [b"after"]
    engine.close()


def test_readonly_reads_and_does_not_write(engine, path, tmp_path):
    with engine.write() as writer:
        writer.put(RECORDS, b"k", b"1")
    engine.close()
    reading = LmdbEngine(path, readonly=True)
    with reading.read() as reader:
        assert reader.get(RECORDS, b"k") == b"1"
    with pytest.raises(StorageError), reading.write():
        pass
    reading.close()
    with pytest.raises(StoreUnusable, match="holds no store"):
        LmdbEngine(tmp_path / "nothing", readonly=True)
    assert not (tmp_path / "nothing").exists(), "readonly makes nothing"


def test_the_directory_is_private_and_usable(engine, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / DATA_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("readonly", [True, False])
def test_another_format_is_refused_and_named(path, readonly):
    engine = LmdbEngine(path)
    crc_row = seal(FORMAT_KEY, (7).to_bytes(4, "big"))
    with engine.write() as writer:
        writer.put_rows(Table.META, [(FORMAT_KEY, bytes([7]) + crc_row[1:])])
    engine.close()
    before = (path / DATA_FILE).read_bytes()
    with pytest.raises(StoreUnusable, match="has format 7 and this version reads 1"):
        LmdbEngine(path, readonly=readonly)
    assert (path / DATA_FILE).read_bytes() == before
    with pytest.raises(StoreUnusable, match="has format 7"):
        LmdbEngine(path, readonly=readonly)


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("with_meta", [True, False])
def test_the_database_of_another_program_is_refused_untouched(path, readonly, with_meta):
    path.mkdir()
    other = lmdb.open(str(path), max_dbs=2)
    name = Table.META.value if with_meta else b"theirs"
    with other.begin(write=True, db=other.open_db(name)) as txn:
        txn.put(b"key", b"value")
    other.close()
    before = (path / DATA_FILE).read_bytes()
    with pytest.raises(StoreUnusable, match="has format unknown" if with_meta else "of something else"):
        LmdbEngine(path, readonly=readonly)
    assert (path / DATA_FILE).read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path):
    path.mkdir()
    (path / DATA_FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnusable, match="cannot be opened as a store"):
        LmdbEngine(path)


def test_opening_twice_in_one_process_is_refused(engine, path):
    with pytest.raises(StoreUnusable, match="cannot be opened as a store"):
        LmdbEngine(path)
    with engine.write() as writer:
        writer.put(RECORDS, b"k", b"still works")


def test_a_store_that_lacks_a_newer_table_is_completed_by_a_writer_only(path):
    LmdbEngine(path).close()
    raw = lmdb.open(str(path), max_dbs=2)
    with raw.begin(write=True) as txn:
        txn.drop(raw.open_db(Table.IMPORTS.value, txn=txn), delete=True)
    raw.close()
    with pytest.raises(StoreUnusable, match="open it once for writing"):
        LmdbEngine(path, readonly=True)
    LmdbEngine(path).close()
    LmdbEngine(path, readonly=True).close()


def test_what_lay_in_memory_does_not_come_to_the_disk(engine, path):
    """The unused part of a page is written too."""
    heap, secret = ctypes.CDLL(None), b"idis_a-token-of-somebody"
    heap.malloc.restype, heap.malloc.argtypes, heap.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    blocks = [heap.malloc(4_096) for _ in range(3_000)]
    for block in blocks:
        ctypes.memmove(block, (secret * 200)[:4_096], 4_096)
    for block in blocks:
        heap.free(block)
    for group in range(20):
        with engine.write() as writer:
            for number in range(50):
                writer.put(RECORDS, b"88.300.1/%d-%d" % (number * 7_919 % 997, group), b"x" * 200)
    assert secret not in (path / DATA_FILE).read_bytes()


def test_errors_of_many_gets_are_those_of_one(engine):
    with engine.read() as reader, pytest.raises(ValueError, match="a key has 1 to 511 octets"):
        reader.get_rows(RECORDS, [b"88.1/A", b""])


def test_a_copy_of_a_damaged_store_names_the_store(engine, path, tmp_path):
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"%06d" % number, b"x" * 200, 0) for number in range(1_000)])
    engine.close()
    octets = bytearray((path / DATA_FILE).read_bytes())
    page = octets.index(b"000500") // 4096 * 4096
    octets[page : page + 4096] = b"\x55" * 4096
    (path / DATA_FILE).write_bytes(octets)
    damaged = LmdbEngine(path, readonly=True)
    with pytest.raises(PageCorrupt, match=f"the store at {path} has a damaged page .*: restore a backup"):
        damaged.copy_to(tmp_path / "copy")
    damaged.close()


@pytest.mark.parametrize(("free", "fits"), [(10 << 30, True), ((1 << 30) + 1_000, False)])
def test_a_copy_never_takes_the_room_that_the_store_keeps_back(engine, path, tmp_path, monkeypatch, free, fits):
    """A backup that filled the disk had the node refuse registrations until it failed."""
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"%06d" % number, b"x" * 200, 0) for number in range(1_000)])
    monkeypatch.setattr(lmdb_engine, "_free_octets", lambda _: free)
    monkeypatch.setattr(lmdb_engine, "RESERVE_SHARE", 1.0)
    copy = tmp_path / "scratch" / "copy"
    if fits:
        engine.copy_to(copy)
        assert (copy / DATA_FILE).stat().st_size <= engine.space().used_octets
        return
    with pytest.raises(StoreFull, match=r"has room for 1000 beside what the store keeps back.*--scratch"):
        engine.copy_to(copy)
    assert not list(copy.iterdir())


MEANINGS = [
    (lmdb.PanicError("mdb_txn_begin"), 0, StoreBroken),
    (lmdb.MapFullError("mdb_put"), 1 << 40, StoreFull),
    (lmdb.CorruptedError("mdb_get"), 1 << 40, PageCorrupt),
    (lmdb.PageNotFoundError("mdb_get"), 1 << 40, PageCorrupt),
    (lmdb.BadTxnError("mdb_cursor_get"), 1 << 40, PageCorrupt),
    (lmdb.DiskError("mdb_txn_commit: No space left on device"), 1 << 40, StoreFull),
    (lmdb.Error("mdb_txn_commit: Input/output error"), ROOM_SUSPECT_OCTETS - 1, StoreFull),
    (lmdb.Error("mdb_txn_commit: Input/output error"), ROOM_SUSPECT_OCTETS, StoreFailed),
    (lmdb.Error("mdb_txn_commit: File too large"), 1 << 40, StoreFull),
    (lmdb.ReadersFullError("mdb_txn_begin"), 1 << 40, StoreFailed),
    (lmdb.TxnFullError("mdb_put"), 1 << 40, StoreFailed),
]


@pytest.mark.parametrize(("error", "room", "meaning"), MEANINGS)
def test_every_error_of_the_engine_has_one_meaning(error, room, meaning, tmp_path):
    translated = translate(error, tmp_path, lambda: room)
    assert type(translated) is meaning
    assert str(tmp_path) in str(translated)
