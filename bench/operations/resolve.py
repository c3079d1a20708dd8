"""Resolution in process: the service's handlers without a network, beside a bare get of the same keys.

What a door adds to this is transport. Keys are random over the whole store; policy, checks and counters are on.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import nodes, questions, workload
from bench.report import Report, say
from resolver.app.worker import to_service_options
from resolver.clock import SystemClock
from resolver.config.settings import Config
from resolver.handle.name import Handle
from resolver.service import Service
from resolver.service.call import Call
from resolver.v1 import resolution_pb2
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.settings import Settings

BATCH = 1_000


def run(settings: Settings) -> Report:
    """Resolution in process, single, batch and filtered; the limit is a bare get of the engine."""
    report = Report("resolve", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        data_dir = Path(name) / "data"
        nodes.fill(data_dir, settings.records)
        engine = LmdbEngine(data_dir / "store")
        try:
            _measure(report, settings, engine)
        finally:
            engine.close()
    bare, single = "bare get of the engine", "Resolve, request to answer octets"
    report.ratio("Resolve ÷ bare get, CPU", single, bare, figure="cpu_us")
    report.ratio("BatchResolve of 1,000, per name ÷ bare get, CPU", "BatchResolve of 1,000", bare, figure="cpu_us")
    report.ratio("filtered ÷ whole record, CPU", "Resolve, one type of four", single, figure="cpu_us")
    return report


def _measure(report: Report, settings: Settings, engine: LmdbEngine) -> None:
    options = replace(to_service_options(Config(), {"grpc": ("127.0.0.1", 0)}), mirror=None)
    service = Service(engine, SystemClock(), secrets.token_bytes, options, version="bench")
    handlers = service.handlers()
    resolve: Any = handlers[questions.RESOLVE]
    batch_resolve: Any = handlers[questions.BATCH]
    call = Call(source="127.0.0.1")
    numbers = list(islice(workload.numbers(settings.records, settings.seed), 50_000))
    names = [workload.name_of(number) for number in numbers]
    keys = [Handle.from_text(name).key for name in names]
    requests = [resolution_pb2.ResolveRequest(name=name).SerializeToString() for name in names]
    filtered = [resolution_pb2.ResolveRequest(name=name, types=["URL"]).SerializeToString() for name in names]
    batches = [
        resolution_pb2.BatchResolveRequest(names=names[at : at + BATCH]).SerializeToString()
        for at in range(0, len(names), BATCH)
    ]
    parse, parse_batch = resolution_pb2.ResolveRequest.FromString, resolution_pb2.BatchResolveRequest.FromString

    def bare(key: bytes) -> None:
        with engine.read() as reader:
            reader.get(Table.RECORDS, key)

    works: list[tuple[str, str, Sequence[bytes], int, Callable[[bytes], Any]]] = [
        ("bare get of the engine", "limit", keys, 1, bare),
        ("Resolve, request to answer octets", "ours", requests, 1, lambda octets: resolve(call, parse(octets))),
        ("Resolve, one type of four", "ours", filtered, 1, lambda octets: resolve(call, parse(octets))),
        ("BatchResolve of 1,000", "ours", batches, BATCH, lambda octets: batch_resolve(call, parse_batch(octets))),
    ]
    for number in range(settings.rounds):
        say(f"  round {number + 1} of {settings.rounds}")
        for label, kind, inputs, each, work in works:
            wall, cpu, done = time.perf_counter(), time.process_time(), 0
            while (now := time.perf_counter()) < wall + settings.seconds:
                for octets in inputs[: max(1, 10_000 // each)]:
                    work(octets)
                done += min(len(inputs), max(1, 10_000 // each)) * each
            spent = time.process_time() - cpu
            report.add(label, kind, "names", rate=done / (now - wall), cpu_us=spent * 1e6 / done)
