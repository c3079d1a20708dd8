"""Who speaks at a Handle door: an address, its network, and what has been proven on this connection."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from resolver.telemetry.calls import HDL_TCP, HDL_UDP

if TYPE_CHECKING:
    from collections.abc import Hashable

    from resolver.node.handle_admin import Identity
    from resolver.node.hdl_sessions import Session


_MAPPED = "::ffff:"

LOGINS_MAX = 64
"""Logins of one connection; the oldest makes room. One Teleinfo SDK logs in for each client object and never out."""


def unmapped(address: str) -> str:
    """An address without the prefix that an IPv6 socket puts before those of IPv4."""
    return address.removeprefix(_MAPPED) if "." in address else address


def network_of(address: str) -> str:
    """The /24 of an IPv4 address or the /64 of an IPv6 address: what counts as one stranger."""
    if ":" not in address:
        return address.rpartition(".")[0]
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped).rpartition(".")[0]
    return parsed.packed[:8].hex()


@dataclass(slots=True)
class Peer:
    """One TCP connection, or the sender of one datagram.

    ``logins`` are who has logged in on the connection, each with the session id its client put into the login: 0, or a
    number the client made up. ``login`` is the id of a login's challenge that waits, ``is_idis`` says that a login was
    tried. ``renewed_s`` is when the logins were last found to hold. ``seal`` is the session whose key may encrypt the
    messages of this connection, under whatever id: it hides them and proves nothing. ``is_proven`` is set when the
    sender has shown that it receives what is sent to its address, ``has_left`` when nobody takes answers any more;
    ``is_broken`` asks the door to close, since a stream ended in the middle; ``door`` is what its requests are counted
    under.
    """

    source: str
    network: str
    is_stream: bool
    logins: tuple[tuple[int, Identity], ...] = ()
    login: int = 0
    is_proven: bool = False
    is_idis: bool = False
    renewed_s: float = 0.0
    seal: Session | None = None
    has_left: bool = False
    is_broken: bool = False
    door: str = HDL_TCP

    @classmethod
    def of(cls, source: str, *, is_stream: bool) -> Peer:
        """The peer with an address; the handshake of a stream is proof of it."""
        door = HDL_TCP if is_stream else HDL_UDP
        return cls(source, network_of(source), is_stream, is_proven=is_stream, door=door)

    def proven_from(self, network: Hashable) -> None:
        """The sender has what was sent to a network: that proves an address of this network, and no other.

        Anybody can begin a session or be challenged under an address of his own, and go on under somebody else's.
        """
        self.is_proven = self.is_proven or network == self.network

    def has_login(self, session_id: int) -> bool:
        """Whether somebody has logged in on this connection under just this session id."""
        return any(id_ == session_id for id_, _ in self.logins)

    def identity_in(self, session_id: int) -> Identity | None:
        """Who asks under a session id: the login under that id, or the only login there is; None for nobody known.

        A login holds for its connection. Where several users share one, as in an SDK with one pool for all, only its
        id tells whose a request is.
        """
        for id_, identity in self.logins:
            if id_ == session_id:
                return identity
        return self.logins[0][1] if len(self.logins) == 1 else None

    def log_in(self, session_id: int, identity: Identity) -> None:
        """Remember a login."""
        self.logins = (*self.logins[1 - LOGINS_MAX :], (session_id, identity))
