"""The Handle protocol: CPU of a resolution over UDP, TCP and a TCP connection for each, and of a session's creations.

Requests are made before and have random names; 1, 16 and 64 are in flight. Beside ours stands a bare echo of answers of
the same size, which shows what sockets cost in Python before anything is looked up, and what was reported of CNRI's
server 9.2 on a machine of this kind: figures of another run, so they are no ratio of one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench import hdl_load, nodes
from bench.hdl_load import CREATE, PAD_OCTETS, TCP, TCP_EACH, UDP, Plan
from bench.machine import ROOT
from bench.processes import Process, free_port
from bench.report import Goal, Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

SLOTS = (1, 16, 64)
REPORTED = {
    "udp": ("CNRI 9.2 over UDP, answers of 535 octets, as reported", 33.0),
    "tcp-each": ("CNRI 9.2 over TCP, a connection for each, as reported", 46.0),
    "create": ("CNRI 9.2 creations in sessions, as reported", 450.0),
}
"""Rows of the reference, and the microseconds of server CPU that were measured for it."""

WORDS = {UDP: "UDP", TCP: "TCP, kept", TCP_EACH: "TCP, a connection for each", CREATE: "creations in sessions"}


def run(settings: Settings) -> Report:
    """Handle protocol: server CPU over UDP, TCP and in sessions; reference figures and a bare echo beside."""
    report = Report("hdl", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        origin = directory / "origin"
        say(f"  filled a store with {settings.records:,} records in {nodes.fill(origin, settings.records):.1f} s")
        running = []
        for workers in dict.fromkeys((1, settings.workers)):
            copy = directory / f"hdl-{workers}"
            shutil.copytree(origin, copy)
            running.append(
                stack.enter_context(
                    nodes.node(
                        f"{workers} worker{'s' if workers > 1 else ''}",
                        copy,
                        workers=workers,
                        backend=nodes.fastest(),
                        log=directory / f"hdl-{workers}.log",
                        hdl=True,
                    )
                )
            )
        echo_port = free_port()
        command = [sys.executable, "-m", "bench.hdl_echo", str(echo_port)]
        echo = stack.enter_context(Process(command, directory / "echo.log", cwd=ROOT))
        echo.wait_until(lambda: "ready" in (directory / "echo.log").read_text())
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for kind in (UDP, TCP, TCP_EACH):
                for slots in SLOTS:
                    plan = _plan(settings, kind, slots)
                    for node in running:
                        found = hdl_load.measure(_at(plan, node.hdl_port), node.process, processes=2)
                        report.add(f"{node.name}, {WORDS[kind]}, {slots} in flight", "ours", "requests", **found)
                    if kind != TCP_EACH:
                        found = hdl_load.measure(_at(plan, echo_port), echo, processes=2)
                        report.add(f"bare echo, {WORDS[kind]}, {slots} in flight", "limit", "requests", **found)
            for slots in SLOTS:
                for node in running:
                    plan = _plan(
                        settings, CREATE, slots, key_file=hdl_load.key_file(node.data_dir), run=f"C{number}-{slots}"
                    )
                    found = hdl_load.measure(_at(plan, node.hdl_port), node.process, processes=2)
                    report.add(f"{node.name}, {WORDS[CREATE]}, {slots} in flight", "ours", "handles", **found)
            for text, cpu_us in REPORTED.values():
                report.add(text, "peer", "requests", cpu_us=cpu_us)
    report.note("rows of CNRI's server are figures reported of another run on a like machine, not measured here")
    report.note("questions over UDP are padded: an answer over three times the question goes over TCP only")
    for kind, (text, _) in REPORTED.items():
        for slots in (16, 64):
            ours = f"1 worker, {WORDS[kind]}, {slots} in flight"
            report.ratio(
                f"CPU, CNRI 9.2 as reported ÷ {ours}", ours, text, figure="cpu_us", inverse=True, goal=Goal(1, 1.5)
            )
    return report


def _plan(settings: Settings, kind: str, slots: int, *, key_file: str = "", run: str = "") -> Plan:
    pad = PAD_OCTETS if kind == UDP else 0
    return Plan(kind, 0, slots, settings.seconds, settings.warm_s, settings.records, settings.seed, pad, key_file, run)


def _at(plan: Plan, port: int) -> Plan:
    return Plan(**{**vars(plan), "port": port})
