"""Credentials of principals: API tokens, of which only digests are stored, client certificates, Handle keys.

A token is ``idis_`` and 43 letters of base64: 256 bits of randomness, so a plain SHA-256 is enough to store it and
guessing is hopeless. It is shown once, when it is made.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from resolver.errors import AlreadyExists, InvalidField, MalformedMessage
from resolver.node import handle_keys
from resolver.node.authorize import Action, Caller, require
from resolver.registry import principals, rows
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from resolver.wire.certificates import certificate_from_pem
from resolver.wire.keys import DhPublicKey, RsaPublicKey, public_key_from_wire
from storage.errors import RowCorrupt
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

TOKEN_START = "idis_"  # noqa: S105 - a public marker by which leaked tokens are found, no secret
_TOKEN_OCTETS = 32
_TOKENS, _AFTER_TOKENS = b"t", b"u"
_TIME_MAX = 2**64 - 1
_CERTIFICATE_OCTETS_MAX = 16_384

HANDLE_KINDS = {pb.KEY_KIND_HANDLE_PUBLIC, pb.KEY_KIND_HANDLE_SECRET}
"""Kinds that stand in prefix handles too: ``prefix_handles`` makes and revokes them."""

_SECRET_OCTETS = range(8, 257)
_PUBLIC_KEY_OCTETS_MAX = 8_192
_RSA_BITS = range(1_024, 8_193)


def token_digest(token: str) -> bytes:
    """Key of a token's row."""
    return _TOKENS + hashlib.sha256(token.encode()).digest()


def certificate_digest(der: bytes) -> bytes:
    """Key of a certificate's row, from its DER form."""
    return b"c" + hashlib.sha256(der).digest()


def _to_key(row: stored.StoredKey, digest: bytes) -> pb.Key:
    certificate = row.kind == pb.KEY_KIND_CERTIFICATE
    place = handle_keys.place_of(digest)
    return pb.Key(
        key_id=row.key_id,
        principal_id=row.principal_id,
        kind=pb.KeyKind.Name(row.kind),
        description=row.description,
        create_time_us=row.create_time_us,
        expire_time_us=row.expire_time_us,
        revoked=row.revoked,
        certificate_sha256=digest[1:].hex() if certificate else "",
        handle_index=place[1] if place else 0,
    )


def create(
    writer: Writer, caller: Caller, request: pb.CreateKeyRequest, now_us: int, randomness: Callable[[int], bytes]
) -> pb.CreateKeyResponse:
    """Give a principal a credential. The answer holds the token; nothing else ever does."""
    require(caller, Action.ADMINISTER, "", f"keys of principal {request.principal_id[:64]!r}")
    principals.load(writer, request.principal_id)
    _check(request, now_us)
    token = ""
    if request.kind == pb.KEY_KIND_API_TOKEN:
        token = TOKEN_START + base64.urlsafe_b64encode(randomness(_TOKEN_OCTETS)).decode().rstrip("=")
        digest = token_digest(token)
    elif request.kind == pb.KEY_KIND_CERTIFICATE:
        digest = certificate_digest(_der(request.certificate_pem))
        if writer.get(Table.KEYS, digest) is not None:
            raise AlreadyExists("this certificate is a credential already: use another one", field="certificate_pem")
    else:
        raise InvalidField(
            "kind is missing: give API token, certificate, Handle public key or Handle secret", field="kind"
        )
    return pb.CreateKeyResponse(key=_store(writer, request, digest, now_us, randomness), token=token)


def _check(request: pb.CreateKeyRequest, now_us: int) -> None:
    rows.check_text(request.description, 255, "description")
    if request.expire_time_us and request.expire_time_us <= now_us:
        raise InvalidField("expire_time_us is in the past: give a later time or 0", field="expire_time_us")


def _store(
    writer: Writer,
    request: pb.CreateKeyRequest,
    digest: bytes,
    now_us: int,
    randomness: Callable[[int], bytes],
    handle_data: bytes = b"",
) -> pb.Key:
    row = stored.StoredKey(
        key_id=rows.mint_id("key", randomness),
        principal_id=request.principal_id,
        kind=request.kind,
        description=request.description,
        create_time_us=now_us,
        expire_time_us=request.expire_time_us,
        handle_data=handle_data,
    )
    writer.put(Table.KEYS, digest, row.SerializeToString())
    writer.put(Table.KEY_IDS, row.key_id.encode(), digest)
    writer.put(Table.HELD, held_key(row), digest)
    rows.touch(writer)
    return _to_key(row, digest)


def create_handle_key(
    writer: Writer,
    request: pb.CreateKeyRequest,
    enterprise_id: str,
    index: int,
    now_us: int,
    randomness: Callable[[int], bytes],
) -> pb.CreateKeyResponse:
    """Store a key of the Handle System under an index that is free. Call ``prefix_handles.create_key`` instead."""
    _check(request, now_us)
    token = ""
    if request.kind == pb.KEY_KIND_HANDLE_PUBLIC:
        data = _public_key_data(request.public_key)
    else:
        if not request.secret:
            token = base64.urlsafe_b64encode(randomness(_TOKEN_OCTETS)).decode().rstrip("=")
        data = request.secret or token.encode()
        if len(data) not in _SECRET_OCTETS:
            raise InvalidField("the secret has fewer than 8 or more than 256 octets: choose another", field="secret")
    digest = handle_keys.row_key(enterprise_id, index)
    return pb.CreateKeyResponse(key=_store(writer, request, digest, now_us, randomness, data), token=token)


def _public_key_data(given: bytes) -> bytes:
    """The data of an HS_PUBKEY value. Raises InvalidField."""
    if len(given) > _PUBLIC_KEY_OCTETS_MAX:
        raise InvalidField("public_key is too long: give one public key", field="public_key")
    try:
        key = public_key_from_wire(given)
    except MalformedMessage as error:
        raise InvalidField(
            f"public_key is no public key ({error.message}): give PEM that starts with -----BEGIN PUBLIC KEY-----, or "
            "the file of a CNRI public key",
            field="public_key",
        ) from None
    if isinstance(key, DhPublicKey):
        raise InvalidField("public_key is a Diffie-Hellman key: give RSA, DSA or SM2", field="public_key")
    if isinstance(key, RsaPublicKey) and key.modulus.bit_length() not in _RSA_BITS:
        raise InvalidField("the RSA key has fewer than 1024 or more than 8192 bits: use 2048", field="public_key")
    return key.to_wire()


def handle_place(reader: Reader, key_id: str) -> tuple[str, int] | None:
    """Enterprise and index of a key of the Handle System, None for another kind. Raises NotFound."""
    return handle_keys.place_of(rows.find(reader, Table.KEY_IDS, key_id.encode(), bytes, f"key {key_id[:64]!r}"))


def _der(pem: str) -> bytes:
    if len(pem) > _CERTIFICATE_OCTETS_MAX:
        raise InvalidField("certificate_pem is too long: give one certificate", field="certificate_pem")
    try:
        certificate = certificate_from_pem(pem.encode())
    except MalformedMessage:
        raise InvalidField(
            "certificate_pem is not a PEM certificate: it starts with -----BEGIN CERTIFICATE-----",
            field="certificate_pem",
        ) from None
    return certificate.public_bytes(Encoding.DER)


def held_key(row: stored.StoredKey) -> bytes:
    """Key in HELD of a credential: those of a principal come in one piece, the newest first."""
    age = _TIME_MAX - row.create_time_us
    return row.principal_id.encode() + b"\0" + age.to_bytes(8, "big") + row.key_id.encode()


def page(reader: Reader, caller: Caller, principal_id: str, size: int, token: str) -> tuple[list[pb.Key], str]:
    """The credentials of a principal, newest first; without an id, the caller's own."""
    principal_id = principal_id or caller.principal_id
    if principal_id != caller.principal_id:
        require(caller, Action.ADMINISTER, "", f"keys of principal {principal_id[:64]!r}")
    else:
        require(caller, Action.READ_REGISTRY, caller.enterprise_id or None, "keys")
    principals.load(reader, principal_id)
    return rows.indexed_page(
        reader,
        Table.HELD,
        principal_id,
        f"keys {principal_id}",
        size,
        token,
        lambda _, digest: _to_key(stored.StoredKey.FromString(reader.get(Table.KEYS, digest) or b""), digest),
    )


def revoke(writer: Writer, caller: Caller, key_id: str) -> pb.Key:
    """Revoke a credential; revoking it again changes nothing."""
    require(caller, Action.ADMINISTER, "", f"key {key_id[:64]!r}")
    digest = rows.find(writer, Table.KEY_IDS, key_id.encode(), bytes, f"key {key_id[:64]!r}")
    row = stored.StoredKey.FromString(writer.get(Table.KEYS, digest) or b"")
    if not row.revoked:
        row.revoked = True
        writer.put(Table.KEYS, digest, row.SerializeToString())
        rows.touch(writer)
    return _to_key(row, digest)


def revoke_tokens(writer: Writer, principal_id: str) -> tuple[str, ...]:
    """Revoke all API tokens of a principal; their ids.

    All rows are read, not the list of the principal: what is missing there would go on being taken. A damaged row is
    passed over, since nobody's token is found in it.
    """
    found: list[tuple[bytes, stored.StoredKey]] = []
    for digest, sealed in writer.scan_rows(Table.KEYS, _TOKENS, _AFTER_TOKENS):
        with suppress(RowCorrupt):
            row = stored.StoredKey.FromString(unseal(Table.KEYS, digest, sealed))
            if row.principal_id == principal_id and not row.revoked:
                found.append((digest, row))
    for digest, row in found:
        row.revoked = True
        writer.put(Table.KEYS, digest, row.SerializeToString())
    if found:
        rows.touch(writer)
    return tuple(row.key_id for _, row in found)
