"""Public keys in the forms the Handle System and IDIS carry them.

* the protocol's own: type text, two flag octets, big integers (RSA, DSA, DH; SM2 as one PEM text);
* bare PEM text or DER, which IDIS tools store in HS_PUBKEY values without any wrapper;
* JSON web keys, in HS_CERT claims and REST.

A key is its numbers. Equality is of numbers, never of octets: RSA keys may end in four stray zero
octets and integers may have a leading zero. Private keys are in ``private_keys``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.wire import bounds
from resolver.wire.cursor import Cursor, pack_u16, sized, sized_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_RSA_PADDING = bytes(4)
_SM2_SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_SM2_POINT_OCTETS = 65
_SM2_BITS = 256
_PEM_START = b"-----BEGIN"
_FROM_URL_SAFE = str.maketrans("-_", "+/")


def integer_to_wire(number: int) -> bytes:
    """A non-negative big integer as Java writes it: two's complement, so a leading zero under a top bit."""
    return sized(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def integer_from_wire(cursor: Cursor, field: str) -> int:
    """A big integer read as unsigned. Raises MalformedMessage."""
    return int.from_bytes(cursor.take_sized(field, bounds.INTEGER_OCTETS_MAX), "big")


def base64url(octets: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def octets_of_base64url(text: object, field: str) -> bytes:
    """The octets of URL-safe base64 with or without padding. Raises MalformedMessage.

    The letters of plain base64 are taken as well, as by the reference implementation.
    """
    if not isinstance(text, str):
        raise MalformedMessage(f"{field} is not a text of base64url", field=field)
    letters = text.rstrip("=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage(f"{field} is not base64url: letters, digits, '-' and '_' are", field=field) from None


def _integer_text(number: int) -> str:
    return base64url(number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big"))


def integer_of_text(document: Mapping[str, Any], name: str) -> int:
    """The integer of a member of a JSON web key. Raises MalformedMessage."""
    octets = octets_of_base64url(document.get(name), name)
    if len(octets) > bounds.INTEGER_OCTETS_MAX:
        raise MalformedMessage(f"{name} of the key has {len(octets)} octets: too many", field=name)
    return int.from_bytes(octets, "big")


def integers_to_jwk(kty: str, **numbers: int) -> dict[str, str]:
    """A JSON web key of big integers."""
    return {"kty": kty} | {name: _integer_text(number) for name, number in numbers.items()}


def _key_head(type_: str) -> bytes:
    return sized_text(type_) + pack_u16(0)


@dataclass(frozen=True, slots=True)
class RsaPublicKey:
    """An RSA public key."""

    kind: ClassVar[str] = "RSA"
    wire_type: ClassVar[str] = "RSA_PUB_KEY"

    exponent: int
    modulus: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type and flags."""
        return cls(integer_from_wire(cursor, "RSA exponent"), integer_from_wire(cursor, "RSA modulus"))

    def to_wire(self) -> bytes:
        """The protocol's form with the four zero octets that the reference library always writes."""
        return _key_head(self.wire_type) + integer_to_wire(self.exponent) + integer_to_wire(self.modulus) + _RSA_PADDING

    def to_jwk(self) -> dict[str, str]:
        """The JSON web key."""
        return integers_to_jwk("RSA", n=self.modulus, e=self.exponent)

    def to_native(self) -> rsa.RSAPublicKey:
        """The key of the cryptography library. Raises MalformedMessage for numbers that are no usable key."""
        try:
            return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedMessage(f"the RSA key is unusable: {error}", field="public_key") from None

    def to_der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return _to_der(self.to_native())


@dataclass(frozen=True, slots=True)
class DsaPublicKey:
    """A DSA public key."""

    kind: ClassVar[str] = "DSA"
    wire_type: ClassVar[str] = "DSA_PUB_KEY"

    q: int
    p: int
    g: int
    y: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type and flags."""
        return cls(*(integer_from_wire(cursor, f"DSA {name}") for name in "qpgy"))

    def to_wire(self) -> bytes:
        """The protocol's form."""
        return _key_head(self.wire_type) + b"".join(map(integer_to_wire, (self.q, self.p, self.g, self.y)))

    def to_jwk(self) -> dict[str, str]:
        """The JSON web key (CNRI's own kind)."""
        return integers_to_jwk("DSA", y=self.y, p=self.p, q=self.q, g=self.g)

    def to_native(self) -> dsa.DSAPublicKey:
        """The key of the cryptography library. Raises MalformedMessage for numbers that are no usable key."""
        try:
            return dsa.DSAPublicNumbers(self.y, dsa.DSAParameterNumbers(self.p, self.q, self.g)).public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedMessage(f"the DSA key is unusable: {error}", field="public_key") from None

    def to_der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return _to_der(self.to_native())


@dataclass(frozen=True, slots=True)
class DhPublicKey:
    """One side's public number of a Diffie-Hellman exchange, with the group it is in."""

    kind: ClassVar[str] = "DH"
    wire_type: ClassVar[str] = "DH_PUB_KEY"

    y: int
    p: int
    g: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type and flags."""
        return cls(*(integer_from_wire(cursor, f"DH {name}") for name in "ypg"))

    def to_wire(self) -> bytes:
        """The protocol's form."""
        return _key_head(self.wire_type) + b"".join(map(integer_to_wire, (self.y, self.p, self.g)))


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """An SM2 public key: a point of the curve sm2p256v1 (GB/T 32918)."""

    kind: ClassVar[str] = "SM2"
    wire_type: ClassVar[str] = "SM2_PUB_KEY"

    x: int
    y: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type and flags: one byte string of PEM text, DER or a bare point."""
        return cls.from_octets(cursor.take_sized("SM2 key"))

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """The key in PEM text, DER or a bare uncompressed point. Raises MalformedMessage."""
        if octets.lstrip().startswith(_PEM_START):
            octets = der_of_pem(octets)
        octets = octets.removeprefix(_SM2_SPKI_HEAD)
        if len(octets) == _SM2_POINT_OCTETS - 1:
            octets = b"\x04" + octets
        if len(octets) != _SM2_POINT_OCTETS or octets[0] != 4:
            raise MalformedMessage(
                "the SM2 key is neither PEM, SubjectPublicKeyInfo nor an uncompressed point", field="public_key"
            )
        return cls(int.from_bytes(octets[1:33], "big"), int.from_bytes(octets[33:], "big"))

    def to_wire(self) -> bytes:
        """The protocol's form with PEM text, as the Teleinfo SDK writes it."""
        return _key_head(self.wire_type) + sized(self.to_pem().encode())

    def to_jwk(self) -> dict[str, str]:
        """The JSON web key as the ID-SDK writes it."""
        return {"kty": "SM2", "x": base64url(self.x.to_bytes(32, "big")), "y": base64url(self.y.to_bytes(32, "big"))}

    def to_der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return _SM2_SPKI_HEAD + b"\x04" + self.x.to_bytes(32, "big") + self.y.to_bytes(32, "big")

    def to_pem(self) -> str:
        """PEM text."""
        return pem_of("PUBLIC KEY", self.to_der())


PublicKey = RsaPublicKey | DsaPublicKey | DhPublicKey | Sm2PublicKey
SigningPublicKey = RsaPublicKey | DsaPublicKey | Sm2PublicKey

_CLASSES: dict[str, type[PublicKey]] = {
    class_.wire_type: class_ for class_ in (RsaPublicKey, DsaPublicKey, DhPublicKey, Sm2PublicKey)
}
_DER_START = 0x30


def public_key_from_wire(octets: bytes) -> PublicKey:
    """The key in any of the forms a HS_PUBKEY value or a HS_SITE server has. Raises MalformedMessage."""
    if octets.lstrip()[: len(_PEM_START)] == _PEM_START:
        return public_key_from_der(der_of_pem(octets))
    if octets and octets[0] == _DER_START:
        return public_key_from_der(octets)
    cursor = Cursor(octets)
    type_ = cursor.take_text("key type", limits.TYPE_OCTETS_MAX)
    class_ = _CLASSES.get(type_)
    if class_ is None:
        raise MalformedMessage(f"{type_[:40]!r} is no known key type: {', '.join(_CLASSES)} are", field="public_key")
    cursor.take_u16("key flags")
    return class_.from_cursor(cursor)


def public_key_from_der(octets: bytes) -> SigningPublicKey:
    """The key in a SubjectPublicKeyInfo: RSA, DSA or SM2. Raises MalformedMessage."""
    if octets.startswith(_SM2_SPKI_HEAD):
        return Sm2PublicKey.from_octets(octets)
    try:
        native = serialization.load_der_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedMessage(f"the key is no SubjectPublicKeyInfo: {error}", field="public_key") from None
    if isinstance(native, rsa.RSAPublicKey):
        numbers = native.public_numbers()
        return RsaPublicKey(numbers.e, numbers.n)
    if isinstance(native, dsa.DSAPublicKey):
        dsa_numbers = native.public_numbers()
        group = dsa_numbers.parameter_numbers
        return DsaPublicKey(group.q, group.p, group.g, dsa_numbers.y)
    raise MalformedMessage("the key is neither RSA, DSA nor SM2", field="public_key")


def public_key_from_jwk(document: object) -> SigningPublicKey:
    """The key of a JSON web key: RSA, DSA, or SM2 in either SDK's form. Raises MalformedMessage."""
    if not isinstance(document, dict):
        raise MalformedMessage("a JSON web key is an object", field="public_key")
    kty = document.get("kty")
    if not isinstance(kty, str):
        raise MalformedMessage("kty of a JSON web key is a text: RSA, DSA and SM2 are known", field="public_key")
    kty = kty.upper()
    if kty == "RSA":
        return RsaPublicKey(integer_of_text(document, "e"), integer_of_text(document, "n"))
    if kty == "DSA":
        return DsaPublicKey(*(integer_of_text(document, name) for name in "qpgy"))
    if kty == "SM2":
        if "d" in document:
            return Sm2PublicKey.from_octets(octets_of_base64url(document["d"], "d"))
        x, y = integer_of_text(document, "x"), integer_of_text(document, "y")
        if max(x, y).bit_length() > _SM2_BITS:
            raise MalformedMessage(f"x and y of an SM2 key have at most {_SM2_BITS} bits", field="public_key")
        return Sm2PublicKey(x, y)
    raise MalformedMessage(f"kty {kty[:20]!r} is unknown: RSA, DSA and SM2 are known", field="public_key")


def pem_of(label: str, der: bytes) -> str:
    """PEM text (RFC 7468) of DER octets."""
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def der_of_pem(octets: bytes) -> bytes:
    """The DER octets of PEM text with one block. Raises MalformedMessage."""
    lines = [line.strip() for line in octets.splitlines()]
    inside = [line for line in lines if line and not line.startswith(b"-----") and b":" not in line]
    try:
        return base64.b64decode(b"".join(inside), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("the PEM text is not base64 between its BEGIN and END lines", field="key") from None


def _to_der(native: rsa.RSAPublicKey | dsa.DSAPublicKey) -> bytes:
    return native.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
