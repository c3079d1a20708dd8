"""``idis mirror``: make a mirror of a primary, see how a site stands, make a mirror the primary."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver.cli.guarded import StoreVerb
from resolver.cli.output import CONFLICT, STORE, UNREACHABLE, Failed, Verb, emit, one_line, table, to_json
from resolver.cli.progress import Progress

if TYPE_CHECKING:
    from resolver.cli.target import Target
    from resolver.node.mirror_copy import Copied
    from resolver.v1 import mirror_pb2 as pb


TELL_S = 2.0
"""Seconds for telling another mirror: it finds out by itself, and whoever promotes waits to let clients in."""


@click.group("mirror")
def mirror() -> None:
    """Nodes of one site that hold the same handles; one of them, the primary, takes changes."""


@mirror.command("init", cls=StoreVerb)
@click.option("--of", "primary", required=True, metavar="HOST:PORT", help="gRPC door of the primary.")
@click.option(
    "--mirror-token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="API token of a principal with the role mirror, made on the primary.",
)
@click.option("--id", "mirror_id", required=True, metavar="NAME", help="Name of this mirror in the site.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Authorities, for TLS; as --tls-ca."
)
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.pass_context
def init(ctx: click.Context, primary: str, mirror_token: Path, mirror_id: str, ca: Path | None, data_dir: Path) -> None:
    """Copy a primary's store into a data directory, or bring one up to date; idis serve then keeps it so.

    An interrupted copy goes on where it was when the command is given again. The node of the directory must not be
    running. A primary that was replaced becomes a mirror of the new one by the same command; changes it alone has are
    written to DIR/discarded.jsonl, their records to DIR/discarded-records.jsonl, which idis import reads.
    """
    import grpc  # noqa: PLC0415 - loads gRPC

    from resolver.app.data_dir import StartRefused  # noqa: PLC0415 - loads the node
    from resolver.app.mirror_service import make_mirror  # noqa: PLC0415 - as above
    from resolver.cli.unreachable import of_other_node  # noqa: PLC0415 - with its only use
    from resolver.errors import ResolverError  # noqa: PLC0415 - as above
    from storage.errors import StorageError  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    credentials = target.credentials(mirror_token.read_text("ascii").strip(), ca)
    rows = 0
    with Progress(0, "rows") as progress:

        def on_progress(response: pb.FollowResponse, copied: Copied) -> None:
            nonlocal rows
            del copied
            rows += len(response.chunk.rows) // 2 + len(response.rows.changes)
            progress.update(0, rows)

        try:
            held = make_mirror(data_dir, primary, mirror_id, credentials, on_progress)
        except StartRefused as error:
            raise Failed(one_line(str(error)), CONFLICT) from error
        except StorageError as error:
            raise Failed(one_line(str(error)), STORE) from error
        except grpc.aio.AioRpcError as error:
            raise of_other_node(f"the node at {primary}", error) from error
        except TimeoutError as error:
            raise Failed(
                f"the primary at {primary} does not answer: try again, the copy goes on", UNREACHABLE
            ) from error
        except ResolverError as error:
            raise Failed(one_line(str(error)), CONFLICT) from error
    document = {"data_dir": str(data_dir), "primary": primary, "rows": rows, "serial": held.serial}
    emit(
        ctx,
        document,
        f"{data_dir} holds what {primary} holds, {held.serial} changes\nnext: idis serve --data-dir {data_dir}",
    )


@mirror.command("status", cls=Verb)
@click.pass_context
def status(ctx: click.Context) -> None:
    """Show what the node is in its site, what it holds, and how far its mirrors are."""
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.v1 import mirror_pb2 as pb  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        state = client.call(methods.GET_MIRROR_STATUS, pb.GetMirrorStatusRequest())
    role = pb.SiteRole.Name(state.role).removeprefix("SITE_ROLE_").lower()
    now_us = time.time_ns() // 1_000
    lines = [f"{role} of epoch {state.epochs[-1].number}, holds {state.held.serial} changes"]
    if state.role == pb.SITE_ROLE_MIRROR:
        behind = max(0, state.primary_newest.serial - state.held.serial)
        heard = (
            f"heard {max(0, now_us - state.heard_time_us) / 1e6:.1f} s ago" if state.heard_time_us else "never heard"
        )
        lines.append(f"primary {state.primary}, {heard}, {behind} changes ahead then")
        if state.sweeping:
            lines.append("copies whole tables")
        if state.missing_files:
            lines.append(f"lacks {state.missing_files} uploaded files, which the primary does not give: see its log")
        if state.trouble:
            lines.append(f"trouble: {state.trouble}")
    elif state.primary:
        lines.append(f"the primary is {state.primary} now: idis mirror init makes this node its mirror")
    if state.mirrors:
        rows = [
            (row.mirror_id, row.held.serial, row.lag, f"{max(0, now_us - row.heard_time_us) / 1e6:.1f} s")
            for row in state.mirrors
        ]
        lines.append(table([("MIRROR", "HOLDS", "LAG", "HEARD BEFORE"), *rows]))
    if state.mirrors or state.confirmations:
        lines.append(f"mirrors that must hold a change before it is acknowledged: {state.confirmations}")
    emit(ctx, to_json(state), "\n".join(lines))


@mirror.command("promote", cls=Verb)
@click.option("--at-least", type=click.IntRange(0), default=0, metavar="SERIAL", help="Refuse unless it holds this.")
@click.option("--tell", "others", multiple=True, metavar="HOST:PORT", help="Another mirror, to follow it now.")
@click.pass_context
def promote(ctx: click.Context, at_least: int, others: tuple[str, ...]) -> None:
    """Make the mirror that --target names the primary of a new epoch.

    Use it when the primary is gone, or to move the role. Everything up to the serial that is printed is kept. The old
    primary is told to stop as soon as it can be reached; until then keep clients from it.
    """
    from resolver import methods  # noqa: PLC0415 - loads protobuf
    from resolver.client import CallFailed  # noqa: PLC0415 - as above
    from resolver.v1 import mirror_pb2 as pb  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        answer = client.call(methods.PROMOTE_MIRROR, pb.PromoteMirrorRequest(at_least_serial=at_least))
    news = pb.FencePrimaryRequest(epoch=answer.epoch.number, primary=answer.address)
    told: dict[str, str] = {}
    for other in others:
        try:
            with replace(target, address=other).client() as client:
                client.call(methods.FENCE_PRIMARY, news, timeout_s=min(TELL_S, target.timeout_s))
            told[other] = "told"
        except CallFailed as error:
            told[other] = one_line(f"not told, it follows once it is: {error}")
    kept = answer.epoch.start.serial
    lost = max(0, answer.last_heard_serial - kept)
    lines = [f"primary of epoch {answer.epoch.number}: every change up to {kept} is kept"]
    if lost:
        lines.append(
            f"lost: acknowledged changes above {kept}; the old primary had {answer.last_heard_serial} when heard"
        )
    lines += [f"{other}: {outcome}" for other, outcome in told.items()]
    emit(ctx, to_json(answer) | {"lost": lost, "told": told}, "\n".join(lines))
