"""``idis watch``: the journal, one change a line, without gap or repeat however often the stream breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resolver.cli.output import Verb, one_line, to_json, to_octets, wants_json, word_of

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.command("watch", cls=Verb)
@click.option("--from", "from_serial", type=click.IntRange(min=0), default=0, metavar="SERIAL", help="First serial.")
@click.option("--prefix", "prefixes", multiple=True, metavar="PREFIX", help="Only changes under it; may be repeated.")
@click.option("--records", is_flag=True, help="Also each record as it is now, public values only (JSON).")
@click.option("--stop-at-end", is_flag=True, help="End at the newest change instead of waiting for more.")
@click.pass_context
def watch(ctx: click.Context, from_serial: int, prefixes: tuple[str, ...], *, records: bool, stop_at_end: bool) -> None:
    """Print changes as they become durable; without --from, those from now on."""
    from resolver.cli import shown  # noqa: PLC0415 - loads protobuf
    from resolver.v1.changes_pb2 import Operation  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        for watched in client.watch(from_serial, prefixes, include_records=records, stop_at_end=stop_at_end):
            change = watched.change
            if wants_json(ctx):
                line = to_json(change)
                if watched.HasField("record"):
                    line["record"] = shown.record_to_json(watched.record)
                click.echo(to_octets(line))
            else:
                operation = word_of(Operation.DESCRIPTOR, change.operation)
                name = one_line(change.name)
                click.echo(f"{change.serial}  {shown.moment(change.time_us)}  {operation}  {name}  v{change.version}")
