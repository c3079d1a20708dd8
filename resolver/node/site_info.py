"""The node as a site of the Handle System: its HS_SITE, and what prefix handles say about other sites.

A client asks a prefix handle for the site that serves the prefix, and a server for its own site; both get the same
record. TCP stands first, because IDIS clients take the first interface of the first server and know no UDP. UDP
takes questions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import WireError
from resolver.handle.name import PREFIX_OF_PREFIXES, fold
from resolver.handle.value import HandleValue
from resolver.node.handle_admin import values_of
from resolver.node.values import to_pb
from resolver.wire.predefined.hs_site import ADMIN, QUERY, HsSite, Interface, Server, Transport, address_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.v1 import handle_pb2 as pb
    from resolver.v1 import registry_pb2 as registry
    from storage.engine import Reader

SITE_INDEX = 1
PREFIX_SITE_INDEX = 31
ADMIN_INDEX = 100
GROUP_INDEX = 200
KEY_INDEX = 300
"""Where the values of a prefix handle stand by convention: its site, that of its derived prefixes, its administrators,
their group, its key."""

GRPC_ATTRIBUTE = "idis.grpc"
"""Attribute of a site that says at which port its servers speak gRPC; other implementations read over it."""

_PORT_DIGITS_MAX = 5
_PREFIX_SITE_TYPES = {"HS_SITE.PREFIX", "HS_SERV.PREFIX", "HS_NA_DELEGATE"}
_SITE_TYPES = {"HS_SITE", "HS_SITE.6", "HS_SERV"}


def port_in(text: str) -> int:
    """The port that an attribute of a stranger's site names; 0 for whatever is none."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS_MAX
    return int(text) if is_number and int(text) < 65_536 else 0


def site_of(
    address: str,
    tcp_port: int,
    udp_port: int,
    public_key: bytes,
    description: str,
    *,
    http: Interface | None = None,
    grpc_port: int = 0,
) -> HsSite:
    """The site of a node of one server that answers on an IP address; a port of 0 is none. Raises InvalidValue.

    ``grpc_port`` is where other nodes of this kind may ask it over gRPC.
    """
    interfaces = (
        Interface(ADMIN | QUERY, Transport.TCP, tcp_port),
        Interface(QUERY, Transport.UDP, udp_port),
        *((http,) if http is not None else ()),
    )
    open_ones = tuple(interface for interface in interfaces if interface.port)
    server = Server(1, address_to_wire(address), public_key, open_ones)
    attributes = [("desc", description)] if description else []
    if grpc_port:
        attributes.append((GRPC_ATTRIBUTE, str(grpc_port)))
    return HsSite((server,), attributes=tuple(attributes))


def site_from_routes(routes: Iterable[registry.Route], *, of_prefix: bool = False) -> list[pb.HandleValue]:
    """Values that refer to where the handles of a prefix live, one site for each route of its row.

    With ``of_prefix`` to where its derived prefixes are described, under indexes of their own.
    """
    values = []
    for position, route in enumerate(routes):
        if route.site:
            index, type_ = (PREFIX_SITE_INDEX, "HS_SITE.PREFIX") if of_prefix else (SITE_INDEX, "HS_SITE")
            values.append(to_pb(HandleValue(index + position, type_, route.site)))
            continue
        if route.service:
            index, type_ = (PREFIX_SITE_INDEX, "HS_SERV.PREFIX") if of_prefix else (SITE_INDEX, "HS_SERV")
            values.append(to_pb(HandleValue(index + position, type_, route.service.encode())))
            continue
        doors = ((Transport.TCP, route.tcp_port), (Transport.UDP, route.udp_port), (Transport.HTTP, route.http_port))
        interfaces = tuple(
            Interface(QUERY if transport is Transport.UDP else ADMIN | QUERY, transport, port)
            for transport, port in doors
            if port
        )
        server = Server(1, address_to_wire(route.address), route.public_key, interfaces)
        attributes = ((GRPC_ATTRIBUTE, str(route.grpc_port)),) if route.grpc_port else ()
        if of_prefix:
            index, type_ = PREFIX_SITE_INDEX, "HS_SITE.PREFIX"
        else:
            index, type_ = SITE_INDEX, "HS_SITE.6" if ":" in route.address else "HS_SITE"
        values.append(to_pb(HandleValue(index + position, type_, HsSite((server,), attributes=attributes).to_wire())))
    return values


def stored_site(reader: Reader, prefix: str) -> HsSite | None:
    """The first site of a prefix handle, None when it has none that can be read."""
    for value in values_of(reader, f"{PREFIX_OF_PREFIXES}/{prefix}"):
        if fold(value.type) == "HS_SITE":
            try:
                return HsSite.from_wire(value.data)
            except WireError:
                return None
    return None


def referral_to(reader: Reader, prefix: str) -> list[pb.HandleValue]:
    """The public values of a prefix handle that say who serves the prefix."""
    return _public(reader, f"{PREFIX_OF_PREFIXES}/{prefix}", _SITE_TYPES)


def derived_sites(reader: Reader, prefix: str) -> list[pb.HandleValue]:
    """The public values of a prefix handle that say who serves the prefixes derived from it."""
    return _public(reader, f"{PREFIX_OF_PREFIXES}/{prefix}", _PREFIX_SITE_TYPES)


def prefix_referral(reader: Reader, prefix: str) -> list[pb.HandleValue]:
    """Who serves the prefixes derived from the nearest ancestor of a prefix that says so; empty when none does."""
    ancestor, dot, _ = prefix.rpartition(".")
    while dot:
        found = _public(reader, f"{PREFIX_OF_PREFIXES}/{ancestor}", _PREFIX_SITE_TYPES)
        if found:
            return found
        ancestor, dot, _ = ancestor.rpartition(".")
    return []


def _public(reader: Reader, name: str, types: set[str]) -> list[pb.HandleValue]:
    return [value for value in values_of(reader, name) if fold(value.type) in types and value.permissions & 2]
