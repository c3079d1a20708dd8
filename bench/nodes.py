"""Our own contenders: data directories filled in process, node processes on loopback, and one checked call.

A store is filled once, in order, with the ledger that a node itself writes with, and copied for each contender, so
all of them hold the same octets. Every contender is called by the official client before it is measured.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from bench.machine import ROOT
from bench.processes import NotStarted, Process
from bench.report import say
from bench.workload import name_of, shuffled, values_of
from resolver import limits
from resolver.app.backends import choose
from resolver.app.data_dir import DataDir
from resolver.handle.name import Handle
from resolver.node import record_octets
from resolver.node.draft import Draft
from resolver.node.ledger import Ledger
from resolver.registry.first_start import first_start
from resolver.v1 import resolution_pb2, resolution_pb2_grpc
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GROUP = 20_000
"""Records of one commit while filling."""
_KEPT_RECORDS_MIN = 100_000
"""Smaller stores are filled as fast as copied."""
BACKENDS = ("h2", "grpcio")


@dataclass(frozen=True, slots=True)
class Node:
    """A running node."""

    name: str
    process: Process
    port: int
    token: str
    data_dir: Path
    hdl_port: int = 0
    http_port: int = 0

    @property
    def kind(self) -> str:
        """What it is in a report: grpcio's server is the reference that the other back end is measured against."""
        return "peer" if "grpcio" in self.name else "ours"


_filled: dict[tuple[int, bool, int | None], tempfile.TemporaryDirectory[str]] = {}
"""Data directories filled in this run, which goes on to need the same ones; removed when it ends."""


def fill(data_dir: Path, records: int, *, as_registered: bool = False, seed: int | None = None) -> float:
    """Make a data directory with so many records; seconds it took. A second one of a run is a copy of the first.

    With a seed they are registered in random order: pages are then two thirds full, as they are in a store whose names
    came at random, while those of a store filled in order are full and split at the first row that is put between.
    """
    started = time.perf_counter()
    if records < _KEPT_RECORDS_MIN:
        _fill(data_dir, records, as_registered=as_registered, seed=seed)
        return time.perf_counter() - started
    key = (records, as_registered, seed)
    if key not in _filled:
        _filled[key] = tempfile.TemporaryDirectory(prefix="idis-bench-origin-")
        _fill(Path(_filled[key].name) / "data", records, as_registered=as_registered, seed=seed)
    shutil.copytree(Path(_filled[key].name) / "data", data_dir)
    return time.perf_counter() - started


def _fill(data_dir: Path, records: int, *, as_registered: bool, seed: int | None) -> None:
    data = DataDir(data_dir)
    data.create()
    engine = LmdbEngine(data.store)
    token = first_start(engine, "88.300", time.time_ns() // 1000, secrets.token_bytes)
    assert token is not None  # noqa: S101 - the store is new
    data.write_admin_token(token)
    order = range(records) if seed is None else shuffled(records, seed)
    fill_store(engine, order, as_registered=as_registered)
    engine.close()


def fill_store(engine: LmdbEngine, order: Sequence[int], *, as_registered: bool = False) -> None:
    """Register records as a node would, a large group at a time."""
    for start in range(0, len(order), GROUP):
        with engine.write() as writer:
            ledger = Ledger(writer, time.time_ns() // 1000)
            for number in order[start : start + GROUP]:
                ledger.create(draft_of(number, as_registered=as_registered), "administrator")
            ledger.close()


def draft_of(number: int, *, as_registered: bool = False) -> Draft:
    """What the ledger is told of a record."""
    name = name_of(number)
    handle = Handle.from_text(name)
    values = values_of(number)
    for value in values if as_registered else ():
        value.permissions, value.ttl_s = 14, limits.TTL_DEFAULT_S
    head = record_octets.head(name, values)
    return Draft(name, handle.key, handle.prefix_folded.encode(), head, b"", "")


@contextmanager
def node(
    name: str,
    data_dir: Path,
    *,
    workers: int,
    backend: str,
    log: Path,
    environment: dict[str, str] | None = None,
    hdl: bool = False,
    http: bool = False,
) -> Iterator[Node]:
    """A node on ports of its choice, ready and checked; with Handle doors or HTTP when asked. Raises NotStarted."""
    (data_dir / "endpoints.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "resolver", "serve", "--data-dir", str(data_dir), "--workers", str(workers)]
    command += [
        "--grpc",
        "127.0.0.1:0",
        "--hdl",
        "127.0.0.1:0" if hdl else "",
        "--http",
        "127.0.0.1:0" if http else "",
        "--admin",
        "",
        "--no-banner",
        "--grpc-backend",
        backend,
    ]
    quick = {"IDIS_DRAIN__DELAY_S": "0.05", "IDIS_DRAIN__GRACE_S": "0.5", **(environment or {})}
    with Process(command, log, cwd=ROOT, env=quick) as process:
        process.wait_until((data_dir / "endpoints.json").exists, 60)
        endpoints = json.loads((data_dir / "endpoints.json").read_text())
        doors = ("grpc", "hdl_tcp", "http")
        port, hdl_port, http_port = (int(endpoints.get(door, ":0").rpartition(":")[2]) for door in doors)
        token = (data_dir / "credentials" / "admin.token").read_text().strip()
        yield Node(name, process, port, token, data_dir, hdl_port, http_port)


def check(node: Node, number: int) -> None:
    """Resolve one record with the official client and compare its content. Raises AssertionError."""
    with grpc.insecure_channel(f"127.0.0.1:{node.port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = resolution_pb2_grpc.ResolutionServiceStub(channel)
        request = resolution_pb2.ResolveRequest(name=name_of(number))
        record = stub.Resolve(request, timeout=60, wait_for_ready=True).record
        found = [(value.type, value.data) for value in record.values]
        if record.name != name_of(number) or found != [(value.type, value.data) for value in values_of(number)]:
            raise AssertionError(f"{node.name} answered something else for {name_of(number)}")
        several = resolution_pb2.BatchResolveRequest(names=[name_of(number), name_of(0)])
        if [one.name for one in stub.BatchResolve(several, timeout=60).records] != [name_of(number), name_of(0)]:
            raise AssertionError(f"{node.name} answered a batch wrongly")


@contextmanager
def contenders(
    directory: Path,
    records: int,
    workers: int,
    *,
    wanted: tuple[tuple[str, int], ...] | None = None,
    seed: int | None = None,
) -> Iterator[tuple[list[Node], list[str]]]:
    """Nodes of every back end with one worker and with N, each on its copy of one store; and why some are missing.

    ``seed`` is that of ``fill``.
    """
    origin = directory / "origin"
    took_s = fill(origin, records, seed=seed)
    say(f"  filled a store with {records:,} records in {took_s:.1f} s")
    running: list[Node] = []
    missing: list[str] = []
    with ExitStack() as stack:
        for backend, count in dict.fromkeys(wanted or [(name, n) for name in BACKENDS for n in (1, workers)]):
            name = label(backend, count)
            copy = directory / f"{backend}-{count}"
            shutil.copytree(origin, copy)
            try:
                one = stack.enter_context(
                    node(name, copy, workers=count, backend=backend, log=directory / f"{backend}-{count}.log")
                )
                check(one, records // 2)
            except NotStarted as error:
                shutil.rmtree(copy)
                missing.append(f"{name} is not measured: {error}")
                continue
            running.append(one)
        yield running, missing


def fastest() -> str:
    """The back end that a node chooses by itself."""
    return choose("auto").name


def label(backend: str, workers: int) -> str:
    """Name of a contender."""
    return f"idis {backend}, {workers} worker{'s' if workers > 1 else ''}"
