"""``idis stats``: who the node is, totals, counts by day, times and rates, and where questions come from."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from resolver.cli.output import Verb, table, to_json, to_octets, wants_json
from resolver.clock import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.cli.target import Target
    from resolver.v1 import node_pb2 as pb

DAY_US = 86_400 * 1_000_000


@click.command("stats", cls=Verb)
@click.argument("prefix", default="", metavar="[PREFIX]")
@click.option("--days", type=click.IntRange(1, 3_660), metavar="N", help="Also counts of the last N days.")
@click.option("--times", is_flag=True, help="Also times, rates and busiest seconds of these days, by protocol.")
@click.option(
    "--sources", is_flag=True, help="Also the addresses that asked most in these days; of a prefix, or of the node."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Addresses to show.")
@click.pass_context
def stats(ctx: click.Context, prefix: str, days: int | None, limit: int, *, times: bool, sources: bool) -> None:
    """Show totals of the node, of one prefix or of every prefix, and what happened on the last days (UTC)."""
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.v1 import node_pb2 as pb  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        info = client.call(methods.GET_NODE_INFO, pb.GetNodeInfoRequest())
        now_us = info.time_us or time.time_ns() // 1_000
        from_day = day_of(now_us - ((days or 1) - 1) * DAY_US)
        request = pb.GetStatisticsRequest(
            prefix=prefix, page_size=1_000, from_day=from_day if days or times else 0, include_activity=times
        )
        answer = client.call(methods.GET_STATISTICS, request)
        prefixes, counts, activity = list(answer.prefixes), list(answer.days), list(answer.activity)
        while answer.next_page_token:
            request.page_token = answer.next_page_token
            more = client.call(methods.GET_STATISTICS, request)
            prefixes += more.prefixes
            counts += more.days
            answer.next_page_token = more.next_page_token
        asked = None
        if sources:
            whose = pb.ListSourceStatisticsRequest(prefix=prefix, from_day=from_day, limit=limit)
            asked = client.call(methods.LIST_SOURCE_STATISTICS, whose)
    if wants_json(ctx):
        shown: dict[str, Any] = {"info": to_json(info)}
        if answer.HasField("node"):
            shown["node"] = to_json(answer.node)
        shown["prefixes"] = [to_json(row) for row in prefixes]
        shown["days"] = [to_json(row) for row in counts] if days else []
        shown["activity"] = [to_json(row) for row in activity]
        if asked is not None:
            shown["sources"] = to_json(asked)
        click.echo(to_octets(shown))
        return
    of_node = f", {answer.node.prefix_count} prefixes" if answer.HasField("node") else ""
    handles = f"{info.handle_count} handles{of_node}"
    click.echo(f"node {info.prefix}, version {info.version}, {handles}, newest change {info.serial}")
    if prefixes:
        rows = [(row.prefix, row.handle_count, row.record_octets, row.serial) for row in prefixes]
        click.echo(table([("PREFIX", "HANDLES", "OCTETS", "LAST CHANGE"), *rows]))
    if counts and days:
        click.echo(_days(counts))
    if activity:
        click.echo(_times(activity))
    if asked is not None:
        click.echo(_sources(asked))


def _days(counts: Iterable[pb.DailyCounts]) -> str:
    """Counts by day; the whole node stands as "(node)", prefixes that are not served as "(others)"."""
    rows = [
        (
            row.day,
            row.prefix or ("(node)" if row.whole_node else "(others)"),
            row.creates,
            row.modifies,
            row.deletes,
            row.handle_count,
            row.resolutions,
            row.resolutions_found,
        )
        for row in counts
    ]
    return table([("DAY", "PREFIX", "CREATED", "MODIFIED", "DELETED", "HANDLES", "RESOLVED", "FOUND"), *rows])


def _times(activity: Iterable[pb.DailyActivity]) -> str:
    """Times in milliseconds with when they were seen, and the busiest second."""
    rows = [
        (
            row.day,
            row.kind,
            row.protocol or "(all)",
            row.items,
            f"{row.average_us / 1_000:.3f}" if row.calls else "",
            f"{row.least_us / 1_000:.3f} at {_clock(row.least_time_us)}" if row.calls else "",
            f"{row.most_us / 1_000:.3f} at {_clock(row.most_time_us)}" if row.calls else "",
            f"{row.peak_per_s} at {_clock(row.peak_time_s * 1_000_000)}" if row.peak_per_s else "",
        )
        for row in activity
    ]
    return table([("DAY", "WORK", "PROTOCOL", "NAMES", "AVERAGE MS", "LEAST MS", "MOST MS", "MOST A SECOND"), *rows])


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%H:%M:%S")


def _sources(asked: pb.ListSourceStatisticsResponse) -> str:
    """The addresses, and how exact their counts are."""
    rows = [(row.address, row.resolutions, f"+{row.error}" if row.error else "") for row in asked.sources]
    lines = [table([("ADDRESS", "RESOLUTIONS", "AT MOST"), *rows])]
    if asked.address_count > len(asked.sources):
        lines.append(f"{asked.address_count - len(asked.sources)} further addresses asked less")
    if asked.sources_error:
        lines.append(f"an address that was not counted one by one asked at most {asked.sources_error} times")
    if asked.unattributed:
        lines.append(f"{asked.unattributed} resolutions were counted without their address")
    return "\n".join(lines)
