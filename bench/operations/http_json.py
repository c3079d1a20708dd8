"""The JSON API over kept-alive HTTP/1.1: resolution one by one and in batches, registration in batches.

The limit is uvicorn itself: an ASGI application that answers a constant of the same size as a record. CPU is that of
the node with one worker, its supervisor included, for each name resolved or registered.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench import nodes, workload
from bench.http_load import HttpLoad, measure, request
from bench.machine import ROOT
from bench.processes import Process, free_port, is_listening
from bench.report import Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

BATCH = 100
NAMES = 20_000
CONSTANT = """
import sys, uvicorn
BODY = b"x" * {size}
HEAD = {{"type": "http.response.start", "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"{size}")]}}
async def app(scope, receive, send):
    await send(HEAD)
    await send({{"type": "http.response.body", "body": BODY}})
uvicorn.run(app, port={port}, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools")
"""


def run(settings: Settings) -> Report:
    """JSON over HTTP: GET of one record, batches of resolutions and registrations; the limit is bare uvicorn."""
    report = Report("http-json", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        directory = Path(name)
        data_dir = directory / "data"
        nodes.fill(data_dir, settings.records)
        size = len(json.dumps(_row(0))) + 100
        port = free_port()
        constant = [sys.executable, "-c", CONSTANT.format(size=size, port=port)]
        running = nodes.node("idis, 1 worker", data_dir, workers=1, backend="auto", log=directory / "log", http=True)
        with running as node, Process(constant, directory / "constant.log", cwd=ROOT) as bare:
            bare.wait_until(lambda: is_listening(port))
            _measure(report, settings, node, bare, port)
    report.ratio(
        "GET of one record ÷ uvicorn with a constant, CPU", "GET /v1/handles", "uvicorn, a constant", figure="cpu_us"
    )
    return report


def _measure(report: Report, settings: Settings, node: nodes.Node, bare: Process, port: int) -> None:
    endpoints = json.loads((node.data_dir / "endpoints.json").read_text())
    own = int(endpoints["http"].rpartition(":")[2])
    names = [workload.name_of(number) for number in islice(workload.numbers(settings.records, settings.seed), NAMES)]
    gets = tuple(request("GET", f"/v1/handles/{quote(name)}") for name in names)
    asked = [json.dumps({"names": names[at : at + BATCH]}).encode() for at in range(0, NAMES, BATCH)]
    batches = tuple(request("POST", "/v1/handles:batchResolve", body) for body in asked)
    constant = (request("GET", "/"),)
    for turn in range(settings.rounds):
        say(f"  round {turn + 1} of {settings.rounds}")
        token = f"authorization: Bearer {node.token}"
        rows = [
            json.dumps({"handles": [_row(at + row, turn) for row in range(BATCH)]}) for at in range(0, NAMES, BATCH)
        ]
        creates = tuple(request("POST", "/v1/handles:batchCreate", body.encode(), token) for body in rows)
        for label, kind, target, requests, each, process in (
            ("uvicorn, a constant", "limit", port, constant, 1, bare),
            ("GET /v1/handles", "ours", own, gets, 1, node.process),
            (f"POST handles:batchResolve of {BATCH}", "ours", own, batches, BATCH, node.process),
            (f"POST handles:batchCreate of {BATCH}", "ours", own, creates, BATCH, node.process),
        ):
            load = HttpLoad(target, requests, settings.seconds, settings.warm_s, settings.connections, each)
            report.add(label, kind, "names", **measure(load, process))


def _row(number: int, turn: int = 0) -> dict[str, object]:
    """A handle to register, with the values of the workload."""
    values = [
        {"index": value.index, "type": value.type, "data": base64.b64encode(value.data).decode()}
        for value in workload.values_of(number)
    ]
    return {"name": f"88.300.1/H-{turn}-{number}", "values": values}
