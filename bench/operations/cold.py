"""A store that does not fit into memory: gets of the engine, and a node under load, with and without reading ahead.

For the engine the page cache is emptied of the file while nobody has it open, then random records are read: by one
thread, which waits for each, and by sixteen, which overlap, because py-lmdb gives the interpreter lock away. For the
node its processes are put into a group whose memory holds a part of the store, so that it stays cold for as long as it
is asked; where no group can be made, the file is dropped before the node starts, and it warms as it goes. Beside the
load, another connection asks for one hot name a hundred times a second: its latency is what everybody else suffers.
``storage.read_ahead_threads = 0`` is the peer: every get in the loop.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, questions, workload
from bench.load import Load, measure
from bench.report import Report, say
from resolver.handle.name import Handle
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Process
    from bench.settings import Settings

THREADS = 16
GROUP = Path("/sys/fs/cgroup/memory")
"""Where version 1 of control groups keeps memory; version 2 needs the group to be delegated, which few hosts do."""
CACHE_SHARE = 0.25
"""Part of the store that the node's group may keep in memory."""
HOT_RATE = 100.0
WAYS = {"reading ahead": "8", "gets in the loop": "0"}


def run(settings: Settings) -> Report:
    """A store larger than memory: gets from disk, a cold node with and without reading ahead."""
    report = Report("cold", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        directory = Path(name)
        data_dir = directory / "data"
        nodes.fill(data_dir, settings.records)
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            _engine(report, settings, data_dir / "store", number)
            for way, threads in WAYS.items():
                _node(report, settings, directory, way, threads)
    report.ratio("1 thread from disk ÷ from memory", "from disk, 1 thread", "from memory, 1 thread")
    report.ratio(f"{THREADS} threads ÷ 1 thread, from disk", f"from disk, {THREADS} threads", "from disk, 1 thread")
    top, bottom = (f"cold node, {way}" for way in WAYS)
    report.ratio("answers of a cold node, reading ahead ÷ gets in the loop", top, bottom)
    top, bottom = (f"hot name beside it, {way}" for way in WAYS)
    report.ratio(
        "p99 of a hot name beside it, gets in the loop ÷ reading ahead", top, bottom, figure="p99_ms", inverse=True
    )
    return report


def _engine(report: Report, settings: Settings, store: Path, number: int) -> None:
    """Gets of the bare engine."""
    gets = min(20_000, settings.records // 20)
    numbers = islice(workload.numbers(settings.records, settings.seed + number), gets)
    keys = [Handle.from_text(workload.name_of(one)).key for one in numbers]
    faults = 0.0
    for label, kind, threads, drop in (
        ("from disk, 1 thread", "ours", 1, True),
        (f"from disk, {THREADS} threads", "ours", THREADS, True),
        ("from memory, 1 thread", "limit", 1, False),
    ):
        if drop:
            _drop(store / "data.mdb")
        found = _get_all(store, keys, threads)
        report.add(label, kind, "gets", **found)
        faults = max(faults, found["major_faults"])
    if faults < 0.2:
        report.note("the page cache kept the file: these figures are not cold on this file system")


def _node(report: Report, settings: Settings, directory: Path, way: str, threads: str) -> None:
    """A node under a load of random names, and one hot name beside it."""
    data_dir = directory / "data"
    _drop(data_dir / "store" / "data.mdb")
    environment = {"IDIS_STORAGE__READ_AHEAD_THREADS": threads}
    log = directory / "cold.log"
    with nodes.node(
        "idis h2, 1 worker", data_dir, workers=1, backend=nodes.fastest(), log=log, environment=environment
    ) as node:
        store_mib = (data_dir / "store" / "data.mdb").stat().st_size / (1 << 20)
        with _little_memory(node.process, store_mib * CACHE_SHARE) as limited:
            if not limited:
                report.note("no memory group can be made here: the node warms while it is asked")
            nodes.check(node, 0)
            _drop(data_dir / "store" / "data.mdb")  # the node has read it ahead at its start
            ask = partial(questions.resolve, settings.records, settings.seed)
            hot = partial(questions.resolve_one, settings.records, settings.seed)
            load = Load(node.port, questions.RESOLVE, ask, settings.seconds, settings.warm_s, prepared=40_000)
            beside = Load(
                node.port,
                questions.RESOLVE,
                hot,
                settings.seconds,
                settings.warm_s,
                1,
                1,
                rate=HOT_RATE,
                prepared=1_000,
            )
            before = _faults(node.process)
            with ThreadPoolExecutor(2) as both:
                loads = [both.submit(measure, one, node.process) for one in (load, beside)]
                found, hot_found = (each.result() for each in loads)
            faults = _faults(node.process) - before
    kind = "ours" if threads != "0" else "peer"
    answers = found["rate"] * (settings.seconds + settings.warm_s)
    report.add(f"cold node, {way}", kind, "answers", **found, major_faults=faults / max(1.0, answers))
    del hot_found["cpu_us"]  # the tree's CPU is the load's
    report.add(f"hot name beside it, {way}", kind, "answers", **hot_found)


@contextmanager
def _little_memory(process: Process, cache_mib: float) -> Iterator[bool]:
    """Bound what a process tree may have in memory to its own plus so much page cache; whether that could be done."""
    group = GROUP / f"idis-bench-{os.getpid()}"
    try:
        group.mkdir()
        own_mib = sum(process.rss_mib().values())
        # What it holds already stays charged elsewhere; the slack is for buffers of connections.
        (group / "memory.limit_in_bytes").write_text(str(int((own_mib * 0.3 + 48 + cache_mib) * (1 << 20))))
        for pid in process.pids():
            (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield False
        return
    try:
        yield True
    finally:
        for pid in process.pids():
            with suppress(OSError):
                (GROUP / "cgroup.procs").write_text(str(pid))
        with suppress(OSError):
            group.rmdir()


def _faults(process: Process) -> int:
    """Major faults of a process tree so far."""
    total = 0
    for pid in process.pids():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[9])
    return total


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _get_all(store: Path, keys: list[bytes], threads: int) -> dict[str, float]:
    engine = LmdbEngine(store, readonly=True)

    def get(some: list[bytes]) -> None:
        for key in some:
            with engine.read() as reader:
                if reader.get(Table.RECORDS, key) is None:
                    raise KeyError(key)

    before = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(get, [keys[number::threads] for number in range(threads)]))
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_SELF)
    engine.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "rate": len(keys) / wall,
        "cpu_us": cpu * 1e6 / len(keys),
        "major_faults": (after.ru_majflt - before.ru_majflt) / len(keys),
    }
