"""The claims of HS_SIGNATURE and HS_CERT and what they say of a record.

``report`` compares a signature with the values of a handle and answers each question on its own: a
caller decides which failures it accepts. Following the chain of issuers needs resolution, so it is
done elsewhere; here is only what one claim set says.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from resolver import limits
from resolver.errors import InvalidValue, WireError
from resolver.handle.name import (
    equal_prefix_folded,
    is_derived_from,
    is_under_prefix_handle,
    prefix_handle_of,
)
from resolver.wire.digests import md5, sha1
from resolver.wire.json_members import member, member_index, member_integer, member_list, member_text, parse_json
from resolver.wire.keys import PublicKey, public_key_from_jwk
from resolver.wire.sm2 import sm3
from resolver.wire.values import SIGNED_FROM, value_to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resolver.handle.value import HandleValue
    from resolver.wire.jws import Jws

CHAIN_MAX = 50
"""Issuers in a chain."""
PERMISSIONS_MAX = 256
"""Permissions of one certificate."""
_SECONDS_MAX = 2**53
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "md5": md5,
    "sha1": sha1,
    "sha256": lambda octets: hashlib.sha256(octets).digest(),
    "sha384": lambda octets: hashlib.sha384(octets).digest(),
    "sha512": lambda octets: hashlib.sha512(octets).digest(),
    "sm3": sm3,
}

EVERYTHING = "everything"
THIS_HANDLE = "thisHandle"
DERIVED_PREFIXES = "derivedPrefixes"
HANDLES_UNDER_THIS_PREFIX = "handlesUnderThisPrefix"


@dataclass(frozen=True, slots=True)
class ValueDigest:
    """The digest of the value with an index, in standard base64."""

    index: int
    text: str


class CertPermission(NamedTuple):
    """What the holder of a certificate may sign for."""

    perm: str
    handle: str = ""

    def covers(self, name: str) -> bool:
        """Whether it allows to sign for a handle.

        ``thisHandle`` of a prefix handle also covers the handles under that prefix; ``derivedPrefixes`` covers
        the handles of prefixes derived from it and the handles under them, not the prefix itself.
        """
        match self.perm:
            case "everything":
                return True
            case "thisHandle":
                return equal_prefix_folded(self.handle, name) or is_under_prefix_handle(name, self.handle)
            case "derivedPrefixes":
                return is_derived_from(name, self.handle) or is_derived_from(prefix_handle_of(name), self.handle)
            case "handlesUnderThisPrefix":
                return is_under_prefix_handle(name, self.handle)
        return False


@dataclass(frozen=True, slots=True)
class Claims:
    """A claim set. Times are epoch seconds, None when not said; issuer and chain are ``INDEX:HANDLE`` texts."""

    issuer: str
    subject: str
    not_before_s: float | None = None
    expires_s: float | None = None
    issued_s: float | None = None
    chain: tuple[str, ...] = ()
    digest_algorithm: str = ""
    digests: tuple[ValueDigest, ...] = ()
    permissions: tuple[CertPermission, ...] = ()
    public_key: PublicKey | None = None

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """The claims in the payload of a web signature. Raises WireError.

        A member that is null says nothing, as in the JSON library of the reference implementation.
        """
        document = parse_json(payload)
        if isinstance(document, dict):
            document = {name: found for name, found in document.items() if found is not None}
        digests = member(document, "digests", None)
        key = member(document, "publicKey", None)
        return cls(
            member_text(document, "iss", ""),
            member_text(document, "sub", ""),
            _seconds(document, "nbf"),
            _seconds(document, "exp"),
            _seconds(document, "iat"),
            tuple(_texts(member_list(document, "chain", [], items_max=CHAIN_MAX))),
            "" if digests is None else member_text(digests, "alg"),
            ()
            if digests is None
            else tuple(
                ValueDigest(member_index(item, "index"), member_text(item, "digest"))
                for item in member_list(digests, "digests", items_max=limits.VALUES_MAX)
            ),
            tuple(map(_permission, member_list(document, "perms", [], items_max=PERMISSIONS_MAX))),
            None if key is None else public_key_from_jwk(key),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the claims, in the order of the reference implementation."""
        document: dict[str, Any] = {}
        if self.digests or self.digest_algorithm:
            rows = [{"index": digest.index, "digest": digest.text} for digest in self.digests]
            document["digests"] = {"alg": self.digest_algorithm, "digests": rows}
        if self.permissions:
            document["perms"] = [{"handle": held.handle, "perm": held.perm} for held in self.permissions]
        if self.chain:
            document["chain"] = list(self.chain)
        if self.public_key is not None and self.public_key.kind != "DH":
            document["publicKey"] = self.public_key.to_jwk()  # type: ignore[union-attr]  # DH is excluded above
        document |= {"iss": self.issuer, "sub": self.subject}
        times = {"exp": self.expires_s, "nbf": self.not_before_s, "iat": self.issued_s}
        return document | {name: time for name, time in times.items() if time is not None}

    def is_in_date(self, now_s: float) -> bool:
        """Whether the claims hold at a time: from ``nbf`` on, and no more at ``exp`` (RFC 7519 section 4.1.4)."""
        return (self.not_before_s is None or self.not_before_s <= now_s) and (
            self.expires_s is None or now_s < self.expires_s
        )

    def covers(self, name: str) -> bool:
        """Whether a certificate allows its holder to sign for a handle."""
        return any(permission.covers(name) for permission in self.permissions)


class ValuesReport(NamedTuple):
    """What a HS_SIGNATURE says of a record; indexes are in the order of the record, missing ones in that of the claims.

    ``is_claims`` is false for claims that cannot be read and for those that are not about values at all.
    """

    is_signed: bool
    is_claims: bool
    is_in_date: bool
    is_of_handle: bool
    verified: tuple[int, ...]
    unsigned: tuple[int, ...]
    changed: tuple[int, ...]
    missing: tuple[int, ...]
    issuer: str = ""
    subject: str = ""


def report(handle: str, values: Iterable[HandleValue], jws: Jws, key: PublicKey, now_s: float) -> ValuesReport:
    """Compare a signature with the values of a handle. Case counts in the suffix of the handle only.

    An index is verified when every value that has it is the one claimed: whoever makes a record can write an index
    twice, and whoever signs can claim it twice. Each value is digested once, however often it is claimed.
    """
    values = tuple(values)
    is_signed = jws.is_signed_by(key)
    try:
        claims = Claims.from_payload(jws.payload)
        digest = digest_function(claims.digest_algorithm)
    except WireError:
        unsigned = tuple(value.index for value in values)
        return ValuesReport(is_signed, False, False, False, (), unsigned, (), ())
    claimed: dict[int, set[str]] = {}
    for each in claims.digests:
        claimed.setdefault(each.index, set()).add(each.text)
    held: dict[int, set[str]] = {}
    for value in values:
        if value.index in claimed:
            held.setdefault(value.index, set()).add(_digest_text(value, digest))
    return ValuesReport(
        is_signed,
        True,
        claims.is_in_date(now_s),
        equal_prefix_folded(claims.subject, handle),
        tuple(index for index, texts in held.items() if texts == claimed[index]),
        tuple(value.index for value in values if value.index not in claimed),
        tuple(index for index, texts in held.items() if texts != claimed[index]),
        tuple(index for index in claimed if index not in held),
        claims.issuer,
        claims.subject,
    )


def digest_function(name: str) -> Callable[[bytes], bytes]:
    """The digest that an algorithm name of the claims means. Raises InvalidValue."""
    folded = "".join(letter for letter in name.lower() if letter.isalnum())
    found = _DIGESTS.get(folded)
    if found is None:
        raise InvalidValue(f"{name[:20]!r} is no known digest: SHA-256, SHA-384, SHA-512, SHA-1, MD5 and SM3 are")
    return found


def value_digest(value: HandleValue, algorithm: str = "SHA-256") -> ValueDigest:
    """The digest of a value: over its octets but index and timestamp. Raises InvalidValue."""
    return ValueDigest(value.index, _digest_text(value, digest_function(algorithm)))


def _digest_text(value: HandleValue, digest: Callable[[bytes], bytes]) -> str:
    return base64.b64encode(digest(value_to_wire(value)[SIGNED_FROM:])).decode()


def _permission(item: Any) -> CertPermission:
    """A permission as CNRI's library writes it, or as the ID-SDK does, which calls the handle ``identifier``."""
    has_identifier = isinstance(item, dict) and "handle" not in item
    return CertPermission(
        member_text(item, "perm"), member_text(item, "identifier" if has_identifier else "handle", "")
    )


def _seconds(document: Any, name: str) -> float | None:
    """A NumericDate: a number of seconds, which may have a fraction (RFC 7519 section 2)."""
    found = member(document, name, None)
    if found is None:
        return None
    if isinstance(found, float) and abs(found) <= _SECONDS_MAX:
        return int(found) if found.is_integer() else found
    return member_integer(document, name, least=-_SECONDS_MAX, most=_SECONDS_MAX)


def _texts(items: list[Any]) -> Iterable[str]:
    for item in items:
        if not isinstance(item, str):
            raise InvalidValue("chain must be a list of texts", field="chain")
        yield item
