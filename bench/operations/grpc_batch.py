"""BatchResolve of 100 and of 1,000 random names, per name: both back ends, 1 and N workers, beside redis pipelines."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, peers, questions
from bench.load import Load, measure
from bench.report import Goal, Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

SIZES = (100, 1_000)
REDIS_GUESS = 900_000
PREPARED_PER_S = 1_600_000
"""Names a second that are made before the clock starts, more than two workers answer: made while it runs they take a
third of a core from the servers, and redis-benchmark has nothing of the kind to do."""
IN_FLIGHT = 4
"""Batches in flight on a connection."""
CONNECTIONS = 16


def run(settings: Settings) -> Report:
    """BatchResolve of 100 and 1,000 random names; peer redis with pipeline 100."""
    report = Report("grpc-batch", settings)
    redis_name = "redis GET, pipeline 100"
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        running, missing = stack.enter_context(nodes.contenders(directory, settings.records, settings.workers))
        for why in missing:
            report.note(why)
        redis = None
        if why := peers.absent("redis-server", "redis-server"):
            report.note(why)
        else:
            redis = stack.enter_context(peers.redis(directory, settings.records))
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for size in SIZES:
                for node in running:
                    load = Load(
                        node.port,
                        questions.BATCH,
                        partial(questions.batch, settings.records, settings.seed, size),
                        settings.seconds,
                        settings.warm_s,
                        CONNECTIONS,
                        IN_FLIGHT,
                        prepared=int(PREPARED_PER_S / size * (settings.seconds + settings.warm_s)),
                    )
                    found = measure(load, node.process)
                    per_name = {key: found[key] / size for key in ("cpu_us", "client_cpu_us", "answer_octets")}
                    report.add(
                        f"{node.name}, {size:,} names",
                        node.kind,
                        "names",
                        rate=found["rate"] * size,
                        errors=found["errors"],
                        **per_name,
                    )
            if redis is not None:
                found = peers.redis_get(redis, settings.records, 100, settings.seconds, REDIS_GUESS)
                report.add(redis_name, "peer", "names", **found)
    for workers, goal in ((1, None), (settings.workers, Goal(1.0, 1.5))):
        top = f"{nodes.label('h2', workers)}, 1,000 names"
        report.ratio(f"batches of 1,000, workers: {workers} ÷ redis pipeline 100", top, redis_name, goal=goal)
        cost = f"CPU per name, redis ÷ batches of 1,000, workers: {workers}"
        report.ratio(cost, top, redis_name, figure="cpu_us", inverse=True)
    report.ratio(
        "batches of 1,000, 1 worker ÷ grpcio back end",
        f"{nodes.label('h2', 1)}, 1,000 names",
        f"{nodes.label('grpcio', 1)}, 1,000 names",
    )
    return report
