"""Lists of the registry, page after page, so that a list of any length needs the memory of one page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from resolver.cli.output import one_line, table, to_json, to_octets, wants_json
from resolver.cli.shown import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resolver.client import Client
    from resolver.methods import Method

KEY_HEX_MAX = 128
"""Hexadecimal digits of octets that are shown whole: a digest is read by people, a public key is not."""

_HEX = re.compile("[0-9a-f]+")

PAGE_ROWS = 1_000
"""Rows of a page: the most the node gives."""


def rows(client: Client, method: Method[Any, Any], field: str, **request: Any) -> Iterator[Any]:
    """Every row of a list: ``field`` of each answer until there is no next page."""
    asked = method.request(page_size=PAGE_ROWS, **request)
    while True:
        answer = client.call(method, asked)
        yield from getattr(answer, field)
        if not answer.next_page_token:
            return
        asked.page_token = answer.next_page_token


def emit_rows(ctx: click.Context, found: Iterator[Any], columns: Callable[[Any], tuple[Any, ...]]) -> None:
    """Print rows as they come: JSON objects, or tab-separated lines of the columns."""
    for row in found:
        if wants_json(ctx):
            click.echo(to_octets(to_json(row)))
        else:
            click.echo("\t".join(one_line(str(cell)) for cell in columns(row)).rstrip("\t"))


def emit_row(ctx: click.Context, row: Any) -> None:
    """Print one row: a JSON object, or its fields below each other, empty ones left out, times as people read them."""
    shown = to_json(row)
    if wants_json(ctx):
        click.echo(to_octets(shown))
    else:
        lines = (_line(key, content) for key, content in shown.items() if content or content is False)
        click.echo(table(line for line in lines if line[1]))


def _line(key: str, content: Any) -> tuple[str, str]:
    if key.endswith("_time_us"):
        return key.removesuffix("_us"), moment(int(content))
    return key, _cell(content)


def _cell(content: Any) -> str:
    if isinstance(content, list):
        return ", ".join(_cell(item) for item in content)
    if isinstance(content, dict):
        return " ".join(f"{key}={_cell(item)}" for key, item in content.items() if item)
    if isinstance(content, str) and len(content) > KEY_HEX_MAX and _HEX.fullmatch(content):
        return f"{content[:16]}... ({len(content) // 2} octets)"
    return str(content).lower() if isinstance(content, bool) else str(content)
