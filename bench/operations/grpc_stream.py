"""StreamResolve of random names, one question to a message: h2 and grpcio back ends, 1 and N workers.

The peer is the grpcio back end: etcd and redis have nothing of the kind. redis with pipeline 100 stands beside it as
what a text protocol reaches with the same number of questions open on each connection.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, peers, questions
from bench.load import Load, measure
from bench.report import Goal, Report, say
from bench.stream_load import StreamGenerator

if TYPE_CHECKING:
    from bench.settings import Settings

OPEN = 200
"""Questions open on a stream."""
STREAMS = 8
REDIS_GUESS = 450_000


def run(settings: Settings) -> Report:
    """StreamResolve, one name to a message; peers grpcio back end and redis pipeline 100."""
    report = Report("grpc-stream", settings)
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
            for node in running:
                load = Load(
                    node.port,
                    questions.STREAM,
                    partial(questions.stream, settings.records, settings.seed),
                    settings.seconds,
                    settings.warm_s,
                    STREAMS,
                    OPEN,
                    prepared=int((20_000 if node.kind == "peer" else 600_000) * (settings.seconds + settings.warm_s)),
                )
                report.add(node.name, node.kind, "names", **measure(load, node.process, make=StreamGenerator))
            if redis is not None:
                found = peers.redis_get(redis, settings.records, 100, settings.seconds, REDIS_GUESS)
                report.add("redis GET, pipeline 100", "peer", "names", **found)
    one, plain = nodes.label("h2", 1), nodes.label("grpcio", 1)
    report.ratio("stream, 1 worker ÷ grpcio back end", one, plain, goal=Goal(10, 15))
    report.ratio("CPU per name, grpcio back end ÷ h2", one, plain, figure="cpu_us", inverse=True)
    report.ratio("stream, 1 worker ÷ redis pipeline 100", one, "redis GET, pipeline 100")
    return report
