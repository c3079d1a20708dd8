"""Where another node answers, as options: an address with its ports, or the site.json that the node has written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resolver.cli.output import INVALID, Failed
from resolver.v1 import registry_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.wire.predefined.hs_site import HsSite

F = TypeVar("F", bound="Callable[..., Any]")

KINDS = ("tcp", "udp", "http", "grpc")


def options(command: F) -> F:
    """Adds ``--to``, which takes a service handle too, and ``--site``."""
    command = click.option(
        "--site",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Its handles live in the node whose site.json this is: ports and key are taken from there.",
    )(command)
    return click.option(
        "--to",
        "routes",
        multiple=True,
        metavar="ADDRESS[,tcp=PORT][,udp=PORT][,http=PORT][,grpc=PORT]|HANDLE",
        help="Its handles live in the node that answers there, or that a service handle names; may be repeated.",
    )(command)


def routes_from(texts: Sequence[str], site: Path | None) -> list[pb.Route]:
    """The routes that the options name."""
    found = [_from_text(text) for text in texts]
    if site is not None:
        found += _from_site(site)
    return found


def _from_text(text: str) -> pb.Route:
    if "/" in text:
        return pb.Route(service=text)
    address, *ports = text.split(",")
    row = pb.Route(address=address.strip().strip("[]"))
    for port in ports:
        kind, equals, number = port.strip().partition("=")
        if kind not in KINDS or not equals or not _is_port(number):
            raise click.BadParameter(
                f"{port!r} is no port: write tcp=2641, udp=2641, http=8000 or grpc=2640", param_hint="--to"
            )
        setattr(row, f"{kind}_port", int(number))
    return row


def _from_site(path: Path) -> list[pb.Route]:
    from resolver.federation.roots import SiteFileUnusable, sites_from_octets  # noqa: PLC0415 - loads the codec

    try:
        return [route for site in sites_from_octets(path.read_bytes(), str(path)) for route in _of_site(site)]
    except SiteFileUnusable as error:
        raise Failed(str(error), INVALID) from error


def _of_site(site: HsSite) -> list[pb.Route]:
    """The route to a site: address, ports and key of its one server, or the whole of several that share handles."""
    if len(site.servers) > 1:
        return [pb.Route(site=site.to_wire())]
    from resolver.node.site_info import GRPC_ATTRIBUTE, port_in  # noqa: PLC0415 - loads the codec
    from resolver.wire.predefined.hs_site import Transport  # noqa: PLC0415 - as above

    kinds = {Transport.TCP: "tcp_port", Transport.UDP: "udp_port", Transport.HTTP: "http_port"}
    grpc_port = dict(site.attributes).get(GRPC_ATTRIBUTE, "")
    found = []
    for server in site.servers:
        row = pb.Route(address=str(server.ip), public_key=server.public_key)
        for interface in server.interfaces:
            if interface.transport in kinds:
                setattr(row, kinds[Transport(interface.transport)], interface.port)
        row.grpc_port = port_in(grpc_port)
        found.append(row)
    return found


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65_535
