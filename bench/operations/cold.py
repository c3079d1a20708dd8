"""Gets when the store is not in memory: the page cache is emptied of its file, then random records are read.

The file is dropped with ``posix_fadvise`` while nobody has it open, which works for clean pages; major faults per get
show whether it did, and a note says when not. One thread waits for each read; sixteen overlap them, because py-lmdb
gives the interpreter lock away. The limit is the same gets again, now in memory.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, workload
from bench.report import Report, say
from resolver.handle.name import Handle
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

if TYPE_CHECKING:
    from bench.settings import Settings

THREADS = 16


def run(settings: Settings) -> Report:
    """Gets from disk, one thread and sixteen; the limit is the same gets from memory."""
    report = Report("cold", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        data_dir = Path(name) / "data"
        nodes.fill(data_dir, settings.records)
        gets = min(20_000, settings.records // 20)
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            numbers = islice(workload.numbers(settings.records, settings.seed + number), gets)
            keys = [Handle.from_text(workload.name_of(one)).key for one in numbers]
            faults = 0.0
            for label, kind, threads, drop in (
                ("from disk, 1 thread", "ours", 1, True),
                (f"from disk, {THREADS} threads", "ours", THREADS, True),
                ("from memory, 1 thread", "limit", 1, False),
            ):
                if drop:
                    _drop(data_dir / "store" / "data.mdb")
                found = _get_all(data_dir / "store", keys, threads)
                report.add(label, kind, "gets", **found)
                faults = max(faults, found["major_faults"])
            if faults < 0.2:
                report.note("the page cache kept the file: these figures are not cold on this file system")
    report.ratio("1 thread from disk ÷ from memory", "from disk, 1 thread", "from memory, 1 thread")
    report.ratio(f"{THREADS} threads ÷ 1 thread, from disk", f"from disk, {THREADS} threads", "from disk, 1 thread")
    return report


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
