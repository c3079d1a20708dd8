"""A codec just large enough to ask and to understand: envelope, header, bodies by hand (RFC 3652 section 2)."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import struct
from dataclasses import dataclass

ENVELOPE = struct.Struct(">BBBBIIII")
HEADER = struct.Struct(">IIIHBBII")
START = ENVELOPE.size + HEADER.size

RESOLVE, SITE, CREATE, DELETE, ADD, REMOVE, MODIFY, LIST = 1, 2, 100, 101, 102, 103, 104, 105
ANSWER, VERIFY, HOME, UNHOME, HOMED, SETUP, TERMINATE, LOGIN = 200, 201, 300, 301, 302, 400, 401, 2001
AUTHORITATIVE, CERTIFY, ENCRYPT, RECURSIVE = 0x8000_0000, 0x4000_0000, 0x2000_0000, 0x1000_0000
CACHE, MORE, KEEP, PUBLIC, DIGEST = 0x0800_0000, 0x0400_0000, 0x0200_0000, 0x0100_0000, 0x0080_0000
OVERWRITE, MINT = 0x0040_0000, 0x0020_0000
CLIENT = RECURSIVE | CACHE
ENCRYPTED, TRUNCATED = 0x40, 0x20
SETUP_MODE_DH = 4

Version = tuple[int, int]
LATEST: Version = (2, 11)
ids = itertools.count(1_000)


def text(content: str | bytes) -> bytes:
    """Octets behind their length."""
    octets = content.encode() if isinstance(content, str) else content
    return struct.pack(">I", len(octets)) + octets


def integers(numbers: tuple[int, ...]) -> bytes:
    """A counted list of four-octet numbers."""
    return struct.pack(f">I{len(numbers)}I", len(numbers), *numbers)


def resolution(name: str, indexes: tuple[int, ...] = (), types: tuple[str, ...] = ()) -> bytes:
    """The body of a question."""
    return text(name) + integers(indexes) + struct.pack(">I", len(types)) + b"".join(map(text, types))


def value(index: int, type_: str, data: str | bytes, *, permissions: int = 14, ttl_s: int = 86_400) -> bytes:
    """An encoded handle value without references."""
    return struct.pack(">IIBIB", index, 0, 0, ttl_s, permissions) + text(type_) + text(data) + bytes(4)


def with_values(name: str, *values: bytes) -> bytes:
    """The body of a creation, an addition or a modification."""
    return text(name) + struct.pack(">I", len(values)) + b"".join(values)


def admin(handle: str, index: int, bits: int = 0xFFF) -> bytes:
    """The data of an HS_ADMIN value."""
    return struct.pack(">H", bits) + text(handle) + struct.pack(">I", index)


@dataclass(frozen=True)
class Request:
    """A request before it is sent. ``credential`` are the octets behind its length."""

    op: int
    body: bytes
    flags: int = CLIENT | PUBLIC
    version: Version = LATEST
    suggested: Version = LATEST
    session: int = 0
    id: int = 0
    credential: bytes = b""

    @property
    def header_and_body(self) -> bytes:
        """What digests and MACs cover."""
        return HEADER.pack(self.op, 0, self.flags, 0xFFFF, 0, 0, 0x7FFF_FFFF, len(self.body)) + self.body

    def to_wire(self) -> bytes:
        """The whole message."""
        message = self.header_and_body + text(self.credential)
        return self.envelope(len(message)) + message

    def envelope(self, size: int, flags: int = 0, sequence: int = 0) -> bytes:
        """An envelope for a message of so many octets."""
        (major, minor), (suggested, suggested_minor) = self.version, self.suggested
        return ENVELOPE.pack(major, minor, flags | suggested, suggested_minor, self.session, self.id, sequence, size)

    def digest(self, version: Version) -> bytes:
        """The digest of the request by the algorithm of a version."""
        covered = self.header_and_body
        if version >= (2, 7):
            return hashlib.sha256(covered).digest()
        return hashlib.sha1(covered).digest() if version >= (2, 1) else hashlib.md5(covered).digest()  # noqa: S324 - the protocol's


@dataclass(frozen=True)
class Value:
    """A decoded handle value."""

    index: int
    type: str
    data: bytes
    permissions: int


class Malformed(AssertionError):
    """An answer is not what the protocol allows."""


class Octets:
    """Reads octets from the front; whatever is missing is Malformed."""

    def __init__(self, octets: bytes) -> None:
        self.rest = octets

    def take(self, count: int) -> bytes:
        """The next octets."""
        if count > len(self.rest):
            raise Malformed(f"{count} octets are promised and {len(self.rest)} are there")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, octets: int = 4) -> int:
        """The next number."""
        return int.from_bytes(self.take(octets), "big")

    def sized(self) -> bytes:
        """Octets behind their length."""
        return self.take(self.number())

    def value(self) -> Value:
        """A handle value."""
        index, _, _, _, permissions = struct.unpack(">IIBIB", self.take(14))
        found = Value(index, self.sized().decode(), self.sized(), permissions)
        for _ in range(self.number()):
            self.sized()
            self.number()
        return found

    def values(self) -> tuple[Value, ...]:
        """A counted list of values."""
        return tuple(self.value() for _ in range(self.number()))


@dataclass(frozen=True)
class Answer:
    """An answer taken apart; ``digest`` is that of the request, b"" when there is none."""

    version: Version
    suggested: Version
    envelope_flags: int
    session: int
    id: int
    op: int
    code: int
    flags: int
    serial: int
    recursion: int
    expires: int
    digest_code: int
    digest: bytes
    body: bytes
    credential: bytes
    octets: bytes

    @classmethod
    def of(cls, octets: bytes) -> Answer:
        """The answer in the octets of a whole message. Raises Malformed."""
        if len(octets) < START:
            raise Malformed(f"an answer of {len(octets)} octets")
        major, minor, bits, suggested_minor, session, id_, _, size = ENVELOPE.unpack_from(octets)
        if size != len(octets) - ENVELOPE.size:
            raise Malformed(f"the envelope says {size} octets and {len(octets) - ENVELOPE.size} came")
        op, code, flags, serial, recursion, _, expires, body_size = HEADER.unpack_from(octets, ENVELOPE.size)
        rest = Octets(octets[START:])
        body = Octets(rest.take(body_size))
        credential = rest.sized()
        if rest.rest:
            raise Malformed(f"{len(rest.rest)} octets behind the credential")
        digest_code, digest = 0, b""
        if flags & DIGEST:
            digest_code = body.number(1)
            digest = body.take({1: 16, 2: 20, 3: 32}[digest_code]) if digest_code in {1, 2, 3} else body.take(19)[3:]
        elif code == 402:
            return cls(
                (major, minor),
                (bits & 0x1F, suggested_minor),
                bits & 0xE0,
                session,
                id_,
                op,
                code,
                flags,
                serial,
                recursion,
                expires,
                0,
                *_old_challenge(body),
                credential,
                octets,
            )
        return cls(
            (major, minor),
            (bits & 0x1F, suggested_minor),
            bits & 0xE0,
            session,
            id_,
            op,
            code,
            flags,
            serial,
            recursion,
            expires,
            digest_code,
            digest,
            body.rest,
            credential,
            octets,
        )

    def values(self) -> tuple[Value, ...]:
        """The values of a resolution."""
        body = Octets(self.body)
        body.sized()
        found = body.values()
        if body.rest:
            raise Malformed(f"{len(body.rest)} octets behind the values")
        return found

    def name(self) -> str:
        """The handle at the start of the body."""
        return Octets(self.body).sized().decode()

    def names(self) -> list[str]:
        """The handles of a list."""
        body = Octets(self.body)
        return [body.sized().decode() for _ in range(body.number())]

    @property
    def nonce(self) -> bytes:
        """The nonce of a challenge."""
        return Octets(self.body).sized()


def _old_challenge(body: Octets) -> tuple[bytes, bytes]:
    """Digest and body of a challenge below 2.1, which has the nonce first."""
    nonce = body.sized()
    return body.sized(), text(nonce)


def mac(head: bytes, message: bytes, key: bytes, counter: int) -> tuple[bytes, bytes]:
    """Algorithm and MAC of a message by the formula of its version, its envelope's first twelve octets given."""
    version = (head[0], head[1])
    if version < (2, 5):
        return b"\2", hashlib.sha1(key + message + key).digest()  # noqa: S324 - the protocol's
    if version < (2, 7):  # as the reference library computes it, by mistake
        return b"\2", hashlib.sha1(key[:4] + message + key + bytes(len(key) + 10)).digest()  # noqa: S324 - as above
    covered = head[:2] + (bytes((head[2] & 0x1F, head[3])) if version >= (2, 8) else b"") + head[4:12]
    return b"HMAC-SHA256", hmac.digest(key, covered + struct.pack(">I", counter) + message, "sha256")


def mac_octets(request: Request, key: bytes, counter: int) -> bytes:
    """The credential of a request in a session, by the formula of its version."""
    algorithm, made = mac(request.envelope(0), request.header_and_body, key, counter)
    return credential(b"HS_MAC", counter, algorithm, made)


def signed_octets(answer: Answer, counter: int) -> bytes:
    """What the signature of an answer covers, by its version."""
    head, message = answer.octets[:20], answer.octets[20 : -4 - len(answer.credential)]
    if answer.version < (2, 6):
        return message
    if answer.version < (2, 7):  # as the reference library computes it, by mistake
        return head[:2] + head[4:6] + struct.pack(">I", counter) + bytes(6) + message
    covered = head[:2] + (bytes((head[2] & 0x1F, head[3])) if answer.version >= (2, 8) else b"") + head[4:12]
    return covered + struct.pack(">I", counter) + message


def credential(type_: bytes, counter: int, algorithm: bytes, proof: bytes) -> bytes:
    """The octets of a credential."""
    section = text(algorithm) + text(proof)
    return bytes(4) + text(b"") + struct.pack(">I", counter) + text(type_) + text(section)


def credential_parts(octets: bytes) -> tuple[str, int, bytes, bytes]:
    """Type, counter, algorithm and proof of a credential."""
    found = Octets(octets)
    found.take(4)
    found.sized()
    counter = found.number()
    type_ = found.sized().decode()
    found.number()
    return type_, counter, found.sized(), found.sized()
