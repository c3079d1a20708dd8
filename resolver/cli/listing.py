"""``idis list``: the handles under a prefix in key order."""

from __future__ import annotations

from contextlib import ExitStack
from heapq import merge
from typing import TYPE_CHECKING

import click

from resolver.cli.output import Verb, emit, one_line
from resolver.handle.name import fold_octets

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.command("list", cls=Verb)
@click.argument("prefix")
@click.option("--start", "suffix_start", default="", metavar="TEXT", help="Only suffixes that start with this text.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N handles.")
@click.option("--site", is_flag=True, help="From all servers of a site that share the handles.")
@click.pass_context
def list_(ctx: click.Context, prefix: str, suffix_start: str, limit: int | None, *, site: bool) -> None:
    """List the handles under a prefix, one a line; idis export gives whole records."""
    from resolver import limits  # noqa: PLC0415 - loads when listing

    target: Target = ctx.obj
    page_size = limits.PAGE_MAX if limit is None else min(limit, limits.PAGE_MAX)
    with ExitStack() as opens:
        clients = [opens.enter_context(client) for client in target.clients(of_site=site)]
        lists = [client.list_handles(prefix, suffix_start=suffix_start, page_size=page_size) for client in clients]
        for count, name in enumerate(merge(*lists, key=lambda name: fold_octets(name.encode())), 1):
            emit(ctx, {"name": name}, one_line(name))
            if count == limit:
                break
