"""A data file that was cut short is known by its own pages, and one that only lacks free pages is not."""

import os
import random

import lmdb
import pytest

from storage import extent
from storage.errors import StoreDamaged
from storage.extent import require_free_pages, require_whole
from storage.lmdb_engine import DATA_FILE, MAP_OCTETS, LmdbEngine
from storage.survey import survey
from storage.tables import Table
from tests.support.builders import filled_store

PAGE = 4096


@pytest.fixture
def data(tmp_path):
    return filled_store(tmp_path / "store") / DATA_FILE


@pytest.mark.parametrize("cut", [1, PAGE, 100_000])
@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_that_was_cut_short_is_not_opened(data, cut, readonly):
    octets = data.stat().st_size
    os.truncate(data, octets - cut)
    sentence = f"{data} is damaged: the last {cut} of its {octets} octets are missing: restore a backup"
    with pytest.raises(StoreDamaged, match=sentence):
        LmdbEngine(data.parent, readonly=readonly)
    assert data.stat().st_size == octets - cut


def test_a_whole_file_and_what_is_none_pass(data, tmp_path):
    require_whole(data)
    for octets in (b"", b"short", b"no data file" * 1_000):
        (tmp_path / "other").write_bytes(octets)
        require_whole(tmp_path / "other")


def commit_at_random(env, dbs, chance):
    with env.begin(write=True) as txn:
        for _ in range(chance.choice([3, 50, 500])):
            key, db = b"%d" % chance.randrange(300), chance.choice(dbs)
            if chance.random() < 0.6:
                txn.put(key, b"z" * chance.choice([10, 100, 1_000, 1_900, 9_000, 40_000]), db=db)
            else:
                txn.delete(key, db=db)
        if chance.random() < 0.5:
            for db in dbs:
                txn.drop(db, delete=False)


def test_a_file_that_lacks_only_free_pages_passes(tmp_path):
    """The engine does not write a page at the end that a transaction took and gave back."""
    data = tmp_path / DATA_FILE
    chance = random.Random(452)
    short = 0
    with lmdb.open(str(tmp_path), map_size=1 << 28, max_dbs=40, sync=False) as env:
        dbs = [env.open_db(b"%d" % number) for number in range(chance.randrange(1, 20))]
        for _ in range(6):
            commit_at_random(env, dbs, chance)
            require_free_pages(data)
            short += data.stat().st_size < (env.info()["last_pgno"] + 1) * PAGE
            require_whole(data)
    assert short, "no commit left the file short: the seed shows nothing any more"


def test_a_long_list_of_free_pages_is_read(tmp_path):
    """A list of tens of thousands lies on pages of its own."""
    data = tmp_path / DATA_FILE
    with lmdb.open(str(tmp_path), map_size=1 << 28, max_dbs=2, sync=False) as env:
        db = env.open_db(b"rows")
        with env.begin(write=True, db=db) as txn:
            for number in range(20_000):
                txn.put(b"%06d" % number, b"x" * 2_000)
        with env.begin(write=True) as txn:
            txn.drop(db, delete=False)
        for number in range(3):  # the list itself moves to pages that are free by now
            with env.begin(write=True, db=db) as txn:
                txn.put(b"%d" % number, b"")
    octets = data.stat().st_size
    os.truncate(data, octets // 2)
    require_whole(data)
    with lmdb.open(str(tmp_path), map_size=1 << 28, max_dbs=2) as env:
        db = env.open_db(b"rows")
        with env.begin(write=True, db=db) as txn:
            assert [key for key, _ in txn.cursor()] == [b"0", b"1", b"2"]
            txn.put(b"3", b"x" * 100_000)
    require_whole(data)
    os.truncate(data, 3 * PAGE)
    with pytest.raises(StoreDamaged):
        require_whole(data)


@pytest.mark.parametrize("octets", [b"\xff" * (PAGE - 16), bytes(PAGE - 16)])
def test_a_list_of_free_pages_that_leads_nowhere_is_told(data, octets):
    """Such a store opens, and every row of it can be read: the next change would end the process that makes it."""
    engine = LmdbEngine(data.parent)
    with engine.write() as writer:
        for number in range(100, 1_900):
            writer.delete(Table.RECORDS, b"%06d" % number)
    engine.close()
    require_free_pages(data)
    with data.open("r+b") as file:
        root = extent._newer_root(file.fileno())
        file.seek(root.free_root * PAGE + 16)
        file.write(octets)
    engine = LmdbEngine(data.parent, readonly=True)
    with engine.read() as reader:
        assert sum(1 for _ in reader.scan_rows(Table.RECORDS)) == 200
    engine.close()
    sentence = f"{data} is damaged: its list of free pages cannot be followed"
    with pytest.raises(StoreDamaged, match=sentence):
        require_free_pages(data)
    with pytest.raises(StoreDamaged, match=sentence):
        survey(data.parent, MAP_OCTETS)
