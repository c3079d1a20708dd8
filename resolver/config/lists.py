"""Faults in settings that hold lists and addresses as text.

Whoever uses such a setting parses it. Here it is only looked at, because a worker would find the fault when it starts:
after a reload that is the next one, and a node whose workers cannot start any more answers nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

Look = Callable[[str], object]


def parts(text: str) -> list[str]:
    """The items of a list by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _network(text: str) -> object:
    """Raise ValueError unless it is a network without bits set for a host."""
    return ip_network(text)


def _any_network(text: str) -> object:
    """Raise ValueError unless it is a network, or an address in one."""
    return ip_network(text, strict=False)


def _ports(text: str) -> None:
    """Raise ValueError unless it is a port or a range of ports."""
    least, dash, most = text.partition("-")
    if not (
        least.isdecimal() and (most.isdecimal() if dash else True) and 0 < int(least) <= int(most or least) < 65_536
    ):
        raise ValueError(f"{text!r} is no port and no range of ports such as 2640-2645")


def _reference(text: str) -> None:
    """Raise ValueError unless it is INDEX:HANDLE."""
    index, colon, handle = text.partition(":")
    if not (colon and index.isascii() and index.isdigit() and handle):
        raise ValueError(f"{text!r} is not INDEX:HANDLE, such as 300:0.NA/88.300")


LISTS: dict[str, Look] = {
    "federation.allow_networks": _network,
    "federation.allow_ports": _ports,
    "http.trusted_proxies": _any_network,
    "hdl.administrators": _reference,
    "hdl.replication_admins": _reference,
    "hdl.address": ip_address,
}
"""What each item of a setting has to be."""

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
