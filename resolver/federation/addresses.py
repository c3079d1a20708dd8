"""Which addresses and ports of other people's site records may be connected to.

A site record comes from a stranger and may name a service of the network this node stands in (server-side request
forgery). Only addresses that are reachable from everywhere are used, and only ports that the Handle System is known
to use, unless the operator allows more. The address is checked that is connected to; names of hosts in site records
are not looked up at all, so nothing can change between the check and the connection.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Self

from resolver.config import lists

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.config.lists import Network

    Address = IPv4Address | IPv6Address

_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_UNCONNECTED = (ip_network("0.0.0.0/8"), ip_network("::/128"), ip_network("255.255.255.255/32"))


class AddressPolicy:
    """What the operator allows beside public addresses. Make it by ``from_text`` when it comes from a configuration."""

    def __init__(
        self,
        allowed: Iterable[Network] = (),
        ports: Iterable[tuple[int, int]] = (),
        own: Iterable[tuple[Address, int]] = (),
    ) -> None:
        """Take networks that are allowed, ranges of ports, and the doors of this node, which never are."""
        self._allowed = tuple(allowed)
        self._ports = tuple(ports)
        self._own = frozenset(own)
        self.named: frozenset[Address] = frozenset()
        """Addresses that the operator has named himself, as those of the top of the tree: allowed with any port."""
        self.siblings: frozenset[Address] = frozenset()
        """Addresses of the other servers of this site: allowed with any port."""

    @classmethod
    def from_text(cls, allowed: str, ports: str, own: Iterable[tuple[str, int]] = ()) -> Self:
        """The policy of a configuration: networks by commas, ports and ranges by commas. Raises ValueError."""
        networks = [lists.network(part) for part in lists.parts(allowed)]
        ranges = [lists.ports(part) for part in lists.parts(ports)]
        return cls(networks, ranges, [(ip_address(host), port) for host, port in own])

    def refusal(self, address: Address, port: int) -> str:
        """Why a place may not be connected to; empty when it may."""
        why = ""
        if (address, port) in self._own:
            return "is this node itself"
        if address.is_multicast or any(address in network for network in _UNCONNECTED):
            return "is no address of one machine"
        if address in self.named or address in self.siblings or any(address in network for network in self._allowed):
            return ""
        hidden = _hidden_in(address)
        if hidden is not None and not hidden.is_global:
            why = f"hides the address {hidden}, which is not reachable from everywhere"
        elif not address.is_global:
            why = "is not reachable from everywhere: allow its network with federation.allow_networks if it is meant"
        elif not any(least <= port <= most for least, most in self._ports):
            why = f"has port {port}, which is none of federation.allow_ports"
        return why


def _hidden_in(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end up at, if that is its kind."""
    if isinstance(address, IPv4Address):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(address.packed[12:])
    return address.ipv4_mapped
