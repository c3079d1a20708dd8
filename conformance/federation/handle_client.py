"""The smallest client of the Handle System that can resolve: one question, its answer, and referrals from the top.

Written from RFC 3650 to 3652 alone and not for speed: every question has a connection of its own. ``resolve`` does
what the clients of the Handle System do: the prefix handle at the top, prefix referrals downward, the site in the
prefix handle, the server that the hash of the name chooses, service referrals.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

TCP, UDP = 1, 0
SUCCESS, ERROR, SERVICE_REFERRAL, PREFIX_REFERRAL = 1, 2, 302, 303
RECURSIVE, PUBLIC_ONLY, CACHE_CERTIFY = 0x1000_0000, 0x0100_0000, 0x0800_0000
_ENVELOPE = struct.Struct(">BBBBIIII")
_HEADER = struct.Struct(">IIIHBBII")
_FRAGMENT = 492
_REFERRALS_MAX = 10
_ids = itertools.count(1_000)


class Value(NamedTuple):
    """A handle value as far as it matters here."""

    index: int
    type: str
    data: bytes


class Server(NamedTuple):
    """A server of a site: its address and ports by protocol."""

    address: str
    ports: dict[int, int]


class Site(NamedTuple):
    """A site: which part of a handle is hashed, and its servers."""

    hash_option: int
    servers: tuple[Server, ...]


class Answer(NamedTuple):
    """What a server has said. ``flags`` has 0x80000000 for what it is responsible for itself."""

    code: int
    flags: int
    name: str
    values: tuple[Value, ...]


class _Octets:
    """Reads fields one after the other."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def take(self, count: int) -> bytes:
        """So many octets."""
        part = self._octets[self._at : self._at + count]
        if len(part) != count:
            raise ValueError("the message is too short")
        self._at += count
        return part

    def number(self, count: int = 4) -> int:
        """A big-endian number."""
        return int.from_bytes(self.take(count), "big")

    def sized(self) -> bytes:
        """Octets behind their length."""
        return self.take(self.number())

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return len(self._octets) - self._at


def _sized(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def site_of(data: bytes) -> Site:
    """The site in an HS_SITE (RFC 3651 section 3.2.2)."""
    octets = _Octets(data)
    octets.take(7)
    option = octets.number(1)
    octets.sized()
    for _ in range(octets.number()):
        octets.sized(), octets.sized()
    servers = []
    for _ in range(octets.number()):
        octets.number()
        address = octets.take(16)
        octets.sized()
        ports: dict[int, int] = {}
        for _ in range(octets.number()):
            roles, protocol, port = octets.number(1), octets.number(1), octets.number()
            if roles & 2:
                ports.setdefault(protocol, port)
        family = socket.AF_INET6 if any(address[:12]) else socket.AF_INET
        servers.append(Server(socket.inet_ntop(family, address if any(address[:12]) else address[12:]), ports))
    return Site(option, tuple(servers))


def site_in_file(path: Path) -> Site:
    """The site in a site.json."""
    document = json.loads(path.read_text())
    document = document[0] if isinstance(document, list) else document
    servers = tuple(
        Server(
            server["address"],
            {{"UDP": UDP, "TCP": TCP}.get(each["protocol"], 9): each["port"] for each in server["interfaces"]},
        )
        for server in document["servers"]
    )
    return Site(document.get("hashOption", 2), servers)


def _choose(site: Site, name: str) -> Server:
    """The server that holds a handle (RFC 3652 section 3.1.3)."""
    prefix, slash, suffix = name.partition("/")
    part = {0: prefix if slash else "0.NA", 1: suffix if slash else name}.get(site.hash_option, name)
    digest = hashlib.md5(part.encode().upper(), usedforsecurity=False).digest()
    return site.servers[abs(int.from_bytes(digest[-4:], "big", signed=True)) % len(site.servers)]


def question(name: str, flags: int, version: tuple[int, int]) -> tuple[int, bytes]:
    """A request id and the octets of a question for all values of a handle."""
    request_id = next(_ids)
    body = _sized(name.encode()) + bytes(8)
    expires = int(time.time()) + 3_600
    message = _HEADER.pack(1, 0, flags, 0xFFFF, 0, 0, expires, len(body)) + body + bytes(4)
    return request_id, _ENVELOPE.pack(*version, *version, 0, request_id, 0, len(message)) + message


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        part = connection.recv(count - len(octets))
        if not part:
            raise ConnectionError("the server has closed the connection")
        octets += part
    return octets


def _over_tcp(server: Server, octets: bytes, timeout_s: float) -> bytes:
    with socket.create_connection((server.address, server.ports[TCP]), timeout=timeout_s) as connection:
        connection.sendall(octets)
        envelope = _read_exactly(connection, _ENVELOPE.size)
        return _read_exactly(connection, _ENVELOPE.unpack(envelope)[7])


def _over_udp(server: Server, octets: bytes, request_id: int, timeout_s: float) -> bytes:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect((server.address, server.ports[UDP]))
        connection.send(octets)
        parts: dict[int, bytes] = {}
        while True:
            packet = connection.recv(2_048)
            envelope = _ENVELOPE.unpack_from(packet)
            if envelope[5] != request_id:
                continue
            parts[envelope[6]] = packet[_ENVELOPE.size :]
            if sum(map(len, parts.values())) >= envelope[7]:
                return b"".join(parts[number] for number in sorted(parts))


def ask(
    server: Server,
    name: str,
    *,
    protocol: int = TCP,
    flags: int = PUBLIC_ONLY | CACHE_CERTIFY,
    version: tuple[int, int] = (2, 11),
    timeout_s: float = 30.0,
) -> Answer:
    """What a server says of a handle; a small "ask over TCP" of UDP is followed."""
    request_id, octets = question(name, flags, version)
    if protocol == UDP:
        answer = _answer(_over_udp(server, octets, request_id, timeout_s))
        if answer.code != ERROR or answer.name:
            return answer
    return _answer(_over_tcp(server, octets, timeout_s))


def _answer(message: bytes) -> Answer:
    octets = _Octets(message)
    _, code, flags, _, _, _, _, length = _HEADER.unpack(octets.take(_HEADER.size))
    body = _Octets(octets.take(length))
    if code not in {SUCCESS, SERVICE_REFERRAL, PREFIX_REFERRAL} or not body.left:
        return Answer(code, flags, "", ())
    name = body.sized().decode()
    values = []
    for _ in range(body.number() if body.left else 0):
        index = body.number()
        body.take(10)
        type_, data = body.sized().decode(), body.sized()
        for _ in range(body.number()):
            body.sized(), body.number()
        values.append(Value(index, type_, data))
    return Answer(code, flags, name, tuple(values))


@dataclass
class Resolver:
    """Resolves from the top of the tree. ``path`` lists whom the last name led to."""

    top: Site
    path: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> Answer:
        """The answer of the server that is responsible for a handle."""
        self.path = []
        prefix = name.partition("/")[0].upper()
        described = self._ask([self.top], f"0.NA/{prefix}")
        sites = _sites(described.values, {"HS_SITE", "HS_SITE.6"})
        return self._ask(sites, name) if sites else described

    def _ask(self, sites: list[Site], name: str) -> Answer:
        """Ask, and follow referrals."""
        for _ in range(_REFERRALS_MAX):
            server = _choose(sites[0], name)
            answer = ask(server, name)
            self.path.append(f"{name} at {server.address}:{server.ports[TCP]} says {answer.code}")
            if answer.code == PREFIX_REFERRAL:
                sites = _sites(answer.values, {"HS_SITE.PREFIX", "HS_NA_DELEGATE"})
            elif answer.code == SERVICE_REFERRAL:
                sites = _sites(answer.values, {"HS_SITE", "HS_SITE.6"})
            else:
                return answer
            if not sites:
                break
        raise ValueError(f"{name}: referred without an end, or to no site: {self.path}")


def _sites(values: tuple[Value, ...], types: set[str]) -> list[Site]:
    return [site_of(value.data) for value in values if value.type.upper() in types]
