"""CNRI's private key files: a scheme number, then the key, plain or encrypted with a passphrase.

    scheme 4 | 0 DES-ECB | 1 plain | 2 DES-CBC with the vector in front | 3, 4 PBKDF2 with triple DES
    or AES-128: salt | iterations 4 | key bits 4 | vector | ciphertext

All five are read and written, so that keys can move both ways; 1 and 4 are what new files should use.
Salt and vector are arguments: this file has no randomness.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING

from resolver.errors import MalformedMessage
from resolver.wire import bounds, ciphers
from resolver.wire.challenges import latin1_as_utf8
from resolver.wire.ciphers import CipherCode
from resolver.wire.cursor import Cursor, pack_u32, sized
from resolver.wire.digests import md5
from resolver.wire.private_keys import private_key_from_wire

if TYPE_CHECKING:
    from resolver.wire.private_keys import PrivateKey


class KeyFileScheme(IntEnum):
    """How a key file hides its key."""

    DES_ECB = 0
    PLAIN = 1
    DES_CBC = 2
    PBKDF2_TRIPLE_DES = 3
    PBKDF2_AES = 4


ITERATIONS = 10_000
"""Iterations of PBKDF2 in new files, as the reference tools write them."""

_PBKDF2_CIPHERS = {
    KeyFileScheme.PBKDF2_TRIPLE_DES: CipherCode.TRIPLE_DES,
    KeyFileScheme.PBKDF2_AES: CipherCode.AES,
}
_DES_KEY_OCTETS = 8


def scheme_of(octets: bytes) -> KeyFileScheme:
    """The scheme of a key file, to know whether a passphrase is needed. Raises MalformedMessage."""
    number = Cursor(octets).take_u32("key file scheme")
    try:
        return KeyFileScheme(number)
    except ValueError:
        raise MalformedMessage(f"scheme {number} of the key file is unknown: 0 to 4 are known") from None


def open_key_file(octets: bytes, passphrase: bytes | None = None) -> bytes:
    """The clear octets of the private key in a file. Raises MalformedMessage, also for a wrong passphrase."""
    scheme = scheme_of(octets)
    cursor = Cursor(octets, 4)
    if scheme is KeyFileScheme.PLAIN:
        return cursor.take_rest()
    if passphrase is None:
        raise MalformedMessage("the key file is encrypted: give its passphrase", field="passphrase")
    if scheme is KeyFileScheme.DES_ECB:
        return ciphers.decrypt(CipherCode.DES, _des_key(passphrase), cursor.take_rest(), None)
    if scheme is KeyFileScheme.DES_CBC:
        iv = cursor.take(CipherCode.DES.block_octets, "initial vector")
        return ciphers.decrypt(CipherCode.DES, _des_key(passphrase), cursor.take_rest(), iv)
    cipher = _PBKDF2_CIPHERS[scheme]
    salt = cursor.take_sized("salt")
    iterations = cursor.take_u32("iterations")
    key_bits = cursor.take_u32("key bits")
    if not 1 <= iterations <= bounds.PBKDF2_ITERATIONS_MAX or not 8 <= key_bits <= bounds.PBKDF2_KEY_BITS_MAX:
        raise MalformedMessage(
            f"the key file asks for {iterations} iterations and {key_bits} key bits; at most "
            f"{bounds.PBKDF2_ITERATIONS_MAX} and {bounds.PBKDF2_KEY_BITS_MAX} are allowed"
        )
    iv = cursor.take_sized("initial vector")
    if len(iv) != cipher.block_octets:
        raise MalformedMessage(f"the initial vector has {len(iv)} octets and must have {cipher.block_octets}")
    key = _pbkdf2_key(passphrase, salt, iterations, key_bits)
    return ciphers.decrypt(cipher, key, cursor.take_sized("encrypted key"), iv)


def read_key_file(octets: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """The private key in a file. Raises MalformedMessage, also for a wrong passphrase."""
    return private_key_from_wire(open_key_file(octets, passphrase))


def write_key_file(
    clear: bytes,
    scheme: KeyFileScheme = KeyFileScheme.PLAIN,
    passphrase: bytes = b"",
    *,
    salt: bytes = b"",
    iv: bytes = b"",
    iterations: int = ITERATIONS,
) -> bytes:
    """The octets of a key file.

    ``salt`` (16 octets) and ``iv`` (one block) must be random; schemes that have none ignore them. Raises
    ValueError for a vector of the wrong size.
    """
    head = pack_u32(scheme)
    if scheme is KeyFileScheme.PLAIN:
        return head + clear
    if scheme is KeyFileScheme.DES_ECB:
        return head + ciphers.encrypt(CipherCode.DES, _des_key(passphrase), clear, None)
    if scheme is KeyFileScheme.DES_CBC:
        return head + iv + ciphers.encrypt(CipherCode.DES, _des_key(passphrase), clear, iv)
    cipher = _PBKDF2_CIPHERS[scheme]
    key_bits = cipher.key_octets * 8
    key = _pbkdf2_key(passphrase, salt, iterations, key_bits)
    encrypted = ciphers.encrypt(cipher, key, clear, iv)
    return head + sized(salt) + pack_u32(iterations) + pack_u32(key_bits) + sized(iv) + sized(encrypted)


def _des_key(passphrase: bytes) -> bytes:
    return md5(passphrase)[:_DES_KEY_OCTETS]


def _pbkdf2_key(passphrase: bytes, salt: bytes, iterations: int, key_bits: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha1", latin1_as_utf8(passphrase), salt, iterations, key_bits // 8)
