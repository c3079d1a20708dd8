"""Engines alone: get, put, append and batches on LMDB (synced) and on the memory twin, beside raw py-lmdb.

Raw py-lmdb is the limit: the same file format and the same syncs without seal, check and error translation. Rows of
random order and of ascending order are counted apart, because the B-tree fills its pages so differently. The memory
twin copies a table before it changes it, so its writes are measured in large transactions only.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb

from bench import workload
from bench.nodes import draft_of
from bench.questions import value_of
from bench.report import Report, say
from storage.lmdb_engine import LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import SEAL_OCTETS, Table, unseal_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.settings import Settings
    from storage.engine import Engine

GROUP = 1_000
"""Rows of a write transaction: what a busy lane commits."""
PUTS_MAX = 100_000
"""Rows written in one measurement of writes."""

Rows = list[tuple[bytes, bytes]]


def run(settings: Settings) -> Report:
    """Engines: get, put, append, batch, octets on disk; the limit is raw py-lmdb."""
    report = Report("storage", settings)
    rows = [(draft_of(number).key, value_of(number)) for number in range(min(settings.records, PUTS_MAX))]
    mixed = [rows[number] for number in workload.shuffled(len(rows), settings.seed)]
    payload = sum(len(key) + len(body) for key, body in rows) / len(rows)
    report.note(f"key and value have {payload:.0f} octets together, before the {SEAL_OCTETS} of the seal")
    for number in range(settings.rounds):
        say(f"  round {number + 1} of {settings.rounds}")
        with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
            directory = Path(name)
            _lmdb(report, settings, directory, rows, mixed)
            _raw(report, settings, directory, rows, mixed)
        _memory(report, settings, rows, mixed)
    for what in (
        "get",
        "get_rows, 1,000 at once",
        "put random, 1,000 in a transaction",
        "append, 1,000 in a transaction",
    ):
        report.ratio(f"{what}: LMDB engine ÷ raw py-lmdb", f"LMDB engine: {what}", f"raw py-lmdb: {_raw_of(what)}")
    return report


def _raw_of(what: str) -> str:
    return "get" if what.startswith("get_rows") else what


def _timed(report: Report, name: str, kind: str, operations: int, work: Callable[[], None]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    spent = time.process_time() - cpu
    rate = operations / (time.perf_counter() - wall)
    report.add(name, kind, "rows", rate=rate, cpu_us=spent * 1e6 / operations)


def _groups(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _lmdb(report: Report, settings: Settings, directory: Path, rows: Rows, mixed: Rows) -> None:
    scattered, ordered = LmdbEngine(directory / "random"), LmdbEngine(directory / "ordered")
    empty_octets = (directory / "ordered" / "data.mdb").stat().st_size

    def put(engine: LmdbEngine, chosen: Rows, size: int) -> None:
        for group in _groups(chosen, size):
            with engine.write() as writer:
                for key, body in group:
                    writer.put(Table.RECORDS, key, body)

    def put_many(engine: LmdbEngine, chosen: Rows, size: int) -> None:
        for group in _groups(chosen, size):
            with engine.write() as writer:
                writer.put_many(Table.RECORDS, [(key, body, 0) for key, body in sorted(group)])

    def append(engine: LmdbEngine, chosen: Rows, size: int) -> None:
        for group in _groups(chosen, size):
            with engine.write() as writer:
                for key, body in group:
                    writer.append(Table.RECORDS, key, body)

    single = LmdbEngine(directory / "single")
    name = "LMDB engine: "
    _timed(report, f"{name}put, 1 in a transaction", "ours", 200, lambda: put(single, mixed[:200], 1))
    single.close()
    half = len(mixed) // 2
    what = f"{name}put random, 1,000 in a transaction"
    _timed(report, what, "ours", half, lambda: put(scattered, mixed[:half], GROUP))
    what = f"{name}put_many random, sorted by group"
    _timed(report, what, "ours", len(mixed) - half, lambda: put_many(scattered, mixed[half:], GROUP))
    what = f"{name}append, 1,000 in a transaction"
    _timed(report, what, "ours", len(rows), lambda: append(ordered, rows, GROUP))
    _gets(report, settings, name, scattered, mixed)
    for label, path in (("random", "random"), ("ascending", "ordered")):
        octets = ((directory / path / "data.mdb").stat().st_size - empty_octets) / len(rows)
        report.add(f"on disk, {label} order of registration", "ours", "octets", octets_per_record=octets)
    scattered.close()
    ordered.close()


def _gets(report: Report, settings: Settings, name: str, engine: Engine, mixed: Rows) -> None:
    keys = [key for key, _ in mixed][:50_000]
    times = max(1, int(settings.seconds * 300_000 / len(keys)))

    def get() -> None:
        for _ in range(times):
            for key in keys:
                with engine.read() as reader:
                    if reader.get(Table.RECORDS, key) is None:
                        raise KeyError(key)

    def get_rows() -> None:
        for _ in range(times):
            for start in range(0, len(keys), GROUP):
                some = keys[start : start + GROUP]
                with engine.read() as reader:
                    if not all(unseal_many(some, reader.get_rows(Table.RECORDS, some))):
                        raise KeyError(some)

    _timed(report, f"{name}get", "ours", len(keys) * times, get)
    _timed(report, f"{name}get_rows, 1,000 at once", "ours", len(keys) * times, get_rows)


def _raw(report: Report, settings: Settings, directory: Path, rows: Rows, mixed: Rows) -> None:
    options = {"map_size": 8 << 30, "readahead": False, "meminit": False}
    name = "raw py-lmdb: "
    seal = b"s" * SEAL_OCTETS
    scattered = lmdb.open(str(directory / "raw-random"), **options)
    ordered = lmdb.open(str(directory / "raw-ordered"), **options)

    def put(env: lmdb.Environment, chosen: Rows, size: int, *, append: bool) -> None:
        for group in _groups(chosen, size):
            with env.begin(write=True) as txn:
                for key, body in group:
                    txn.put(key, seal + body, append=append)

    def get() -> None:
        for _ in range(times):
            for key in keys:
                with scattered.begin() as txn:
                    if txn.get(key) is None:
                        raise KeyError(key)

    what = f"{name}put random, 1,000 in a transaction"
    _timed(report, what, "limit", len(mixed), lambda: put(scattered, mixed, GROUP, append=False))
    what = f"{name}append, 1,000 in a transaction"
    _timed(report, what, "limit", len(rows), lambda: put(ordered, rows, GROUP, append=True))
    keys = [key for key, _ in mixed][:50_000]
    times = max(1, int(settings.seconds * 300_000 / len(keys)))
    _timed(report, f"{name}get", "limit", len(keys) * times, get)
    scattered.close()
    ordered.close()


def _memory(report: Report, settings: Settings, rows: Rows, mixed: Rows) -> None:
    engine = MemoryEngine()
    half = len(mixed) // 2

    def put(chosen: Rows) -> None:
        with engine.write() as writer:
            for key, body in chosen:
                writer.put(Table.RECORDS, key, body)

    _timed(report, "memory twin: put random, one transaction", "ours", half, lambda: put(mixed[:half]))
    _timed(report, "memory twin: put_many, one transaction", "ours", len(rows), lambda: _put_many(engine, rows))
    _gets(report, settings, "memory twin: ", engine, mixed)


def _put_many(engine: Engine, rows: Rows) -> None:
    with engine.write() as writer:
        writer.put_many(Table.RECORDS, [(key, body, 0) for key, body in rows])
