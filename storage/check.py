"""The scrub: reads every row of a store, checks every seal, and counts.

It runs beside writers. Rows are taken in small bites, each in a read transaction of its own that ends
before the rows are looked at, so no page is pinned for longer than it takes to copy a bite. What it
reads is therefore not one moment; each row is judged alone, and the journal by its order.

It knows nothing of handles. Whoever does brings a visitor and compares what the rows mean: a row that
silently vanished from a damaged page is found only by counting against a tally kept elsewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import PageCorrupt, RowCorrupt, StoreFailed
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from storage.engine import Engine

BITE_ROWS = 2_000
"""Rows of one read transaction: about two milliseconds."""

BITE_OCTETS = 8 << 20
"""Octets of rows after which a bite ends early: bounds memory when records are large."""

FINDINGS_MAX = 100
"""Findings that a report spells out; the rest are counted."""

SERIAL_OCTETS = 8
"""Octets of a key of the journal, big-endian; serials count from 1."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: in which table, at which key, and what."""

    table: str
    key: bytes
    problem: str

    def to_json(self) -> dict[str, str]:
        """The finding with its key in hexadecimal and, where that can be read, as text."""
        return {
            "table": self.table,
            "key_hex": self.key.hex(),
            "key_text": self.key.decode("utf-8", "replace"),
            "problem": self.problem,
        }


@dataclass(slots=True)
class CheckReport:
    """What a scrub found. ``ok`` is the verdict; ``findings`` holds the first hundred of ``finding_count``."""

    rows: dict[str, int] = field(default_factory=dict)
    """Rows seen, by name of the table."""
    octets: int = 0
    """Octets of the keys and rows seen."""
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0
    last_serial: int = 0
    """Greatest serial of the journal; 0 when it is empty."""
    elapsed_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding_count == 0

    @property
    def row_count(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())

    @property
    def rows_per_s(self) -> float:
        """Rows checked in a second."""
        return self.row_count / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def find(self, table: Table, key: bytes, problem: str) -> None:
        """Note something wrong; visitors may too."""
        self.finding_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(table.name, key, problem))

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "octets": self.octets,
            "last_serial": self.last_serial,
            "finding_count": self.finding_count,
            "findings": [finding.to_json() for finding in self.findings],
            "elapsed_s": round(self.elapsed_s, 3),
            "rows_per_s": round(self.rows_per_s),
        }


def check(
    source: Engine | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    visit: Callable[[Table, bytes, bytes], None] | None = None,
    tables: Iterable[Table] = Table,
    still: bool = False,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> CheckReport:
    """Check every row of a store, given as an open engine or as the directory of one.

    Args:
        source: the engine, or the path of a store this process has not open; it is opened read only.
        progress: called with rows done and rows expected after each bite.
        visit: called with table, key and body of every sound row, outside of any transaction. Tables come in the
            order of ``tables``, keys ascending.
        tables: the tables wanted, in this order.
        still: nobody writes meanwhile: the rows seen must be as many as the engine counts.
        monotonic_s: the clock that times the report.

    Damage is reported, not raised; the worst of it can make the engine abort the process, so check a doubtful file
    in a process of its own. Raises StoreUnusable when the path holds no store of this format.
    """
    if isinstance(source, Path):
        engine = LmdbEngine(source, readonly=True)
        try:
            return check(engine, progress, visit=visit, tables=tables, still=still, monotonic_s=monotonic_s)
        finally:
            engine.close()
    begun_s = monotonic_s()
    report = CheckReport()
    tables = tuple(tables)
    counts = _count_rows(source, tables, report)
    expected = sum(counts.values())
    for table in tables:
        report.rows[table.name] = 0
        try:
            for _ in _check_table(source, table, report, visit):
                if progress is not None:
                    progress(report.row_count, expected)
        except StoreFailed as error:
            report.find(table, b"", f"cannot be read on after row {report.rows[table.name]}: {error}")
            continue
        if still and report.rows[table.name] != counts.get(table, 0):
            report.find(table, b"", f"has {report.rows[table.name]} rows where the engine counts {counts.get(table)}")
    report.elapsed_s = monotonic_s() - begun_s
    return report


def _count_rows(engine: Engine, tables: tuple[Table, ...], report: CheckReport) -> dict[Table, int]:
    """Rows of each table as the engine counts them."""
    counts = {}
    with engine.read() as reader:
        for table in tables:
            try:
                counts[table] = reader.count(table)
            except StoreFailed as error:
                report.find(table, b"", f"cannot be counted: {error}")
    return counts


def _check_table(
    engine: Engine,
    table: Table,
    report: CheckReport,
    visit: Callable[[Table, bytes, bytes], None] | None,
) -> Iterator[None]:
    """Check the rows of one table, a bite at each step; a bite starts after the last key of the one before."""
    previous = b""
    with engine.read() as reader:
        last = reader.last_key(table)
    # Rows after this key are newer than the scrub; without a stop it could follow a busy writer for ever.
    stop = b"" if last is None else last + b"\0"
    while bite := _bite(engine, table, previous, stop):
        for key, row in bite:
            if key <= previous:
                report.find(table, key, f"comes after {previous!r}: the order of the keys is damaged")
                # Going on from a key out of order could read the same rows for ever.
                return
            report.rows[table.name] += 1
            report.octets += len(key) + len(row)
            if table is Table.CHANGES:
                _check_serial(key, report)
            previous = key
            try:
                body = unseal(table, key, row)
            except RowCorrupt:
                report.find(table, key, "does not fit its checksum: restore it from a backup or a mirror")
                continue
            if visit is not None:
                visit(table, key, body)
        yield


def _bite(engine: Engine, table: Table, previous: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
    """The next rows after a key, read in one short transaction; tried twice, as PageCorrupt may be a false alarm."""
    try:
        return _bite_once(engine, table, previous, stop)
    except PageCorrupt:
        return _bite_once(engine, table, previous, stop)


def _bite_once(engine: Engine, table: Table, previous: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
    bite = []
    octets = 0
    with engine.read() as reader:
        for key, row in reader.scan_rows(table, previous + b"\0" if previous else b"", stop):
            bite.append((key, row))
            octets += len(row)
            if len(bite) >= BITE_ROWS or octets >= BITE_OCTETS:
                break
    return bite


def _check_serial(key: bytes, report: CheckReport) -> None:
    """Hold a key of the journal against the one before: serials go 1, 2, 3, … without gaps."""
    if len(key) != SERIAL_OCTETS:
        report.find(Table.CHANGES, key, f"is no serial: its key has {len(key)} octets, not {SERIAL_OCTETS}")
        return
    serial, expected = int.from_bytes(key, "big"), report.last_serial + 1
    if serial == 0:
        report.find(Table.CHANGES, key, "is serial 0: serials count from 1")
    elif serial != expected:
        missing = f"{expected} to {serial - 1}" if serial - expected > 1 else str(expected)
        report.find(Table.CHANGES, key, f"follows a gap: the journal lacks serial {missing}")
    report.last_serial = serial
