"""Answers to challenges: what is signed or MACed, and the octets it becomes (RFC 3652 section 3.5).

A challenge is a nonce and the digest of the request it is about; an answer covers the octets of both,
nonce first. With a secret key it is a MAC in one of several forms by age of the client, with a key
pair a signature. Nothing here knows where keys come from or which forms a node still takes: an answer
says its form and the door decides.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.wire import bounds, signatures, versions
from resolver.wire.cursor import Cursor, pack_u32, sized, text_to_wire
from resolver.wire.digests import HashCode, md5, sha1

if TYPE_CHECKING:
    from resolver.wire.keys import SigningPublicKey
    from resolver.wire.versions import Version

SECRET_KEY = "HS_SECKEY"  # noqa: S105 - the name of a type
PUBLIC_KEY = "HS_PUBKEY"
CERTIFICATE = "HS_CERT"

PBKDF2_ITERATIONS = 10_000
"""Iterations in answers of the reference client."""
PBKDF2_KEY_BITS = 160
"""Key bits in answers of the reference client."""
PBKDF2_SALT_OCTETS = 16
"""Octets of salt in answers of the reference client."""

_OLD_ANSWER_OCTETS = 16
_LEGACY_CODES = {HashCode.MD5_OLD, HashCode.MD5, HashCode.SHA1, HashCode.SHA256}


def latin1_as_utf8(secret: bytes) -> bytes:
    """The secret as Java feeds it to PBKDF2: each octet a Latin-1 letter, the letters as UTF-8.

    Octets from 0x80 become two.
    """
    return secret if secret.isascii() else secret.decode("latin-1").encode()


class SecretAnswer(NamedTuple):
    """The answer made with a secret key; the last three fields belong to PBKDF2 only."""

    code: HashCode
    mac: bytes
    salt: bytes = b""
    iterations: int = 0
    key_bits: int = 0

    @classmethod
    def from_wire(cls, octets: bytes) -> SecretAnswer:
        """The answer in a signed response. Raises MalformedMessage.

        Sixteen octets are MD5 without a code, as clients below 2.1 send it.
        """
        if len(octets) == _OLD_ANSWER_OCTETS:
            return cls(HashCode.MD5_OLD, octets)
        cursor = Cursor(octets)
        number = cursor.take_u8("hash code")
        if number not in _MAC_OCTETS:
            raise MalformedMessage(
                f"hash code {number} of the challenge answer is unknown: 1, 2, 3, 18, 19 and 34 are known",
                field="signed_response",
            )
        code = HashCode(number)
        if code is not HashCode.PBKDF2_HMAC_SHA1:
            answer = cls(code, cursor.take(_MAC_OCTETS[code], "MAC"))
            cursor.finish("the challenge answer")
            return answer
        salt = cursor.take_sized("salt", limits.NAME_OCTETS_MAX)
        iterations, key_bits = cursor.take_u32("iterations"), cursor.take_u32("key bits")
        if (
            not 1 <= iterations <= bounds.PBKDF2_ITERATIONS_MAX
            or not 8 <= key_bits <= bounds.PBKDF2_KEY_BITS_MAX
            or iterations * -(-key_bits // PBKDF2_KEY_BITS) > bounds.PBKDF2_WORK_MAX
        ):
            raise MalformedMessage(
                f"the challenge answer asks for {iterations} iterations and {key_bits} key bits; at most "
                f"{bounds.PBKDF2_ITERATIONS_MAX} and {bounds.PBKDF2_KEY_BITS_MAX} are allowed, and together "
                f"{bounds.PBKDF2_WORK_MAX} iterations of {PBKDF2_KEY_BITS}-bit blocks",
                field="signed_response",
            )
        return cls(code, cursor.take_sized("MAC", _MAC_OCTETS[code]), salt, iterations, key_bits)

    def to_wire(self) -> bytes:
        """The octets of the signed response."""
        if self.code is HashCode.MD5_OLD:
            return self.mac
        head = bytes((self.code,))
        if self.code is not HashCode.PBKDF2_HMAC_SHA1:
            return head + self.mac
        return head + sized(self.salt) + pack_u32(self.iterations) + pack_u32(self.key_bits) + sized(self.mac)

    @property
    def is_legacy(self) -> bool:
        """Whether the form is a bare hash around the secret, which only old clients need."""
        return self.code in _LEGACY_CODES

    def is_of(self, secret: bytes, nonce: bytes, digest: bytes) -> bool:
        """Whether the answer was made with the secret, compared in constant time. PBKDF2 takes milliseconds."""
        expected = secret_mac(
            self.code,
            secret,
            nonce + digest,
            salt=self.salt,
            iterations=self.iterations,
            key_bits=self.key_bits,
        )
        return hmac.compare_digest(expected, self.mac)


_MAC_OCTETS = {
    HashCode.MD5: 16,
    HashCode.SHA1: 20,
    HashCode.SHA256: 32,
    HashCode.HMAC_SHA1: 20,
    HashCode.HMAC_SHA256: 32,
    HashCode.PBKDF2_HMAC_SHA1: 20,
}


def secret_mac(
    code: HashCode, secret: bytes, covered: bytes, *, salt: bytes = b"", iterations: int = 0, key_bits: int = 0
) -> bytes:
    """The MAC of nonce and digest (``covered``) by a secret, without its code."""
    match code:
        case HashCode.MD5_OLD | HashCode.MD5:
            return md5(secret + covered + secret)
        case HashCode.SHA1:
            return sha1(secret + covered + secret)
        case HashCode.SHA256:
            return hashlib.sha256(secret + covered + secret).digest()
        case HashCode.HMAC_SHA1:
            return hmac.digest(secret, covered, "sha1")
        case HashCode.HMAC_SHA256:
            return hmac.digest(secret, covered, "sha256")
        case HashCode.PBKDF2_HMAC_SHA1:
            key = hashlib.pbkdf2_hmac("sha1", latin1_as_utf8(secret), salt, iterations, key_bits // 8)
            return hmac.digest(key, covered, "sha1")


def secret_answer_code(version: Version) -> HashCode:
    """The form of answer that a version knows: the lower of the challenge's version and our own decides."""
    if version < versions.REQUEST_DIGEST:
        return HashCode.MD5_OLD
    return HashCode.SHA1 if version < versions.SHA256 else HashCode.PBKDF2_HMAC_SHA1


def answer_by_secret(
    secret: bytes,
    nonce: bytes,
    digest: bytes,
    code: HashCode,
    *,
    salt: bytes = b"",
    iterations: int = PBKDF2_ITERATIONS,
    key_bits: int = PBKDF2_KEY_BITS,
) -> SecretAnswer:
    """The answer to a challenge by a secret key; ``salt`` must be 16 random octets for PBKDF2."""
    if code is not HashCode.PBKDF2_HMAC_SHA1:
        return SecretAnswer(code, secret_mac(code, secret, nonce + digest))
    mac = secret_mac(code, secret, nonce + digest, salt=salt, iterations=iterations, key_bits=key_bits)
    return SecretAnswer(code, mac, salt, iterations, key_bits)


class KeyPairAnswer(NamedTuple):
    """The answer made with a private key: the name of the hash and the signature."""

    algorithm: bytes
    signature: bytes

    @classmethod
    def from_wire(cls, octets: bytes) -> KeyPairAnswer:
        """The answer in a signed response. Raises MalformedMessage."""
        cursor = Cursor(octets)
        return cls(cursor.take_sized("digest algorithm", limits.TYPE_OCTETS_MAX), cursor.take_sized("signature"))

    def to_wire(self) -> bytes:
        """The octets of the signed response."""
        return sized(self.algorithm) + sized(self.signature)

    def is_of(self, key: SigningPublicKey, nonce: bytes, digest: bytes, user_handle: str) -> bool:
        """Whether the answer was made with the key's private half.

        ``user_handle`` counts for SM2 only, where it is the signer's identity and the hash of nonce and digest is
        signed. Raises MalformedMessage for a handle that cannot be written.
        """
        covered = nonce + digest
        if key.kind == "SM2":
            identity = text_to_wire(user_handle)
            return signatures.verify(key, self.algorithm, self.signature, signatures.sm3(covered), identity)
        return signatures.verify(key, self.algorithm, self.signature, covered)
