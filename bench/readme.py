"""The generated parts of ``bench/README.md`` and all of ``bench/results/README.md``, written from the results.

A part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; what is outside belongs to people.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bench import plot, table

if TYPE_CHECKING:
    from pathlib import Path

TABLES = "README.md"
"""File with all tables, in the directory of the results."""

_HEAD = """# Every table of the last run

Written by `python -m bench readme` from the JSON files beside it; `../README.md` says how to read it.

"""


class NoPlace(Exception):
    """A part has no markers in the text."""


def parts_of(results: list[dict[str, Any]]) -> dict[str, str]:
    """The generated parts by name."""
    by_name = {result["operation"]: result for result in results}
    parts = {"goals": table.goals(results)}
    if any("must" in ratio for result in results for ratio in result["ratios"]):
        parts["goals"] += f"\n![Measured ratios beside their goals](results/{plot.GOALS})\n"
    for name in ("profile", "soak"):
        shown = "Not measured yet.\n"
        if name in by_name:
            shown = table.to_markdown(by_name[name]).partition("\n\n")[2]
        parts[name] = shown
    return parts


def rewritten(text: str, parts: dict[str, str]) -> str:
    """The text with its parts in place. Raises NoPlace."""
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, content=content: found[1] + content + found[2], text)  # type: ignore[misc]
        if count != 1:
            raise NoPlace(f"the text has no place for {name}: put <!-- begin {name} --> and <!-- end {name} --> there")
    return text


def tables(results: list[dict[str, Any]]) -> str:
    """All tables."""
    return _HEAD + "\n".join(table.to_markdown(result) for result in results)


def write(readme: Path, directory: Path, results: list[dict[str, Any]]) -> None:
    """Write both files and the plot of the goals. Raises NoPlace."""
    readme.write_text(rewritten(readme.read_text(encoding="utf-8"), parts_of(results)), encoding="utf-8")
    (directory / TABLES).write_text(tables(results), encoding="utf-8")
    drawn = plot.goals_to_svg(results)
    if drawn:
        (directory / plot.GOALS).write_text(drawn, encoding="utf-8")
