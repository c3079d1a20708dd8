"""The block ciphers of sessions and key files: DES, triple DES, AES and SM4, padded as PKCS #7.

DES and triple DES are here to read what old peers and old key files hold; ``is_legacy`` tells a door
to ask its legacy switch first. Nothing this node makes uses them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.padding import PKCS7

from resolver.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm


class CipherCode(IntEnum):
    """The number of a cipher in a session key; 4 is Teleinfo's addition."""

    DES = 1
    TRIPLE_DES = 2
    AES = 3
    SM4 = 4

    @property
    def is_legacy(self) -> bool:
        """Whether the cipher is broken or near to it."""
        return self in {CipherCode.DES, CipherCode.TRIPLE_DES}

    @property
    def key_octets(self) -> int:
        """Octets of the cipher's key."""
        return {CipherCode.DES: 8, CipherCode.TRIPLE_DES: 24, CipherCode.AES: 16, CipherCode.SM4: 16}[self]

    @property
    def block_octets(self) -> int:
        """Octets of a block, and of an initial vector."""
        return 8 if self.is_legacy else 16


_ALGORITHMS: dict[CipherCode, Callable[[bytes], BlockCipherAlgorithm]] = {
    CipherCode.DES: lambda key: TripleDES(key * 3),
    CipherCode.TRIPLE_DES: TripleDES,
    CipherCode.AES: AES,
    CipherCode.SM4: SM4,
}


def with_parity(key: bytes) -> bytes:
    """The key with the lowest bit of each octet set to odd parity, as DES wants it."""
    return bytes(octet & 0xFE | (octet & 0xFE).bit_count() & 1 ^ 1 for octet in key)


def encrypt(code: CipherCode, key: bytes, octets: bytes, iv: bytes | None) -> bytes:
    """Encrypt in CBC mode with an initial vector, in ECB mode without one. ``key`` may be longer than is used."""
    cipher = _cipher(code, key, iv)
    padder = PKCS7(code.block_octets * 8).padder()
    encryptor = cipher.encryptor()
    return encryptor.update(padder.update(octets) + padder.finalize()) + encryptor.finalize()


def decrypt(code: CipherCode, key: bytes, octets: bytes, iv: bytes | None) -> bytes:
    """Undo ``encrypt``. Raises MalformedMessage when length or padding are wrong; do not tell a peer which."""
    if not octets or len(octets) % code.block_octets:
        raise MalformedMessage("the encrypted octets do not decrypt with this key")
    decryptor = _cipher(code, key, iv).decryptor()
    unpadder = PKCS7(code.block_octets * 8).unpadder()
    padded = decryptor.update(octets) + decryptor.finalize()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise MalformedMessage("the encrypted octets do not decrypt with this key") from None


def _cipher(code: CipherCode, key: bytes, iv: bytes | None) -> Cipher[modes.CBC | modes.ECB]:
    if len(key) < code.key_octets:
        raise MalformedMessage(f"a key of {code.name} has {code.key_octets} octets and this one {len(key)}")
    mode = modes.ECB() if iv is None else modes.CBC(iv)  # noqa: S305 - versions below 2.4 have nothing better
    return Cipher(_ALGORITHMS[code](key[: code.key_octets]), mode)
