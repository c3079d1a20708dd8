"""The credential behind a message: a signature of the server's key or a MAC of a session's key.

    version 1 | reserved 1 | options 2 | signer | session counter 4 | type | section length 4 |
    digest algorithm | signature

What is signed depends on the version, and two versions sign the wrong octets; ``signed_octets`` and
``mac_octets`` follow the reference implementation, defects included. Keys are arguments: see
``signatures`` for the server's and ``sessions`` for the session's.
"""

from __future__ import annotations

import hashlib
import hmac
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import MalformedMessage
from resolver.wire import versions
from resolver.wire.cursor import Cursor, pack_u16, pack_u32, sized, sized_text
from resolver.wire.digests import sha1

if TYPE_CHECKING:
    from resolver.wire.envelope import Envelope

SIGNED = "HS_SIGNED"
MAC = "HS_MAC"

MAC_HMAC_SHA256 = b"HMAC-SHA256"
MAC_SHA1 = b"\x02"

_FIXED = Struct(">BBH")
_COVERED = Struct(">BBBBIII")
_COVERED_2_7 = Struct(">BBIII")
_COVERED_2_6 = Struct(">BBHI6x")
_DEFECT_PADDING_OCTETS = 10


class Credential(NamedTuple):
    """A credential. ``algorithm`` is kept as its octets: a name such as ``SHA-256`` or one code octet.

    ``counter`` numbers the MACs of one side of a session from 1; 0 means it is not counted.
    """

    type: str
    algorithm: bytes
    signature: bytes
    counter: int = 0
    signer: bytes = b""
    version: int = 0
    options: int = 0

    @classmethod
    def from_wire(cls, octets: bytes) -> Credential:
        """The credential in some octets, which do not include its length. Raises MalformedMessage."""
        cursor = Cursor(octets)
        version, _, options = _FIXED.unpack_from(octets, cursor.need(_FIXED.size, "credential"))
        signer = cursor.take_sized("signer")
        counter = cursor.take_u32("session counter")
        type_ = cursor.take_text("credential type")
        section = cursor.take_u32("signature section")
        if section > cursor.remaining:
            raise MalformedMessage(
                f"the signature section says {section} octets and {cursor.remaining} remain", field="credential"
            )
        return cls(
            type_,
            cursor.take_sized("digest algorithm"),
            cursor.take_sized("signature"),
            counter,
            signer,
            version,
            options,
        )

    def to_wire(self) -> bytes:
        """The octets of the credential without its length."""
        section = sized(self.algorithm) + sized(self.signature)
        return b"".join(
            (
                bytes((self.version, 0)),
                pack_u16(self.options),
                sized(self.signer),
                pack_u32(self.counter),
                sized_text(self.type),
                sized(section),
            )
        )

    def is_mac_of(self, envelope: Envelope, header_and_body: bytes, session_key: bytes) -> bool:
        """Whether this is the MAC of a message by a session's key, compared in constant time."""
        if self.type != MAC:
            return False
        expected = mac_octets(envelope, header_and_body, session_key, self.counter)
        return hmac.compare_digest(expected, self.signature)


def signed_octets(envelope: Envelope, header_and_body: bytes, counter: int) -> bytes:
    """The octets that a HS_SIGNED credential signs in the version of the envelope."""
    version = envelope.version
    if version < versions.SIGNED_ENVELOPE:
        return header_and_body
    if version < versions.SHA256:
        covered = _COVERED_2_6.pack(version.major, version.minor, envelope.session_id >> 16, counter)
        return covered + header_and_body
    return _covered(envelope, counter) + header_and_body


def mac_octets(envelope: Envelope, header_and_body: bytes, session_key: bytes, counter: int) -> bytes:
    """The MAC of a message by a session's key in the version of the envelope."""
    version = envelope.version
    if version >= versions.SHA256:
        # Not hmac.digest: that gives up the interpreter even for a few octets, and a busy writer thread then keeps it.
        return hmac.new(session_key, _covered(envelope, counter) + header_and_body, hashlib.sha256).digest()
    if version >= versions.PREFIX_REFERRAL:
        padding = bytes(len(session_key) + _DEFECT_PADDING_OCTETS)
        return sha1(session_key[:4] + header_and_body + session_key + padding)
    return sha1(session_key + header_and_body + session_key)


def mac_credential(envelope: Envelope, header_and_body: bytes, session_key: bytes, counter: int) -> Credential:
    """The credential that puts a message into a session."""
    algorithm = MAC_HMAC_SHA256 if envelope.version >= versions.SHA256 else MAC_SHA1
    return Credential(MAC, algorithm, mac_octets(envelope, header_and_body, session_key, counter), counter)


def _covered(envelope: Envelope, counter: int) -> bytes:
    version, suggested = envelope.version, envelope.suggested
    if version < versions.SIGNED_SUGGESTION:
        return _COVERED_2_7.pack(version.major, version.minor, envelope.session_id, envelope.request_id, counter)
    return _COVERED.pack(
        version.major,
        version.minor,
        suggested.major,
        suggested.minor,
        envelope.session_id,
        envelope.request_id,
        counter,
    )


REPLAY_WINDOW = 200
"""Counters behind the highest seen that a receiver remembers, as in the reference implementation."""


class ReplayWindow:
    """The counters of one side of a session: each is taken once.

    A counter of 0 is not counted and always taken.
    """

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    def take(self, counter: int) -> bool:
        """Whether the counter is new; it is not from then on. Counters behind the window are refused."""
        if counter == 0:
            return True
        if counter > self._highest:
            shift = min(counter - self._highest, REPLAY_WINDOW)
            self._seen = ((self._seen << shift) | 1) & ((1 << REPLAY_WINDOW) - 1)
            self._highest = counter
            return True
        age = self._highest - counter
        if age >= REPLAY_WINDOW or self._seen >> age & 1:
            return False
        self._seen |= 1 << age
        return True
