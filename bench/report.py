"""Figures of a run: rows, samples by round, ratios taken round by round, and the JSON and table they end in.

A row is one contender: ``ours``, a ``peer`` or a ``limit``. A sample is what one round found of it. A ratio divides
two rows *within* a round, so that a noisy neighbour disturbs both sides; its median, minimum and maximum are those of
the rounds. A report without a peer or limit beside ours is refused: a lone figure says nothing.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench import machine

if TYPE_CHECKING:
    from pathlib import Path

    from bench.settings import Settings

KINDS = ("ours", "peer", "limit")


class Lonely(Exception):
    """A report has nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should reach: the least we accept, and what we aim at."""

    must: float
    aim: float


@dataclass(slots=True)
class Row:
    """One contender with its samples."""

    name: str
    kind: str
    unit: str
    samples: list[dict[str, float]] = field(default_factory=list)

    def spread(self, figure: str) -> dict[str, float] | None:
        """Median, minimum and maximum of a figure over the rounds; None when it was not measured."""
        found = [sample[figure] for sample in self.samples if figure in sample]
        return spread(found) if found else None


def spread(found: list[float]) -> dict[str, float]:
    """Median, minimum and maximum, with four significant digits or more."""
    return {
        "median": _short(statistics.median(found)),
        "min": _short(min(found)),
        "max": _short(max(found)),
    }


def _short(number: float) -> float:
    return float(f"{number:.4g}") if abs(number) < 1_000 else round(number)


def say(text: str) -> None:
    """Progress for the person who waits; never a result."""
    print(text, file=sys.stderr, flush=True)


class Report:
    """What one operation found."""

    def __init__(self, operation: str, settings: Settings) -> None:
        self.operation = operation
        self.settings = settings
        self.rows: dict[str, Row] = {}
        self.ratios: list[dict[str, object]] = []
        self.notes: list[str] = []
        self._started = time.time()
        self._load = machine.load_average()

    def add(self, name: str, kind: str, unit: str, **figures: float) -> None:
        """One sample of a contender. ``rate`` is per second, names ending in ``_us`` are per operation."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of row: give one of {', '.join(KINDS)}")
        if figures.get("rate") and figures.get("cpu_us"):
            figures["cores"] = figures["rate"] * figures["cpu_us"] / 1e6
        row = self.rows.setdefault(name, Row(name, kind, unit))
        row.samples.append({**figures, "load_average": machine.load_average()})
        shown = "  ".join(f"{key} {value:,.4g}" for key, value in figures.items() if value == value)  # noqa: PLR0124
        say(f"  {name:44s} {shown}  (load {machine.load_average()})")

    def note(self, text: str) -> None:
        """Something the reader must know, such as a peer that is not installed."""
        self.notes.append(text)
        say(f"  note: {text}")

    def ratio(
        self, what: str, top: str, bottom: str, *, figure: str = "rate", inverse: bool = False, goal: Goal | None = None
    ) -> None:
        """Compare two rows round by round; silently nothing when one of them was not measured.

        ``inverse`` divides bottom by top: for costs, where less is better.
        """
        if top not in self.rows or bottom not in self.rows:
            return
        pairs = zip(self.rows[top].samples, self.rows[bottom].samples, strict=False)
        found = [
            (below[figure] / above[figure]) if inverse else (above[figure] / below[figure])
            for above, below in pairs
            if above.get(figure) and below.get(figure)
        ]
        if not found:
            return
        row: dict[str, object] = {"what": what, "top": top, "bottom": bottom, "figure": figure, **spread(found)}
        if goal is not None:
            reached = statistics.median(found)
            row |= {"must": goal.must, "aim": goal.aim}
            row["verdict"] = "aim" if reached >= goal.aim else "must" if reached >= goal.must else "missed"
        self.ratios.append(row)

    def to_json(self) -> dict[str, object]:
        """The whole result. Raises Lonely when no peer or limit was measured beside ours."""
        kinds = {row.kind for row in self.rows.values()}
        if kinds == {"ours"}:
            raise Lonely(f"{self.operation} measured no peer and no limit: install one of those its notes name")
        figures = {figure: None for row in self.rows.values() for sample in row.samples for figure in sample}
        return {
            "operation": self.operation,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "took_s": round(time.time() - self._started, 1),
            "commit": machine.commit(),
            "machine": machine.machine(),
            "settings": asdict(self.settings),
            "load_average": {"start": self._load, "end": machine.load_average()},
            "rows": [
                {
                    "name": row.name,
                    "kind": row.kind,
                    "unit": row.unit,
                    "rounds": len(row.samples),
                    "figures": {name: found for name in figures if (found := row.spread(name))},
                    "samples": row.samples,
                }
                for row in self.rows.values()
            ],
            "ratios": self.ratios,
            "notes": self.notes,
        }

    def write(self, directory: Path) -> Path:
        """Write the result as one JSON file named after the operation."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.operation}.json"
        path.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path
