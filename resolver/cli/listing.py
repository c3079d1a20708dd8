"""``idis list``: the handles under a prefix in key order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resolver.cli.output import Verb, emit, one_line

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.command("list", cls=Verb)
@click.argument("prefix")
@click.option("--start", "suffix_start", default="", metavar="TEXT", help="Only suffixes that start with this text.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N handles.")
@click.pass_context
def list_(ctx: click.Context, prefix: str, suffix_start: str, limit: int | None) -> None:
    """List the handles under a prefix, one a line; idis export gives whole records."""
    from resolver import limits  # noqa: PLC0415 - loads when listing

    target: Target = ctx.obj
    page_size = limits.PAGE_MAX if limit is None else min(limit, limits.PAGE_MAX)
    with target.client() as client:
        found = client.list_handles(prefix, suffix_start=suffix_start, page_size=page_size)
        for count, name in enumerate(found, 1):
            emit(ctx, {"name": name}, one_line(name))
            if count == limit:
                break
