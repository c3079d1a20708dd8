"""Group commit beside a write-ahead log: is the log worth an overlay that every worker would have to share?

The log is the best case for it, one process and no readers: a group's rows are sealed, appended to a file and synced,
which acknowledges them, and are kept in a dict that readers would have to look into first; every ``SLICE`` rows they
are put into LMDB, sorted, by a synced commit, and the log is emptied. (A commit without a sync would be cheaper still,
and a crash of the machine could then leave pages behind that no log repairs.) Everything is counted: deciding, log,
applying. Rows are those of the ledger, so both sides decide the same; random names stand each behind another of the
records, ascending ones behind the last. Of the ledger's accounts the log keeps the journal only.

What the experiment leaves out speaks against the log too: the overlay would have to be in memory that all workers
share, or be sent to them before the acknowledgement; a start replays the log; a full disk would be met after the
acknowledgement.
"""

from __future__ import annotations

import os
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nodes, questions
from bench.report import Report, say
from bench.workload import name_of, values_of
from resolver.node import draft, record_octets
from resolver.node.ledger import Ledger
from resolver.node.moment import Moment
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.settings import Settings
    from resolver.node.draft import Draft

GROUPS = (128, 500)
"""Rows of one acknowledgement: what two busy workers collect, and what one does."""
SLICE = 10_000
"""Rows put into the store at once, between two groups: a tenth of a second, in which no group is acknowledged."""
ROWS = 40_000


def run(settings: Settings) -> Report:
    """Group commit beside a write-ahead log that is applied in slices; random and ascending names."""
    report = Report("write-ahead", settings)
    with tempfile.TemporaryDirectory(prefix="idis-bench-") as name:
        directory = Path(name)
        nodes.fill(directory / "node", settings.records, seed=settings.seed)
        engine = LmdbEngine(directory / "node" / "store")
        rows = min(ROWS, settings.records)
        os.sync()
        for number in range(settings.rounds):
            say(f"  round {number + 1} of {settings.rounds}")
            for size in GROUPS:
                for label in ("random", "ascending"):
                    for what, work in (("group commit", _group_commit), ("write-ahead log", _Log(directory / "log"))):
                        drafts = _drafts(settings, f"{what[0]}{size}x{number}", rows, ordered=label == "ascending")
                        kind = "ours" if what == "group commit" else "limit"
                        _timed(report, f"{what}, {size} rows, {label} names", kind, work, engine, drafts, size)
        engine.close()
    for size in GROUPS:
        for label in ("random", "ascending"):
            top, bottom = (f"{what}, {size} rows, {label} names" for what in ("write-ahead log", "group commit"))
            report.ratio(f"{size} rows, {label} names: log ÷ group commit", top, bottom)
    return report


def _drafts(settings: Settings, run_name: str, rows: int, *, ordered: bool) -> list[Draft]:
    scattered = questions.new_name(settings.records, settings.seed, run_name)
    ascending = (f"{name_of(settings.records)}{run_name}{number:08d}" for number in range(rows))
    names: Iterator[str] = ascending if ordered else islice(scattered, rows)
    return [draft.prepare(name, values_of(number), "", 1, 1 << 20) for number, name in enumerate(names)]


def _timed(
    report: Report,
    name: str,
    kind: str,
    work: Callable[[LmdbEngine, list[Draft], int], None],
    engine: LmdbEngine,
    drafts: list[Draft],
    size: int,
) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work(engine, drafts, size)
    cpu = time.process_time() - cpu
    report.add(
        name,
        kind,
        "handles",
        rate=len(drafts) / (time.perf_counter() - wall),
        cpu_us=cpu * 1e6 / len(drafts),
    )


def _group_commit(engine: LmdbEngine, drafts: list[Draft], size: int) -> None:
    for start in range(0, len(drafts), size):
        with engine.write() as writer:
            ledger = Ledger(writer, time.time_ns() // 1_000)
            for each in drafts[start : start + size]:
                if ledger.find(each.key) is None:
                    ledger.create(each, "administrator")
            ledger.close()


class _Log:
    """A log with its overlay and its slices; as little around it as can be."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, engine: LmdbEngine, drafts: list[Draft], size: int) -> None:
        """Acknowledge every group by the log and bring all rows into the store."""
        with engine.read() as reader:
            serial = int.from_bytes(reader.last_key(Table.CHANGES) or b"", "big")
        log = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        overlay: dict[bytes, bytes] = {}
        journal: list[tuple[bytes, bytes]] = []
        for start in range(0, len(drafts), size):
            moment, octets = Moment(time.time_ns() // 1_000), []
            with engine.read() as reader:
                for each in drafts[start : start + size]:
                    if each.key in overlay or reader.get_row(Table.RECORDS, each.key) is not None:
                        continue
                    serial += 1
                    number = moment.number(serial)
                    public = moment.record(each.head, 1, number, "")
                    digest = record_octets.digest(each.key, public, b"")
                    entry = moment.entry(1, number, each.name, 1, digest, "administrator", "")
                    key = serial.to_bytes(8, "big")
                    overlay[each.key] = row = seal(each.key, public)
                    journal.append((key, seal(key, entry)))
                    octets += (each.key, row, journal[-1][1])
            os.write(log, b"".join(octets))
            os.fdatasync(log)  # here the group is acknowledged
            if len(overlay) >= SLICE:
                self._apply(engine, overlay, journal, log)
        self._apply(engine, overlay, journal, log)
        os.close(log)

    @staticmethod
    def _apply(engine: LmdbEngine, overlay: dict[bytes, bytes], journal: list[tuple[bytes, bytes]], log: int) -> None:
        """Put what the log holds into the store, and empty the log."""
        with engine.write() as writer:
            writer.put_rows(Table.RECORDS, sorted(overlay.items()))
            writer.put_rows(Table.CHANGES, journal)
        overlay.clear()
        journal.clear()
        os.ftruncate(log, 0)
        os.lseek(log, 0, os.SEEK_SET)
