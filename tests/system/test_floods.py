"""Floods and crowds against the real processes, while honest clients go on asking: none of them may notice.

Slow: four minutes for each back end (``make soak``). Figures are printed, one JSON line for each attack: latency from
the due time before and under the attack, failures, and the memory of the workers in a quiet time, before the attack, at
its height, and after.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from conformance.node_process import node
from resolver.app.memory import PAUSE_S
from resolver.v1 import resolution_pb2
from tests.support.attacks import FLOODS

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PATH = "/resolver.v1.ResolutionService/Resolve"
QUESTION = resolution_pb2.ResolveRequest(name="88.300.1/NONE").SerializeToString()
RATE = 50
FLOOD_S = 8
ATTACKERS = 2
SETTLE_S = 4
WARM_S = 10
DOORS = ("grpc", "hdl", "http")
SILENT, DRIPPING = 10_000, 1_000
GROWTH = 0.10
"""Part by which memory may differ from what it was before, as promise 13 has it."""

GRPCIO_KEEPS_OCTETS = 8 << 10
"""What stays of each connection of the greatest crowd that grpcio's core has had, for the next one as large: its poller
never frees its two records of a descriptor. They have 128 octets, but come to lie one to a page or two."""


class Workers:
    """The worker processes of a node as the kernel sees them."""

    def __init__(self, data_dir):
        self.pids = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(data_dir) in (process / "cmdline").read_text().split("\0"):
                    self.pids += (process / "task" / process.name / "children").read_text().split()
            except OSError:
                continue

    def rss(self):
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in self.pids)

    def open_files(self):
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids)


async def honest(target, stop):
    """Ask at a fixed rate, every tenth time anew: seconds from the due time of each answer, and the failures."""
    latencies, failures = [], []
    options = [("grpc.use_local_subchannel_pool", 1)]

    async def one(channel, due):
        try:
            await channel.unary_unary(PATH)(QUESTION, timeout=10, wait_for_ready=False)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                failures.append(f"{error.code().name}: {error.details()}")
        latencies.append(time.monotonic() - due)

    async def anew(due):
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            await one(channel, due)

    async with grpc.aio.insecure_channel(target, options=options) as channel:
        tasks, begun, number = [], time.monotonic(), 0
        while not stop.is_set():
            due = begun + number / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            tasks.append(asyncio.create_task(anew(due) if number % 10 == 9 else one(channel, due)))
            number += 1
        await asyncio.gather(*tasks)
    return sorted(latencies), failures


async def beside(target, commands, workers, *, settle_s=SETTLE_S):
    """Honest clients beside attackers: latencies, failures, what the attackers say, greatest memory and descriptors."""
    stop = asyncio.Event()
    asking = asyncio.create_task(honest(target, stop))
    attackers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.attacks", *command), cwd=ROOT, stdout=subprocess.PIPE
        )
        for command in commands
    ]
    said = asyncio.gather(*(attacker.communicate() for attacker in attackers))
    height = files = 0
    while not said.done():
        height, files = max(height, workers.rss()), max(files, workers.open_files())
        await asyncio.sleep(0.2)
    for _ in range(int(settle_s * 10)):
        await asyncio.sleep(0.1)
    stop.set()
    latencies, failures = await asking
    told = [json.loads(out.splitlines()[-1]) for out, _ in await said]
    return latencies, failures, told, height, files


def percentile(latencies, share):
    return round(latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e3, 1)


@pytest.fixture(scope="module", params=["h2", "grpcio"])
def serving(request, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp(request.param) / "node"
    doors = [word for door in DOORS for word in (f"--{door}", "127.0.0.1:0")]
    with node(data_dir, *doors, "--workers", "2", "--admin", "", "--grpc-backend", request.param) as endpoints:
        target = endpoints["grpc"]
        workers = Workers(data_dir)
        assert len(workers.pids) == 2
        asyncio.run(beside(target, [], workers, settle_s=WARM_S))  # what honest calls need once is no leak
        workers.quiet_octets = workers.rss()
        workers.ports = {door: endpoint.rpartition(":")[2] for door, endpoint in endpoints.items()}
        yield request.param, target, workers, data_dir


def run(serving, name, commands, quiet_octets, kept_octets=0):
    """One attack, its figures printed and held to the memory of a quiet time; the figures."""
    backend, target, workers, data_dir = serving
    quiet, failures, _, _, _ = asyncio.run(beside(target, [], workers, settle_s=3))
    assert failures == []
    before, files_before = workers.rss(), workers.open_files()
    latencies, failures, told, height, files = asyncio.run(beside(target, commands, workers))
    bound = quiet_octets * (1 + GROWTH) + kept_octets
    patience = time.monotonic() + PAUSE_S + SETTLE_S  # workers give memory back now and then
    while workers.rss() > bound and time.monotonic() < patience:
        time.sleep(0.5)
    after, files_after = workers.rss(), workers.open_files()
    figures = {
        "promise": "P13",
        "backend": backend,
        "attack": name,
        "attackers": told,
        "honest_calls": len(latencies),
        "honest_failures": len(failures),
        "p50_ms": [percentile(quiet, 0.5), percentile(latencies, 0.5)],
        "p99_ms": [percentile(quiet, 0.99), percentile(latencies, 0.99)],
        "rss_mib": [round(octets / 2**20, 1) for octets in (quiet_octets, before, height, after)],
        "open_files": [files_before, files, files_after],
    }
    print(json.dumps(figures))
    assert failures == []
    assert Workers(data_dir).pids == workers.pids, "a worker was replaced"
    assert after <= bound
    assert files_after <= files_before + 4
    return figures


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_not_noticed(serving, kind):
    port = serving[1].rpartition(":")[2]
    figures = run(serving, kind, [[kind, port, str(FLOOD_S)]] * ATTACKERS, serving[2].quiet_octets)
    assert all(attacker["steps"] for attacker in figures["attackers"])


@pytest.mark.parametrize(("door", "drip"), [("grpc", "drip"), ("hdl_tcp", "drip-hdl"), ("http", "drip-http")])
def test_a_crowd_that_says_nothing_is_shown_the_door(serving, door, drip):
    """10,000 silent connections and 1,000 that send an octet a second; all are closed by the greeting's time limit."""
    workers = serving[2]
    commands = [["silent", workers.ports[door], "40", str(SILENT)], [drip, workers.ports[door], "40", str(DRIPPING)]]
    crowds(serving, door, commands)


def test_a_crowd_that_greets_and_hears_nothing_is_shown_the_door(serving):
    """10,000 connections that say their preface and SETTINGS and never acknowledge ours."""
    crowds(serving, "grpc", [["mute", serving[2].ports["grpc"], "40", str(SILENT)]])


def crowds(serving, door, commands):
    """Two crowds one after the other: what the second leaves counts too."""
    if int(os.sysconf("SC_OPEN_MAX")) < SILENT + 1_000:
        pytest.skip(f"this machine allows fewer than {SILENT + 1_000} open files")
    backend, _, workers, _ = serving
    kept_octets = GRPCIO_KEEPS_OCTETS * (SILENT + DRIPPING) if (backend, door) == ("grpcio", "grpc") else 0
    quiet_octets = workers.rss()
    for _ in range(2):
        figures = run(serving, f"crowd at {door}", commands, quiet_octets, kept_octets)
        for attacker in figures["attackers"]:
            assert attacker["refused"] == 0
            assert attacker["left"] == 0
