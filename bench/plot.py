"""Results as bar charts in SVG, written by hand: rates of a result's rows, with the range of the rounds as a line."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"ours": "#2563a8", "peer": "#a0a4ab", "limit": "#d9a441"}
WIDTH, LABEL, BAR, GAP, TOP = 900, 330, 18, 8, 44


def to_svg(result: dict[str, Any]) -> str:
    """The rates of a result, one bar each; open loops are left out, their rate is chosen and not found."""
    rows = [row for row in result["rows"] if "rate" in row["figures"] and "open loop" not in row["name"]]
    most = max(row["figures"]["rate"]["max"] for row in rows)
    scale = (WIDTH - LABEL - 110) / most
    height = TOP + len(rows) * (BAR + GAP) + 24
    title = f"{result['operation']}: per second, median and range of {rows[0]['rounds']} rounds"
    under = f"{result['machine']['cpu']}, {result['machine']['cores']} cores; {result['settings']['records']:,} records"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="10" y="34" fill="#555555">{escape(under)}</text>',
    ]
    for number, row in enumerate(rows):
        y = TOP + number * (BAR + GAP)
        rate = row["figures"]["rate"]
        long = rate["median"] * scale
        middle = y + BAR / 2
        low, high = LABEL + rate["min"] * scale, LABEL + rate["max"] * scale
        shown = f"{rate['median']:,.0f} {row['unit']}"
        parts += [
            f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(row["name"])}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{long:.1f}" height="{BAR}" fill="{COLOURS[row["kind"]]}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="#111111"/>',
            f'<text x="{high + 6:.1f}" y="{middle + 4}">{escape(shown)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def draw_all(directory: Path) -> list[Path]:
    """An SVG beside every JSON of a directory that has rates."""
    drawn = []
    for path in sorted(directory.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if any("rate" in row["figures"] for row in result["rows"]):
            target = path.with_suffix(".svg")
            target.write_text(to_svg(result), encoding="utf-8")
            drawn.append(target)
    return drawn
