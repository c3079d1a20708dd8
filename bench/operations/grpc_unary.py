"""Unary Resolve of random keys over gRPC: h2 and grpcio back ends, 1 and N workers, beside etcd, redis and nginx.

All contenders run at once and are idle while another one is measured. Ceilings come first (closed loop), then
latency from the due time at 50 and 70 % of each contender's own ceiling (open loop). Last, h2load asks for one hot key,
as a check of our own generator and to compare with measurements made elsewhere.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import h2_frames, nodes, peers, questions
from bench.load import Load, measure
from bench.report import Goal, Report, say
from bench.workload import NAME_OCTETS

if TYPE_CHECKING:
    from bench.processes import Process
    from bench.settings import Settings

ETCD = "etcd Range linearizable"
SHARES = (0.5, 0.7)
REDIS_GUESSES = {1: 60_000, 16: 300_000, 100: 450_000}


def run(settings: Settings) -> Report:
    """Unary Resolve of random keys: rates, CPU, latency; peers etcd, redis, nginx."""
    report = Report("grpc-unary", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        running, missing = stack.enter_context(nodes.contenders(directory, settings.records, settings.workers))
        for why in missing:
            report.note(why)
        contenders: list[tuple[str, str, Process, Load]] = []
        ask = partial(questions.resolve, settings.records, settings.seed)
        contenders += [
            (node.name, node.kind, node.process, _load(settings, node.port, questions.RESOLVE, ask)) for node in running
        ]
        if why := peers.absent("etcd", "etcd-server"):
            report.note(why)
        else:
            etcd = stack.enter_context(peers.etcd(directory, settings.records))
            for kind, serializable in (("linearizable", False), ("serializable", True)):
                ranges = partial(questions.etcd_range, settings.records, settings.seed, serializable=serializable)
                load = _load(settings, etcd.port, questions.ETCD_RANGE, ranges)
                contenders.append((f"etcd Range {kind}", "peer", etcd.process, load))
        if why := peers.absent("nginx", "nginx-light"):
            report.note(why)
        else:
            nginx = stack.enter_context(peers.nginx(directory, 8 * NAME_OCTETS + 80))
            load = _load(settings, nginx.port, "/record", questions.nothing)
            contenders.append(("nginx static file, 1 worker", "limit", nginx.process, load))
        redis = None
        if why := peers.absent("redis-server", "redis-server"):
            report.note(why)
        else:
            redis = stack.enter_context(peers.redis(directory, settings.records))
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for label, kind, process, load in contenders:
                report.add(label, kind, "requests", **measure(load, process))
            if redis is not None:
                for pipeline, guess in REDIS_GUESSES.items():
                    found = peers.redis_get(redis, settings.records, pipeline, settings.seconds, guess)
                    report.add(f"redis GET, pipeline {pipeline}", "peer", "requests", **found)
        looked_at = [nodes.label(nodes.fastest(), count) for count in (1, settings.workers)]
        looked_at += [nodes.label("grpcio", 1), ETCD]
        chosen = [one for one in contenders if one[0] in looked_at]
        _open_loops(report, settings, chosen)
        _hot_key(report, directory, chosen)
        _ratios(report, settings)
    return report


def _load(settings: Settings, port: int, path: str, messages: object) -> Load:
    return Load(
        port,
        path,
        messages,  # type: ignore[arg-type]
        settings.seconds,
        settings.warm_s,
        settings.connections,
        settings.in_flight,
        prepared=int(280_000 * (settings.seconds + settings.warm_s)),
    )


def _open_loops(report: Report, settings: Settings, contenders: list[tuple[str, str, Process, Load]]) -> None:
    """Latency at a part of each contender's own ceiling."""
    ceilings = {name: report.rows[name].spread("rate")["median"] for name, *_ in contenders}  # type: ignore[index]
    for _ in range(settings.rounds):
        for share in SHARES:
            for name, kind, process, load in contenders:
                rate = ceilings[name] * share
                slow = Load(
                    load.port,
                    load.path,
                    load.messages,
                    load.seconds,
                    load.warm_s,
                    load.connections,
                    load.in_flight,
                    rate=rate,
                    prepared=int(rate * (load.seconds + load.warm_s)),
                )
                report.add(f"{name}, open loop {share:.0%}", kind, "requests", **measure(slow, process))


def _hot_key(report: Report, directory: Path, contenders: list[tuple[str, str, Process, Load]]) -> None:
    """One key again and again, by h2load and by our generator."""
    if why := peers.absent("h2load", "nghttp2-client"):
        report.note(why)
        return
    for number, (name, kind, process, load) in enumerate(contenders):
        message = next(load.messages())
        body = directory / f"body-{number}"
        body.write_bytes(h2_frames.grpc_frame(message))
        before = process.cpu_s()
        found = peers.h2load(load.port, load.path, body, load.seconds, load.connections, load.in_flight)
        spent_s = process.cpu_s() - before
        requests = found["rate"] * (max(1, round(load.seconds)) + 1)
        report.add(f"{name}, h2load, one hot key", kind, "requests", **found, cpu_us=spent_s * 1e6 / requests)


def _ratios(report: Report, settings: Settings) -> None:
    one, many = nodes.label("h2", 1), nodes.label("h2", settings.workers)
    plain, etcd = nodes.label("grpcio", 1), ETCD
    report.ratio("unary, 1 worker ÷ grpcio back end", one, plain, goal=Goal(10, 14))
    report.ratio("unary, 1 worker ÷ etcd Range linearizable", one, etcd, goal=Goal(1.8, 2.2))
    report.ratio(
        "CPU per request, etcd Range linearizable ÷ 1 worker", one, etcd, figure="cpu_us", inverse=True, goal=Goal(3, 4)
    )
    report.ratio(f"unary, {settings.workers} workers ÷ etcd Range linearizable", many, etcd, goal=Goal(2.5, 3.3))
    report.ratio("unary, 1 worker ÷ redis GET", one, "redis GET, pipeline 1")
    report.ratio("unary, 1 worker ÷ nginx static file", one, "nginx static file, 1 worker")
    hot = ", h2load, one hot key"
    report.ratio("by h2load, one hot key: 1 worker ÷ etcd linearizable", one + hot, etcd + hot)
    report.ratio("by h2load, one hot key: 1 worker ÷ grpcio back end", one + hot, plain + hot)
    report.ratio("grpcio back end, 1 worker ÷ etcd Range linearizable", plain, etcd)
