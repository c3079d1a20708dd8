"""``idis hdl``: any server of the Handle System, asked in its own protocol.

Nothing here needs a node of this kind at the other end. By default the server named with ``--server`` is asked
for everything, as the tools of the Handle System do with a specific server; ``--follow`` looks for the responsible one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from resolver.cli import values
from resolver.cli.output import (
    CONFLICT,
    DENIED,
    FAILED,
    INVALID,
    NOT_FOUND,
    UNREACHABLE,
    Failed,
    Family,
    emit,
    note,
    one_line,
)
from resolver.config.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from resolver.client.handle import HandleSystem, Step
    from resolver.federation.client import AnswerRefused
    from resolver.federation.identity import Identity
    from resolver.handle.value import HandleValue

F = TypeVar("F", bound="Callable[..., Any]")
T = TypeVar("T")

PORT = 2641
"""The port of the protocol (IANA hdl-srv)."""

_HINTS = {
    301: "with --follow the responsible one is asked",
    400: "the administrator of --auth may not do this",
    402: "say who asks with --auth and --key or --secret-file",
    403: "the key is not the one that the handle of --auth has at this index",
}
"""What may help, by response code."""

_EXITS = {
    100: NOT_FOUND,
    200: NOT_FOUND,
    301: NOT_FOUND,
    101: CONFLICT,
    201: CONFLICT,
    102: INVALID,
    202: INVALID,
    4: INVALID,
    5: DENIED,
}


class Server(NamedTuple):
    """Whom to ask and as whom."""

    endpoint: Endpoint
    identity: Identity | None
    follows: bool
    certifies: bool
    in_session: bool
    timeout_s: float


@click.group("hdl", cls=Family)
def hdl() -> None:
    """Ask a server in the Handle protocol: resolve, trace, create, list, batch."""


def _server_options(command: F) -> F:
    for option in (
        click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=5.0, metavar="S", help="[5]"),
        click.option("--certify", is_flag=True, help="Demand answers signed by the key of the server's site."),
        click.option("--follow", is_flag=True, help="Find the responsible server by the prefix handle and referrals."),
        click.option("--session", "in_session", is_flag=True, help="Speak in a session: MACs instead of challenges."),
        click.option("--passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of an encrypted key file."),
        click.option("--secret-file", type=_FILE, metavar="FILE", help="Secret of --auth, an HS_SECKEY value."),
        click.option("--key", "key_file", type=_FILE, metavar="FILE", help="Private key of --auth: PEM or CNRI's."),
        click.option("--auth", metavar="INDEX:HANDLE", help="Who asks, such as 300:0.NA/88.300.2."),
        click.option(
            "--server", required=True, envvar="IDIS_HDL_SERVER", metavar="HOST[:PORT]", help="The server to ask."
        ),
    ):
        command = option(command)
    return command


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _server(given: dict[str, Any]) -> Server:
    """Whom the options name. Takes its options out of ``given``."""
    where = given.pop("server")
    try:
        endpoint = Endpoint.from_text(where if _has_port(where) else f"{where}:{PORT}")
    except ValueError as error:
        raise Failed(f"--server {where!r}: {error}", INVALID) from error
    auth, key_file = given.pop("auth"), given.pop("key_file")
    secret_file, passphrase_file = given.pop("secret_file"), given.pop("passphrase_file")
    identity = identity_of(auth, key_file, secret_file, passphrase_file)
    return Server(
        endpoint, identity, given.pop("follow"), given.pop("certify"), given.pop("in_session"), given.pop("timeout_s")
    )


def _has_port(where: str) -> bool:
    return where.rpartition(":")[2].isdigit() and (where.count(":") == 1 or "]:" in where)


def identity_of(
    auth: str | None, key_file: Path | None, secret_file: Path | None, passphrase_file: Path | None
) -> Identity | None:
    """Who asks, by the options that say so; None for nobody. Raises Failed."""
    from resolver.cli.key_files import private_key_in  # noqa: PLC0415 - loads cryptography
    from resolver.federation.identity import KeyIdentity, SecretIdentity  # noqa: PLC0415 - as above
    from resolver.handle.value import Reference  # noqa: PLC0415 - as above

    if auth is None:
        if key_file or secret_file:
            raise Failed("a key needs --auth INDEX:HANDLE: say whose it is", INVALID)
        return None
    reference = Reference.from_text(auth)
    if bool(key_file) == bool(secret_file):
        raise Failed("--auth needs --key FILE or --secret-file FILE: give one of them", INVALID)
    if secret_file:
        return SecretIdentity(reference.name, reference.index, secret_file.read_bytes().rstrip(b"\r\n"))
    assert key_file is not None  # noqa: S101 - one of the two is there
    return KeyIdentity(reference.name, reference.index, private_key_in(key_file, passphrase_file))


def _run(server: Server, work: Callable[[HandleSystem], Awaitable[T]], steps: list[Step] | None = None) -> T:
    """Do something as a client of a server. Raises Failed for its refusals."""
    from resolver.client.handle import HandleSystem  # noqa: PLC0415 - loads the codec
    from resolver.federation.client import AnswerRefused  # noqa: PLC0415 - as above
    from resolver.federation.connection import ServerUnreachable  # noqa: PLC0415 - as above

    async def main() -> T:
        async with HandleSystem(
            server.endpoint.host,
            server.endpoint.port,
            identity=server.identity,
            follows=server.follows,
            certifies=server.certifies,
            in_session=server.in_session,
            timeout_s=server.timeout_s,
            observe=(lambda _: None) if steps is None else steps.append,
        ) as system:
            return await work(system)

    try:
        return asyncio.run(main())
    except AnswerRefused as refused:
        raise _failed(refused) from refused
    except ServerUnreachable as error:
        raise Failed(error.message, UNREACHABLE) from error


def _failed(refused: AnswerRefused) -> Failed:
    from resolver.handle.codes import ResponseCode  # noqa: PLC0415 - with the codec

    code = refused.code
    known = {int(each): each.name for each in ResponseCode}
    exit_code = _EXITS.get(code, DENIED if 400 <= code < 600 else FAILED)
    hint = _HINTS.get(code, "")
    return Failed(
        f"{refused.message}: {hint}" if hint else refused.message, exit_code, code=str(code), reason=known.get(code, "")
    )


def _shown(value: HandleValue) -> dict[str, Any]:
    from resolver.wire.value_json import value_to_json  # noqa: PLC0415 - loads the codec

    return value_to_json(value)


def _text(found: Iterable[HandleValue]) -> str:
    from resolver.cli.shown import value_text  # noqa: PLC0415 - loads protobuf
    from resolver.node.values import to_pb  # noqa: PLC0415 - as above

    return "\n".join(value_text(to_pb(value)) for value in found)


@hdl.command("resolve")
@click.argument("name", metavar="NAME")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type; 'URL.' takes URL.X too.")
@click.option("--index", "indexes", multiple=True, type=click.IntRange(1, 2**32 - 1), help="Also this index.")
@click.option("--restricted", is_flag=True, help="Also values without public read; needs --auth.")
@_server_options
@click.pass_context
def resolve(
    ctx: click.Context,
    /,
    name: str,
    types: tuple[str, ...],
    indexes: tuple[int, ...],
    *,
    restricted: bool,
    **given: Any,
) -> None:
    """Resolve one handle."""
    server = _server(given)
    found = _run(server, lambda system: system.resolve(name, types=types, indexes=indexes, public_only=not restricted))
    emit(ctx, {"handle": name, "values": [_shown(value) for value in found]}, f"{one_line(name)}\n{_text(found)}")


@hdl.command("trace")
@click.argument("name", metavar="NAME")
@_server_options
@click.pass_context
def trace(ctx: click.Context, /, name: str, **given: Any) -> None:
    """Resolve one handle and show every step: who was asked, what was said, how long it took."""
    server = _server(given)._replace(follows=True)
    steps: list[Step] = []
    failed: Failed | None = None
    found: tuple[HandleValue, ...] = ()
    try:
        found = _run(server, lambda system: system.resolve(name), steps)
    except Failed as error:
        failed = error
    shown = [
        {
            "task": step.task,
            "name": step.name,
            "server": step.place,
            "ms": round(step.took_s * 1e3, 3),
            "outcome": step.outcome,
        }
        for step in steps
    ]
    lines = [
        f"{step.took_s * 1e3:8.1f} ms  {step.place:22} {step.task} {one_line(step.name)}: {step.outcome}"
        for step in steps
    ]
    emit(
        ctx,
        {"handle": name, "steps": shown, "values": [_shown(value) for value in found]},
        "\n".join([*lines, *([_text(found)] if found else [])]),
    )
    if failed is not None:
        raise failed


@hdl.command("site")
@_server_options
@click.pass_context
def site(ctx: click.Context, /, **given: Any) -> None:
    """Show the site record of the server."""
    from resolver.wire.predefined.hs_site import Transport  # noqa: PLC0415 - loads the codec

    server = _server(given)
    found = _run(server, lambda system: system.site_info())
    count = len(found.servers)
    word = "1 server" if count == 1 else f"{count} servers"
    lines = [f"serial {found.serial}, {'primary' if found.is_primary else 'mirror'}, {word}"]
    lines += [
        f"  server {each.id} {each.ip} {Transport(door.transport).name} {door.port} roles {door.roles}"
        for each in found.servers
        for door in each.interfaces
    ]
    emit(ctx, found.to_json(), "\n".join(lines))


@hdl.command("create")
@click.argument("name", metavar="NAME")
@values.options
@click.option("--admin", metavar="INDEX:HANDLE", help="Also an HS_ADMIN value at 100 with all rights for this key.")
@click.option("--overwrite", is_flag=True, help="Replace the handle if it exists.")
@click.option("--mint", is_flag=True, help="Let the server append a suffix of its own to NAME.")
@_server_options
@click.pass_context
def create(
    ctx: click.Context,
    /,
    name: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    ttl_s: int | None,
    permissions: str | None,
    admin: str | None,
    *,
    overwrite: bool,
    mint: bool,
    **given: Any,
) -> None:
    """Create a handle with values."""
    server = _server(given)
    new = values.from_options(texts, files, ttl_s, permissions)
    if admin:
        new.append(_admin_value(admin))
    made = _run(server, lambda system: system.create(name, new, overwrites=overwrite, mints=mint))
    emit(ctx, {"handle": made, "values": len(new)}, f"{one_line(made)}  created, values: {len(new)}")


def _admin_value(admin: str) -> HandleValue:
    from resolver.handle.value import HandleValue, Reference  # noqa: PLC0415 - loads the codec
    from resolver.wire.predefined.hs_admin import HsAdmin  # noqa: PLC0415 - as above

    return HandleValue(100, "HS_ADMIN", HsAdmin(Reference.from_text(admin)).to_wire())


@hdl.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_server_options
@click.pass_context
def delete(ctx: click.Context, /, names: tuple[str, ...], **given: Any) -> None:
    """Delete handles, one after the other; the first that fails ends it."""
    server = _server(given)

    async def work(system: HandleSystem) -> None:
        for name in names:
            await system.delete(name)
            emit(ctx, {"handle": name, "deleted": True}, f"{one_line(name)}  deleted")

    _run(server, work)


@hdl.command("list")
@click.argument("prefix", metavar="PREFIX")
@_server_options
@click.pass_context
def list_(ctx: click.Context, /, prefix: str, **given: Any) -> None:
    """List the handles of a prefix; needs --auth with the right to list."""
    server = _server(given)
    for name in _run(server, lambda system: system.list_handles(prefix)):
        emit(ctx, {"handle": name}, one_line(name))


@hdl.command("home")
@click.argument("prefix", metavar="PREFIX")
@click.option("--end", is_flag=True, help="Serve the prefix no more.")
@_server_options
@click.pass_context
def home(ctx: click.Context, /, prefix: str, *, end: bool, **given: Any) -> None:
    """Let the server serve a prefix; needs --auth of an administrator of the server."""
    server = _server(given)
    _run(server, lambda system: system.home_prefix(prefix, homed=not end))
    emit(ctx, {"prefix": prefix, "homed": not end}, f"{one_line(prefix)}  {'unhomed' if end else 'homed'}")


@hdl.command("batch")
@click.argument("file", type=_FILE, metavar="FILE")
@_server_options
@click.pass_context
def batch(ctx: click.Context, /, file: Path, **given: Any) -> None:
    """Carry out a batch file of the Handle System over one connection: CREATE, DELETE, ADD, REMOVE, MODIFY blocks.

    AUTHENTICATE and SESSIONSETUP blocks are passed over: --auth and --session stand for them. Exit code 0 when
    every block was carried out.
    """
    from resolver.cli.hdl_batch import run_blocks  # noqa: PLC0415 - loads the formats

    server = _server(given)
    done = _run(server, lambda system: run_blocks(ctx, system, file))
    note(f"{done.good} done, {done.bad} failed, {done.ignored} passed over")
    if done.bad:
        ctx.exit(FAILED)
