"""Versions of the Handle protocol and what each of them gained.

A peer says two versions in the envelope: the one its message is written in and the highest it
suggests. The answer is written in the lower of the suggestion and our own. Nothing here knows how a
feature is encoded; the files that encode it ask ``version >= SHA256`` and the like.
"""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    """A protocol version; compared by major, then minor."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def from_text(cls, text: str) -> Version:
        """The version that ``2.11`` names; raises ValueError."""
        major, _, minor = text.partition(".")
        return cls(int(major), int(minor))


OWN = Version(2, 11)
"""The highest version this codec speaks."""

UNKNOWN_PEER = Version(2, 3)
"""What to write to a peer whose version is not known yet, and in answers to what cannot be decoded."""

REQUEST_DIGEST = Version(2, 1)
"""From here answers may carry a digest of their request, and secret-key answers an algorithm octet."""
SESSION_ALGORITHM = Version(2, 2)
"""From here a session key says which cipher it is for."""
OVERWRITE = Version(2, 3)
"""From here requests know the overwrite flag."""
EXPLICIT_IV = Version(2, 4)
"""From here session encryption is CBC with the initial vector in front."""
PREFIX_REFERRAL = Version(2, 5)
"""From here 303 is a prefix referral and 7 a read-only server."""
SIGNED_ENVELOPE = Version(2, 6)
"""From here signatures cover fields of the envelope, wrongly at 2.6."""
SHA256 = Version(2, 7)
"""From here digests and signatures are SHA-256, MACs HMAC-SHA256, secret-key answers PBKDF2."""
SIGNED_SUGGESTION = Version(2, 8)
"""From here signatures cover the suggested version; private values in sessions are encrypted."""
TLS_STREAMS = Version(2, 8)
"""From here what follows an answer goes on in TLS instead of being signed."""
REPLICATION_STATE = Version(2, 9)
"""From here transactions are asked for by a JSON state."""
ADMIN_REFERRAL = Version(2, 10)
"""From here administrative operations may be referred."""
DSA_SHA256 = Version(2, 11)
"""From here DSA keys sign SHA-256."""

SDK_VERSIONS = (Version(2, 3), Version(2, 10))
"""The version that CAICT's ID-SDK writes in and the one it suggests, with no flags.

A Go client suggests none at all. Teleinfo's SDK sets the flags of the reference client and knows its codes.
"""

_REFERENCE_MAJOR_MASK = 0x03


def answer_version(version: Version, suggested: Version, own: Version = OWN) -> Version:
    """The version to answer in: the lower of what the peer suggests and our own.

    Two bits of the suggested major count, as in the reference server; a suggestion of 0 means the version of
    the message itself.
    """
    major = suggested.major & _REFERENCE_MAJOR_MASK
    offered = Version(major, suggested.minor) if major else version
    return min(offered, own)


def is_of_sdk(version: Version, suggested: Version) -> bool:
    """Whether the versions of a message are those of an IDIS SDK."""
    return not suggested.major or (version, suggested) == SDK_VERSIONS


def response_code_for(code: int, version: Version) -> int:
    """The response code as clients of the version know it: below 2.5 they call 7 303 and 202 201."""
    if version < PREFIX_REFERRAL:
        return {7: 303, 202: 201}.get(code, code)
    return code
