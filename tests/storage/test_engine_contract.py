"""One contract for every engine: what ``storage.engine`` promises, asked of each through the same door."""

from __future__ import annotations

import threading

import pytest

from storage.errors import RowCorrupt, StorageError, StoreFull
from storage.lmdb_engine import LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import FORMAT_KEY, FORMAT_VERSION, MARK, Table, marks_of, seal

RECORDS, CHANGES = Table.RECORDS, Table.CHANGES
SMALL_OCTETS = 2 << 20


class Refusal(Exception):
    """What a caller's block raises."""


def open_engine(kind, path, octets=None):
    if kind == "lmdb":
        return LmdbEngine(path, **({} if octets is None else {"map_octets": octets}))
    return MemoryEngine(**({} if octets is None else {"octets_max": octets}))


def damage(engine, table, key, row):
    """Store a row behind the engine's back."""
    if isinstance(engine, LmdbEngine):
        with engine.write() as writer:
            writer.put_rows(table, [(key, row)])
    else:
        engine._tables[table].by_key[key] = row


@pytest.fixture(params=["lmdb", "memory"])
def kind(request):
    return request.param


@pytest.fixture
def engine(kind, tmp_path):
    engine = open_engine(kind, tmp_path / "store")
    yield engine
    engine.close()


@pytest.fixture
def small(kind, tmp_path):
    engine = open_engine(kind, tmp_path / "small", SMALL_OCTETS)
    yield engine
    engine.close()


def keys_of(engine, table=RECORDS, *bounds, **options):
    with engine.read() as reader:
        return [key for key, _ in reader.scan(table, *bounds, **options)]


def fill(engine, keys, table=RECORDS):
    with engine.write() as writer:
        for key in keys:
            writer.put(table, key, b"body of " + key)


def fill_up(writer):
    for number in range(100_000):
        writer.put(RECORDS, number.to_bytes(4, "big"), b"x" * 3000)


def test_what_was_put_is_got_with_its_marks(engine):
    with engine.write() as writer:
        writer.put(RECORDS, b"88.1/A", b"one", marks=MARK)
        assert writer.get(RECORDS, b"88.1/A") == b"one", "a writer reads what it has written"
    with engine.read() as reader:
        assert reader.get(RECORDS, b"88.1/A") == b"one"
        assert reader.get(RECORDS, b"88.1/B") is None
        assert reader.get(Table.RESTRICTED, b"88.1/A") is None, "tables are apart"
        row = reader.get_row(RECORDS, b"88.1/A")
        assert row == seal(b"88.1/A", b"one", MARK)
        assert marks_of(row) == MARK
        assert reader.get_row(RECORDS, b"88.1/B") is None


@pytest.mark.parametrize("body", [b"", b"\0", bytes(range(256)) * 64, b"x" * (1 << 20)])
def test_bodies_of_any_length_come_back(engine, body):
    with engine.write() as writer:
        writer.put(RECORDS, b"k", b"before")
        writer.put(RECORDS, b"k", body)
    with engine.read() as reader:
        assert reader.get(RECORDS, b"k") == body
        assert reader.count(RECORDS) == 1


@pytest.mark.parametrize("table", [RECORDS, Table.PREFIXES])
def test_many_rows_are_got_in_the_order_asked(engine, table):
    keys = [b"88.1/%d" % number for number in range(20)]
    with engine.write() as writer:
        for key in keys[::2]:
            writer.put(table, key, b"body of " + key)
        assert writer.get_rows(table, keys[:2]) == [seal(keys[0], b"body of " + keys[0]), None]
    with engine.read() as reader:
        asked = [*reversed(keys), keys[0]]
        assert reader.get_rows(table, asked) == [reader.get_row(table, key) for key in asked]
        assert reader.get_rows(table, []) == []


def test_a_fresh_store_holds_its_format_and_nothing_else(engine):
    with engine.read() as reader:
        assert reader.get(Table.META, FORMAT_KEY) == FORMAT_VERSION.to_bytes(4, "big")
        assert {table: reader.count(table) for table in Table} == {table: int(table is Table.META) for table in Table}


def test_append_takes_greater_keys_only(engine):
    with engine.write() as writer:
        writer.append(CHANGES, b"\0\1", b"one")
        writer.append(CHANGES, b"\0\2", b"two")
        for key in (b"\0\2", b"\0\1", b"\0"):
            with pytest.raises(ValueError, match="is not greater than the last of CHANGES"):
                writer.append(CHANGES, key, b"other")
        writer.append(CHANGES, b"\0\3", b"three")
    with engine.read() as reader:
        assert [body for _, body in reader.scan(CHANGES)] == [b"one", b"two", b"three"]


def test_put_many_stores_rows_in_any_order_and_replaces(engine):
    fill(engine, [b"b"])
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"c", b"3", 0), (b"a", b"1", MARK), (b"b", b"2", 0)])
        writer.put_many(RECORDS, [])
    with engine.read() as reader:
        assert list(reader.scan(RECORDS)) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
        assert marks_of(reader.get_row(RECORDS, b"a")) == MARK


def test_delete_tells_whether_there_was_a_row(engine):
    fill(engine, [b"a", b"b"])
    with engine.write() as writer:
        assert writer.delete(RECORDS, b"a") is True
        assert writer.delete(RECORDS, b"a") is False
        assert writer.delete(RECORDS, b"k" * 600) is False
    assert keys_of(engine) == [b"b"]


SCANS = [
    ((), [b"a", b"b", b"ba", b"c", b"\xff"]),
    ((b"b",), [b"b", b"ba", b"c", b"\xff"]),
    ((b"b", b"c"), [b"b", b"ba"]),
    ((b"b\0", b"c\0"), [b"ba", b"c"]),
    ((b"", b"b"), [b"a"]),
    ((b"c", b"b"), []),
    ((b"b", b"b"), []),
    ((b"\xff\xff",), []),
    ((b"", b""), []),
    ((b"", b"\xff\xff"), [b"a", b"b", b"ba", b"c", b"\xff"]),
    ((b"b" * 512, b"d"), [b"c"]),
]


@pytest.mark.parametrize(("bounds", "expected"), SCANS)
def test_scans_keep_their_bounds_both_ways(engine, bounds, expected):
    fill(engine, [b"c", b"\xff", b"ba", b"a", b"b"])
    assert keys_of(engine, RECORDS, *bounds) == expected
    assert keys_of(engine, RECORDS, *bounds, reverse=True) == expected[::-1]


def test_scans_of_an_empty_table_find_nothing(engine):
    for bounds in ((), (b"a",), (b"a", b"b")):
        assert keys_of(engine, RECORDS, *bounds) == []
        assert keys_of(engine, RECORDS, *bounds, reverse=True) == []


def test_scan_rows_gives_rows_as_stored(engine):
    fill(engine, [b"a"])
    with engine.read() as reader:
        assert list(reader.scan_rows(RECORDS)) == [(b"a", seal(b"a", b"body of a"))]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_writer_may_delete_and_add_rows_while_it_scans(engine, reverse):
    keys = [b"%03d" % number for number in range(0, 300, 2)]
    fill(engine, keys)
    seen = []
    with engine.write() as writer:
        for key, _ in writer.scan(RECORDS, b"", b"200", reverse=reverse):
            seen.append(key)
            assert writer.delete(RECORDS, key)
            writer.put(RECORDS, b"9" + key, b"moved")
            writer.put(CHANGES, key, b"elsewhere")
    expected = [key for key in keys if key < b"200"]
    assert seen == (expected[::-1] if reverse else expected)
    assert keys_of(engine) == [key for key in keys if key >= b"200"] + [b"9" + key for key in expected]


def test_last_key_and_count(engine):
    with engine.read() as reader:
        assert reader.last_key(RECORDS) is None
        assert reader.count(RECORDS) == 0
    fill(engine, [b"b", b"a", b"\xf0"])
    with engine.write() as writer:
        writer.delete(RECORDS, b"\xf0")
        assert writer.last_key(RECORDS) == b"b"
        assert writer.count(RECORDS) == 2


@pytest.mark.parametrize("leave", [Refusal, KeyboardInterrupt, StorageError])
def test_a_block_that_raises_leaves_nothing_and_its_exception_passes(engine, leave):
    fill(engine, [b"a"])
    raised = leave("mine")
    with pytest.raises(leave) as caught, engine.write() as writer:  # noqa: PT012 - the block is what is tested
        writer.put(RECORDS, b"b", b"2")
        writer.put(RECORDS, b"a", b"other")
        writer.delete(RECORDS, b"a")
        writer.append(CHANGES, b"\1", b"1")
        raise raised
    assert caught.value is raised
    with engine.read() as reader:
        assert list(reader.scan(RECORDS)) == [(b"a", b"body of a")]
        assert reader.count(CHANGES) == 0
    fill(engine, [b"b"])
    assert keys_of(engine) == [b"a", b"b"], "the next writer is not held up"


def test_an_exception_in_a_read_block_passes(engine):
    raised = Refusal("mine")
    with pytest.raises(Refusal) as caught, engine.read():
        raise raised
    assert caught.value is raised


def test_a_reader_keeps_its_moment_while_a_writer_commits(engine):
    fill(engine, [b"a", b"b"])
    with engine.read() as old:
        assert old.count(RECORDS) == 2
        with engine.write() as writer:
            writer.put(RECORDS, b"a", b"new")
            writer.delete(RECORDS, b"b")
            writer.put(RECORDS, b"c", b"new")
            assert old.get(RECORDS, b"a") == b"body of a", "not committed"
        assert list(old.scan(RECORDS)) == [(b"a", b"body of a"), (b"b", b"body of b")]
        assert old.count(RECORDS) == 2
        assert old.last_key(RECORDS) == b"b"
        with engine.read() as new:
            assert list(new.scan(RECORDS)) == [(b"a", b"new"), (b"c", b"new")]


def test_a_transaction_cannot_be_used_after_its_block(engine):
    fill(engine, [b"a", b"b"])
    with engine.read() as reader:
        scan = reader.scan(RECORDS)
        assert next(scan)[0] == b"a"
    with pytest.raises(StorageError):
        reader.get(RECORDS, b"a")
    with pytest.raises(StorageError):
        next(scan)
    with engine.write() as writer:
        pass
    with pytest.raises(StorageError):
        writer.put(RECORDS, b"z", b"late")
    assert keys_of(engine) == [b"a", b"b"]


def test_one_writer_at_a_time_so_no_increment_is_lost(engine):
    fill(engine, [b"\0"], CHANGES)

    def add():
        for _ in range(20):
            with engine.write() as writer:
                last = writer.last_key(CHANGES)
                writer.append(CHANGES, bytes([last[0] + 1]), b"")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert keys_of(engine, CHANGES) == [bytes([number]) for number in range(81)]


@pytest.mark.parametrize("octets", [0, 512, 2048])
def test_impossible_keys_are_refused_and_change_nothing(engine, octets):
    key = b"k" * octets
    with engine.write() as writer:
        writer.put(RECORDS, b"a", b"1")
        for store in (
            lambda: writer.put(RECORDS, key, b"x"),
            lambda: writer.append(RECORDS, key, b"x"),
            lambda: writer.put_many(RECORDS, [(key, b"x", 0)]),
        ):
            with pytest.raises(ValueError, match="a key has 1 to 511 octets"):
                store()
        writer.put(RECORDS, b"b", b"2")
    assert keys_of(engine) == [b"a", b"b"]


def test_keys_of_one_and_of_511_octets_are_possible(engine):
    fill(engine, [b"k", b"k" * 511])
    with engine.read() as reader:
        assert reader.get(RECORDS, b"k" * 511) == b"body of " + b"k" * 511
        assert reader.get(RECORDS, b"k" * 512) is None
        with pytest.raises(ValueError, match="a key has 1 to 511 octets"):
            reader.get(RECORDS, b"")


def test_a_damaged_row_is_never_given(engine):
    fill(engine, [b"a", b"b", b"c"])
    good = seal(b"b", b"body of b")
    damages = [
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:1] + bytes([good[1] ^ 0x80]) + good[2:],
        bytes([good[0] ^ 2]) + good[1:],
        bytes([good[0] ^ MARK]) + good[1:],
        good[:4],
        b"",
        good + b"\0",
        seal(b"a", b"body of b"),
    ]
    for row in damages:
        damage(engine, RECORDS, b"b", row)
        with engine.read() as reader:
            with pytest.raises(RowCorrupt) as caught:
                reader.get(RECORDS, b"b")
            assert (caught.value.table, caught.value.key) == ("RECORDS", b"b")
            scan = reader.scan(RECORDS)
            assert next(scan) == (b"a", b"body of a")
            with pytest.raises(RowCorrupt):
                next(scan)
            assert reader.get_row(RECORDS, b"b") == row, "unchecked on purpose"
            assert reader.get(RECORDS, b"c") == b"body of c"
    damage(engine, RECORDS, b"b", good)
    assert keys_of(engine) == [b"a", b"b", b"c"]


def test_a_full_store_leaves_nothing_and_reads_go_on(small):
    fill(small, [b"before"])
    with pytest.raises(StoreFull), small.write() as writer:  # noqa: PT012 - the block is what is tested
        writer.append(CHANGES, b"\1", b"1")
        fill_up(writer)
    with small.read() as reader:
        assert list(reader.scan(RECORDS)) == [(b"before", b"body of before")]
        assert reader.count(CHANGES) == 0
    with small.write() as writer:
        assert writer.delete(RECORDS, b"before")
        writer.put(RECORDS, b"after", b"1")
    assert keys_of(small) == [b"after"]


def test_a_failure_that_the_block_swallows_still_spoils_the_transaction(small):
    def swallow():
        with small.write() as writer:
            with pytest.raises(StoreFull):
                fill_up(writer)
            with pytest.raises(StoreFull):
                writer.put(RECORDS, b"one more", b"")

    with pytest.raises(StoreFull):
        swallow()
    assert keys_of(small) == []


def test_space_shrinks_with_writes_and_keeps_a_reserve(small):
    before = small.space()
    assert 0 < before.reserve_octets <= SMALL_OCTETS // 10
    with small.write() as writer:
        for number in range(100):
            writer.put(RECORDS, b"%d" % number, b"x" * 3000)
    after = small.space()
    assert after.used_octets - before.used_octets >= 300_000
    assert before.free_octets - after.free_octets >= 300_000
    assert after.free_octets + after.used_octets <= SMALL_OCTETS


def test_a_copy_holds_the_rows_of_its_moment_byte_by_byte(engine, tmp_path):
    with engine.write() as writer:
        for number in range(500):
            writer.put(RECORDS, b"%04d" % number, b"x" * number, marks=MARK)
            writer.append(CHANGES, number.to_bytes(8, "big"), b"change")
    with engine.read() as reader:
        before = {table: list(reader.scan_rows(table)) for table in Table}
    engine.copy_to(tmp_path / "copy")
    fill(engine, [b"later"])
    copy = LmdbEngine(tmp_path / "copy", readonly=True)
    try:
        with copy.read() as reader:
            assert {table: list(reader.scan_rows(table)) for table in Table} == before
    finally:
        copy.close()
    assert (tmp_path / "copy" / "data.mdb").stat().st_mode & 0o777 == 0o600


def test_a_closed_store_says_so(kind, tmp_path):
    engine = open_engine(kind, tmp_path / "store")
    engine.close()
    with pytest.raises(StorageError), engine.read():
        pass
    with pytest.raises(StorageError), engine.write():
        pass


def test_housekeeping_without_dead_readers_clears_nothing(engine):
    assert engine.housekeep() == 0


def test_append_many_takes_ascending_keys_only(engine):
    with engine.write() as writer:
        writer.append_many(CHANGES, [])
        writer.append_many(CHANGES, [(b"\0\1", b"one"), (b"\0\2", b"two")])
    for wrong in ([(b"\0\2", b"x")], [(b"\0\4", b"x"), (b"\0\3", b"x")], [(b"\0\5", b"x"), (b"\0\5", b"x")]):
        with pytest.raises(ValueError), engine.write() as writer:
            writer.append_many(CHANGES, wrong)
    with engine.read() as reader:
        assert list(reader.scan(CHANGES)) == [(b"\0\1", b"one"), (b"\0\2", b"two")]
