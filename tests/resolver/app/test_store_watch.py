"""What a data file held that was removed under the node is saved, as long as there is any room for it."""

import shutil

import pytest

from resolver.app.store_watch import StoreWatch
from storage import lmdb_engine
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

ROWS = 1_000


@pytest.fixture
def engine(tmp_path):
    engine = LmdbEngine(tmp_path / "store")
    with engine.write() as writer:
        writer.put_many(Table.RECORDS, [(b"%06d" % number, b"x" * 200, 0) for number in range(ROWS)])
    yield engine
    engine.close()


@pytest.mark.parametrize(("free", "saves"), [((1 << 30) + 1_000, True), (1_000, False)])
def test_what_was_lost_may_take_the_room_that_is_kept_back(engine, tmp_path, monkeypatch, free, saves):
    """The reserve is for deletions in this store, which nobody makes any more."""
    watch = StoreWatch(tmp_path / "store")
    assert watch.look() == ""
    shutil.rmtree(tmp_path / "store")
    monkeypatch.setattr(lmdb_engine, "_free_octets", lambda _: free)
    monkeypatch.setattr(lmdb_engine, "RESERVE_SHARE", 1.0)
    assert "was removed under the running node: what it held is saved in" in watch.look()
    watch.rescue(engine)
    (rescued,) = tmp_path.glob("rescued-*")
    assert (rescued / lmdb_engine.DATA_FILE).exists() is saves
    if saves:
        copy = LmdbEngine(rescued, readonly=True)
        with copy.read() as reader:
            assert reader.count(Table.RECORDS) == ROWS
        copy.close()


def test_a_file_lost_since_the_last_look_is_saved_too(engine, tmp_path):
    """A stop in the second between two looks ended the node without a copy of what it had acknowledged."""
    watch = StoreWatch(tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    watch.rescue(engine)
    (rescued,) = tmp_path.glob("rescued-*")
    assert (rescued / lmdb_engine.DATA_FILE).exists()
