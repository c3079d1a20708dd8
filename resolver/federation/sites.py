"""Which site, server and interface to ask for a handle (RFC 3652 section 3.1.3), and which addresses to refuse.

Site records come from strangers: an address in one may point into the network this node stands in. Unless the caller
allows it, only addresses that are reachable from everywhere are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import PrefixNotServed
from resolver.wire.hash_selection import server_index
from resolver.wire.predefined.hs_site import ADMIN, QUERY, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address

    from resolver.wire.predefined.hs_site import HsSite, Server

SERVERS_TRIED_MAX = 13
"""Servers asked for one question, whatever a site record lists."""


class Place(NamedTuple):
    """A server to ask: where, and the key that proves its answers (empty when the site names none)."""

    host: str
    port: int
    public_key: bytes


def is_public_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is reachable from everywhere and so may stand in a stranger's site record."""
    return address.is_global and not address.is_multicast


def is_any_address(address: IPv4Address | IPv6Address) -> bool:
    """Allow every address: for sites an operator has named."""
    return not address.is_multicast


def places_for(
    name: str,
    sites: Iterable[HsSite],
    *,
    administers: bool,
    allows: Callable[[IPv4Address | IPv6Address], bool] = is_public_address,
) -> list[Place]:
    """The TCP places to ask for a handle, primaries first and only those for changes.

    Raises PrefixNotServed when no site has one.
    """
    ordered = sorted(sites, key=lambda site: not site.is_primary)
    found: list[Place] = []
    for site in ordered[:SERVERS_TRIED_MAX]:
        if not site.servers or (administers and not site.is_primary):
            continue
        server = site.servers[server_index(name, site.hash_option, len(site.servers))]
        port = _port(server, ADMIN if administers else QUERY)
        if port and allows(server.ip):
            found.append(Place(str(server.ip), port, server.public_key))
    if not found:
        task = "changes" if administers else "questions"
        raise PrefixNotServed(
            f"no site of {name[:200]!r} has a server that takes {task} over TCP at an address that may be used: check "
            "the HS_SITE values of its prefix"
        )
    return found


def _port(server: Server, role: int) -> int:
    """The TCP port of the first interface in a role; 0 when there is none."""
    for interface in server.interfaces:
        if interface.transport == Transport.TCP and interface.roles & role and 0 < interface.port < 65_536:
            return interface.port
    return 0
