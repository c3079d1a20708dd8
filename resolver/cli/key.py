"""``idis key``: the credentials of principals. A token is shown once, or written to a file nobody else may read."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver import methods
from resolver.cli import admin_token, key_files, pages, safely
from resolver.cli.output import (
    FAILED,
    INVALID,
    Failed,
    Family,
    note,
    to_json,
    to_octets,
    unwritten,
    wants_json,
    words_of,
)
from resolver.cli.shown import moment
from resolver.v1 import registry_pb2 as pb
from storage.directories import sync_directory

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.group("key", cls=Family)
def key() -> None:
    """Credentials: create, list, revoke, renew-admin; key files: generate, import, export, convert."""


for command in (admin_token.renew_admin, key_files.generate, key_files.import_, key_files.export, key_files.convert):
    key.add_command(command)


@key.command("create")
@click.argument("principal_id", metavar="PRINCIPAL")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the token to a new file with mode 0600 instead of printing it.",
)
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Accept this client certificate (PEM) instead of making a token.",
)
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Accept this key at the Handle doors: a public key as PEM or in CNRI's form.",
)
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Accept the secret in this file at the Handle doors; a line end at its end does not count.",
)
@click.option(
    "--secret", "makes_secret", is_flag=True, help="Make a secret for the Handle doors, shown this once only."
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%SZ"]),
    metavar="DATE",
    help="Refuse it from then on, such as 2030-01-31 (UTC).",
)
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@safely.options
@click.pass_context
def create(
    ctx: click.Context,
    principal_id: str,
    out: Path | None,
    certificate: Path | None,
    public_key: Path | None,
    secret_file: Path | None,
    expires: datetime | None,
    description: str,
    request_id: str,
    *,
    makes_secret: bool,
    validate_only: bool,
) -> None:
    """Give a principal a credential: a new API token, shown this once only, a client certificate or a Handle key.

    A Handle key signs or authenticates at the Handle doors as INDEX:0.NA/PREFIX, for every prefix of the principal's
    enterprise.
    """
    target: Target = ctx.obj
    kind = _kind(certificate, public_key, secret_file, makes_secret=makes_secret)
    is_made = kind == pb.KEY_KIND_API_TOKEN or makes_secret
    if out is not None and not is_made:
        raise Failed("--out is for what the node makes, a token or a --secret: leave it out", INVALID)
    request = pb.CreateKeyRequest(
        principal_id=principal_id,
        kind=kind,
        description=description,
        expire_time_us=_to_us(expires),
        certificate_pem=_content(certificate).decode("ascii", "replace"),
        public_key=_content(public_key),
        secret=_content(secret_file).rstrip(b"\r\n"),
        request_id=request_id,
        validate_only=validate_only,
    )
    # The file is made before the token: a token that cannot be kept would be lost.
    descriptor = None if out is None or validate_only else _new_file(out)
    try:
        with target.client() as client:
            answer = client.call(methods.CREATE_KEY, request)
        if descriptor is not None:
            os.write(descriptor, answer.token.encode("ascii") + b"\n")
            os.fsync(descriptor)
    except BaseException:
        if out is not None and descriptor is not None:
            out.unlink(missing_ok=True)
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)
    shown = to_json(answer.key)
    if wants_json(ctx):
        shown |= {"token_file": str(out)} if descriptor is not None else {"token": answer.token} if answer.token else {}
        click.echo(to_octets(shown))
        return
    note(f"credential {answer.key.key_id} of {answer.key.principal_id}")
    if answer.key.identities:
        note(f"at the Handle doors it is {', '.join(answer.key.identities)}")
    if descriptor is not None:
        use = "--secret-file" if makes_secret else "--token-file"
        note(f"the {'secret' if makes_secret else 'token'} is in {out}, mode 0600: use it with {use}")
    elif answer.token:
        note(f"the {'secret' if makes_secret else 'token'} is shown this once only:")
        click.echo(answer.token)
    elif is_made and not validate_only:
        raise Failed("the node made this credential before and never shows a token twice: create another", FAILED)


def _kind(
    certificate: Path | None, public_key: Path | None, secret_file: Path | None, *, makes_secret: bool
) -> pb.KeyKind:
    """The kind of credential that the options ask for."""
    secret = secret_file or makes_secret
    if sum(map(bool, (certificate, public_key, secret_file, makes_secret))) > 1:
        raise Failed("--certificate, --public-key, --secret-file and --secret exclude each other: give one", INVALID)
    if certificate or public_key:
        return pb.KEY_KIND_CERTIFICATE if certificate else pb.KEY_KIND_HANDLE_PUBLIC
    return pb.KEY_KIND_HANDLE_SECRET if secret else pb.KEY_KIND_API_TOKEN


def _content(path: Path | None) -> bytes:
    return path.read_bytes() if path else b""


def _to_us(moment_: datetime | None) -> int:
    if moment_ is None:
        return 0
    return int((moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)).timestamp()) * 1_000_000


def _new_file(out: Path) -> int:
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        sync_directory(out.parent)
        return descriptor
    except FileExistsError as error:
        raise Failed(f"{out} exists already: name a new file", INVALID) from error
    except OSError as error:
        raise unwritten(out, error) from error


@key.command("list")
@click.argument("principal_id", default="", metavar="[PRINCIPAL]")
@click.pass_context
def list_(ctx: click.Context, principal_id: str) -> None:
    """List credentials of a principal, newest first: id, kind, state, expiry, description."""
    target: Target = ctx.obj
    kinds = ("", *words_of(pb.KeyKind.DESCRIPTOR))
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_KEYS, "keys", principal_id=principal_id),
            lambda row: (
                row.key_id,
                kinds[row.kind],
                "revoked" if row.revoked else "valid",
                moment(row.expire_time_us),
                row.description,
            ),
        )


@key.command("revoke")
@click.argument("key_id", metavar="KEY_ID")
@safely.options
@click.pass_context
def revoke(ctx: click.Context, key_id: str, request_id: str, *, validate_only: bool) -> None:
    """Revoke a credential; the node refuses it within a second."""
    target: Target = ctx.obj
    request = pb.RevokeKeyRequest(key_id=key_id, request_id=request_id, validate_only=validate_only)
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.REVOKE_KEY, request).key)
