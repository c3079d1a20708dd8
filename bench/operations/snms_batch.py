"""Durable /identityv2/data/batchCreate of the SNMS OpenAPI over keep-alive HTTP/1.1, beside BatchCreateHandles.

Each identifier follows a template, which is checked, and carries four values and the reference to the template. The
same node registers the same values by gRPC in the same round; the limit is the bare ledger. The Java server of the
Handle System needs about 105 to 120 µs of CPU for one *resolution* in JSON, so a registration should not need more.
"""

from __future__ import annotations

import http.client
import json
import tempfile
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import nodes, questions
from bench.load import measure
from bench.operations.lanes import bare_ledger
from bench.operations.register import load_of, per_row
from bench.post_load import PostGenerator, PostLoad
from bench.report import Goal, Report, say
from bench.workload import PREFIX, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.settings import Settings

REPORTED = "CNRI 9.2, one resolution in JSON, as reported"
REPORTED_CPU_US = 105.0
"""CPU of CNRI's server for one JSON resolution, the lower end of 105 to 120 µs reported of a like machine."""

BATCHES = (500, 2_000)
"""Identifiers of a batch; 2,000 is the most that the interface allows."""

GRPC_ROWS = 500
CONNECTIONS = 4
RATE_GUESS = 20_000
"""Identifiers a second that bodies are made for before the clock starts."""

VERSION = "1.0"
PATH = "/identityv2/data/batchCreate"


def run(settings: Settings) -> Report:
    """Durable SNMS batchCreate over HTTP; peer BatchCreateHandles by gRPC, limit the bare ledger."""
    report = Report("snms-batch", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        data_dir = directory / "node"
        nodes.fill(data_dir, settings.records)
        backend = nodes.fastest()
        label = nodes.label(backend, 1)
        log = directory / "node.log"
        node = stack.enter_context(nodes.node(label, data_dir, workers=1, backend=backend, log=log, http=True))
        token = (("authorization", f"Bearer {node.token}"),)
        _make_template(node)
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for size in BATCHES:
                load = PostLoad(
                    node.http_port,
                    PATH,
                    partial(batches, f"H{number}-{size}-", size),
                    settings.seconds,
                    settings.warm_s,
                    connections=CONNECTIONS,
                    prepared=int(RATE_GUESS / size * (settings.seconds + settings.warm_s)),
                    fields=token,
                    good=(b'"msg":"success"', size),
                )
                found = per_row(measure(load, node.process, make=PostGenerator), size)
                report.add(f"SNMS batchCreate of {size}", "ours", "identifiers", **found)
            ask = partial(
                questions.batch_create, settings.records, settings.seed, f"G{number}", GRPC_ROWS, ordered=True
            )
            found = per_row(
                measure(load_of(settings, node.port, questions.BATCH_CREATE, ask, token, each=GRPC_ROWS), node.process),
                GRPC_ROWS,
            )
            report.add(f"BatchCreateHandles of {GRPC_ROWS}, no template", "ours", "handles", **found)
            bare_ledger(report, settings, directory / f"ledger-{number}")
            report.add(REPORTED, "peer", "resolutions", cpu_us=REPORTED_CPU_US)
    report.note("the row of CNRI's server is reported of another run on a like machine, not measured here")
    for size in BATCHES:
        report.ratio(
            f"CPU, {REPORTED} ÷ SNMS identifier in a batch of {size}",
            f"SNMS batchCreate of {size}",
            REPORTED,
            figure="cpu_us",
            inverse=True,
            goal=Goal(1, 2),
        )
        report.ratio(
            f"CPU per identifier, SNMS batch of {size} ÷ BatchCreateHandles",
            f"SNMS batchCreate of {size}",
            f"BatchCreateHandles of {GRPC_ROWS}, no template",
            figure="cpu_us",
        )
    return report


def _make_template(node: nodes.Node) -> None:
    """The template of the identifiers. Raises AssertionError when it is refused."""
    items = [
        {
            "name": value.type,
            "idType": value.type,
            "idIndex": 1_999 + value.index,
            "required": True,
            "metadata": {"type": "string", "minLength": 1, "maxLength": 255},
        }
        for value in values_of(0)
    ]
    codes = {"industryCategory": "C", "industrySpecific": "34", "industryTrade": "345", "industrySubclass": "3451"}
    body = {"prefix": PREFIX, "version": VERSION, **codes, "type": 2, "items": items}
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=60)
    headers = {"Authorization": f"Bearer {node.token}", "Content-Type": "application/json"}
    connection.request("POST", "/snms/api/v5/template", json.dumps(body), headers)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    if answer["status"] != 1:
        raise AssertionError(f"the node refused the template: {answer}")


def batches(run_name: str, size: int) -> Iterator[bytes]:
    """Bodies of ``size`` new identifiers each, without end."""
    for start in count(0, size):
        yield json.dumps([_identifier(run_name, number) for number in range(start, start + size)]).encode()


def _identifier(run_name: str, number: int) -> dict[str, Any]:
    values = [
        {
            "index": 1_999 + value.index,
            "type": value.type,
            "data": {"format": "string", "value": value.data.decode()},
        }
        for value in values_of(number)
    ]
    return {"handle": f"{PREFIX}/{run_name}{number:016d}", "templateVersion": VERSION, "value": values}
