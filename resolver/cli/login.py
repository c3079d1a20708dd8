"""``idis login``: user names and passwords of principals, for SNMS clients and for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver import methods
from resolver.cli import pages, safely
from resolver.cli.output import INVALID, Failed, Family, note
from resolver.cli.shown import moment
from resolver.v1 import login_pb2 as pb

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.group("login", cls=Family)
def login() -> None:
    """User names and passwords: set, list, remove."""


@login.command("set")
@click.argument("principal_id", metavar="PRINCIPAL")
@click.option("--user", "user_name", required=True, metavar="NAME", help="User name, 1 to 50 characters.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="File whose first line is the password; - is standard input. Asked for when not given.",
)
@click.option(
    "--digest",
    "digest_login",
    is_flag=True,
    help="Accept the digest form of the SNMS token request too (/identity/token/v1). The SHA-256 of the password is "
    "stored for it: whoever reads the store or a backup can then log in with it.",
)
@safely.options
@click.pass_context
def set_(
    ctx: click.Context,
    principal_id: str,
    user_name: str,
    password_file: Path | None,
    request_id: str,
    *,
    digest_login: bool,
    validate_only: bool,
) -> None:
    """Give a principal a user name and password, or change the password; tokens of the old one end."""
    target: Target = ctx.obj
    request = pb.SetPasswordRequest(
        principal_id=principal_id,
        user_name=user_name,
        password=_password(password_file),
        digest_login=digest_login,
        request_id=request_id,
        validate_only=validate_only,
    )
    with target.client() as client:
        answer = client.call(methods.SET_PASSWORD, request)
    if digest_login and not validate_only:
        note("the SHA-256 of the password is stored: whoever reads the store or a backup can log in with it")
    pages.emit_row(ctx, answer.login)


def _password(file: Path | None) -> str:
    """The password from a file, or from whoever sits at the terminal. Raises Failed."""
    if file is None:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return str(stream.readline(1_000)).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file} cannot be read as UTF-8 text: {error}", INVALID) from error


@login.command("list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List user names: name, principal, tokens valid, digest form, time of the password."""
    target: Target = ctx.obj
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_LOGINS, "logins"),
            lambda row: (
                row.user_name,
                row.principal_id,
                row.token_count,
                "digest" if row.digest_login else "-",
                moment(row.password_time_us),
            ),
        )


@login.command("remove")
@click.argument("user_name", metavar="NAME")
@safely.options
@click.pass_context
def remove(ctx: click.Context, user_name: str, request_id: str, *, validate_only: bool) -> None:
    """Take a user name away; its tokens end within a second."""
    target: Target = ctx.obj
    request = pb.RemoveLoginRequest(user_name=user_name, request_id=request_id, validate_only=validate_only)
    with target.client() as client:
        client.call(methods.REMOVE_LOGIN, request)
    note(f"user name {user_name} {'would be' if validate_only else 'is'} free again")
