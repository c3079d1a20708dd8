"""``idis principal``: who may present a credential: administrators, enterprise users, applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resolver import methods
from resolver.cli import pages, safely
from resolver.cli.output import Family, number_of, words_of
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.group("principal", cls=Family)
def principal() -> None:
    """Principals: create, get, list, disable, enable."""


@principal.command("create")
@click.option("--id", "principal_id", default="", metavar="ID", help="Identifier; minted when not given.")
@click.option(
    "--role", required=True, type=click.Choice(words_of(pb.Role.DESCRIPTOR)), help="What it is allowed to be."
)
@click.option("--enterprise", "enterprise_id", default="", metavar="ID", help="The enterprise it acts for.")
@click.option("--name", "display_name", default="", metavar="NAME", help="Name for people.")
@safely.options
@click.pass_context
def create(
    ctx: click.Context,
    principal_id: str,
    role: str,
    enterprise_id: str,
    display_name: str,
    request_id: str,
    *,
    validate_only: bool,
) -> None:
    """Create a principal; next, give it a credential with idis key create."""
    target: Target = ctx.obj
    row = pb.Principal(
        principal_id=principal_id,
        role=number_of(pb.Role.DESCRIPTOR, role),
        enterprise_id=enterprise_id,
        display_name=display_name,
    )
    request = pb.CreatePrincipalRequest(principal=row, request_id=request_id, validate_only=validate_only)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.CREATE_PRINCIPAL, request).principal)


@principal.command("get")
@click.argument("principal_id", default="", metavar="[ID]")
@click.pass_context
def get(ctx: click.Context, principal_id: str) -> None:
    """Show a principal; without ID, who you are."""
    target: Target = ctx.obj
    with target.client() as client:
        request = pb.GetPrincipalRequest(principal_id=principal_id)
        pages.emit_row(ctx, client.call(methods.GET_PRINCIPAL, request).principal)


@principal.command("list")
@click.option("--enterprise", "enterprise_id", default="", metavar="ID", help="Only those of this enterprise.")
@click.pass_context
def list_(ctx: click.Context, enterprise_id: str) -> None:
    """List principals: id, role, state, enterprise, name."""
    target: Target = ctx.obj
    roles = ("", *words_of(pb.Role.DESCRIPTOR))
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_PRINCIPALS, "principals", enterprise_id=enterprise_id),
            lambda row: (
                row.principal_id,
                roles[row.role],
                "disabled" if row.disabled else "enabled",
                row.enterprise_id or "-",
                row.display_name,
            ),
        )


@principal.command("disable")
@click.argument("principal_id", metavar="ID")
@safely.options
@click.pass_context
def disable(ctx: click.Context, principal_id: str, request_id: str, *, validate_only: bool) -> None:
    """Refuse all credentials of a principal."""
    _set_disabled(ctx, principal_id, request_id, disabled=True, validate_only=validate_only)


@principal.command("enable")
@click.argument("principal_id", metavar="ID")
@safely.options
@click.pass_context
def enable(ctx: click.Context, principal_id: str, request_id: str, *, validate_only: bool) -> None:
    """Accept the credentials of a principal again."""
    _set_disabled(ctx, principal_id, request_id, disabled=False, validate_only=validate_only)


def _set_disabled(
    ctx: click.Context, principal_id: str, request_id: str, *, disabled: bool, validate_only: bool
) -> None:
    target: Target = ctx.obj
    request = pb.UpdatePrincipalRequest(
        principal_id=principal_id, disabled=disabled, request_id=request_id, validate_only=validate_only
    )
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.UPDATE_PRINCIPAL, request).principal)
