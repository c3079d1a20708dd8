"""What another node's names cost: from the cache beside names of one's own, and asked one hop away.

A home node has the records; three nodes that have none are told by a route where they live. One has all of them in its
cache before it is measured; two keep next to nothing, so that nearly every question is asked of the home, over gRPC or
over the Handle protocol. All have one worker. What the home spends on being asked is not in the figures of the asker.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from bench import nodes, questions
from bench.load import Load, measure
from bench.report import Goal, Report, say
from bench.workload import name_of
from resolver.app.data_dir import DataDir
from resolver.node.authorize import Caller, Role
from resolver.registry import prefixes
from resolver.registry.first_start import NodeRole, first_start
from resolver.v1 import registry_pb2, resolution_pb2, resolution_pb2_grpc
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from bench.nodes import Node
    from bench.settings import Settings

NAMES_MAX = 2_000
"""Names asked of home and cache: as many as fit the cache many times."""

ROOM = {
    "IDIS_FEDERATION__ALLOW_NETWORKS": "127.0.0.0/8",
    "IDIS_FEDERATION__ALLOW_PORTS": "1-65535",
}
SMALL = {"IDIS_FEDERATION__CACHE_ENTRIES_MAX": "100"}


def run(settings: Settings) -> Report:
    """Names of another node: cached, and one hop away, beside names of the node's own."""
    report = Report("federation", settings)
    names = min(NAMES_MAX, settings.records)
    backend = nodes.fastest()
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        nodes.fill(directory / "home", settings.records, as_registered=True)
        start = partial(nodes.node, workers=1, backend=backend)
        home = stack.enter_context(start("home", directory / "home", log=directory / "home.log", hdl=True))
        askers = {}
        for label, environment in (
            ("another node's names, cached", {}),
            ("another node's names, one hop over gRPC", SMALL),
            ("another node's names, one hop over Handle TCP", SMALL | {"IDIS_FEDERATION__GRPC": "false"}),
        ):
            data_dir = directory / f"asker-{len(askers)}"
            _route(data_dir, home)
            log = data_dir.with_suffix(".log")
            askers[label] = stack.enter_context(start(label, data_dir, log=log, environment=ROOM | environment))
            nodes.check(askers[label], settings.records // 2)
        own = "the node's own names"
        contenders: list[tuple[str, str, Node, int]] = [(own, "limit", home, names)]
        contenders += [
            (label, "ours", node, names if "cached" in label else settings.records) for label, node in askers.items()
        ]
        say("  filling the cache")
        _learn(askers["another node's names, cached"], names)
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for label, kind, node, count in contenders:
                report.add(label, kind, "requests", **measure(_load(settings, node, count), node.process))
    cached = "another node's names, cached"
    report.ratio(
        "CPU, an own name ÷ another node's name from the cache",
        cached,
        own,
        figure="cpu_us",
        inverse=True,
        goal=Goal(0.77, 1.0),
    )
    report.ratio("cached ÷ own", cached, own)
    for label in askers:
        if "hop" in label:
            report.ratio(f"CPU per request, {label} ÷ own", label, own, figure="cpu_us")
    return report


def _route(data_dir: Path, home: Node) -> None:
    """Make a node that homes 88 and routes 88.300 to another one."""
    data = DataDir(data_dir)
    data.create()
    engine = LmdbEngine(data.store)
    now_us = time.time_ns() // 1_000
    token = first_start(engine, "88", now_us, secrets.token_bytes, NodeRole.TOP)
    assert token is not None  # noqa: S101 - the store is new
    data.write_admin_token(token)
    route = registry_pb2.Route(address="127.0.0.1", tcp_port=home.hdl_port, grpc_port=home.port)
    row = registry_pb2.Prefix(prefix="88.300", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
    with engine.write() as writer:
        prefixes.create(writer, Caller("administrator", Role.NODE_ADMINISTRATOR), row, now_us)
    engine.close()


def _learn(node: Node, names: int) -> None:
    """Let a node ask for names 0, 1, 2, … once."""
    with grpc.insecure_channel(f"127.0.0.1:{node.port}") as channel:
        stub = resolution_pb2_grpc.ResolutionServiceStub(channel)
        for start in range(0, names, 500):
            wanted = [name_of(number) for number in range(start, min(start + 500, names))]
            found = stub.BatchResolve(resolution_pb2.BatchResolveRequest(names=wanted), timeout=60)
            if len(found.records) != len(wanted):
                raise AssertionError(f"{len(found.misses)} names were not found: {found.misses[0].message}")


def _load(settings: Settings, node: Node, names: int) -> Load:
    return Load(
        node.port,
        questions.RESOLVE,
        partial(questions.resolve, names, settings.seed),
        settings.seconds,
        settings.warm_s,
        settings.connections,
        settings.in_flight,
        prepared=int(90_000 * (settings.seconds + settings.warm_s)),
    )
