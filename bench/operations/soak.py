"""A node under a steady load for long: 70 % of its ceiling, open loop, random names, new connections each minute.

What a short measurement cannot show is what grows: memory, descriptors, latency. After each minute all are noted. The
limit is the ceiling of the same node, measured first. Not part of ``all``.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, questions
from bench.load import Load, measure
from bench.report import Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

SHARE = 0.7
MINUTE_S = 60.0
CEILING_ROUNDS = 3


def run(settings: Settings) -> Report:
    """A long steady load at 70 % of the ceiling: errors, latency, memory and descriptors by the minute."""
    report = Report("soak", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        wanted = ((nodes.fastest(), settings.workers),)
        (node,), _ = stack.enter_context(
            nodes.contenders(Path(name), settings.records, settings.workers, wanted=wanted)
        )
        ask = partial(questions.resolve, settings.records, settings.seed)
        load = Load(
            node.port,
            questions.RESOLVE,
            ask,
            settings.seconds,
            settings.warm_s,
            settings.connections,
            settings.in_flight,
        )
        for _ in range(CEILING_ROUNDS):
            report.add("ceiling, closed loop", "limit", "requests", **measure(load, node.process))
        ceiling = statistics.median(sample["rate"] for sample in report.rows["ceiling, closed loop"].samples)
        minutes = max(3, round(settings.minutes))
        seconds = min(MINUTE_S, settings.minutes * MINUTE_S / minutes)
        steady = replace(load, seconds=seconds, rate=ceiling * SHARE)
        for minute in range(minutes):
            say(f"  minute {minute + 1} of {minutes}")
            found = measure(
                replace(steady, messages=partial(questions.resolve, settings.records, minute)), node.process
            )
            third = ("first third", "middle third", "last third")[3 * minute // minutes]
            rss = sum(node.process.rss_mib().values())
            report.add(
                f"steady load, {third}",
                "ours",
                "requests",
                **found,
                rss_mib=rss,
                descriptors=float(node.process.descriptors()),
            )
    first, last = "steady load, first third", "steady load, last third"
    report.ratio("anonymous memory, last third ÷ first third", last, first, figure="rss_mib")
    report.ratio("descriptors, last third ÷ first third", last, first, figure="descriptors")
    for figure, what in (("rss_mib", "anonymous memory in MiB"), ("descriptors", "descriptors"), ("errors", "errors")):
        samples = [sample for row in report.rows.values() if row.kind == "ours" for sample in row.samples]
        report.note(f"{what}, by the minute: " + ", ".join(f"{sample[figure]:.0f}" for sample in samples))
    return report
