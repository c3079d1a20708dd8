"""``idis register``: one new identifier, durable when the command returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resolver.cli import values
from resolver.cli.output import Verb, emit, to_json

if TYPE_CHECKING:
    from resolver.cli.target import Target

ON_EXISTING = ("fail", "keep", "replace")
"""What to do with a handle that is registered already; the words of the enumeration OnExisting."""


@click.command("register", cls=Verb)
@click.argument("name")
@values.options
@click.option("--template", "template_id", default="", metavar="ID", help="Metadata template the values follow.")
@click.option("--mint", is_flag=True, help="NAME is PREFIX/ or PREFIX/START: the node appends a unique suffix.")
@click.option(
    "--on-existing",
    type=click.Choice(ON_EXISTING),
    default="fail",
    show_default=True,
    help="When NAME is registered: fail, keep it if it is the same, or replace its values.",
)
@click.option("--request-id", metavar="ID", help="Repeating the command with the same id returns the first outcome.")
@click.option("--validate-only", is_flag=True, help="Check everything and write nothing.")
@click.pass_context
def register(
    ctx: click.Context,
    name: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    ttl_s: int | None,
    permissions: str | None,
    template_id: str,
    on_existing: str,
    request_id: str | None,
    *,
    mint: bool,
    validate_only: bool,
) -> None:
    """Register an identifier with its values."""
    from resolver.cli import shown  # noqa: PLC0415 - loads protobuf
    from resolver.cli.output import number_of  # noqa: PLC0415 - as above
    from resolver.v1.registration_pb2 import OnExisting  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    chosen = values.from_options(texts, files, ttl_s, permissions)
    with target.client() as client:
        receipt = client.create(
            name,
            chosen,
            template_id=template_id,
            on_existing=number_of(OnExisting.DESCRIPTOR, on_existing),
            mint=mint,
            request_id=request_id,
            validate_only=validate_only,
        )
    emit(ctx, to_json(receipt), shown.receipt_text(receipt, "registered"))
