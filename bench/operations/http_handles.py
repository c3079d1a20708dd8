"""The Handle REST interface: server CPU of ``GET /api/handles/<name>`` over kept connections, and of what is more.

Beside ours stands uvicorn with a bare ASGI callable that answers the same octets, which shows what the server costs by
itself, and what was reported of CNRI's server on a machine of this kind: a figure of another run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, workload
from bench.http_load import HttpLoad, measure, request
from bench.machine import ROOT
from bench.processes import Process, free_port
from bench.report import Goal, Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

CONNECTIONS = (1, 16, 64)
NAMES = 20_000
REPORTED = "CNRI 9.2, a JSON resolution, as reported"
REPORTED_CPU_US = 105.0
"""Microseconds of server CPU that were measured for CNRI's server: from 105 to 120."""

KINDS = {"read": "/api/handles/{}", "read one type": "/api/handles/{}?type=URL", "page": "/{}?noredirect"}
"""What is asked for. Only the first is answered without a task."""

FIELDS = ("user-agent: bench", "accept: application/json", "connection: keep-alive")


def run(settings: Settings) -> Report:
    """Handle REST: server CPU of GET /api/handles, of a filter and of a page; bare uvicorn beside."""
    report = Report("http-handles", settings)
    names = [workload.name_of(number) for number in islice(workload.numbers(settings.records, settings.seed), NAMES)]
    asked = {
        kind: tuple(request("GET", path.format(name), b"", *FIELDS) for name in names) for kind, path in KINDS.items()
    }
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as directory:
        data_dir, log = Path(directory) / "data", Path(directory) / "echo.log"
        nodes.fill(data_dir, settings.records)
        port = free_port()
        bare_command = [sys.executable, "-m", "bench.http_echo", str(port)]
        running = nodes.node("1 worker", data_dir, workers=1, backend="auto", log=Path(directory) / "log", http=True)
        with running as node, Process(bare_command, log, cwd=ROOT) as bare:
            bare.wait_until(lambda: "running on" in log.read_text())
            own = int(json.loads((data_dir / "endpoints.json").read_text())["http"].rpartition(":")[2])
            for turn in range(settings.rounds):
                say(f"  round {turn + 1} of {settings.rounds}")
                for connections in CONNECTIONS:
                    for label, kind, at, process in (
                        ("1 worker, read", "ours", own, node.process),
                        ("bare uvicorn", "limit", port, bare),
                    ):
                        found = measure(_load(settings, at, asked["read"], connections), process)
                        report.add(f"{label}, {connections} in flight", kind, "requests", **found)
                for what in list(KINDS)[1:]:
                    found = measure(_load(settings, own, asked[what], 16), node.process)
                    report.add(f"1 worker, {what}, 16 in flight", "ours", "requests", **found)
                report.add(REPORTED, "peer", "requests", cpu_us=REPORTED_CPU_US)
    report.note("the row of CNRI's server is the lower figure reported of another run on a like machine: 105 to 120 µs")
    for connections in (16, 64):
        ours = f"1 worker, read, {connections} in flight"
        what = f"CPU, CNRI 9.2 as reported ÷ {ours}"
        report.ratio(what, ours, REPORTED, figure="cpu_us", inverse=True, goal=Goal(1, 2))
        bare_row = f"bare uvicorn, {connections} in flight"
        report.ratio(f"CPU, bare uvicorn ÷ {ours}", ours, bare_row, figure="cpu_us", inverse=True)
    return report


def _load(settings: Settings, port: int, requests: tuple[bytes, ...], connections: int) -> HttpLoad:
    return HttpLoad(port, requests, settings.seconds, settings.warm_s, connections)
