"""Durable BatchCreateHandles of 500 rows, random and ascending names, beside etcd transactions of 100 puts.

The limit is the bare ledger: the same rows decided, written and synced by one thread, nothing parsed, nothing sent.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, peers, questions
from bench.load import measure
from bench.operations.lanes import bare_ledger
from bench.operations.register import load_of, per_row
from bench.report import Report, say

if TYPE_CHECKING:
    from bench.settings import Settings

ROWS = 500


def run(settings: Settings) -> Report:
    """Durable BatchCreateHandles of 500 rows; peer etcd transactions, limit the bare ledger."""
    report = Report("batch-register", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        backend = nodes.fastest()
        running, _ = stack.enter_context(
            nodes.contenders(directory, settings.records, settings.workers, wanted=((backend, 1),), seed=settings.seed)
        )
        node = running[0]
        etcd = None
        if why := peers.absent("etcd", "etcd-server"):
            report.note(why)
        else:
            etcd = stack.enter_context(peers.etcd(directory, settings.records))
        fields = (("authorization", f"Bearer {node.token}"),)
        os.sync()  # what filling has left in memory is not written while somebody is measured
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for label, ordered in (("ascending", True), ("random", False)):
                run_name = f"B{number}"
                ask = partial(questions.batch_create, settings.records, settings.seed, run_name, ROWS, ordered=ordered)
                load = load_of(settings, node.port, questions.BATCH_CREATE, ask, fields, each=ROWS)
                found = per_row(measure(load, node.process), ROWS)
                report.add(f"{node.name}, {label} names", "ours", "handles", **found)
                if etcd is not None:
                    put = partial(
                        questions.etcd_txn,
                        settings.records,
                        settings.seed,
                        run_name,
                        peers.ETCD_TXN_PUTS,
                        ordered=ordered,
                    )
                    load = load_of(settings, etcd.port, questions.ETCD_TXN, put, each=peers.ETCD_TXN_PUTS)
                    found = per_row(measure(load, etcd.process), peers.ETCD_TXN_PUTS)
                    report.add(f"etcd Txn of {peers.ETCD_TXN_PUTS} puts, {label} keys", "peer", "keys", **found)
            bare_ledger(report, settings, directory / f"ledger-{number}")
    for label in ("ascending", "random"):
        bottom = f"etcd Txn of {peers.ETCD_TXN_PUTS} puts, {label} keys"
        report.ratio(f"{label} names ÷ etcd Txn", f"{node.name}, {label} names", bottom)
    return report
