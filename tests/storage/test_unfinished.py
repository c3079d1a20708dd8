"""Work that was cut short leaves nothing for long, and work that goes on is left alone."""

import os
import subprocess
import sys
import time

import pytest

from storage import unfinished
from storage.backup import SUFFIX, back_up
from storage.files import FileStore
from storage.memory_engine import MemoryEngine
from storage.unfinished import START, becoming, clear, private_directory

DIES = """
import os, sys, pathlib
from storage.unfinished import becoming, private_directory
parent = pathlib.Path(sys.argv[1])
with private_directory(parent) as private, becoming(parent / "file") as file:
    (private / "store").mkdir()
    (private / "store" / "data").write_bytes(b"x" * 5000)
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def left(directory):
    return [path for path in directory.iterdir() if path.name.startswith(START)]


def grow_old(directory):
    before = time.time() - unfinished.FRESH_S - 1
    for path in left(directory):
        os.utime(path, (before, before))


def test_what_the_dead_left_is_removed_once_somebody_works_there_again(tmp_path):
    assert subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False).returncode == -9
    assert len(left(tmp_path)) == 2
    clear(tmp_path)
    assert len(left(tmp_path)) == 2, "it may have been made this moment"
    grow_old(tmp_path)
    back_up(MemoryEngine(), tmp_path / f"a{SUFFIX}")
    assert [path.name for path in tmp_path.iterdir()] == [f"a{SUFFIX}"]


def test_work_under_way_is_left_alone_however_old(tmp_path):
    with private_directory(tmp_path) as private, becoming(tmp_path / "file") as file:
        file.write(b"whole")
        grow_old(tmp_path)
        clear(tmp_path)
        assert private.is_dir()
        assert len(left(tmp_path)) == 2
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert left(tmp_path) == []


def test_what_fails_leaves_nothing_and_what_was_there_stays(tmp_path):
    def fail():
        with becoming(tmp_path / "file") as file:
            file.write(b"half")
            raise ZeroDivisionError

    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "file").read_bytes() == b"before"
    assert left(tmp_path) == []


def test_octets_are_durable_before_the_name(tmp_path, flushed, monkeypatch):
    names = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (names.append(len(flushed)), replace(*paths)))
    with becoming(tmp_path / "file") as file:
        file.write(b"whole")
    assert names == [1]
    assert flushed[0].name.startswith(START)


def test_an_upload_that_was_cut_short_is_cleared_by_the_next(tmp_path):
    store = FileStore(tmp_path)
    store.put(b"first")
    (tmp_path / f"{START}dead").write_bytes(b"half an upload")
    grow_old(tmp_path)
    store.put(b"second")
    assert left(tmp_path) == []
    assert len(list(store.digests())) == 2
