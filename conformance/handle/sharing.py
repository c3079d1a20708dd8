"""A site of several servers: which one has a handle, and what the others say of it (RFC 3652 section 3.1.3).

A server of such a site is judged by the rules for any server with names of its own share; the rules here ask it for
names of the others.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from conformance.handle.octets import (
    CACHE,
    CREATE,
    PUBLIC,
    RECURSIVE,
    RESOLVE,
    SITE,
    Malformed,
    Octets,
    resolution,
    text,
    value,
    with_values,
)
from conformance.handle.rules import rule
from conformance.suite import expect

if TYPE_CHECKING:
    from conformance.handle.client import Peer

_TCP = 1
_NOT_RESPONSIBLE = 301


class Share(NamedTuple):
    """What of a site is the judged server's: what is hashed, how many servers, and its place among them."""

    option: int
    servers: int
    place: int

    def holds(self, name: str) -> bool:
        """Whether a handle is its own."""
        prefix, _, suffix = name.partition("/")
        part = {0: prefix, 1: suffix}.get(self.option, name)
        digest = hashlib.md5(part.encode().upper(), usedforsecurity=False).digest()
        return abs(int.from_bytes(digest[-4:], "big", signed=True)) % self.servers == self.place


def share_of(peer: Peer) -> Share | None:
    """The share of a server, by the site it tells; None when it is alone or cannot be found in it."""
    try:
        octets = Octets(peer.ask(SITE, text("/")).body)
        octets.take(7)
        option = octets.number(1)
        octets.sized()
        for _ in range(octets.number()):
            octets.sized(), octets.sized()
        places = [_places(octets) for _ in range(octets.number())]
    except (Malformed, OSError, ValueError):
        return None
    own = [number for number, found in enumerate(places) if peer.where in found]
    return Share(option, len(places), own[0]) if len(places) > 1 and own else None


def _places(octets: Octets) -> set[tuple[str, int]]:
    """Where the next server of a site answers over TCP."""
    octets.number()
    address = ipaddress.IPv6Address(octets.take(16))
    octets.sized()
    host = str(ipaddress.IPv4Address(address.packed[12:]) if not any(address.packed[:12]) else address)
    found = set()
    for _ in range(octets.number()):
        _, protocol, port = octets.number(1), octets.number(1), octets.number()
        if protocol == _TCP:
            found.add((host, port))
    return found


def _of_another(peer: Peer) -> str:
    """A fresh name of another server."""
    share = share_of(peer)
    assert share is not None, "a rule that needs several servers"
    numbers = iter(range(1 << 20))
    return next(name for name in (f"{peer.fresh()}-{number}" for number in numbers) if not share.holds(name))


@rule("RFC 3652 section 3.1.3, code 301: a handle of another server of the site", needs="is_one_of_several")
def another_servers_handle_is_not_answered(peer: Peer) -> None:
    name = _of_another(peer)
    answer = peer.ask(RESOLVE, resolution(name), flags=PUBLIC | CACHE)
    expect(answer.code == _NOT_RESPONSIBLE, f"without recursion: {answer.code}")
    answer = peer.ask(RESOLVE, resolution(name), flags=PUBLIC | CACHE | RECURSIVE)
    expect(answer.code in {100, _NOT_RESPONSIBLE}, f"with recursion: {answer.code}")


@rule("RFC 3652 section 3.1.3, code 301: and it is not created here", needs="is_one_of_several")
def another_servers_handle_is_not_created(peer: Peer) -> None:
    name = _of_another(peer)
    answer = peer.ask(CREATE, with_values(name, value(1, "URL", "a")))
    expect(answer.code == _NOT_RESPONSIBLE, f"before any challenge: {answer.code}")


@rule("RFC 3652 section 3.1.3: handles that describe prefixes are answered by every server", needs="is_one_of_several")
def prefix_handles_are_everywhere(peer: Peer) -> None:
    answer = peer.ask(RESOLVE, resolution(f"0.NA/{peer.prefix}"), flags=PUBLIC | CACHE)
    expect(answer.code == 1, f"0.NA/{peer.prefix}: {answer.code}")
