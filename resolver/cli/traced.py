"""``idis resolve --trace``: the way to an answer as a tree, each question under the one it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from resolver import methods
from resolver.cli import shown
from resolver.cli.output import one_line, to_json, to_octets, wants_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.cli.target import Target
    from resolver.v1 import resolution_pb2 as pb


def resolve_traced(ctx: click.Context, names: Iterable[str], request: pb.ResolveRequest) -> set[int]:
    """Resolve names one by one and print what every step was; the gRPC codes of those without a record."""
    target: Target = ctx.obj
    codes: set[int] = set()
    with target.client() as client:
        for name in names:
            request.name, request.trace = name, True
            response = client.call(methods.RESOLVE, request)
            if response.HasField("miss"):
                codes.add(response.miss.code)
            click.echo(to_octets(to_document(name, response)) if wants_json(ctx) else to_text(name, response))
    return codes


def to_document(name: str, response: pb.ResolveResponse) -> dict[str, Any]:
    """The answer and its way for scripts."""
    document: dict[str, Any] = {"name": name}
    if response.HasField("miss"):
        document |= shown.miss_to_json(name, response.miss)
    else:
        document["record"] = shown.record_to_json(response.record)
    if response.HasField("origin"):
        document["origin"] = to_json(response.origin)
    document["hops"] = [to_json(hop) for hop in response.hops]
    return document


def to_text(name: str, response: pb.ResolveResponse) -> str:
    """The answer and its way for people."""
    lines = [one_line(name)]
    lines += [_hop_text(hop) for hop in response.hops]
    if response.HasField("miss"):
        lines.append(f"error: {one_line(response.miss.message)}")
    else:
        if response.origin.stale:
            lines.append("stale: the node that is responsible does not answer, this is what it said before")
        lines.append(shown.record_text(response.record))
    return "\n".join(lines)


def _hop_text(hop: pb.Hop) -> str:
    """One step: what was asked of whom, and what came of it."""
    where = f"{hop.protocol} {hop.server}".strip()
    code = f"{hop.response_code} " if hop.response_code else ""
    took = f"  {hop.took_us / 1_000:.1f} ms" if hop.took_us else ""
    ttl = f"  ttl {hop.ttl_s} s" if hop.ttl_s else ""
    stale = "  STALE" if hop.stale else ""
    said = one_line(hop.said)[:160] or ("found" if hop.response_code == 1 else "")
    return f"{'│  ' * hop.depth}├─ {one_line(hop.name)}  {where}: {code}{said}{took}{ttl}{stale}"
