"""Signatures by key pairs: over challenges, over messages and over JSON claims.

Peers spell the hash in many ways (``SHA1``, ``SHA-256``, one code octet); ``hash_name`` folds them.
MD5 and SHA-1 are verified for old peers, ``is_legacy`` names them; what this node signs is chosen by
``preferred_hash`` from the version of the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, padding

from resolver.errors import MalformedMessage
from resolver.wire import sm2, versions
from resolver.wire.credential import SIGNED, Credential, signed_octets
from resolver.wire.digests import HashCode
from resolver.wire.keys import DsaPublicKey, RsaPublicKey, Sm2PublicKey
from resolver.wire.private_keys import RsaPrivateKey
from resolver.wire.sm2 import sm3

if TYPE_CHECKING:
    from resolver.wire.envelope import Envelope
    from resolver.wire.keys import PublicKey
    from resolver.wire.private_keys import PrivateKey
    from resolver.wire.versions import Version

__all__ = [
    "hash_name",
    "is_legacy",
    "is_signed_by",
    "preferred_hash",
    "sign",
    "signature_algorithm",
    "signed_credential",
    "sm3",
    "verify",
]

_CODES = {HashCode.MD5: "MD5", HashCode.SHA1: "SHA1", HashCode.SHA256: "SHA256"}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "MD5": hashes.MD5,
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
    "SM3": hashes.SM3,
}
_WRITTEN = {"SHA1": b"SHA1", "SHA256": b"SHA-256", "MD5": b"MD5"}


def hash_name(algorithm: bytes) -> str:
    """The hash that an algorithm field names: MD5, SHA1, SHA256, SHA384, SHA512 or SM3. Raises MalformedMessage."""
    if len(algorithm) == 1 and algorithm[0] in _CODES:
        return _CODES[HashCode(algorithm[0])]
    name = "".join(letter for letter in algorithm.decode("ascii", "replace").upper() if letter.isalnum())
    if name not in _HASHES:
        raise MalformedMessage(
            f"{algorithm[:20]!r} is no known digest algorithm: MD5, SHA1, SHA-256, SHA-384, SHA-512 and SM3 are",
            field="algorithm",
        )
    return name


def is_legacy(algorithm: bytes) -> bool:
    """Whether the hash is one that only old peers need. Raises MalformedMessage."""
    return hash_name(algorithm) in {"MD5", "SHA1"}


def signature_algorithm(algorithm: bytes, key_kind: str) -> str:
    """The name of hash and key together, such as SHA256withRSA. Raises MalformedMessage."""
    return f"{hash_name(algorithm)}with{key_kind}"


def preferred_hash(version: Version, key_kind: str) -> bytes:
    """The algorithm field to sign with for a peer of a version: SHA-256 where it can be verified, else SHA1."""
    since = versions.DSA_SHA256 if key_kind == "DSA" else versions.SHA256
    return _WRITTEN["SHA256" if version >= since else "SHA1"]


def sign(key: PrivateKey, algorithm: bytes, octets: bytes) -> bytes:
    """The signature of some octets: RSA as PKCS #1 v1.5, DSA as DER. Raises MalformedMessage for an unusable key."""
    hash_ = _HASHES[hash_name(algorithm)]()
    if isinstance(key, RsaPrivateKey):
        return key.to_native().sign(octets, padding.PKCS1v15(), hash_)
    return key.to_native().sign(octets, hash_)


def verify(key: PublicKey, algorithm: bytes, signature: bytes, octets: bytes, identity: bytes | None = None) -> bool:
    """Whether the signature of some octets was made by the key's private half.

    ``identity`` is the signer's for SM2, its usual one when None. False also for algorithms that are unknown or
    that the key does not have. Raises MalformedMessage for a key that is unusable.
    """
    try:
        name = hash_name(algorithm)
    except MalformedMessage:
        return False
    if isinstance(key, Sm2PublicKey):
        chosen = sm2.DEFAULT_IDENTITY if identity is None else identity
        return name == "SM3" and sm2.verify(key, signature, octets, chosen)
    try:
        if isinstance(key, RsaPublicKey):
            key.to_native().verify(signature, octets, padding.PKCS1v15(), _HASHES[name]())
        elif isinstance(key, DsaPublicKey):
            native: dsa.DSAPublicKey = key.to_native()
            native.verify(signature, octets, _HASHES[name]())
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def signed_credential(envelope: Envelope, header_and_body: bytes, key: PrivateKey, counter: int = 0) -> Credential:
    """The credential that certifies an answer with the server's key, in the version of the envelope."""
    algorithm = preferred_hash(envelope.version, key.kind)
    signature = sign(key, algorithm, signed_octets(envelope, header_and_body, counter))
    return Credential(SIGNED, algorithm, signature, counter)


def is_signed_by(credential: Credential, envelope: Envelope, header_and_body: bytes, key: PublicKey) -> bool:
    """Whether a credential is a signature of the message by the key. Raises MalformedMessage for an unusable key."""
    if credential.type not in {SIGNED, "HS_DSAPUBKEY"}:
        return False
    covered = signed_octets(envelope, header_and_body, credential.counter)
    return verify(key, credential.algorithm, credential.signature, covered)
