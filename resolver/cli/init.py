"""``idis init``: make the data directory of a node of some role in the tree; ``idis serve`` then runs it."""

from __future__ import annotations

from pathlib import Path

import click

from resolver.cli.output import CONFLICT, INVALID, STORE, UNREACHABLE, Failed, Verb, emit, one_line

ROLES = ("top", "secondary", "enterprise", "recursive")


@click.command("init", cls=Verb)
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the node is in the tree.")
@click.option("--prefix", default="", help="Prefix it homes: 88, 88.300 or 88.300.17; none for a recursive node.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where it is made.  [./idis-data]",
)
@click.option(
    "--top", default="", metavar="FILE|HOST:PORT", help="Site record of the top of the tree, or where it answers."
)
@click.option("--top-key", default="", metavar="SHA256", help="Fingerprint that the key of the top must have.")
@click.option("--site", default="", metavar="ADDRESS", help="IP address that others reach this node at.")
@click.option("--grpc", default="", metavar="HOST:PORT", help="gRPC door.")
@click.option("--hdl", default="", metavar="HOST:PORT", help="Handle doors over TCP and UDP.")
@click.option("--http", default="", metavar="HOST:PORT", help="HTTP door.")
@click.option("--admin", default="", metavar="HOST:PORT", help="Admin door.")
@click.option("--forward", is_flag=True, help="Let --top search in this node's place: it reaches no other node.")
@click.option(
    "--allow-network",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Network beside public ones that other nodes may be asked in, as 10.0.0.0/8; may be repeated.",
)
@click.option(
    "--allow-port",
    "ports",
    multiple=True,
    metavar="PORT[-PORT]",
    help="Ports that other nodes may be asked at, in place of the usual ones; may be repeated.",
)
@click.pass_context
def init(
    ctx: click.Context,
    role: str,
    prefix: str,
    data_dir: Path | None,
    top: str,
    top_key: str,
    site: str,
    grpc: str,
    hdl: str,
    http: str,
    admin: str,
    networks: tuple[str, ...],
    ports: tuple[str, ...],
    *,
    forward: bool,
) -> None:
    """Make the data directory of a node: its store, its settings, and whom it asks.

    The roles differ in data only. Doing the same again changes nothing; a directory that holds something else is
    refused.
    """
    from resolver.app.data_dir import StartRefused, StoreRefused  # noqa: PLC0415 - loads the store
    from resolver.app.initial import Plan, PlanInvalid, TopSilent, make  # noqa: PLC0415 - as above
    from resolver.registry.first_start import NodeRole  # noqa: PLC0415 - as above

    given = {
        "hdl.address": site,
        "grpc.listen": grpc,
        "hdl.listen": hdl,
        "http.listen": http,
        "admin.listen": admin,
        "federation.allow_networks": ",".join(networks),
        "federation.allow_ports": ",".join(ports),
    }
    settings: dict[str, str | bool] = {key: text for key, text in given.items() if text}
    if forward:
        settings["federation.forward"] = True
    root = data_dir or Path(ctx.obj.data_dir or "idis-data")
    try:
        made = make(Plan(root, NodeRole(role), prefix, settings, top, top_key))
    except StartRefused as error:
        codes = {PlanInvalid: INVALID, TopSilent: UNREACHABLE, StoreRefused: STORE}
        raise Failed(one_line(str(error)), codes.get(type(error), CONFLICT)) from error
    word = f"made: {', '.join(made.changed)}" if made.changed else "everything was so already"
    lines = [f"{role} node {prefix}".strip() + f" in {root}: {word}"]
    if made.top_fingerprint:
        lines.append(f"key of the top: {made.top_fingerprint} (compare it with what its operator tells you)")
    lines.append(f"next: idis serve --data-dir {root}")
    if role in {"secondary", "enterprise"}:
        lines.append(
            f"then: give {root}/site.json to the operator of the node above, who runs idis prefix create {prefix} and "
            f"idis prefix route {prefix} --site site.json"
        )
    document = {
        "role": role,
        "prefix": prefix,
        "data_dir": str(root),
        "changed": list(made.changed),
        "top_key": made.top_fingerprint,
    }
    emit(ctx, document, "\n".join(lines))
