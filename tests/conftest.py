"""Fixtures of the whole tree: a clock, randomness, stores, and a prepared node."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from storage.lmdb_engine import LmdbEngine
from storage.memory_engine import MemoryEngine
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

LOOPBACK = "localhost,127.0.0.1,::1,127.0.0.0/8"
"""What no proxy can reach for a test; the last for gRPC, as some nodes of a tree have addresses of their own."""

for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), LOOPBACK)))

# The same examples everywhere, and no judgement of how long one takes: both would depend on the machine.
settings.register_profile("node", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("node")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def randomness():
    return seeded_randomness()


@pytest.fixture
def flushed(monkeypatch):
    """The files and directories that ``os.fsync`` was called for, in order."""
    found = []
    fsync = os.fsync

    def note(descriptor):
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return found


@pytest.fixture
def lmdb_engine(tmp_path):
    engine = LmdbEngine(tmp_path / "store", map_octets=1 << 28)
    yield engine
    engine.close()


@pytest.fixture(params=["lmdb", "memory"])
def engine(request):
    """A new store, once on disk and once in memory."""
    return request.getfixturevalue("lmdb_engine") if request.param == "lmdb" else MemoryEngine()


@pytest.fixture
def world(lmdb_engine, clock, randomness):
    """A prepared node on disk: see ``tests.support.node``."""
    return World(lmdb_engine, clock, randomness)


@pytest.fixture
def memory_world(clock, randomness):
    """A prepared node in memory, for tests that make many of them."""
    return World(MemoryEngine(), clock, randomness)
