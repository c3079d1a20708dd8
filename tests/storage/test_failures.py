"""The table of failures: shared by processes, kept over restarts, bounded, and safe on a damaged or missing file."""

import subprocess
import sys

import pytest

from storage.errors import StoreFailed
from storage.failures import BUCKETS, SLOTS, Failures, MemoryFailures, SharedFailures


def count(before):
    return Failures(1 if before is None else before.times + 1, 5.0, 9.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "failures"


def test_it_outlives_its_process(path):
    table = SharedFailures(path)
    table.change(b"a", count)
    table.change(b"a", count)
    table.close()
    assert path.stat().st_mode & 0o777 == 0o600
    again = SharedFailures(path)
    assert again.get(b"a") == Failures(2, 5.0, 9.0)
    again.change(b"a", lambda _: None)
    assert again.get(b"a") is None
    again.close()


_COUNTING = """
import sys
from pathlib import Path
from storage.failures import Failures, SharedFailures
table = SharedFailures(Path(sys.argv[1]))
for _ in range(500):
    table.change(b"a", lambda old: Failures(1 if old is None else old.times + 1, 5.0, 9.0))
"""


def test_processes_lose_no_count(path):
    running = [subprocess.Popen([sys.executable, "-c", _COUNTING, str(path)]) for _ in range(4)]
    assert [each.wait(200) for each in running] == [0] * 4
    table = SharedFailures(path)
    assert table.get(b"a").times == 2_000
    table.close()


@pytest.mark.parametrize("octets", [b"", b"x", b"idisfail" + bytes(100), bytes(1 << 20)])
def test_a_file_that_is_no_table_is_made_anew(path, octets):
    path.write_bytes(octets)
    table = SharedFailures(path)
    table.change(b"a", count)
    assert table.get(b"a").times == 1
    table.close()


def test_it_never_grows_and_gives_up_what_failed_longest_ago(path):
    table = SharedFailures(path)
    size = path.stat().st_size
    table.change(b"old", lambda _: Failures(1, 1.0, 1.0))
    names = [b"%d" % number for number in range(4 * BUCKETS * SLOTS // 8)]
    for place, name in enumerate(names):
        table.change(name, lambda _, place=place: Failures(1, 10.0 + place, 1.0))
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 >= size, "no block is missing that a full disk could refuse later"
    assert table.get(names[-1]) is not None
    kept = sum(table.get(name) is not None for name in names)
    assert kept > len(names) * 0.9
    table.close()


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(StoreFailed, match="missing"):
        SharedFailures(tmp_path / "missing" / "failures")


def test_a_file_that_is_taken_away_loses_memory_and_nothing_else(path):
    table = SharedFailures(path)
    table.close()
    table.change(b"a", count)
    assert table.get(b"a") is None


def test_memory_is_bounded():
    table = MemoryFailures(entries_max=100)
    for number in range(1_000):
        table.change(b"%d" % number, count)
    assert len(table) == 100
    assert table.get(b"999") is not None
    table.change(b"999", lambda _: None)
    assert len(table) == 99
