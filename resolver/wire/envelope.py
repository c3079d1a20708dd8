"""The 20-octet envelope in front of every message and every UDP packet (RFC 3652 section 2.1).

It says which versions the peer speaks, whose request this is and how long the message is. It does
not say what the message means, and an encrypted message has a readable envelope.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from resolver.errors import MalformedMessage
from resolver.wire.versions import OWN, Version, answer_version

OCTETS = 20
"""Octets of an envelope."""

_LAYOUT = Struct(">BBBBIIII")

COMPRESSED = 0x80
ENCRYPTED = 0x40
TRUNCATED = 0x20
_FLAGS = COMPRESSED | ENCRYPTED | TRUNCATED


class Envelope(NamedTuple):
    """The envelope of a message.

    ``flags`` are the three bits COMPRESSED, ENCRYPTED and TRUNCATED. ``sequence`` numbers the packets of a
    message from 0. ``message_octets`` counts the whole message behind the envelope, also in each of its packets.
    """

    version: Version
    suggested: Version
    flags: int
    session_id: int
    request_id: int
    sequence: int
    message_octets: int

    @classmethod
    def from_wire(cls, octets: bytes, position: int = 0) -> Envelope:
        """The envelope at a position. Raises MalformedMessage when fewer than 20 octets are there."""
        if len(octets) - position < OCTETS:
            raise MalformedMessage(
                f"an envelope has {OCTETS} octets and {max(0, len(octets) - position)} are there", field="envelope"
            )
        major, minor, flags, suggested_minor, session, request, sequence, size = _LAYOUT.unpack_from(octets, position)
        return cls(
            Version(major, minor),
            Version(flags & 0x1F, suggested_minor),
            flags & _FLAGS,
            session,
            request,
            sequence,
            size,
        )

    def to_wire(self) -> bytes:
        """The 20 octets."""
        return _LAYOUT.pack(
            self.version.major,
            self.version.minor,
            (self.flags & _FLAGS) | (self.suggested.major & 0x1F),
            self.suggested.minor,
            self.session_id,
            self.request_id,
            self.sequence,
            self.message_octets,
        )

    @property
    def is_encrypted(self) -> bool:
        """Whether the message behind the envelope must be decrypted with the session's key first."""
        return bool(self.flags & ENCRYPTED)

    @property
    def is_truncated(self) -> bool:
        """Whether the sender says that this is one of several packets."""
        return bool(self.flags & TRUNCATED)

    def answered_in(self, own: Version = OWN) -> Version:
        """The version to answer in."""
        return answer_version(self.version, self.suggested, own)
