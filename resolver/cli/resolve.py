"""``idis resolve``: the records of names, in the order given.

One object or one block for each name; a name without a record is an object with ``error``, or a line on
standard error. Names from standard input are asked in batches as they come, so any number of them needs
little memory.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

import click

from resolver.cli.output import Verb, emit, exit_of, note, one_line, to_octets, wants_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resolver.cli.target import Target


@click.command("resolve", cls=Verb)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type; 'URL.' takes URL.X too.")
@click.option("--index", "indexes", multiple=True, type=click.IntRange(1, 2**32 - 1), help="Also this index.")
@click.option("--restricted", is_flag=True, help="Also values without public read, as far as the token may read them.")
@click.option("--trace", is_flag=True, help="Show every step on the way: who was asked, how, what it said.")
@click.option("--follow-aliases", is_flag=True, help="Answer with the record that an HS_ALIAS value leads to.")
@click.pass_context
def resolve(
    ctx: click.Context,
    names: tuple[str, ...],
    types: tuple[str, ...],
    indexes: tuple[int, ...],
    *,
    restricted: bool,
    trace: bool,
    follow_aliases: bool,
) -> None:
    """Resolve identifiers; '-' reads names from standard input, one a line.

    Exit code 0 when every name was resolved, 5 when the others were not found, 1 when they failed differently.
    """
    from resolver.cli import shown  # noqa: PLC0415 - loads protobuf
    from resolver.v1.handle_pb2 import HandleRecord  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    if trace or follow_aliases:
        from resolver.cli import traced  # noqa: PLC0415 - as above
        from resolver.v1.resolution_pb2 import ResolveRequest  # noqa: PLC0415 - as above

        request = ResolveRequest(
            types=types, indexes=indexes, include_restricted=restricted, follow_aliases=follow_aliases
        )
        ctx.exit(exit_of(traced.resolve_traced(ctx, _names(names), request)))
    asked, sent = itertools.tee(_names(names))
    codes = set()
    with target.client() as client:
        answers = client.resolve_many(sent, types=types, indexes=indexes, include_restricted=restricted)
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, HandleRecord):
                emit(ctx, shown.record_to_json(answer), shown.record_text(answer))
                continue
            codes.add(answer.code)
            if wants_json(ctx):
                click.echo(to_octets(shown.miss_to_json(name, answer)))
            else:
                note(f"error: {one_line(name)}: {one_line(answer.message)}")
    ctx.exit(exit_of(codes))


def _names(given: Iterable[str]) -> Iterator[str]:
    for name in given:
        if name == "-":
            yield from (line for line in map(str.strip, sys.stdin) if line)
        else:
            yield name
