"""Private keys as CNRI's tools write them, as PKCS #8 and as JSON web keys.

The protocol's form is a type text and big integers, without flags. Only the key's own numbers are
here; how a key file hides them is in ``key_files``, how they sign in ``signatures``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from resolver import limits
from resolver.errors import MalformedMessage
from resolver.wire.cursor import Cursor, sized_text
from resolver.wire.keys import (
    DsaPublicKey,
    RsaPublicKey,
    integer_from_wire,
    integer_of_text,
    integer_to_wire,
    integers_to_jwk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_USUAL_EXPONENT = 65_537


@dataclass(frozen=True, slots=True)
class RsaPrivateKey:
    """An RSA private key with its primes and their helpers (RFC 8017 section 3.2)."""

    kind: ClassVar[str] = "RSA"
    wire_type: ClassVar[str] = "RSA_PRIVCRT_KEY"

    modulus: int
    exponent: int
    private_exponent: int
    p: int
    q: int
    dp: int
    dq: int
    qi: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type."""
        return cls(*(integer_from_wire(cursor, f"RSA {name}") for name in ("n", "e", "d", "p", "q", "dp", "dq", "qi")))

    @classmethod
    def from_numbers(cls, modulus: int, private_exponent: int, exponent: int = _USUAL_EXPONENT) -> Self:
        """The key without its primes; they are recovered. Raises MalformedMessage when the numbers do not fit."""
        if modulus < 4 or pow(pow(2, exponent, modulus), private_exponent, modulus) != 2:
            raise MalformedMessage(
                f"the RSA key does not fit the public exponent {exponent}: give the form with primes",
                field="private_key",
            )
        try:
            p, q = rsa.rsa_recover_prime_factors(modulus, exponent, private_exponent)
        except ValueError as error:
            raise MalformedMessage(f"the RSA key is unusable: {error}", field="private_key") from None
        return cls(
            modulus,
            exponent,
            private_exponent,
            p,
            q,
            rsa.rsa_crt_dmp1(private_exponent, p),
            rsa.rsa_crt_dmq1(private_exponent, q),
            rsa.rsa_crt_iqmp(p, q),
        )

    def to_wire(self) -> bytes:
        """The form of CNRI's key files."""
        numbers = (self.modulus, self.exponent, self.private_exponent, self.p, self.q, self.dp, self.dq, self.qi)
        return sized_text(self.wire_type) + b"".join(map(integer_to_wire, numbers))

    def to_jwk(self) -> dict[str, str]:
        """The JSON web key."""
        return integers_to_jwk(
            "RSA",
            n=self.modulus,
            e=self.exponent,
            d=self.private_exponent,
            p=self.p,
            q=self.q,
            dp=self.dp,
            dq=self.dq,
            qi=self.qi,
        )

    def to_native(self) -> rsa.RSAPrivateKey:
        """The key of the cryptography library. Raises MalformedMessage for numbers that are no usable key."""
        public = rsa.RSAPublicNumbers(self.exponent, self.modulus)
        numbers = rsa.RSAPrivateNumbers(self.p, self.q, self.private_exponent, self.dp, self.dq, self.qi, public)
        try:
            return numbers.private_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedMessage(f"the RSA key is unusable: {error}", field="private_key") from None

    def to_der(self) -> bytes:
        """PKCS #8, not encrypted."""
        return _to_der(self.to_native())

    @property
    def public(self) -> RsaPublicKey:
        """The public half."""
        return RsaPublicKey(self.exponent, self.modulus)


@dataclass(frozen=True, slots=True)
class DsaPrivateKey:
    """A DSA private key."""

    kind: ClassVar[str] = "DSA"
    wire_type: ClassVar[str] = "DSA_PRIV_KEY"

    x: int
    p: int
    q: int
    g: int

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Self:
        """The key behind its type."""
        return cls(*(integer_from_wire(cursor, f"DSA {name}") for name in "xpqg"))

    def to_wire(self) -> bytes:
        """The form of CNRI's key files."""
        return sized_text(self.wire_type) + b"".join(map(integer_to_wire, (self.x, self.p, self.q, self.g)))

    def to_jwk(self) -> dict[str, str]:
        """The JSON web key (CNRI's own kind)."""
        return integers_to_jwk("DSA", x=self.x, p=self.p, q=self.q, g=self.g)

    def to_native(self) -> dsa.DSAPrivateKey:
        """The key of the cryptography library. Raises MalformedMessage for numbers that are no usable key."""
        group = dsa.DSAParameterNumbers(self.p, self.q, self.g)
        try:
            return dsa.DSAPrivateNumbers(self.x, dsa.DSAPublicNumbers(self.public.y, group)).private_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedMessage(f"the DSA key is unusable: {error}", field="private_key") from None

    def to_der(self) -> bytes:
        """PKCS #8, not encrypted."""
        return _to_der(self.to_native())

    @property
    def public(self) -> DsaPublicKey:
        """The public half."""
        if self.p < 3:
            raise MalformedMessage("the DSA key has no usable modulus", field="private_key")
        return DsaPublicKey(self.q, self.p, self.g, pow(self.g, self.x, self.p))


PrivateKey = RsaPrivateKey | DsaPrivateKey

_PLAIN_RSA = "RSA_PRIV_KEY"
_CLASSES: dict[str, type[PrivateKey]] = {class_.wire_type: class_ for class_ in (RsaPrivateKey, DsaPrivateKey)}


def private_key_from_wire(octets: bytes) -> PrivateKey:
    """The key in the form of CNRI's key files, decrypted. Raises MalformedMessage."""
    cursor = Cursor(octets)
    type_ = cursor.take_text("key type", limits.TYPE_OCTETS_MAX)
    if type_ == _PLAIN_RSA:
        return RsaPrivateKey.from_numbers(integer_from_wire(cursor, "RSA n"), integer_from_wire(cursor, "RSA d"))
    class_ = _CLASSES.get(type_)
    if class_ is None:
        raise MalformedMessage(
            f"{type_[:40]!r} is no known private key type: {', '.join((*_CLASSES, _PLAIN_RSA))} are; "
            "a wrong passphrase looks like this as well",
            field="private_key",
        )
    return class_.from_cursor(cursor)


def private_key_from_der(octets: bytes) -> PrivateKey:
    """The key in PKCS #8 or a traditional form, not encrypted. Raises MalformedMessage."""
    try:
        native = serialization.load_der_private_key(octets, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedMessage(f"the key is no plain PKCS #8: {error}", field="private_key") from None
    if isinstance(native, rsa.RSAPrivateKey):
        numbers = native.private_numbers()
        public = numbers.public_numbers
        return RsaPrivateKey(
            public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp
        )
    if isinstance(native, dsa.DSAPrivateKey):
        dsa_numbers = native.private_numbers()
        group = dsa_numbers.public_numbers.parameter_numbers
        return DsaPrivateKey(dsa_numbers.x, group.p, group.q, group.g)
    raise MalformedMessage("the private key is neither RSA nor DSA", field="private_key")


def private_key_from_jwk(document: Mapping[str, object]) -> PrivateKey:
    """The key of a JSON web key with its private members. Raises MalformedMessage."""
    kty = document.get("kty")
    if kty == "RSA":
        return RsaPrivateKey(*(integer_of_text(document, name) for name in ("n", "e", "d", "p", "q", "dp", "dq", "qi")))
    if kty == "DSA":
        return DsaPrivateKey(*(integer_of_text(document, name) for name in "xpqg"))
    raise MalformedMessage(f"kty {str(kty)[:20]!r} is unknown: RSA and DSA are known", field="private_key")


def _to_der(native: rsa.RSAPrivateKey | dsa.DSAPrivateKey) -> bytes:
    return native.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
