"""From site records to servers that can be asked (RFC 3652 section 3.1.3).

A site is one choice: the hash of the handle names the server in it. Several sites are several choices, tried in the
order of their latency. A server of this kind of node says with the attribute ``idis.grpc`` that it speaks gRPC.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import WireError
from resolver.handle.name import fold
from resolver.node.site_info import GRPC_ATTRIBUTE, port_in
from resolver.wire.hash_selection import server_index
from resolver.wire.predefined.hs_serv import HsServ
from resolver.wire.predefined.hs_site import QUERY, HsSite, Transport
from resolver.wire.versions import OWN, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.federation.addresses import AddressPolicy
    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.predefined.hs_site import Server

GRPC, TCP, UDP = "grpc", "tcp", "udp"
"""Protocols that another node can be asked by, the preferred ones first."""

_HANDLE_SITES = frozenset({"HS_SITE", "HS_SITE.6"})
_HANDLE_SERVICES = frozenset({"HS_SERV"})
_PREFIX_SITES = frozenset({"HS_SITE.PREFIX", "HS_NA_DELEGATE"})
_PREFIX_SERVICES = frozenset({"HS_SERV.PREFIX"})


class Contact(NamedTuple):
    """A server to ask. ``public_key`` is empty when its site names none."""

    protocol: str
    host: str
    port: int
    public_key: bytes = b""
    version: Version = OWN
    is_primary: bool = True
    serial: int = 0
    is_one_of_several: bool = False
    """Whether the servers of its site share handles by hash."""

    @property
    def place(self) -> str:
        """``HOST:PORT``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """Protocol and place: ``tcp 192.0.2.1:2641``."""
        return f"{self.protocol} {self.place}"


class Sites(NamedTuple):
    """Where something is answered: site records, and handles whose own site records apply (HS_SERV)."""

    sites: tuple[HsSite, ...] = ()
    services: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sites or self.services)


def sites_in(values: Iterable[pb.HandleValue], *, of_prefix: bool) -> Sites:
    """The sites that values name: of handles, or with ``of_prefix`` of derived prefixes; other values are left out."""
    site_types, service_types = (_PREFIX_SITES, _PREFIX_SERVICES) if of_prefix else (_HANDLE_SITES, _HANDLE_SERVICES)
    sites: list[HsSite] = []
    services: list[str] = []
    for value in values:
        type_ = fold(value.type)
        try:
            if type_ in site_types and len(sites) < limits.SITES_MAX:
                sites.append(_site_of(value.data))
            elif type_ in service_types and len(services) < limits.SITES_MAX:
                services.append(HsServ.from_wire(value.data).service_handle)
        except WireError:
            continue
    return Sites(tuple(sites), tuple(services))


@lru_cache(maxsize=1_024)
def _site_of(data: bytes) -> HsSite:
    """The site in a value; most names lead to few sites. Raises MalformedMessage."""
    return HsSite.from_wire(data)


class Choice(NamedTuple):
    """The servers that may be asked, and what was wrong with the others."""

    contacts: list[Contact]
    refusals: list[str]


def contacts_for(
    name: str, sites: Sites, policy: AddressPolicy, *, authoritative: bool, speaks_grpc: bool, certifies: bool = False
) -> Choice:
    """One contact for each site that can be asked for a handle; only primaries with ``authoritative``.

    With ``certifies`` a server with a key is asked in the Handle protocol, which can sign its answers.
    """
    found: list[Contact] = []
    refusals: list[str] = []
    for site in sites.sites[: limits.SITES_MAX]:
        if not site.servers:
            refusals.append("a site has no servers")
            continue
        if authoritative and not site.is_primary:
            continue
        server = site.servers[server_index(name, site.hash_option, len(site.servers))]
        contact = _contact(site, server, speaks_grpc=speaks_grpc and not (certifies and server.public_key))
        if contact is None:
            refusals.append(f"{server.ip} has no interface for questions over TCP or UDP")
            continue
        refusal = policy.refusal(server.ip, contact.port)
        if refusal:
            refusals.append(f"{contact.place} {refusal}")
        elif contact not in found:
            found.append(contact)
    return Choice(found, refusals)


def _contact(site: HsSite, server: Server, *, speaks_grpc: bool) -> Contact | None:
    """How to ask a server: gRPC when it says so, else TCP, else UDP."""
    attributes = dict(site.attributes)
    grpc_port = attributes.get(f"{GRPC_ATTRIBUTE}.{server.id}", attributes.get(GRPC_ATTRIBUTE, ""))
    port = port_in(grpc_port) if speaks_grpc else 0
    if port:
        return _made(GRPC, port, site, server)
    for protocol, transport in ((TCP, Transport.TCP), (UDP, Transport.UDP)):
        for interface in server.interfaces:
            if interface.transport == transport and interface.roles & QUERY and 0 < interface.port < 65_536:
                return _made(protocol, interface.port, site, server)
    return None


def _made(protocol: str, port: int, site: HsSite, server: Server) -> Contact:
    version = min(site.version, OWN) if site.version.major == OWN.major else OWN
    return Contact(
        protocol, str(server.ip), port, server.public_key, version, site.is_primary, site.serial, len(site.servers) > 1
    )
