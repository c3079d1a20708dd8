"""Where writes queue: one worker's lane, or the lanes of N workers taking turns by LMDB's writer lock.

The figures behind the decision in ``resolver/ARCHITECTURE.md`` section 6. Both are the same program with another number
of workers. The limit is what the store takes from one thread without a network: groups put and committed in process.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, questions, workload
from bench.load import measure
from bench.operations.register import load_of, per_row
from bench.report import Report, say
from resolver.node.ledger import Ledger
from storage.lmdb_engine import LmdbEngine

if TYPE_CHECKING:
    from bench.settings import Settings

ROWS = 500


def run(settings: Settings) -> Report:
    """Durable registrations with one write lane and with a lane in each of N workers; the limit is the bare ledger."""
    report = Report("lanes", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        backend = nodes.fastest()
        wanted = tuple((backend, count) for count in (1, settings.workers))
        running, _ = stack.enter_context(
            nodes.contenders(directory, settings.records, settings.workers, wanted=wanted, seed=settings.seed)
        )
        os.sync()  # what filling has left in memory is not written while somebody is measured
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for node in running:
                fields = (("authorization", f"Bearer {node.token}"),)
                for label, ask in (
                    ("minted names", partial(questions.create_minted, number)),
                    ("random names", partial(questions.create_random, settings.records, settings.seed, f"L{number}")),
                ):
                    load = load_of(settings, node.port, questions.CREATE, ask, fields)
                    report.add(f"{node.name}, {label}", "ours", "handles", **measure(load, node.process))
                rows = partial(
                    questions.batch_create, settings.records, settings.seed, f"M{number}", ROWS, ordered=False
                )
                load = load_of(settings, node.port, questions.BATCH_CREATE, rows, fields, each=ROWS)
                found = per_row(measure(load, node.process), ROWS)
                report.add(f"{node.name}, batches of {ROWS}, random names", "ours", "handles", **found)
            bare_ledger(report, settings, directory / f"ledger-{number}")
    for label in ("minted names", "random names", f"batches of {ROWS}, random names"):
        one, many = (f"{nodes.label(backend, count)}, {label}" for count in (1, settings.workers))
        report.ratio(f"{label}: {settings.workers} lanes ÷ 1 lane", many, one)
    return report


def bare_ledger(report: Report, settings: Settings, path: Path) -> None:
    """The same registrations by one thread: decide, write, sync; nothing is parsed and nothing is sent."""
    engine = LmdbEngine(path)
    drafts = [nodes.draft_of(number) for number in workload.shuffled(20_000, settings.seed)]
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(drafts), ROWS):
        with engine.write() as writer:
            ledger = Ledger(writer, time.time_ns() // 1000)
            for draft in drafts[start : start + ROWS]:
                if ledger.find(draft.key) is None:
                    ledger.create(draft, "administrator")
            ledger.close()
    figures = {
        "rate": len(drafts) / (time.perf_counter() - wall),
        "cpu_us": (time.process_time() - cpu) * 1e6 / len(drafts),
    }
    engine.close()
    report.add(f"bare ledger, {ROWS} in a commit, random names, empty store", "limit", "handles", **figures)
