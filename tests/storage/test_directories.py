"""Directories and what stands in them are synced by name, each into the one above."""

from storage.directories import make_directory, sync_directory
from storage.lmdb_engine import LmdbEngine


def test_each_new_directory_is_named_durably(tmp_path, flushed):
    make_directory(tmp_path / "a" / "b" / "c")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    make_directory(tmp_path / "a" / "b" / "c")
    assert len(flushed) == 3


def test_a_directory_is_synced(tmp_path, flushed):
    sync_directory(tmp_path)
    assert flushed == [tmp_path]


def test_a_store_is_named_durably_even_when_its_maker_died_before(tmp_path, flushed):
    LmdbEngine(tmp_path / "store", map_octets=1 << 28).close()
    assert {tmp_path, tmp_path / "store"} <= set(flushed)
    flushed.clear()
    LmdbEngine(tmp_path / "store", map_octets=1 << 28).close()
    assert {tmp_path, tmp_path / "store"} == set(flushed)
    flushed.clear()
    LmdbEngine(tmp_path / "store", map_octets=1 << 28, readonly=True).close()
    assert flushed == []
