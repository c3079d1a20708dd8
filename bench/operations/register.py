"""Durable CreateHandle, one name to a call, many calls in flight: minted and random names, beside etcd Put.

Every answer means: on disk, here and in etcd. Both hold the same records before, and get new ones of the same names and
octets over as many connections and streams, in turns within each round. Minted names ascend, so they are set beside
ascending keys of etcd; random ones, each behind another of the records, beside the same. Authorization, policy,
quotas, journal, tallies and set hashes are on.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import nodes, peers, questions
from bench.load import Load, measure
from bench.report import Goal, Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

RATE_GUESS = 80_000


def run(settings: Settings) -> Report:
    """Durable CreateHandle, minted and random names; peer etcd Put."""
    report = Report("register", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        wanted = (("h2", 1), ("h2", settings.workers), ("grpcio", 1))
        running, missing = stack.enter_context(
            nodes.contenders(directory, settings.records, settings.workers, wanted=wanted, seed=settings.seed)
        )
        for why in missing:
            report.note(why)
        etcd = None
        if why := peers.absent("etcd", "etcd-server"):
            report.note(why)
        else:
            etcd = stack.enter_context(peers.etcd(directory, settings.records))
        os.sync()  # what filling has left in memory is not written while somebody is measured
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            run_name = f"R{number}"
            for node in running:
                fields = (("authorization", f"Bearer {node.token}"),)
                minted = partial(questions.create_minted, number)
                found = measure(load_of(settings, node.port, questions.CREATE, minted, fields), node.process)
                report.add(f"{node.name}, minted names", node.kind, "handles", **found)
                scattered = partial(questions.create_random, settings.records, settings.seed, run_name)
                found = measure(load_of(settings, node.port, questions.CREATE, scattered, fields), node.process)
                report.add(f"{node.name}, random names", node.kind, "handles", **found)
            if etcd is not None:
                ordered = partial(questions.etcd_put_ordered, settings.seed, run_name)
                found = measure(load_of(settings, etcd.port, questions.ETCD_PUT, ordered), etcd.process)
                report.add("etcd Put, ascending keys", "peer", "keys", **found)
                scattered = partial(questions.etcd_put_random, settings.records, settings.seed, run_name)
                found = measure(load_of(settings, etcd.port, questions.ETCD_PUT, scattered), etcd.process)
                report.add("etcd Put, random keys", "peer", "keys", **found)
    for workers in dict.fromkeys((settings.workers, 1)):
        _ratios(report, nodes.label(nodes.fastest(), workers), workers)
    return report


def _ratios(report: Report, node: str, workers: int) -> None:
    """A node beside etcd, which uses as many cores as it finds.

    More workers have more CPU and smaller groups: which is faster depends on how long the disk takes to sync.
    """
    of = f", {workers} worker{'s' if workers > 1 else ''}"
    for names, keys, goal in (("minted", "ascending", Goal(1.5, 2)), ("random", "random", Goal(0.8, 1.5))):
        ours, theirs = f"{node}, {names} names", f"etcd Put, {keys} keys"
        report.ratio(f"{names} names{of} ÷ etcd Put", ours, theirs, goal=goal)
        label = f"CPU per registration, etcd Put ÷ {names} names{of}"
        report.ratio(label, ours, theirs, figure="cpu_us", inverse=True)


def per_row(found: dict[str, float], rows: int) -> dict[str, float]:
    """Figures of calls as figures of rows."""
    return {
        "rate": found["rate"] * rows,
        "errors": found["errors"],
        "cpu_us": found["cpu_us"] / rows,
        "client_cpu_us": found["client_cpu_us"] / rows,
    }


def load_of(
    settings: Settings, port: int, path: str, messages: Any, fields: tuple[tuple[str, str], ...] = (), *, each: int = 1
) -> Load:
    """A closed loop of writes, ``each`` rows to a call."""
    seconds = settings.seconds + settings.warm_s
    if each > 1:
        shape = {"connections": 2, "in_flight": 2}
    else:
        shape = {"connections": settings.connections, "in_flight": settings.in_flight}
    return Load(
        port,
        path,
        messages,
        settings.seconds,
        settings.warm_s,
        fields=fields,
        prepared=int(RATE_GUESS / each * seconds),
        **shape,
    )
