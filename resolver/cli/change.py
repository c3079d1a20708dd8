"""``idis update | put | remove-values | delete``: changes of identifiers that are registered.

All take the version a change depends on, an id that makes repeating safe, and may only check.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resolver.cli import values
from resolver.cli.output import FAILED, Failed, Verb, emit, exit_of, note, one_line, to_json, to_octets, wants_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.cli.target import Target
    from resolver.v1.registration_pb2 import WriteReceipt

F = TypeVar("F", bound="Callable[..., Any]")


def _conditions(command: F) -> F:
    """Adds ``--if-version``, ``--request-id`` and ``--validate-only``."""
    for option in (
        click.option("--validate-only", is_flag=True, help="Check everything and write nothing."),
        click.option("--request-id", metavar="ID", help="Repeating with the same id returns the first outcome."),
        click.option("--if-version", type=click.IntRange(min=0), metavar="N", help="Only if the record has version N."),
    ):
        command = option(command)
    return command


def _emit(ctx: click.Context, receipt: WriteReceipt, done: str) -> None:
    from resolver.cli import shown  # noqa: PLC0415 - loads protobuf

    emit(ctx, to_json(receipt), shown.receipt_text(receipt, done))


@click.command("update", cls=Verb)
@click.argument("name")
@values.options
@click.option("--template", "template_id", default="", metavar="ID", help="Template to follow from now on.")
@_conditions
@click.pass_context
def update(
    ctx: click.Context,
    /,
    name: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    ttl_s: int | None,
    permissions: str | None,
    template_id: str,
    **conditions: Any,
) -> None:
    """Replace all values of an identifier."""
    target: Target = ctx.obj
    chosen = values.from_options(texts, files, ttl_s, permissions)
    with target.client() as client:
        _emit(ctx, client.update(name, chosen, template_id=template_id, **conditions), "updated")


@click.command("put", cls=Verb)
@click.argument("name")
@values.options
@click.option("--mode", type=click.Choice(["add", "modify"]), help="add: all must be new; modify: all must exist.")
@_conditions
@click.pass_context
def put(
    ctx: click.Context,
    /,
    name: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    ttl_s: int | None,
    permissions: str | None,
    mode: str | None,
    **conditions: Any,
) -> None:
    """Add values to an identifier, or replace those with the same index."""
    from resolver.cli.output import number_of  # noqa: PLC0415 - loads protobuf
    from resolver.v1.registration_pb2 import PutMode  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    chosen = values.from_options(texts, files, ttl_s, permissions)
    with target.client() as client:
        _emit(ctx, client.put_values(name, chosen, mode=number_of(PutMode.DESCRIPTOR, mode), **conditions), "updated")


@click.command("remove-values", cls=Verb)
@click.argument("name")
@click.argument("indexes", nargs=-1, required=True, type=click.IntRange(1, 2**32 - 1), metavar="INDEX...")
@_conditions
@click.pass_context
def remove_values(ctx: click.Context, /, name: str, indexes: tuple[int, ...], **conditions: Any) -> None:
    """Remove values of an identifier by index."""
    target: Target = ctx.obj
    with target.client() as client:
        _emit(ctx, client.remove_values(name, indexes, **conditions), "updated")


@click.command("delete", cls=Verb)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask; scripts are never asked.")
@_conditions
@click.pass_context
def delete(ctx: click.Context, /, names: tuple[str, ...], *, yes: bool, **conditions: Any) -> None:
    """Delete identifiers with all their values; the journal keeps that they existed."""
    from resolver.client import CallFailed  # noqa: PLC0415 - loads gRPC

    target: Target = ctx.obj
    if len(names) > 1 and (conditions["request_id"] or conditions["if_version"] is not None):
        raise click.UsageError("--request-id and --if-version are for one NAME: delete the others on their own")
    if not yes and not conditions["validate_only"] and sys.stdin.isatty():
        what = one_line(names[0]) if len(names) == 1 else f"these {len(names)} identifiers"
        if not click.confirm(f"Delete {what}?", err=True):
            raise Failed("nothing was deleted", FAILED)
    codes = set()
    with target.client() as client:
        for name in names:
            try:
                _emit(ctx, client.delete(name, **conditions), "deleted")
            except CallFailed as failed:
                if len(names) == 1 or failed.code.name in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAUTHENTICATED"}:
                    raise
                codes.add(failed.code.value[0])
                error = {"code": failed.code.name, "reason": failed.reason, "message": failed.message}
                if wants_json(ctx):
                    click.echo(to_octets({"name": name, "error": error}))
                else:
                    note(f"error: {one_line(name)}: {one_line(failed.message)}")
    ctx.exit(exit_of(codes))
