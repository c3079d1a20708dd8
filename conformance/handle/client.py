"""A client of the protocol as any tool might write it: TCP, UDP, challenges by key or secret, a DH session."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from conformance.handle.octets import (
    ANSWER,
    CERTIFY,
    CLIENT,
    CREATE,
    DELETE,
    DIGEST,
    ENCRYPTED,
    ENVELOPE,
    LATEST,
    MORE,
    PUBLIC,
    SETUP,
    SETUP_MODE_DH,
    SITE,
    TRUNCATED,
    Answer,
    Octets,
    Request,
    ids,
    mac,
    mac_octets,
    text,
    with_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.handle.octets import Version

TIMEOUT_S = 30.0
FRAGMENT = 492
OAKLEY_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
"""Modulus of the second Oakley group (RFC 2409 section 6.2), generator 2."""


@dataclass(frozen=True)
class Who:
    """An administrator: the handle value that holds its key, and the key."""

    handle: str
    index: int
    key: rsa.RSAPrivateKey | None = None
    secret: bytes = b""

    def answer(self, nonce: bytes, digest: bytes, version: Version) -> bytes:
        """The body that answers a challenge."""
        who = text(self.handle) + struct.pack(">I", self.index)
        if self.key is not None:
            name, hash_ = (b"SHA-256", hashes.SHA256()) if version >= (2, 7) else (b"SHA1", hashes.SHA1())  # noqa: S303 - old versions have nothing else
            signed = self.key.sign(nonce + digest, padding.PKCS1v15(), hash_)
            return text("HS_PUBKEY") + who + text(text(name) + text(signed))
        return text("HS_SECKEY") + who + text(self._mac(nonce, digest, version))

    def _mac(self, nonce: bytes, digest: bytes, version: Version) -> bytes:
        if version < (2, 1):
            return hashlib.md5(self.secret + nonce + digest + self.secret).digest()  # noqa: S324 - old versions have nothing else
        if version < (2, 7):
            return b"\2" + hashlib.sha1(self.secret + nonce + digest + self.secret).digest()  # noqa: S324 - as above
        salt = os.urandom(16)
        secret = self.secret.decode("latin-1").encode()
        key = hashlib.pbkdf2_hmac("sha1", secret, salt, 10_000, 20)
        mac = hmac.digest(key, nonce + digest, "sha1")
        return b"\x22" + text(salt) + struct.pack(">II", 10_000, 160) + text(mac)


class Line:
    """One TCP connection."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.socket = socket.create_connection(where, timeout=TIMEOUT_S)

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.socket.sendall(octets)

    def octets(self) -> bytes:
        """The octets of one whole message. Raises EOFError."""
        head = self.exactly(ENVELOPE.size)
        return head + self.exactly(int.from_bytes(head[16:20], "big"))

    def exactly(self, count: int) -> bytes:
        """So many octets. Raises EOFError."""
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise EOFError(f"the connection ended after {len(found)} of {count} octets")
            found += part
        return found

    def answer(self) -> Answer:
        """One answer."""
        return Answer.of(self.octets())

    def answers(self) -> list[Answer]:
        """The messages of one answer."""
        found = [self.answer()]
        while found[-1].flags & MORE:
            found.append(self.answer())
        return found

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


class Peer:
    """The server that is judged. ``who`` administers it or a prefix of it; ``prefix`` may be written under."""

    def __init__(self, host: str, port: int, prefix: str, who: Who | None = None) -> None:
        self.where, self.prefix, self.who = (host, port), prefix, who
        self._fresh = os.urandom(4).hex()
        self._made: list[str] = []
        self._numbers = iter(range(1, 1 << 30))

    def fresh(self, mark: str = "C") -> str:
        """A name nobody has used."""
        name = f"{self.prefix}/{mark}-{self._fresh}-{next(self._numbers)}"
        self._made.append(name)
        return name

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A connection for the length of a block."""
        line = Line(self.where)
        try:
            yield line
        finally:
            line.close()

    def request(self, op: int, body: bytes, **fields: object) -> Request:
        """A request with an id of its own."""
        return Request(op, body, id=next(ids), **fields)  # type: ignore[arg-type]

    def ask(self, op: int, body: bytes, **fields: object) -> Answer:
        """The answer over a connection of its own."""
        return self.send(self.request(op, body, **fields))

    def send(self, request: Request) -> Answer:
        """The answer to a request over a connection of its own."""
        with self.line() as line:
            line.send(request.to_wire())
            return line.answer()

    def do(
        self, op: int, body: bytes, *, flags: int = CLIENT, who: Who | None = None, **fields: object
    ) -> list[Answer]:
        """The messages of the answer, a challenge being answered on the way."""
        request = self.request(op, body, flags=flags, **fields)
        with self.line() as line:
            line.send(request.to_wire())
            found = line.answers()
        if found[0].code != 402:
            return found
        return self.prove(request, found[0], who or self.who)

    def prove(self, request: Request, challenge: Answer, who: Who | None) -> list[Answer]:
        """The messages of the answer to a challenged request."""
        assert who is not None, "a rule that needs an administrator"
        body = who.answer(challenge.nonce, challenge.digest, challenge.version)
        again = replace(request, op=ANSWER, body=body, session=challenge.session, id=next(ids), credential=b"")
        with self.line() as line:
            line.send(again.to_wire())
            return line.answers()

    def create(self, name: str, *values: bytes, **fields: object) -> Answer:
        """The answer to a creation."""
        return self.do(CREATE, with_values(name, *values), **fields)[0]  # type: ignore[arg-type]

    def clean(self) -> None:
        """Delete what the rules have made and left."""
        for name in self._made:
            if self.who is not None:
                self.do(DELETE, text(name))
        self._made.clear()

    def ask_udp(self, octets: bytes, *, timeout_s: float = 5.0, parts: int = 64) -> list[bytes]:
        """The packets that come for a message sent over UDP."""
        with socket.socket(socket.AF_INET6 if ":" in self.where[0] else socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(timeout_s)
            udp.connect(self.where)
            for packet in split(octets):
                udp.send(packet)
            found: list[bytes] = []
            try:
                while len(found) < parts:
                    found.append(udp.recv(65_536))
                    size = int.from_bytes(found[-1][16:20], "big")
                    if sum(len(packet) - ENVELOPE.size for packet in found) >= size:
                        break
            except TimeoutError:
                pass
            return found

    @property
    def place(self) -> int:
        """Place of the server in its site, from 0."""
        return 0

    def server_key(self) -> rsa.RSAPublicKey:
        """The key of the server in its site."""
        site = Octets(self.ask(SITE, text("/")).body)
        site.take(8)
        site.sized()
        for _ in range(site.number()):
            site.sized(), site.sized()
        assert site.number() > self.place, "a site without the server"
        for _ in range(self.place):
            site.take(20), site.sized()
            site.take(6 * site.number())
        site.take(20)
        key = Octets(site.sized())
        assert key.sized() == b"RSA_PUB_KEY", "the key of the server is no RSA key"
        key.take(2)
        exponent, modulus = (int.from_bytes(key.sized(), "big") for _ in range(2))
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def split(octets: bytes) -> list[bytes]:
    """A message as packets of 512 octets at most, with the truncation flag when there are several."""
    head, message = octets[: ENVELOPE.size], octets[ENVELOPE.size :]
    if len(message) <= FRAGMENT:
        return [octets]
    return [
        head[:2]
        + bytes((head[2] | TRUNCATED,))
        + head[3:12]
        + struct.pack(">I", number)
        + head[16:]
        + message[start : start + FRAGMENT]
        for number, start in enumerate(range(0, len(message), FRAGMENT))
    ]


class Session:
    """The client's side of a Diffie-Hellman session."""

    def __init__(
        self, peer: Peer, who: Who, *, flags: int = CLIENT | PUBLIC | CERTIFY | DIGEST, version: Version = LATEST
    ) -> None:
        self.peer, self.who, self.counter, self.version = peer, who, 0, version
        private = int.from_bytes(os.urandom(48), "big") | 1
        ours = (
            text("DH_PUB_KEY")
            + bytes(2)
            + b"".join(_integer(number) for number in (pow(2, private, OAKLEY_2), OAKLEY_2, 2))
        )
        body = struct.pack(">HI", SETUP_MODE_DH, 86_400) + text(who.handle) + struct.pack(">I", who.index) + text(ours)
        self.setup = peer.ask(SETUP, body + bytes(2), flags=flags, version=version, suggested=version)
        assert self.setup.code == 1, f"the session set-up is answered with {self.setup.code}"
        found = Octets(self.setup.body)
        assert found.number(2) == SETUP_MODE_DH, "another exchange mode comes back"
        data = Octets(found.sized())
        self.algorithm = data.number()
        assert data.sized() == b"DH_PUB_KEY", "no Diffie-Hellman key comes back"
        data.take(2)
        theirs, modulus, generator = (int.from_bytes(data.sized(), "big") for _ in range(3))
        assert (modulus, generator) == (OAKLEY_2, 2), "another group comes back"
        secret = pow(theirs, private, OAKLEY_2).to_bytes(128, "big")
        while len(secret) > 32 and secret[0] == 0:
            secret = secret[1:]
        self.key, self.id = secret[:32], self.setup.session

    def request(self, op: int, body: bytes, *, flags: int = CLIENT, counter: int | None = None) -> Request:
        """A request with the session's MAC."""
        self.counter += 1
        plain = self.peer.request(op, body, flags=flags, session=self.id, version=self.version, suggested=self.version)
        return replace(plain, credential=mac_octets(plain, self.key, self.counter if counter is None else counter))

    def ask(self, op: int, body: bytes, **options: object) -> Answer:
        """The answer, a challenge being answered on the way as CNRI's client does: without a MAC."""
        request = self.request(op, body, **options)  # type: ignore[arg-type]
        found = self.send(request.to_wire())
        if found.code != 402:
            return found
        assert found.session == self.id, "the challenge is not of the session"
        return self.opened(self.peer.prove(request, found, self.who)[0].octets)

    def send(self, octets: bytes) -> Answer:
        """The answer to a message, decrypted."""
        with self.peer.line() as line:
            line.send(octets)
            return self.opened(line.octets())

    def mac_of(self, answer: Answer, counter: int) -> bytes:
        """The MAC that an answer must have."""
        return mac(answer.octets[:12], answer.octets[20 : -4 - len(answer.credential)], self.key, counter)[1]

    def opened(self, octets: bytes) -> Answer:
        """An answer, decrypted if it is hidden."""
        if not octets[2] & ENCRYPTED:
            return Answer.of(octets)
        iv, hidden = octets[20:36], octets[36:]
        decryptor = Cipher(algorithms.AES(self.key[:16]), modes.CBC(iv)).decryptor()
        clear = decryptor.update(hidden) + decryptor.finalize()
        message = clear[: -clear[-1]]
        head = octets[:2] + bytes((octets[2] & ~ENCRYPTED,)) + octets[3:16]
        return Answer.of(head + struct.pack(">I", len(message)) + message)

    def encrypted(self, request: Request) -> bytes:
        """A request whose message is hidden."""
        message = request.to_wire()[ENVELOPE.size :]
        fill = 16 - len(message) % 16
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(self.key[:16]), modes.CBC(iv)).encryptor()
        hidden = iv + encryptor.update(message + bytes([fill]) * fill) + encryptor.finalize()
        return request.envelope(len(hidden), ENCRYPTED) + hidden


def _integer(number: int) -> bytes:
    return text(number.to_bytes(number.bit_length() // 8 + 1, "big"))


VERSIONS: tuple[Version, ...] = tuple((2, minor) for minor in range(1, LATEST[1] + 1))
"""Every version from 2.1 on."""
