"""Where the time goes: CPU µs of each kind of work by library, sampled while the load of its goal runs.

The grpcio back end stands beside ours, as the peer that most goals are about. ``python`` is the interpreter with all
Python code, ours too; ``lmdb`` includes waiting for memory, because random records are in no cache of the processor;
``kernel`` is sockets, and the disk for writes.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import nodes, questions
from bench.load import Generator, Load, LoadFailed, measure
from bench.operations import client
from bench.report import Report, say
from bench.sampling import Sampler
from bench.stream_load import StreamGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.nodes import Node
    from bench.settings import Settings


class _Work(NamedTuple):
    name: str
    path: str
    messages: Callable[[], Iterator[bytes]]
    names: int = 1
    connections: int = 16
    in_flight: int = 32
    make: Callable[[Any], Any] = Generator
    prepared_per_s: int = 200_000


def run(settings: Settings) -> Report:
    """Where the CPU time goes, by library, for the load of each goal; needs linux-perf."""
    report = Report("profile", settings)
    records, seed = settings.records, settings.seed
    works = [
        _Work("unary Resolve", questions.RESOLVE, partial(questions.resolve, records, seed)),
        _Work(
            "BatchResolve of 1,000, a name",
            questions.BATCH,
            partial(questions.batch, records, seed, 1_000),
            names=1_000,
            connections=16,
            in_flight=4,
            prepared_per_s=1_000,
        ),
        _Work(
            "StreamResolve, a name",
            questions.STREAM,
            partial(questions.stream, records, seed),
            connections=8,
            in_flight=200,
            make=StreamGenerator,
            prepared_per_s=600_000,
        ),
    ]
    number = count()
    creates: list[tuple[str, Callable[[], Callable[[], Iterator[bytes]]]]] = [
        ("CreateHandle, minted names", lambda: partial(questions.create_minted, next(number))),
        ("CreateHandle, random names", lambda: partial(questions.create_random, records, seed, f"P{next(number)}")),
    ]
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        Sampler(directory / "perf")  # says at once when there is none
        wanted = ((nodes.fastest(), 1), ("grpcio", 1))
        running, _ = stack.enter_context(nodes.contenders(directory, settings.records, settings.workers, wanted=wanted))
        for round_ in range(settings.rounds):
            say(f"  round {round_ + 1} of {settings.rounds}")
            for node in running:
                for work in works if node.kind == "ours" else works[:1]:
                    _add(report, settings, directory, node, work)
                for label, make in creates if node.kind == "ours" else []:
                    _add(
                        report, settings, directory, node, _Work(label, questions.CREATE, make(), prepared_per_s=40_000)
                    )
            _add_client(report, settings, directory, running[0])
    return report


def _add(report: Report, settings: Settings, directory: Path, node: Node, work: _Work) -> None:
    sampler = Sampler(directory / "perf")
    load = Load(
        node.port,
        work.path,
        work.messages,
        settings.seconds,
        settings.warm_s,
        work.connections,
        work.in_flight,
        fields=(("authorization", f"Bearer {node.token}"),) if work.path == questions.CREATE else (),
        prepared=int(work.prepared_per_s * (settings.seconds + settings.warm_s)),
    )
    begin = partial(sampler.start, node.process.pids(), settings.seconds)
    found = measure(load, node.process, make=work.make, begin=begin)
    cpu_us = found["cpu_us"] / work.names
    parts = {f"{part}_us": share * cpu_us for part, share in sampler.shares().items()}
    report.add(f"{node.name}: {work.name}", node.kind, "operations", cpu_us=cpu_us, **parts)


def _add_client(report: Report, settings: Settings, directory: Path, node: Node) -> None:
    """The application's own process, with the coalescing client."""
    sampler = Sampler(directory / "perf")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, client.COALESCED, node.port, settings.records, settings.seed, settings.seconds + 1)
    child = context.Process(target=client.ask, args=arguments, daemon=True)
    child.start()
    try:
        if not ours.poll(60) or ours.recv() != "begun":
            raise LoadFailed("the client's process did not begin")
        sampler.start([child.pid or 0], settings.seconds)
        found = ours.recv() if ours.poll(120) else "it said nothing for two minutes"
    finally:
        child.join(2)
        child.kill()
    if isinstance(found, str):
        raise LoadFailed(f"the client failed: {found}")
    cpu_us = found["client_cpu_us"]
    parts = {f"{part}_us": share * cpu_us for part, share in sampler.shares().items()}
    report.add("application with the coalescing client, an answer", "ours", "operations", cpu_us=cpu_us, **parts)
