"""``idis stats``: who the node is, the totals of its prefixes, and counts by day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from resolver.cli.output import Verb, table, to_json, to_octets, wants_json
from resolver.clock import day_of

if TYPE_CHECKING:
    from resolver.cli.target import Target

DAY_US = 86_400 * 1_000_000


@click.command("stats", cls=Verb)
@click.argument("prefix", default="", metavar="[PREFIX]")
@click.option("--days", type=click.IntRange(1, 3_660), metavar="N", help="Also counts of the last N days.")
@click.option("--sources", is_flag=True, help="With --days: also the source addresses of each day.")
@click.pass_context
def stats(ctx: click.Context, prefix: str, days: int | None, *, sources: bool) -> None:
    """Show totals of the node, of one prefix or of every prefix, and daily counts."""
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.v1 import node_pb2 as pb  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        info = client.call(methods.GET_NODE_INFO, pb.GetNodeInfoRequest())
        now_us = info.time_us or time.time_ns() // 1_000
        request = pb.GetStatisticsRequest(
            prefix=prefix,
            page_size=1_000,
            from_day=day_of(now_us - (days - 1) * DAY_US) if days else 0,
            include_sources=sources,
        )
        answer = client.call(methods.GET_STATISTICS, request)
        prefixes, counts = list(answer.prefixes), list(answer.days)
        while answer.next_page_token:
            request.page_token = answer.next_page_token
            more = client.call(methods.GET_STATISTICS, request)
            prefixes += more.prefixes
            counts += more.days
            answer.next_page_token = more.next_page_token
    if wants_json(ctx):
        shown: dict[str, Any] = {"info": to_json(info)}
        if answer.HasField("node"):
            shown["node"] = to_json(answer.node)
        shown["prefixes"] = [to_json(row) for row in prefixes]
        shown["days"] = [to_json(row) for row in counts]
        click.echo(to_octets(shown))
        return
    click.echo(f"node {info.prefix}, version {info.version}, {info.handle_count} handles, newest change {info.serial}")
    if prefixes:
        rows = [(row.prefix, row.handle_count, row.record_octets, row.serial) for row in prefixes]
        click.echo(table([("PREFIX", "HANDLES", "OCTETS", "LAST CHANGE"), *rows]))
    if counts:
        days_ = [
            (row.day, row.prefix, row.creates, row.modifies, row.deletes, row.resolutions, row.resolutions_found)
            for row in counts
        ]
        click.echo(table([("DAY", "PREFIX", "CREATED", "MODIFIED", "DELETED", "RESOLVED", "FOUND"), *days_]))
        for row in counts:
            for source in row.sources:
                click.echo(f"{row.day}  {row.prefix}  {source.address}  {source.resolutions}")
