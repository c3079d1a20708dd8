"""Kill workers under load and count what they had promised: every acknowledged write must be there, once.

A child process drives the store through the write lane, as a worker does, and writes the names of acknowledged
handles to a pipe. The parent kills it at a random moment, reopens the store and compares. With
``answers_early`` the lane answers before the commit; the harness must notice, or it proves nothing.
"""

import asyncio
import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from resolver.node.ledger import last_serial
from resolver.registry.first_start import first_start
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.support import early
from tests.support.builders import journal, recount, tallies
from tests.support.clock import START_US, seeded_randomness

ROOT = Path(__file__).resolve().parents[2]
MAP_OCTETS = 1 << 28
BATCH_ROWS = 20
PREFIX = "88.300.1"


class Report(NamedTuple):
    """What some cycles of crashes have shown."""

    cycles: int
    acknowledged: int
    lost: list[str]
    faults: list[str]


def run(directory, *, cycles, seed=1, answers_early=False):
    """Kill a writer ``cycles`` times; what was promised, and what of it is missing."""
    chance = random.Random(seed)
    store = directory / "store"
    engine = LmdbEngine(store, map_octets=MAP_OCTETS)
    first_start(engine, "88.300", START_US, seeded_randomness())
    engine.close()
    acknowledged, faults = set(), []
    for cycle in range(cycles):
        acknowledged |= _killed_writer(store, cycle, chance.uniform(0.01, 0.25), answers_early=answers_early)
        faults += [f"cycle {cycle}: {fault}" for fault in _faults(store)]
    engine = LmdbEngine(store, map_octets=MAP_OCTETS)
    with engine.read() as reader:
        lost = sorted(name for name in acknowledged if reader.get(Table.RECORDS, name.encode()) is None)
    engine.close()
    return Report(cycles, len(acknowledged), lost, faults)


def _killed_writer(store, cycle, seconds, *, answers_early):
    """Start a writer, let it work for some time after its first promise, kill it; the names it acknowledged."""
    command = [sys.executable, "-m", "tests.support.crash", str(store), str(cycle), str(int(answers_early))]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as child:
        octets = b""
        while octets.count(b"\n") < 2 and (some := os.read(child.stdout.fileno(), 1 << 16)):
            octets += some
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                octets += os.read(child.stdout.fileno(), 1 << 16)
        child.send_signal(signal.SIGKILL)
        octets += child.stdout.read()
    return set(octets.decode().split("\n")[:-1]) - {"ready"}


def _faults(store):
    """What is inconsistent in a store after a crash."""
    engine = LmdbEngine(store, map_octets=MAP_OCTETS)
    try:
        entries = journal(engine)
        names = [entry.name for _, entry in entries]
        found = []
        if [serial for serial, _ in entries] != list(range(1, len(entries) + 1)):
            found.append("the journal has gaps")
        if len(names) != len(set(names)):
            found.append("a handle was registered twice")
        if recount(engine) != tallies(engine):
            found.append("the tallies differ from the records")
        with engine.read() as reader:
            if (reader.count(Table.RECORDS), last_serial(reader)) != (len(names), len(names)):
                found.append("records and journal differ")
        return found
    finally:
        engine.close()


async def _work(store, cycle, *, answers_early):
    """Register batches for ever, four in flight, and tell each name once its batch is acknowledged."""
    from resolver import methods
    from resolver.clock import SystemClock
    from resolver.node.authorize import Caller, Role
    from resolver.service import Call, Service
    from resolver.v1 import registration_pb2
    from tests.support.builders import value
    from tests.support.node import options

    engine = LmdbEngine(Path(store), map_octets=MAP_OCTETS)
    if answers_early:
        _slow_commits(engine)
    service = Service(engine, SystemClock(), os.urandom, options(), version="crash test")
    await service.start()
    os.write(1, b"ready\n")
    handler = service.handlers()[methods.BATCH_CREATE_HANDLES.path]
    caller = Caller("administrator", Role.NODE_ADMINISTRATOR)

    async def client(number):
        batch = 0
        while True:
            names = [f"{PREFIX}/{cycle}-{number}-{batch}-{row}" for row in range(BATCH_ROWS)]
            rows = [registration_pb2.NewHandle(name=name, values=[value()]) for name in names]
            request = registration_pb2.BatchCreateHandlesRequest(handles=rows, request_id=names[0])
            answer = registration_pb2.BatchCreateHandlesResponse.FromString(await handler(Call(caller), request))
            good = [name for name, row in zip(names, answer.results, strict=True) if row.code == 0]
            os.write(1, "".join(f"{name}\n" for name in good).encode())
            batch += 1

    await asyncio.gather(*(client(number) for number in range(4)))


def _slow_commits(engine):
    """Let each commit take a little, as a real disk does: a promise made before it has time to be broken."""
    begin = engine.begin_write

    def slow():
        writer = begin()
        commit = writer.txn.commit

        class Slow:
            def __getattr__(self, name):
                return getattr(writer_txn, name)

            def commit(self):
                time.sleep(0.1)
                commit()

        writer_txn, writer.txn = writer.txn, Slow()
        return writer

    engine.begin_write = slow


if __name__ == "__main__":
    with early.planted() if sys.argv[3] == "1" else contextlib.nullcontext():
        asyncio.run(_work(sys.argv[1], int(sys.argv[2]), answers_early=sys.argv[3] == "1"))
