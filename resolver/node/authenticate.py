"""Checking the answer to a challenge, and what the one who gave it may act as (RFC 3652 section 3.5).

A key in the handle ``0.NA/P`` or in a handle under prefix P stands for the owner of P: the enterprise the prefix is
allotted to, or the node itself. What it may do beyond that is for the policy and the HS_ADMIN values to say. Forms
that only old clients need (bare hashes around a secret, MD5 and SHA-1 signatures, short DSA keys) are told apart, so
that the door can refuse or log them. Checking a secret or an SM2 key takes milliseconds: do it in a thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.errors import InvalidName, WireError
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold, whole_name
from resolver.node import handle_keys
from resolver.node.authorize import Caller, Role
from resolver.node.hdl_declined import Declined, not_an_administrator
from resolver.node.prefixes import is_node_prefix, prefix_row
from resolver.v1 import registry_pb2 as registry
from resolver.wire import signatures
from resolver.wire.challenges import CERTIFICATE, PUBLIC_KEY, SECRET_KEY, KeyPairAnswer, SecretAnswer
from resolver.wire.digests import HashCode
from resolver.wire.keys import DhPublicKey, DsaPublicKey, public_key_from_wire
from resolver.wire.predefined.hs_cert import HsCert
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.v1 import handle_pb2 as pb
    from resolver.wire.keys import PublicKey
    from resolver.wire.requests import ChallengeAnswer
    from storage.engine import Reader

_DSA_BITS_MIN = 2_048

_TRIED_MAX = {SECRET_KEY: 4, PUBLIC_KEY: 16}
"""Keys that one answer is held against: some milliseconds each for a secret or an SM2 key, and a handle, also one of
another node, may have thousands."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an identity as a record holds it."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right, by which key, and the name of the old form it needed, "" for none."""

    index: int | None
    legacy: str = ""


def keys_of(values: Sequence[pb.HandleValue], auth_type: str, index: int) -> list[Key]:
    """The keys among the values of a handle that an answer may have been made with.

    Index 0 means the first keys of the kind in order, as many as may be tried.
    Raises Declined: 404 for a kind of key that is unknown, 400 for a secret key that does not exist, 403 for a public
    one.
    """
    type_ = fold(auth_type)
    if type_ not in {PUBLIC_KEY, SECRET_KEY}:
        raise Declined(
            ResponseCode.INVALID_CREDENTIAL,
            f"authentication by {auth_type[:40]!r} is unknown: use HS_PUBKEY or HS_SECKEY",
        )
    found = [
        Key(value.index, value.data)
        for value in values
        if value.data and fold(value.type) == type_ and index in {0, value.index}
    ]
    if found:
        return found[: _TRIED_MAX[type_]]
    raise not_an_administrator() if type_ == SECRET_KEY else Declined(ResponseCode.AUTHENTICATION_FAILED)


def key_digest(values: Sequence[pb.HandleValue], index: int) -> bytes:
    """What tells whether a key is still the one that was proven; b"" when none is there."""
    for value in values:
        if value.index == index:
            return hashlib.sha256(fold(value.type).encode() + b"\0" + value.data).digest()
    return b""


def index_of_key(values: Sequence[pb.HandleValue], index: int, der: bytes) -> int | None:
    """The index of the HS_PUBKEY or HS_CERT that holds a public key; index 0 looks at all of them.

    ``der`` is a SubjectPublicKeyInfo. The key is compared by its numbers, however it is stored.
    """
    try:
        wanted = public_key_from_wire(der)
    except WireError:
        return None
    for value in values:
        type_ = fold(value.type)
        if type_ not in {PUBLIC_KEY, CERTIFICATE} or index not in {0, value.index}:
            continue
        try:
            key = (
                public_key_from_wire(value.data)
                if type_ == PUBLIC_KEY
                else HsCert.from_wire(value.data).claims.public_key
            )
        except WireError:
            continue
        if key == wanted:
            return int(value.index)
    return None


def _key_in(type_: str, data: bytes) -> PublicKey | None:
    """The public key of an HS_PUBKEY or of an HS_CERT. Raises WireError."""
    return public_key_from_wire(data) if type_ == PUBLIC_KEY else HsCert.from_wire(data).claims.public_key


def verdict(
    answer: ChallengeAnswer, keys: Sequence[Key], nonce: bytes, digest: bytes, *, takes_legacy: bool
) -> Verdict:
    """Whether an answer covers nonce and digest and was made with one of the keys. Takes up to milliseconds.

    An old form is wrong unless ``takes_legacy``.
    """
    try:
        if fold(answer.auth_type) == SECRET_KEY:
            return _by_secret(SecretAnswer.from_wire(answer.signed_response), keys, nonce, digest, takes_legacy)
        found = KeyPairAnswer.from_wire(answer.signed_response)
    except WireError:
        return Verdict(None)
    for key in keys:
        legacy = _legacy_of(found, key)
        if legacy and not takes_legacy:
            continue
        if _signed_by(found, key, nonce, digest, answer.user_handle):
            return Verdict(key.index, legacy)
    return Verdict(None)


def _by_secret(answer: SecretAnswer, keys: Sequence[Key], nonce: bytes, digest: bytes, takes_legacy: bool) -> Verdict:  # noqa: FBT001 - named by its only caller
    if answer.is_legacy and not takes_legacy:
        return Verdict(None)
    legacy = f"{HashCode(answer.code).name} around a secret" if answer.is_legacy else ""
    for key in keys:
        if answer.is_of(key.data, nonce, digest):
            return Verdict(key.index, legacy)
    return Verdict(None)


def _signed_by(answer: KeyPairAnswer, key: Key, nonce: bytes, digest: bytes, user_handle: str) -> bool:
    try:
        public = public_key_from_wire(key.data)
        return not isinstance(public, DhPublicKey) and answer.is_of(public, nonce, digest, user_handle)
    except WireError:
        return False


def _legacy_of(answer: KeyPairAnswer, key: Key) -> str:
    """What is old about a signature, "" for nothing."""
    try:
        if signatures.is_legacy(answer.algorithm):
            return f"{signatures.hash_name(answer.algorithm)} signature"
        public = public_key_from_wire(key.data)
    except WireError:
        return ""
    if isinstance(public, DsaPublicKey) and public.p.bit_length() < _DSA_BITS_MIN:
        return f"DSA key of {public.p.bit_length()} bits"
    return ""


def prefix_of_identity(handle: str) -> str:
    """The folded prefix whose owner a key of the handle stands for. Raises Declined (400) for no handle at all."""
    try:
        parsed = Handle.from_text(handle)
    except InvalidName as error:
        raise not_an_administrator(error.message) from None
    return fold(parsed.suffix) if parsed.prefix_folded == PREFIX_OF_PREFIXES else parsed.prefix_folded


def caller_of(reader: Reader, handle: str, index: int, now_us: int) -> Caller:
    """What the policy knows of the holder of a key: the principal it was given to, else the owner of the prefix.

    Raises Declined: 406 when the prefix is not one of this node's, so that its keys cannot be looked up here; 403 when
    the prefix or its enterprise is not in service.
    """
    folded = prefix_of_identity(handle)
    row = prefix_row(reader, folded)
    if row is None:
        raise Declined(
            ResponseCode.UNABLE_TO_AUTHENTICATE,
            f"the key of {handle[:200]!r} is not in this node and cannot be looked up elsewhere",
        )
    if row.status != registry.PREFIX_STATUS_ENABLED:
        raise Declined(ResponseCode.AUTHENTICATION_FAILED)
    owner = _owner(index, handle, row.enterprise_id)
    if row.enterprise_id:
        body = reader.get(Table.ENTERPRISES, row.enterprise_id.encode())
        if body is None or registry.Enterprise.FromString(body).status != registry.ENTERPRISE_STATUS_ENABLED:
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
    is_prefix_handle = fold(whole_name(handle)) == f"{PREFIX_OF_PREFIXES}/{folded}"
    if is_prefix_handle and (row.enterprise_id or is_node_prefix(reader, folded)):
        known, caller = handle_keys.caller_of(reader, row.enterprise_id, index, now_us)
        if known and caller is None:
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
        return caller or owner
    return owner


def foreign_caller_of(reader: Reader, handle: str, index: int, now_us: int, *, administers: bool) -> Caller:
    """What the policy knows of the holder of a key that another node keeps.

    An enterprise's own node says who speaks for the enterprise. For everybody else the operator has to have named the
    key in the configuration (``administers``): no other node says who administers this one. Raises Declined.
    """
    principal = f"{index}:{handle}"
    if administers:
        return Caller(principal, Role.NODE_ADMINISTRATOR)
    row = prefix_row(reader, prefix_of_identity(handle))
    if row is not None and row.enterprise_id:
        return caller_of(reader, handle, index, now_us)
    return Caller(principal, Role.APPLICATION)


def _owner(index: int, handle: str, enterprise_id: str) -> Caller:
    """The holder of a key that no principal has been given: whoever owns the prefix."""
    principal = f"{index}:{handle}"
    if not enterprise_id:
        return Caller(principal, Role.NODE_ADMINISTRATOR)
    return Caller(principal, Role.ENTERPRISE_USER, enterprise_id)


def server_admins(configured: Sequence[str], node_prefix: str) -> Callable[[str, int], bool]:
    """Who administers the whole server: the references configured, key 300 of the node's prefix when there are none."""
    references = list(configured) or [f"300:{PREFIX_OF_PREFIXES}/{node_prefix}"]
    known = set()
    for text in references:
        index, _, handle = text.partition(":")
        known.add((fold(whole_name(handle)), int(index)))

    def is_server_admin(handle: str, index: int) -> bool:
        folded = fold(whole_name(handle))
        return (folded, index) in known or (folded, 0) in known

    return is_server_admin
