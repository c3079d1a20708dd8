"""Sockets of the Handle doors: shared with other workers; an IPv6 wildcard takes IPv4 too, over TCP as over UDP.

What keeps a silent connection from outliving its peer is set for those of the HTTP port, too.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS_MAX = 20_000
"""Connections of one worker over TCP; further ones are closed at once."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 300), (socket.TCP_KEEPINTVL, 60), (socket.TCP_KEEPCNT, 5))
"""A peer that has vanished is noticed after ten minutes."""


async def bound_socket(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket that is bound and does not block. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def keep_alive(client: socket.socket) -> None:
    """Notice when the peer of a silent connection has vanished. Raises OSError."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, number in _KEEPALIVE:
        client.setsockopt(socket.IPPROTO_TCP, option, number)


async def connect(client: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
    """Make an accepted socket a connection of the loop."""
    try:
        keep_alive(client)
        await asyncio.get_running_loop().connect_accepted_socket(protocol, client)
    except OSError:
        client.close()  # it has left meanwhile
