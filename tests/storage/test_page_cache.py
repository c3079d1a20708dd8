"""A file is read ahead whole and unchanged, unless it is too large."""

import ctypes
import mmap
import os
import time

import pytest

from storage.page_cache import read_ahead, room_octets

OCTETS = 5 * (1 << 20) + 12_345


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.mdb"
    path.write_bytes(os.urandom(OCTETS))
    return path


def resident_share(path):
    """Share of a file's pages that are in the page cache (mincore(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    with path.open("rb") as opened:
        address = libc.mmap(None, ctypes.c_size_t(OCTETS), mmap.PROT_READ, mmap.MAP_SHARED, opened.fileno(), 0)
        pages = -(-OCTETS // mmap.PAGESIZE)
        seen = (ctypes.c_ubyte * pages)()
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(OCTETS), seen) == 0
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(OCTETS))
    return sum(octet & 1 for octet in seen) / pages


def test_what_was_not_yet_written_to_disk_is_kept(file):
    content = file.read_bytes()
    assert read_ahead(file, OCTETS) == OCTETS
    assert file.read_bytes() == content


def test_a_file_on_disk_comes_into_memory(file):
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident_share(file) > 0.5:
        pytest.skip("this file system lives in memory")
    read_ahead(file, OCTETS)
    deadline = time.monotonic() + 60
    while resident_share(file) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert resident_share(file) == 1


def test_one_that_is_too_large_is_left_alone(file):
    assert read_ahead(file, OCTETS - 1) == 0


def test_one_that_is_not_there_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ahead(tmp_path / "none", OCTETS)


def test_a_store_may_fill_part_of_the_memory():
    assert 0 < room_octets() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
