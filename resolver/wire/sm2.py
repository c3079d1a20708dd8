"""Verification of SM2 signatures with SM3 (GB/T 32918.2), which IDIS clients log in with.

The cryptography library has SM3 and no SM2, so the curve arithmetic is here. Verification handles
public numbers only, so it need not run in constant time; that is why signing is not offered. One
verification takes a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

if TYPE_CHECKING:
    from resolver.wire.keys import Sm2PublicKey

DEFAULT_IDENTITY = b"1234567812345678"
"""The signer's identity when no other is agreed on (GM/T 0009)."""

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = tuple[int, int] | None
_Jacobian = tuple[int, int, int]
_INFINITY: _Jacobian = (1, 1, 0)


def sm3(octets: bytes) -> bytes:
    """The SM3 hash (GB/T 32905)."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(octets)
    return digest.finalize()


def is_on_curve(point: tuple[int, int]) -> bool:
    """Whether the numbers are a point of the curve; the point at infinity is none."""
    x, y = point
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x + A) * x - B) % P == 0


def signed_digest(key: Sm2PublicKey, octets: bytes, identity: bytes) -> int:
    """The number that is signed: SM3 over the signer's parameters and the octets."""
    fields = (A, B, *G, key.x, key.y)
    parameters = (len(identity) * 8).to_bytes(2, "big") + identity
    parameters += b"".join(number.to_bytes(32, "big") for number in fields)
    return int.from_bytes(sm3(sm3(parameters) + octets), "big")


def verify(key: Sm2PublicKey, signature: bytes, octets: bytes, identity: bytes = DEFAULT_IDENTITY) -> bool:
    """Whether a DER signature (r, s) of some octets was made by the key's private half."""
    if not is_on_curve((key.x, key.y)) or len(identity) > 0x1FFF:
        return False
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    if not (1 <= r < N and 1 <= s < N):
        return False
    t = (r + s) % N
    if t == 0:
        return False
    point = multiply_add(s, G, t, (key.x, key.y))
    return point is not None and (signed_digest(key, octets, identity) + point[0]) % N == r


def multiply_add(a: int, first: tuple[int, int], b: int, second: tuple[int, int]) -> Point:
    """The point ``a*first + b*second``; None at infinity."""
    one, two = (*first, 1), (*second, 1)
    table = (_INFINITY, one, two, _add(one, two))
    total = _INFINITY
    for bit in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _double(total)
        which = (a >> bit & 1) | (b >> bit & 1) << 1
        if which:
            total = _add(total, table[which])
    x, y, z = total
    if z == 0:
        return None
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if z == 0 or y == 0:
        return _INFINITY
    square = y * y % P
    s = 4 * x * square % P
    z_square = z * z % P
    m = 3 * (x - z_square) * (x + z_square) % P
    new_x = (m * m - 2 * s) % P
    return new_x, (m * (s - new_x) - 8 * square * square) % P, 2 * y * z % P


def _add(first: _Jacobian, second: _Jacobian) -> _Jacobian:
    x1, y1, z1 = first
    x2, y2, z2 = second
    if z1 == 0:
        return second
    if z2 == 0:
        return first
    z1_square, z2_square = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * z2_square % P, x2 * z1_square % P
    s1, s2 = y1 * z2_square * z2 % P, y2 * z1_square * z1 % P
    if u1 == u2:
        return _double(first) if s1 == s2 else _INFINITY
    h, r = (u2 - u1) % P, (s2 - s1) % P
    h_square = h * h % P
    h_cube = h_square * h % P
    v = u1 * h_square % P
    x = (r * r - h_cube - 2 * v) % P
    return x, (r * (v - x) - s1 * h_cube) % P, h * z1 * z2 % P
