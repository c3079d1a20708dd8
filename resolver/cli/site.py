"""``idis site``: several servers that share the handles of a site by hash; add, remove and show them."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resolver.cli.guarded import StoreVerb
from resolver.cli.output import (
    CONFLICT,
    INVALID,
    STORE,
    UNREACHABLE,
    Failed,
    Verb,
    emit,
    note,
    number_of,
    one_line,
    table,
    to_json,
    word_of,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resolver.cli.target import Target
    from resolver.client.resharding import Move, Resharding, Wanted


@click.group("site")
def site() -> None:
    """Servers of one site that share its handles by hash, as the Handle System defines it."""


@site.command("join", cls=StoreVerb)
@click.option("--of", "registry", metavar="HOST:PORT", help="gRPC door of the server that has the registry.")
@click.option("--server", "server", type=click.IntRange(1), required=True, metavar="ID", help="Id of the new server.")
@click.option(
    "--site-token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="API token of a principal with the role mirror.",
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Authorities, for TLS.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.pass_context
def join(
    ctx: click.Context, registry: str | None, server: int, site_token: Path, ca: Path | None, data_dir: Path
) -> None:
    """Make a data directory that of a new server: copies the registry, and keeps the token for the other servers.

    The new server answers nothing by itself before idis site move has given it a share. Without --of only the token is
    kept, for the server that has the registry already; that one may be running.
    """
    import grpc  # noqa: PLC0415 - loads gRPC

    from resolver.app.data_dir import DataDir, StartRefused, write_whole  # noqa: PLC0415 - loads the node
    from resolver.app.site_service import make_server  # noqa: PLC0415 - as above
    from resolver.cli.unreachable import of_other_node  # noqa: PLC0415 - with its only use
    from resolver.errors import ResolverError  # noqa: PLC0415 - as above
    from storage.errors import StorageError  # noqa: PLC0415 - as above

    token = site_token.read_text("ascii").strip()
    document: dict[str, Any] = {"data_dir": str(data_dir), "server": server}
    if registry is None:
        if not (data_dir / "store").exists():
            raise Failed(f"{data_dir} holds no node: name the server that has the registry with --of", INVALID)
        write_whole(DataDir(data_dir).site_token, token.encode("ascii") + b"\n")
        emit(ctx, document, f"{data_dir} keeps the token that other servers are shown")
        return
    target: Target = ctx.obj
    credentials = target.credentials(token, ca)
    try:
        document["serial"] = make_server(data_dir, registry, server, credentials)
    except StartRefused as error:
        raise Failed(one_line(str(error)), CONFLICT) from error
    except StorageError as error:
        raise Failed(one_line(str(error)), STORE) from error
    except grpc.aio.AioRpcError as error:
        raise of_other_node(f"the node at {registry}", error) from error
    except TimeoutError as error:
        raise Failed(f"the server at {registry} does not answer: try again, the copy goes on", UNREACHABLE) from error
    except ResolverError as error:
        raise Failed(one_line(str(error)), CONFLICT) from error
    emit(
        ctx,
        document,
        f"{data_dir} is server {server} and holds the registry of {registry}\n"
        f"next: idis serve --data-dir {data_dir}, then idis site move with a file that lists all servers",
    )


@site.command("show", cls=Verb)
@click.pass_context
def show(ctx: click.Context) -> None:
    """Show the servers of the site, and how a change of it goes."""
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.v1 import site_pb2 as pb  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        state = client.call(methods.GET_SITE, pb.GetSiteRequest())
    if not state.layout.servers:
        text = f"server {state.server} has no share yet" if state.server else "a site of one server"
        emit(ctx, to_json(state), text)
        return
    word = word_of(pb.SiteHash.DESCRIPTOR, state.layout.hash)
    count = len(state.layout.servers)
    head = f'{count} servers, hash = "{word}"' if count > 1 else "a site of one server"
    lines = [f"{head}, site record {state.layout.serial}"]
    rows = [("SERVER", "GRPC", "")]
    for server in state.layout.servers:
        notes = ["this one"] * (server.id == state.server) + ["registry"] * (server.id == state.layout.registry_server)
        rows.append((str(server.id), server.grpc, ", ".join(notes)))
    lines.append(table(rows))
    if state.stage:
        lines.append(f"a change of the site is under way: {pb.SiteStage.Name(state.stage).rpartition('_')[2].lower()}")
    for pull in state.pulls:
        what = "the registry" if pull.registry else "handles"
        so_far = f"up to change {pull.held.serial}" if pull.complete else "not all of it yet"
        lines.append(f"copies {what} of {pull.grpc}, {so_far}")
    if state.leftovers:
        lines.append("handles of other servers are still on this one's disk, and are being removed")
    emit(ctx, to_json(state), "\n".join(lines))


_file = click.argument("servers_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")


@site.command("plan", cls=Verb)
@_file
@click.pass_context
def plan(ctx: click.Context, servers_file: Path) -> None:
    """Count what would go where with the servers a TOML file lists; nothing is changed.

    The file has hash = "all" (or "prefix", "suffix") and, in order, a table [[servers]] with id and grpc for each.
    """
    with _resharding(ctx, servers_file) as change:
        moves = change.plan()
    emit(ctx, {"moves": [vars(move) for move in moves]}, _shown(moves))


@site.command("move", cls=Verb)
@_file
@click.pass_context
def move(ctx: click.Context, servers_file: Path) -> None:
    """Change the site to the servers that a TOML file lists, while all serve.

    First each server copies what it is to have; then changes of handles are refused for about a second (clients try
    again by themselves) while the rest is copied and all switch. What was interrupted goes on with the same command.
    Give it too when a server has got another address, port or key.
    """
    with _resharding(ctx, servers_file) as change:
        if change.changes_nothing:
            emit(ctx, {"changed": False}, "the site is so already")
            return
        change.move()
        layout = change.next
        left = sorted({server.id for server in change.current.servers} - {server.id for server in layout.servers})
    count = len(layout.servers)
    lines = [f"{count} server{'s' if count > 1 else ''}, site record {layout.serial}"]
    lines += [
        f"server {id_} has no share any more: nothing but questions goes to it, it may be stopped" for id_ in left
    ]
    lines.append(
        f"next: the operator of a node above routes here by site.json of server {layout.registry_server}: send it anew"
    )
    shown = {"changed": True, "serial": layout.serial, "servers": len(layout.servers), "left": left}
    emit(ctx, shown, "\n".join(lines))


@site.command("cancel", cls=Verb)
@_file
@click.pass_context
def cancel(ctx: click.Context, servers_file: Path) -> None:
    """Give up a change that has not been switched yet.

    Servers that do not answer are named, with exit code 3: give the command again when they do.
    """
    with _resharding(ctx, servers_file, silent_allowed=True) as change:
        untold = change.cancel()
    lines = ["the change is given up, the site stays as it was"]
    lines += [f"server {id_} did not answer: give the command again once it does" for id_ in untold]
    emit(ctx, {"cancelled": True, "untold": untold}, "\n".join(lines))
    ctx.exit(UNREACHABLE if untold else 0)


@contextmanager
def _resharding(ctx: click.Context, path: Path, *, silent_allowed: bool = False) -> Iterator[Resharding]:
    from resolver.client.resharding import Resharding  # noqa: PLC0415 - loads gRPC

    target: Target = ctx.obj
    change = Resharding(
        wanted_in(path), lambda place: replace(target, address=place, token_file=_token(target)).client(), say=note
    )
    try:
        change.begin(silent_allowed=silent_allowed)
        yield change
    finally:
        change.close()


def _token(target: Target) -> Path | None:
    """The token to show all servers: the one named, or that of the node that runs here."""
    return target.token_file if target.token_file is not None else target.found_token()


def wanted_in(path: Path) -> Wanted:
    """The servers that a file lists. Raises Failed."""
    from resolver.client.resharding import Wanted  # noqa: PLC0415 - loads gRPC
    from resolver.v1 import site_pb2 as pb  # noqa: PLC0415 - loads protobuf

    hashes = words_of(pb.SiteHash.DESCRIPTOR)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{path}: {one_line(str(error))}", INVALID) from error
    unknown = document.keys() - {"hash", "registry", "servers"}
    servers = document.get("servers")
    word = document.get("hash", "all")
    if unknown or word not in hashes or not isinstance(servers, list) or not servers:
        raise Failed(
            f"{path}: give hash = one of {', '.join(hashes)}, and a table [[servers]] with id and grpc for each server"
            + (f"; {', '.join(sorted(unknown))} means nothing here" if unknown else ""),
            INVALID,
        )
    found: list[tuple[int, str]] = []
    for position, server in enumerate(servers, start=1):
        id_, place = server.get("id"), server.get("grpc")
        if not isinstance(id_, int) or id_ < 1 or not isinstance(place, str) or ":" not in place or len(server) != 2:
            raise Failed(f'{path}: servers[{position}] needs id = NUMBER and grpc = "HOST:PORT", no more', INVALID)
        found.append((id_, place))
    if len({id_ for id_, _ in found}) < len(found):
        raise Failed(f"{path}: two servers have the same id", INVALID)
    return Wanted(tuple(found), number_of(pb.SiteHash.DESCRIPTOR, word), int(document.get("registry", 0)))


def _shown(moves: list[Move]) -> str:
    rows = [("FROM", "TO", "HANDLES", "OCTETS")]
    rows += [(str(each.origin), str(each.target), str(each.handles), str(each.octets)) for each in moves]
    going = sum(each.handles for each in moves if each.origin != each.target)
    return table(rows) + f"\n{going} handles would go to another server"
