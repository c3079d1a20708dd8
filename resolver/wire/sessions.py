"""Session keys and what they encrypt (RFC 3652 section 3.6).

Both sides derive a secret by Diffie-Hellman in a group the client names. From it come the key of a
cipher and the key of the MACs (``credential``). Private numbers and initial vectors are arguments and
must be random. Who may have a session, and for how long, is not known here.
"""

from __future__ import annotations

from typing import NamedTuple

from resolver.errors import MalformedMessage
from resolver.wire import bounds, ciphers, versions
from resolver.wire.ciphers import CipherCode
from resolver.wire.cursor import Cursor, pack_u32
from resolver.wire.envelope import ENCRYPTED
from resolver.wire.keys import DhPublicKey, public_key_from_wire
from resolver.wire.message import Frame

GROUP_BITS_MIN = 512
"""Bits of the smallest group taken: what the oldest clients use."""
GROUP_BITS_MAX = 3_072
"""Bits of the largest group taken, three times what the reference client uses: one exponentiation costs five
milliseconds there, in which nothing else runs."""

OAKLEY_2 = DhPublicKey(
    y=0,
    p=int(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
        16,
    ),
    g=2,
)
"""The 1,024-bit group of RFC 2409 section 6.2, which the reference client uses; ``y`` is not set."""


class SessionKey(NamedTuple):
    """The cipher of a session and its key; ``octets`` is also the key of the session's MACs."""

    cipher: CipherCode
    octets: bytes

    @classmethod
    def from_wire(cls, octets: bytes) -> SessionKey:
        """The key from cipher number and key octets. Raises MalformedMessage."""
        cursor = Cursor(octets)
        key = cls(cipher_code(cursor.take_u32("session cipher")), cursor.take_rest())
        if len(key.octets) < key.cipher.key_octets:
            raise MalformedMessage(
                f"a key of {key.cipher.name} has {key.cipher.key_octets} octets and this one {len(key.octets)}",
                field="session key",
            )
        return key

    def to_wire(self) -> bytes:
        """Cipher number and key octets."""
        return pack_u32(self.cipher) + self.octets


def cipher_code(number: int) -> CipherCode:
    """The cipher with a number. Raises MalformedMessage."""
    try:
        return CipherCode(number)
    except ValueError:
        raise MalformedMessage(f"session cipher {number} is unknown: 1 to 4 are known", field="cipher") from None


def check_group(key: DhPublicKey) -> None:
    """Raise MalformedMessage for a group or a public number that must not be computed with."""
    bits = key.p.bit_length()
    if not GROUP_BITS_MIN <= bits <= GROUP_BITS_MAX or key.p % 2 == 0:
        raise MalformedMessage(
            f"the Diffie-Hellman modulus has {bits} bits; odd ones of {GROUP_BITS_MIN} to {GROUP_BITS_MAX} are taken",
            field="public_key",
        )
    if not 2 <= key.g <= key.p - 2 or not 2 <= key.y <= key.p - 2:
        raise MalformedMessage("the Diffie-Hellman number is outside 2 to p - 2", field="public_key")


def public_half(private: int, group: DhPublicKey) -> DhPublicKey:
    """The public number of a random private one, in the group of a key."""
    return DhPublicKey(pow(group.g, private, group.p), group.p, group.g)


def shared_secret(private: int, peer: DhPublicKey) -> bytes:
    """The secret both sides reach, as octets of the modulus' length. Raises MalformedMessage for a bad group."""
    check_group(peer)
    return pow(peer.y, private, peer.p).to_bytes((peer.p.bit_length() + 7) // 8, "big")


def derive(secret: bytes, cipher: CipherCode) -> SessionKey:
    """The session key of a secret: its first 32 octets, leading zeros dropped while more than 32 remain.

    DES and triple DES take 8 and 24 of them with their parity set.
    """
    while len(secret) > bounds.SESSION_KEY_OCTETS and secret[0] == 0:
        secret = secret[1:]
    key = secret[: bounds.SESSION_KEY_OCTETS]
    return SessionKey(cipher, ciphers.with_parity(key[: cipher.key_octets]) if cipher.is_legacy else key)


def exchange_data_from_wire(octets: bytes, version: versions.Version) -> tuple[CipherCode, DhPublicKey]:
    """Cipher and public number in the server's answer to a set-up; below 2.4 it says no cipher and DES is meant.

    Raises MalformedMessage.
    """
    cipher = CipherCode.DES
    if version >= versions.EXPLICIT_IV:
        cursor = Cursor(octets)
        cipher = cipher_code(cursor.take_u32("session cipher"))
        octets = cursor.take_rest()
    key = public_key_from_wire(octets)
    if not isinstance(key, DhPublicKey):
        raise MalformedMessage(f"the exchange key is of kind {key.kind} and must be DH", field="public_key")
    return cipher, key


def exchange_data_to_wire(cipher: CipherCode, key: DhPublicKey, version: versions.Version) -> bytes:
    """The server's part of a set-up."""
    return pack_u32(cipher) + key.to_wire() if version >= versions.EXPLICIT_IV else key.to_wire()


def encrypt(frame: Frame, key: SessionKey, iv: bytes) -> Frame:
    """The frame encrypted in its version; ``iv`` is one random block, not used below 2.4 and by SM4."""
    envelope, payload = frame
    octets = encrypt_octets(payload, key, envelope.version, iv)
    envelope = envelope._replace(flags=envelope.flags | ENCRYPTED, message_octets=len(octets))
    return Frame(envelope, octets)


def decrypt(frame: Frame, key: SessionKey) -> Frame:
    """Undo ``encrypt``; a frame in clear comes back as it is. Raises MalformedMessage."""
    envelope, payload = frame
    if not envelope.is_encrypted:
        return frame
    octets = decrypt_octets(payload, key, envelope.version)
    return Frame(envelope._replace(flags=envelope.flags & ~ENCRYPTED, message_octets=len(octets)), octets)


def encrypt_octets(octets: bytes, key: SessionKey, version: versions.Version, iv: bytes) -> bytes:
    """Header, body and credential encrypted: CBC behind its vector from 2.4, ECB below, SM4 with its key as vector."""
    if key.cipher is CipherCode.SM4:
        return ciphers.encrypt(key.cipher, key.octets, octets, key.octets[:16])
    if version < versions.EXPLICIT_IV:
        return ciphers.encrypt(key.cipher, key.octets, octets, None)
    return iv + ciphers.encrypt(key.cipher, key.octets, octets, iv)


def decrypt_octets(octets: bytes, key: SessionKey, version: versions.Version) -> bytes:
    """Undo ``encrypt_octets``. Raises MalformedMessage."""
    if key.cipher is CipherCode.SM4:
        return ciphers.decrypt(key.cipher, key.octets, octets, key.octets[:16])
    if version < versions.EXPLICIT_IV:
        return ciphers.decrypt(key.cipher, key.octets, octets, None)
    block = key.cipher.block_octets
    if len(octets) < 2 * block:
        raise MalformedMessage("the encrypted octets do not decrypt with this key")
    return ciphers.decrypt(key.cipher, key.octets, octets[block:], octets[:block])
