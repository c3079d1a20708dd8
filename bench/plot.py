"""Results as bar charts in SVG, written by hand: rates of a result's rows, with the range of the rounds as a line."""

from __future__ import annotations

import json
import math
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"ours": "#2563a8", "peer": "#a0a4ab", "limit": "#d9a441"}
VERDICTS = {"aim": "#2e7d4f", "must": "#2563a8", "missed": "#b3423a"}
GOALS = "goals.svg"
"""File of the plot of the goals, in the directory of the results."""
LABEL_LETTERS = 66
_DECADES = 1.3
"""Decades that the plot of the goals shows on each side of the least that is accepted."""
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


def _short(text: str) -> str:
    """A label that fits its column."""
    return text if len(text) <= LABEL_LETTERS else text[: LABEL_LETTERS - 1] + "…"


def goals_to_svg(results: list[dict[str, Any]]) -> str:
    """Every ratio that has a goal, as a multiple of the least accepted, on a logarithmic scale; "" without any."""
    ratios = [ratio for result in results for ratio in result["ratios"] if "must" in ratio]
    if not ratios:
        return ""
    label, bar_space = 420, WIDTH - 420 - 160
    height = TOP + len(ratios) * (BAR + GAP) + 24

    def place(multiple: float) -> float:
        share = (math.log10(max(multiple, 1e-9)) + _DECADES) / (2 * _DECADES)
        return label + bar_space * min(1.0, max(0.0, share))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="18" font-size="14" font-weight="bold">Measured ratios beside their goals</text>',
        (
            '<text x="10" y="34" fill="#555555">dark line: must, dotted: aim; a bar twice as far is not twice as fast, '
            "the scale is logarithmic</text>"
        ),
    ]
    for number, ratio in enumerate(ratios):
        y = TOP + number * (BAR + GAP)
        middle = y + BAR / 2
        must = ratio["must"]
        end, aim = place(ratio["median"] / must), place(ratio["aim"] / must)
        low, high = place(ratio["min"] / must), place(ratio["max"] / must)
        parts += [
            f'<text x="{label - 8}" y="{middle + 4}" text-anchor="end">{escape(_short(ratio["what"]))}</text>',
            f'<rect x="{label}" y="{y}" width="{end - label:.1f}" height="{BAR}" fill="{VERDICTS[ratio["verdict"]]}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="#111111"/>',
            (
                f'<line x1="{aim:.1f}" x2="{aim:.1f}" y1="{y - 2}" y2="{y + BAR + 2}" stroke="#111111" '
                'stroke-dasharray="3 2"/>'
            ),
            (
                f'<text x="{max(high, aim) + 6:.1f}" y="{middle + 4}">{ratio["median"]:.3g} × (must {must:g}, aim '
                f"{ratio['aim']:g})</text>"
            ),
        ]
    parts.append(
        f'<line x1="{place(1):.1f}" x2="{place(1):.1f}" y1="{TOP - 4}" y2="{height - 20}" stroke="#111111" '
        'stroke-width="2"/>'
    )
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
