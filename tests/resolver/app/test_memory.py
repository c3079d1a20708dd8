"""Memory that lies idle between living blocks is given back, a little is not, and not all the time."""

import sys
from pathlib import Path

import pytest

from resolver.app import memory
from resolver.app.memory import IdleMemory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


def resident_octets():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_a_crowd_leaves_is_given_back():
    idle = IdleMemory()
    if idle._mallinfo is None:
        pytest.skip("this C library has no mallinfo2")
    blocks = [bytes(16_000) for _ in range(8_000)]
    height = resident_octets()
    blocks = blocks[::400]  # what lives on keeps the heap from shrinking by itself
    assert idle.look(100.0)
    assert resident_octets() < height - (80 << 20)
    assert not idle.look(100.0 + memory.PAUSE_S / 2), "too soon"
    assert len(blocks) == 20


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not IdleMemory().look(100.0)
