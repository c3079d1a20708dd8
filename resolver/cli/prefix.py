"""``idis prefix``: the life cycle of prefixes under the node's (applied, in audit, enabled, disabled, deleted)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from resolver import methods
from resolver.cli import pages, routing, safely
from resolver.cli.output import INVALID, Failed, Family, emit, note, to_json, words_of
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from resolver.cli.target import Target


@click.group("prefix", cls=Family)
def prefix() -> None:
    """Prefixes: apply, create, get, list, audit, enable, disable, delete, route, move."""


def _create(ctx: click.Context, row: pb.Prefix, request_id: str, *, validate_only: bool) -> None:
    target: Target = ctx.obj
    request = pb.CreatePrefixRequest(prefix=row, request_id=request_id, validate_only=validate_only)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.CREATE_PREFIX, request).prefix)


def _update(ctx: click.Context, request_id: str, *, validate_only: bool, **changes: Any) -> None:
    target: Target = ctx.obj
    request = pb.UpdatePrefixRequest(request_id=request_id, validate_only=validate_only, **changes)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.UPDATE_PREFIX, request).prefix)


@prefix.command("create")
@click.argument("name", metavar="PREFIX")
@click.option("--enterprise", "enterprise_id", default="", metavar="ID", help="The enterprise that owns it.")
@click.option("--description", default="", metavar="TEXT", help="Free description.")
@safely.options
@click.pass_context
def create(
    ctx: click.Context, name: str, enterprise_id: str, description: str, request_id: str, *, validate_only: bool
) -> None:
    """Allot a prefix: it is enabled at once (administrators)."""
    row = pb.Prefix(prefix=name, enterprise_id=enterprise_id, description=description)
    _create(ctx, row, request_id, validate_only=validate_only)


@prefix.command("apply")
@click.argument("name", metavar="PREFIX")
@click.option("--enterprise", "enterprise_id", default="", metavar="ID", help="The enterprise; your own by default.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@safely.options
@click.pass_context
def apply(
    ctx: click.Context, name: str, enterprise_id: str, description: str, request_id: str, *, validate_only: bool
) -> None:
    """Apply for a prefix: it waits for the administrator."""
    target: Target = ctx.obj
    if not enterprise_id:
        with target.client() as client:
            who = client.call(methods.GET_PRINCIPAL, pb.GetPrincipalRequest()).principal
        enterprise_id = who.enterprise_id
        if not enterprise_id:
            raise Failed("you act for no enterprise: say with --enterprise ID for which one you apply", INVALID)
    row = pb.Prefix(prefix=name, enterprise_id=enterprise_id, description=description, status=pb.PREFIX_STATUS_APPLIED)
    _create(ctx, row, request_id, validate_only=validate_only)


@prefix.command("get")
@click.argument("name", metavar="PREFIX")
@click.pass_context
def get(ctx: click.Context, name: str) -> None:
    """Show a prefix."""
    target: Target = ctx.obj
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.GET_PREFIX, pb.GetPrefixRequest(prefix=name)).prefix)


@prefix.command("list")
@click.option("--enterprise", "enterprise_id", default="", metavar="ID", help="Only prefixes of this enterprise.")
@click.pass_context
def list_(ctx: click.Context, enterprise_id: str) -> None:
    """List prefixes: prefix, status, hosting, enterprise, description."""
    target: Target = ctx.obj
    statuses = ("", *words_of(pb.PrefixStatus.DESCRIPTOR))
    hosting = ("", *words_of(pb.Hosting.DESCRIPTOR))
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_PREFIXES, "prefixes", enterprise_id=enterprise_id),
            lambda row: (
                row.prefix,
                statuses[row.status],
                hosting[row.hosting],
                row.enterprise_id or "-",
                row.description,
            ),
        )


_STEPS = {
    "audit": (pb.PREFIX_STATUS_IN_AUDIT, "Begin to audit an application."),
    "enable": (pb.PREFIX_STATUS_ENABLED, "Put a prefix into service."),
    "disable": (pb.PREFIX_STATUS_DISABLED, "Take a prefix out of service; nothing is deleted."),
    "delete": (pb.PREFIX_STATUS_DELETED, "Give a prefix up; it is never given to somebody else."),
}
"""Commands that are one step of the life cycle: the status and the sentence."""


def _step(word: str, status: pb.PrefixStatus, sentence: str) -> None:
    """Adds the command of one step."""

    @prefix.command(word, help=sentence)
    @click.argument("name", metavar="PREFIX")
    @click.option("--if-version", type=click.IntRange(min=1), metavar="N", help="Only if the row has version N.")
    @safely.options
    @click.pass_context
    def step(ctx: click.Context, name: str, if_version: int | None, request_id: str, *, validate_only: bool) -> None:
        _update(ctx, request_id, validate_only=validate_only, prefix=name, status=status, if_version=if_version)


for _word, (_status, _sentence) in _STEPS.items():
    _step(_word, _status, _sentence)


@prefix.command("route")
@click.argument("name", metavar="PREFIX")
@click.option("--here", is_flag=True, help="Its handles live in this node.")
@routing.options
@safely.options
@click.pass_context
def route(
    ctx: click.Context,
    name: str,
    routes: tuple[str, ...],
    site: Path | None,
    request_id: str,
    *,
    here: bool,
    validate_only: bool,
) -> None:
    """Say where the handles of a prefix live: here, or in the enterprise's own node."""
    found = routing.routes_from(routes, site)
    if here == bool(found):
        raise click.UsageError("give either --here, or --site or at least one --to")
    _update(
        ctx,
        request_id,
        validate_only=validate_only,
        prefix=name,
        hosting=pb.HOSTING_HERE if here else pb.HOSTING_ELSEWHERE,
        homed=here,
        routes=found,
    )


@prefix.command("move")
@click.argument("name", metavar="PREFIX")
@click.option("--here", is_flag=True, help="To this node.")
@routing.options
@click.option("--begin", "step", flag_value=pb.MOVE_STEP_BEGIN, type=int, help="Let the new home be filled.")
@click.option("--switch", "step", flag_value=pb.MOVE_STEP_SWITCH, type=int, help="Let the prefix handle name it.")
@click.option("--finish", "step", flag_value=pb.MOVE_STEP_FINISH, type=int, help="Let only the new home answer.")
@click.option("--cancel", "step", flag_value=pb.MOVE_STEP_CANCEL, type=int, help="Go back to the old home.")
@click.option("--force", is_flag=True, help="Switch although the new home lacks handles.")
@click.option("--if-version", type=click.IntRange(min=1), metavar="N", help="Only if the row has version N.")
@safely.options
@click.pass_context
def move(
    ctx: click.Context,
    name: str,
    routes: tuple[str, ...],
    site: Path | None,
    step: int | None,
    if_version: int | None,
    request_id: str,
    *,
    here: bool,
    force: bool,
    validate_only: bool,
) -> None:
    """Move a prefix to the enterprise's own node, or to this one, without a gap.

    Without a step the plan is shown, or where the move stands. Begin with --here, --site or --to; the other steps know
    where it goes. The switch first asks the new home for some of the handles; what it changes stands in the journal,
    as a change of the prefix handle.
    """
    found = routing.routes_from(routes, site)
    begins = step in {None, pb.MOVE_STEP_BEGIN}
    if (here or found) and not begins:
        raise click.UsageError("this step knows where the prefix goes: leave --here, --site and --to out")
    if here and found:
        raise click.UsageError("give either --here, or --site or --to")
    to = pb.HOSTING_HERE if here else pb.HOSTING_ELSEWHERE if found else pb.HOSTING_UNSPECIFIED
    request = pb.MovePrefixRequest(
        prefix=name,
        step=pb.MoveStep.Name(step or 0),
        to=to,
        routes=found,
        request_id=request_id,
        if_version=if_version,
        validate_only=validate_only,
    )
    target: Target = ctx.obj
    with target.client() as client:
        if step == pb.MOVE_STEP_SWITCH and not force:
            row = client.call(methods.GET_PREFIX, pb.GetPrefixRequest(prefix=name)).prefix
            if row.move.to == pb.HOSTING_ELSEWHERE:
                from resolver.cli.move_check import check_new_home  # noqa: PLC0415 - needed for this step only

                note(check_new_home(client, row))
        response = client.call(methods.MOVE_PREFIX, request)
    emit(ctx, to_json(response), "\n".join(response.plan))
