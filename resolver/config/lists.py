"""Settings that hold lists and addresses as text: how each is read, in one place.

Whoever uses such a setting reads it with the function that stands here for it. The configuration is looked at with the
same functions before it is taken, because a worker would find the fault when it starts: after a reload that is the next
one, and a node whose workers cannot start any more answers nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Read = Callable[[str], object]


def parts(text: str) -> list[str]:
    """The items of a list by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def network(text: str) -> Network:
    """A network without bits set for a host. Raises ValueError."""
    return ip_network(text)


def any_network(text: str) -> Network:
    """A network, or that of an address in it. Raises ValueError."""
    return ip_network(text, strict=False)


def ports(text: str) -> tuple[int, int]:
    """A port or a range of ports, as the least and the most. Raises ValueError."""
    least, dash, most = text.partition("-")
    if least.isdecimal() and (most.isdecimal() if dash else True) and 0 < int(least) <= int(most or least) < 65_536:
        return int(least), int(most or least)
    raise ValueError(f"{text!r} is no port and no range of ports such as 2640-2645")


def reference(text: str) -> str:
    """INDEX:HANDLE as it is. Raises ValueError."""
    index, colon, handle = text.partition(":")
    if not (colon and index.isascii() and index.isdigit() and handle):
        raise ValueError(f"{text!r} is not INDEX:HANDLE, such as 300:0.NA/88.300")
    return text


LISTS: dict[str, Read] = {
    "federation.allow_networks": network,
    "federation.allow_ports": ports,
    "http.trusted_proxies": any_network,
    "hdl.administrators": reference,
    "hdl.replication_admins": reference,
    "hdl.address": ip_address,
}
"""How each item of a setting is read."""

_SINGLE = {"hdl.address"}
"""Settings that hold one item, and no list."""


def faults_in(key: str, text: str) -> list[str]:
    """What is wrong with a setting of ``LISTS``, one sentence for each item."""
    found = []
    for part in [text] if text and key in _SINGLE else parts(text):
        try:
            LISTS[key](part)
        except ValueError as error:
            found.append(f"{key}: {error}")
    return found
