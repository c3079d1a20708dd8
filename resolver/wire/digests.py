"""Digests of requests, which answers and challenges carry so that a client can tell they are for it.

The digest covers header and body of the request exactly as they were sent, neither envelope nor
credential. Below 2.1 it is MD5 as a plain byte string, later a code octet and the bare digest.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import MalformedMessage
from resolver.wire import versions
from resolver.wire.cursor import sized

if TYPE_CHECKING:
    from resolver.wire.cursor import Cursor
    from resolver.wire.versions import Version


class HashCode(IntEnum):
    """The octet that names a hash or MAC in the protocol."""

    MD5_OLD = 0
    MD5 = 1
    SHA1 = 2
    SHA256 = 3
    HMAC_SHA1 = 0x12
    HMAC_SHA256 = 0x13
    PBKDF2_HMAC_SHA1 = 0x22


DIGEST_OCTETS = {HashCode.MD5_OLD: 16, HashCode.MD5: 16, HashCode.SHA1: 20, HashCode.SHA256: 32}
"""Octets of the digest of each code that may stand in an answer."""

_OLD_DIGEST_OCTETS_MAX = 64


def md5(octets: bytes) -> bytes:
    """MD5, which old versions of the protocol and server selection are made of."""
    return hashlib.md5(octets, usedforsecurity=False).digest()


def sha1(octets: bytes) -> bytes:
    """SHA-1, which versions below 2.7 are made of."""
    return hashlib.sha1(octets, usedforsecurity=False).digest()


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


_FUNCTIONS = {
    HashCode.MD5_OLD: md5,
    HashCode.MD5: md5,
    HashCode.SHA1: sha1,
    HashCode.SHA256: _sha256,
}


class RequestDigest(NamedTuple):
    """A digest and the code of its algorithm."""

    code: HashCode
    octets: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> RequestDigest:
        """The digest at the cursor: code and bare digest, or a byte string (whose first octet is 0) as of old.

        Raises MalformedMessage.
        """
        first = cursor.octets[cursor.need(0, "request digest")] if cursor.remaining else -1
        if first == HashCode.MD5_OLD:
            return cls(HashCode.MD5_OLD, cursor.take_sized("request digest", _OLD_DIGEST_OCTETS_MAX))
        if first not in {HashCode.MD5, HashCode.SHA1, HashCode.SHA256}:
            raise MalformedMessage(
                f"the request digest starts with {first}: 0 (old MD5), 1 (MD5), 2 (SHA-1) and 3 (SHA-256) are known",
                field="request_digest",
            )
        code = HashCode(cursor.take_u8("request digest"))
        return cls(code, cursor.take(DIGEST_OCTETS[code], "request digest"))

    def to_wire(self) -> bytes:
        """The octets as answers and verify requests carry them."""
        if self.code is HashCode.MD5_OLD:
            return sized(self.octets)
        return bytes((self.code,)) + self.octets


def digest_code(version: Version) -> HashCode:
    """The code of the digest that a version uses."""
    if version < versions.REQUEST_DIGEST:
        return HashCode.MD5_OLD
    return HashCode.SHA1 if version < versions.SHA256 else HashCode.SHA256


def digest_of(header_and_body: bytes, version: Version) -> RequestDigest:
    """The digest of a request whose answer is written in ``version``."""
    code = digest_code(version)
    return RequestDigest(code, _FUNCTIONS[code](header_and_body))


def digest_by_code(header_and_body: bytes, code: HashCode) -> RequestDigest:
    """The digest of a request by the algorithm a peer used. Raises MalformedMessage for codes that are no digest."""
    function = _FUNCTIONS.get(code)
    if function is None:
        raise MalformedMessage(f"hash code {code} is no digest of a request", field="request_digest")
    return RequestDigest(code, function(header_and_body))
