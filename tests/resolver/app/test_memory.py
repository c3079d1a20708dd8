"""Memory that lies idle between living blocks is given back, a little is not, and not all the time."""

import ctypes
import os
import subprocess
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


TUNING = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
"""What people set where memory is short: one arena for all threads, among others."""

ARENAS_OF_TWO_THREADS = """
import ctypes, sys, threading
from resolver.app.memory import share_one_arena

assert share_one_arena() if sys.argv[1] == "shared" else True
held = []
thread = threading.Thread(target=lambda: held.append(bytes(50_000)))
thread.start()
thread.join()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w"))
library.malloc_info(0, stream)
library.fclose(stream)
"""


@pytest.mark.parametrize(("kind", "arenas"), [("shared", 1), ("apart", 2)])
def test_all_threads_share_one_arena_when_told_so(kind, arenas):
    if not hasattr(ctypes.CDLL(None), "malloc_info"):
        pytest.skip("this C library has no malloc_info")
    untuned = {name: value for name, value in os.environ.items() if name not in TUNING}
    told = subprocess.run(
        [sys.executable, "-c", ARENAS_OF_TWO_THREADS, kind], env=untuned, capture_output=True, text=True, check=True
    )
    assert told.stdout.count("<heap nr=") == arenas


COPIES_OF_AN_ANSWER = """
import resource, sys
from resolver.app.memory import keep_large_blocks

if sys.argv[1] == "kept" and not keep_large_blocks():
    sys.exit("this C library cannot be told")
row = bytes(range(256)) * 4_096

def answered():
    body = row[5:]
    return len(b"".join((b"key" + body, body[4:], bytes(bytearray(body)))))

def streamed():
    pieces = [row[start:] for start in range(1, 7)]
    while pieces:
        pieces.pop(0)

def faults(copy, times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        copy()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // times

for copy in (answered, streamed):
    faults(copy, 10)
    print(faults(copy, 100))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
def test_answers_use_the_memory_of_those_before_them():
    """Each answer of a mebibyte had a thousand pages filled with zeros, for two milliseconds."""
    untuned = {name: value for name, value in os.environ.items() if name not in TUNING}
    told = [
        subprocess.run(
            [sys.executable, "-c", COPIES_OF_AN_ANSWER, kind], env=untuned, capture_output=True, text=True, check=True
        )
        for kind in ("kept", "given back")
    ]
    kept, given_back = (sum(map(int, each.stdout.split())) for each in told)
    assert kept < 20
    assert kept < given_back  # which is a thousand; or few, where the kernel gives pages of two mebibytes


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert not IdleMemory().look(100.0)
    assert not memory.share_one_arena()
    assert not memory.keep_large_blocks()
