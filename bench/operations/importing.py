"""ImportHandles of every record with six values through the asynchronous client: rate, and is memory flat?

Memory is anonymous resident memory of each process (the mapped store is not counted), looked at four times a second.
The limit is raw py-lmdb putting rows of the same length with a synced commit for each chunk; etcd's transactions stand
in ``batch-register``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb

from bench import nodes
from bench.load import LoadFailed
from bench.report import Report, say
from bench.workload import name_of, six_values_of
from resolver.client import AsyncClient, chunks_of
from resolver.v1 import registration_pb2, resolution_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.settings import Settings

CHUNK = 1_000
LOOK_S = 0.25


def run(settings: Settings) -> Report:
    """ImportHandles of six-value rows, with the memory of every process; the limit is raw py-lmdb."""
    report = Report("import", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        directory = Path(name)
        backend = nodes.fastest()
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            _import(report, settings, directory / f"node-{number}", backend)
            _raw(report, settings, directory / f"raw-{number}")
    report.ratio("import ÷ raw py-lmdb", f"import, {nodes.label(backend, 1)}", "raw py-lmdb, same rows and commits")
    return report


def _import(report: Report, settings: Settings, data_dir: Path, backend: str) -> None:
    nodes.fill(data_dir, 0)
    label = nodes.label(backend, 1)
    with ExitStack() as stack:
        log = data_dir.with_suffix(".log")
        node = stack.enter_context(nodes.node(label, data_dir, workers=1, backend=backend, log=log))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        child = context.Process(target=_client, args=(theirs, node.port, node.token, settings.records), daemon=True)
        child.start()
        ours.recv()
        cpu, memory = node.process.cpu_s(), []
        ours.send("go")
        while not ours.poll(LOOK_S):
            memory.append(node.process.rss_mib())
        found = ours.recv()
        child.join()
        if isinstance(found, str):
            raise LoadFailed(f"the import failed: {found}")
        found["cpu_us"] = (node.process.cpu_s() - cpu) * 1e6 / settings.records
        totals = [sum(look.values()) for look in memory] or [sum(node.process.rss_mib().values())]
        found["rss_start_mib"] = totals[len(totals) // 10]
        found["rss_mid_mib"] = totals[len(totals) // 2]
        found["rss_end_mib"] = totals[-1]
        found["rss_max_mib"] = max(totals)
        report.add(f"import, {label}", "ours", "handles", **found)
        _look_at_records(node, settings.records)
        size = (data_dir / "store" / "data.mdb").stat().st_size
        report.add("store after the import, all tables", "ours", "octets", octets_per_record=size / settings.records)
        busiest = max(memory[-1], key=lambda pid: memory[-1][pid]) if memory else 0
        series = ", ".join(f"{look.get(busiest, 0):.0f}" for look in memory[:: max(1, len(memory) // 12)])
        report.note(f"anonymous memory of the worker over the import, MiB: {series}")


def _look_at_records(node: nodes.Node, records: int) -> None:
    """Check by the official client that the last record is there. Raises AssertionError."""
    import grpc  # noqa: PLC0415 - one call

    with grpc.insecure_channel(f"127.0.0.1:{node.port}") as channel:
        ask = channel.unary_unary(
            "/resolver.v1.ResolutionService/Resolve",
            resolution_pb2.ResolveRequest.SerializeToString,
            resolution_pb2.ResolveResponse.FromString,
        )
        record = ask(resolution_pb2.ResolveRequest(name=name_of(records - 1)), timeout=60).record
        if [value.data for value in record.values] != [value.data for value in six_values_of(records - 1)]:
            raise AssertionError("the last row of the import is not what was sent")


def _rows(records: int) -> Iterator[registration_pb2.NewHandle]:
    for number in range(records):
        yield registration_pb2.NewHandle(name=name_of(number), values=six_values_of(number))


def _client(pipe: Any, port: int, token: str, records: int) -> None:
    """Body of the client's process."""

    async def run() -> dict[str, float]:
        good = 0
        async with AsyncClient(f"127.0.0.1:{port}", token=token) as client:
            session = client.import_session("bench")
            pipe.send("ready")
            pipe.recv()
            wall, cpu = time.perf_counter(), time.process_time()
            async for acknowledgement in session.run(chunks_of(_rows(records), rows_max=CHUNK)):
                good += sum(1 for row in acknowledgement.results if row.code == 0)
            return {
                "rate": records / (time.perf_counter() - wall),
                "errors": float(records - good),
                "client_cpu_us": (time.process_time() - cpu) * 1e6 / records,
            }

    try:
        pipe.send(asyncio.run(run()))
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        pipe.send(f"{type(error).__name__}: {error}")


def _raw(report: Report, settings: Settings, path: Path) -> None:
    """Rows of the same length, in the same order, committed as often."""
    env = lmdb.open(str(path), map_size=64 << 30, readahead=False, meminit=False)
    sample = registration_pb2.NewHandle(name=name_of(1), values=six_values_of(1)).SerializeToString()
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, settings.records, CHUNK):
        rows = [(name_of(number).encode(), sample) for number in range(start, min(start + CHUNK, settings.records))]
        with env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(rows)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    env.close()
    report.add(
        "raw py-lmdb, same rows and commits",
        "limit",
        "handles",
        rate=settings.records / wall,
        cpu_us=cpu * 1e6 / settings.records,
    )
