"""A Python application: the client library used plainly, with coalescing, for lists and as a stream.

The peer is the naive use: one unary call for each name over the official library, which is what an application does
that knows nothing of batches. Plain and coalescing rows run the *same* application code, a thousand tasks that each
await ``resolve``; only the flag of the client differs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from contextlib import ExitStack, aclosing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from bench import nodes, workload
from bench.load import LoadFailed
from bench.processes import cpu_s_of
from bench.report import Goal, Report, say
from resolver.client import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.nodes import Node
    from bench.settings import Settings

TASKS = 1_000
PLAIN = "naive: await resolve(), 1,000 tasks"
COALESCED = "coalescing: await resolve(), 1,000 tasks"
UVLOOP = "coalescing: the same on uvloop"


def run(settings: Settings) -> Report:
    """The Python client: coalescing, lists and streams; the peer is one unary call for each name."""
    report = Report("client", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        backend = nodes.fastest()
        wanted = ((backend, 1), (backend, settings.workers))
        running, _ = stack.enter_context(nodes.contenders(directory, settings.records, settings.workers, wanted=wanted))
        node, several = running[0], running[-1]
        report.note(f"the node is {node.name} unless a row says otherwise; server CPU is per answer")
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for label, (kind, _) in WAYS.items():
                _add(report, settings, node, label, label, kind)
            for label in (COALESCED, "resolve_many"):
                _add(report, settings, several, label, f"{label}, node with {settings.workers} workers", "ours")
    report.ratio("coalescing client ÷ naive client", COALESCED, PLAIN, goal=Goal(10, 20))
    report.ratio(
        "CPU of the application per answer, naive ÷ coalescing", COALESCED, PLAIN, figure="client_cpu_us", inverse=True
    )
    for label in (UVLOOP, "resolve_soon and gather", "resolve_many", "resolve_stream"):
        report.ratio(f"{label} ÷ naive client", label, PLAIN)
    return report


def _add(report: Report, settings: Settings, node: Node, label: str, name: str, kind: str) -> None:
    """Run one way; how the connections were spread shows in the CPU of the node's processes."""
    before = {pid: cpu_s_of(pid) for pid in node.process.pids()}
    found = _in_child(label, node.port, settings)
    answers = found.pop("operations")
    spent = sorted((cpu_s_of(pid) - begun for pid, begun in before.items()), reverse=True)
    workers = spent[: 1 if node.name.endswith("1 worker") else settings.workers]
    report.add(name, kind, "answers", **found, cpu_us=sum(spent) * 1e6 / answers, least_busy=workers[-1] / sum(spent))


def _in_child(label: str, port: int, settings: Settings) -> dict[str, float]:
    """Run one way in a process of its own. Raises LoadFailed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(
        target=ask, args=(theirs, label, port, settings.records, settings.seed, settings.seconds), daemon=True
    )
    child.start()
    theirs.close()
    begun = ours.recv() if ours.poll(120) else "it did not begin"
    if begun != "begun":
        raise LoadFailed(f"{label} failed: {begun}")
    found = ours.recv() if ours.poll(120) else "it said nothing for two minutes"
    child.join(2)
    child.kill()
    if isinstance(found, str):
        raise LoadFailed(f"{label} failed: {found}")
    return dict(found)


def ask(pipe: Any, label: str, port: int, records: int, seed: int, seconds: float) -> None:
    """Body of the application's process: says that it begins, then what it found."""
    names = (workload.name_of(number) for number in workload.numbers(records, seed))
    work = WAYS[label][1]
    pipe.send("begun")
    try:
        cpu, wall = time.process_time(), time.perf_counter()
        answers = work(f"127.0.0.1:{port}", names, wall + seconds)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        pipe.send({"rate": answers / wall, "client_cpu_us": cpu * 1e6 / answers, "operations": float(answers)})
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        pipe.send(f"{type(error).__name__}: {error}")


def _blocking(target: str, names: Iterator[str], stop: float) -> int:
    answers = 0
    with Client(target) as client:
        while time.perf_counter() < stop:
            record = client.resolve(next(names))
            answers += len(record.values) > 0
    return answers


def _tasks(target: str, names: Iterator[str], stop: float, *, coalesce: bool) -> int:
    async def run() -> int:
        answers = 0

        async def task() -> None:
            nonlocal answers
            while time.perf_counter() < stop:
                record = await client.resolve(next(names))
                answers += len(record.values) > 0  # in a statement of its own: += would read before the await

        async with AsyncClient(target, coalesce=coalesce) as client:
            await asyncio.gather(*(task() for _ in range(TASKS)))
        return answers

    return asyncio.run(run())


def _plain(target: str, names: Iterator[str], stop: float) -> int:
    return _tasks(target, names, stop, coalesce=False)


def _coalesced(target: str, names: Iterator[str], stop: float) -> int:
    return _tasks(target, names, stop, coalesce=True)


def _coalesced_uvloop(target: str, names: Iterator[str], stop: float) -> int:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return _coalesced(target, names, stop)


def _soon(target: str, names: Iterator[str], stop: float) -> int:
    async def run() -> int:
        answers = 0
        async with AsyncClient(target) as client:
            while time.perf_counter() < stop:
                answers += len(await asyncio.gather(*map(client.resolve_soon, islice(names, 4_000))))
        return answers

    return asyncio.run(run())


def _until(names: Iterator[str], stop: float) -> Iterator[str]:
    while time.perf_counter() < stop:
        yield from islice(names, 1_000)


def _many(target: str, names: Iterator[str], stop: float) -> int:
    async def run() -> int:
        async with AsyncClient(target) as client, aclosing(client.resolve_many(_until(names, stop))) as found:
            return sum([1 async for _ in found])

    return asyncio.run(run())


def _stream(target: str, names: Iterator[str], stop: float) -> int:
    async def run() -> int:
        async with AsyncClient(target) as client, aclosing(client.resolve_stream(_until(names, stop))) as found:
            return sum([1 async for _ in found])

    return asyncio.run(run())


WAYS: dict[str, tuple[str, Callable[[str, Iterator[str], float], int]]] = {
    "blocking client, one at a time": ("ours", _blocking),
    PLAIN: ("peer", _plain),
    COALESCED: ("ours", _coalesced),
    UVLOOP: ("ours", _coalesced_uvloop),
    "resolve_soon and gather": ("ours", _soon),
    "resolve_many": ("ours", _many),
    "resolve_stream": ("ours", _stream),
}
