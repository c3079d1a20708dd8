"""``idis health``: whether the node serves, for the health check of a container and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from resolver.cli.output import UNREACHABLE, Failed, Verb, to_octets, wants_json

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.command("health", cls=Verb)
@click.option("--service", default="", metavar="NAME", help="Ask for one service, such as resolver.v1.ChangesService.")
@click.pass_context
def health(ctx: click.Context, service: str) -> None:
    """Ask the standard health service; the exit code is 0 when the node serves, 3 when not or when it is away."""
    from grpc_health.v1 import health_pb2 as pb  # noqa: PLC0415 - loads protobuf

    from resolver.transport.health import CHECK  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    with target.client() as client:
        state = pb.HealthCheckResponse.ServingStatus.Name(
            client.call(CHECK, pb.HealthCheckRequest(service=service)).status
        )
    if state != "SERVING":
        raise Failed(f"{target.described} is {state}", UNREACHABLE, code="UNAVAILABLE", reason=state)
    click.echo(to_octets({"status": state}) if wants_json(ctx) else f"{target.described} is serving")
