"""``idis enterprise``: the organisations that register identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from resolver import methods
from resolver.cli import pages, safely
from resolver.cli.output import Family, words_of
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.cli.target import Target

F = TypeVar("F", bound="Callable[..., Any]")


@click.group("enterprise", cls=Family)
def enterprise() -> None:
    """Enterprises: create, get, list, update, disable, enable."""


def _fields(command: F) -> F:
    """Adds the fields of an enterprise; None where a field was not given."""
    for name, metavar, text in (
        ("--description", "TEXT", "Free description."),
        ("--contact-email", "ADDRESS", "E-mail of the contact."),
        ("--contact-phone", "NUMBER", "Telephone of the contact."),
        ("--contact-name", "NAME", "Person to turn to."),
        ("--credit-code", "CODE", "Unified social credit code (统一社会信用代码), 18 characters."),
        ("--name", "NAME", "Full name."),
    ):
        command = click.option(name, metavar=metavar, help=text)(command)
    for name, text in (
        ("--prefixes-max", "Prefixes it may have; 0 is the node's default."),
        ("--writes-per-day", "Changes it may make in a day (UTC); 0 is the node's default."),
        ("--writes-per-s", "Changes it may make in a second; 0 is the node's default."),
        ("--handles-max", "Handles it may have; 0 is the node's default."),
    ):
        command = click.option(name, type=click.IntRange(min=0), metavar="N", help=text)(command)
    return command


_QUOTA = {"handles_max", "writes_per_s", "writes_per_day", "prefixes_max"}


def _fill(row: pb.Enterprise, given: dict[str, Any]) -> None:
    for key, content in given.items():
        if content is None:
            continue
        if key.startswith("contact_"):
            setattr(row.contact, key.removeprefix("contact_"), content)
        elif key in _QUOTA:
            setattr(row.quota, key, content)
        else:
            setattr(row, key, content)


@enterprise.command("create")
@click.option("--id", "enterprise_id", default="", metavar="ID", help="Identifier; minted when not given.")
@_fields
@safely.options
@click.pass_context
def create(ctx: click.Context, /, enterprise_id: str, request_id: str, *, validate_only: bool, **given: Any) -> None:
    """Register an enterprise."""
    target: Target = ctx.obj
    row = pb.Enterprise(enterprise_id=enterprise_id)
    _fill(row, given)
    request = pb.CreateEnterpriseRequest(enterprise=row, request_id=request_id, validate_only=validate_only)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.CREATE_ENTERPRISE, request).enterprise)


@enterprise.command("get")
@click.argument("enterprise_id", default="", metavar="[ID]")
@click.option("--credit-code", default="", metavar="CODE", help="Find it by its unified social credit code.")
@click.pass_context
def get(ctx: click.Context, enterprise_id: str, credit_code: str) -> None:
    """Show an enterprise; without ID, your own."""
    target: Target = ctx.obj
    request = pb.GetEnterpriseRequest(enterprise_id=enterprise_id, credit_code=credit_code)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.GET_ENTERPRISE, request).enterprise)


@enterprise.command("list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List enterprises: id, status, credit code, name."""
    target: Target = ctx.obj
    words = ("", *words_of(pb.EnterpriseStatus.DESCRIPTOR))
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_ENTERPRISES, "enterprises"),
            lambda row: (row.enterprise_id, words[row.status], row.credit_code or "-", row.name),
        )


@enterprise.command("update")
@click.argument("enterprise_id", metavar="ID")
@_fields
@click.option("--if-version", type=click.IntRange(min=1), metavar="N", help="Only if the row has version N.")
@safely.options
@click.pass_context
def update(
    ctx: click.Context,
    /,
    enterprise_id: str,
    if_version: int | None,
    request_id: str,
    *,
    validate_only: bool,
    **given: Any,
) -> None:
    """Change fields of an enterprise; those not given stay."""
    _change(ctx, enterprise_id, lambda row: _fill(row, given), if_version, request_id, validate_only=validate_only)


@enterprise.command("disable")
@click.argument("enterprise_id", metavar="ID")
@safely.options
@click.pass_context
def disable(ctx: click.Context, enterprise_id: str, request_id: str, *, validate_only: bool) -> None:
    """Refuse its users and applications; what it registered is still resolved."""
    _set_status(ctx, enterprise_id, pb.ENTERPRISE_STATUS_DISABLED, request_id, validate_only=validate_only)


@enterprise.command("enable")
@click.argument("enterprise_id", metavar="ID")
@safely.options
@click.pass_context
def enable(ctx: click.Context, enterprise_id: str, request_id: str, *, validate_only: bool) -> None:
    """Let it register again."""
    _set_status(ctx, enterprise_id, pb.ENTERPRISE_STATUS_ENABLED, request_id, validate_only=validate_only)


def _set_status(
    ctx: click.Context, enterprise_id: str, status: pb.EnterpriseStatus, request_id: str, *, validate_only: bool
) -> None:
    def change(row: pb.Enterprise) -> None:
        row.status = status

    _change(ctx, enterprise_id, change, None, request_id, validate_only=validate_only)


def _change(
    ctx: click.Context,
    enterprise_id: str,
    change: Callable[[pb.Enterprise], None],
    if_version: int | None,
    request_id: str,
    *,
    validate_only: bool,
) -> None:
    """Read the row, change it, and write it back unless somebody else did meanwhile."""
    target: Target = ctx.obj
    with target.client() as client:
        row = client.call(methods.GET_ENTERPRISE, pb.GetEnterpriseRequest(enterprise_id=enterprise_id)).enterprise
        before = row.version if if_version is None else if_version
        change(row)
        request = pb.UpdateEnterpriseRequest(
            enterprise=row, if_version=before, request_id=request_id, validate_only=validate_only
        )
        pages.emit_row(ctx, client.call(methods.UPDATE_ENTERPRISE, request).enterprise)
