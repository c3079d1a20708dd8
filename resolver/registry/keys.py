"""Credentials of principals: API tokens, stored as digests only, and client certificates, known by fingerprint.

A token is ``idis_`` and 43 letters of base64: 256 bits of randomness, so a plain SHA-256 is enough to store it and
guessing is hopeless. It is shown once, when it is made.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from resolver.errors import AlreadyExists, InvalidField
from resolver.node.authorize import Action, Caller, require
from resolver.registry import principals, rows
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

TOKEN_START = "idis_"  # noqa: S105 - a public marker by which leaked tokens are found, no secret
_TOKEN_OCTETS = 32
_TIME_MAX = 2**64 - 1
_CERTIFICATE_OCTETS_MAX = 16_384


def token_digest(token: str) -> bytes:
    """Key of a token's row."""
    return b"t" + hashlib.sha256(token.encode()).digest()


def certificate_digest(der: bytes) -> bytes:
    """Key of a certificate's row, from its DER form."""
    return b"c" + hashlib.sha256(der).digest()


def _to_key(row: stored.StoredKey, digest: bytes) -> pb.Key:
    certificate = row.kind == pb.KEY_KIND_CERTIFICATE
    return pb.Key(
        key_id=row.key_id,
        principal_id=row.principal_id,
        kind=pb.KeyKind.Name(row.kind),
        description=row.description,
        create_time_us=row.create_time_us,
        expire_time_us=row.expire_time_us,
        revoked=row.revoked,
        certificate_sha256=digest[1:].hex() if certificate else "",
    )


def create(
    writer: Writer, caller: Caller, request: pb.CreateKeyRequest, now_us: int, randomness: Callable[[int], bytes]
) -> pb.CreateKeyResponse:
    """Give a principal a credential. The answer holds the token; nothing else ever does."""
    require(caller, Action.ADMINISTER, "", f"keys of principal {request.principal_id[:64]!r}")
    principals.load(writer, request.principal_id)
    rows.check_text(request.description, 255, "description")
    if request.expire_time_us and request.expire_time_us <= now_us:
        raise InvalidField("expire_time_us is in the past: give a later time or 0", field="expire_time_us")
    token = ""
    if request.kind == pb.KEY_KIND_API_TOKEN:
        token = TOKEN_START + base64.urlsafe_b64encode(randomness(_TOKEN_OCTETS)).decode().rstrip("=")
        digest = token_digest(token)
    elif request.kind == pb.KEY_KIND_CERTIFICATE:
        digest = certificate_digest(_der(request.certificate_pem))
        if writer.get(Table.KEYS, digest) is not None:
            raise AlreadyExists("this certificate is a credential already: use another one", field="certificate_pem")
    else:
        raise InvalidField("kind is missing: give API token or certificate", field="kind")
    row = stored.StoredKey(
        key_id=rows.mint_id("key", randomness),
        principal_id=request.principal_id,
        kind=request.kind,
        description=request.description,
        create_time_us=now_us,
        expire_time_us=request.expire_time_us,
    )
    writer.put(Table.KEYS, digest, row.SerializeToString())
    writer.put(Table.KEY_IDS, row.key_id.encode(), digest)
    writer.put(Table.HELD, held_key(row), digest)
    rows.touch(writer)
    return pb.CreateKeyResponse(key=_to_key(row, digest), token=token)


def _der(pem: str) -> bytes:
    if len(pem) > _CERTIFICATE_OCTETS_MAX:
        raise InvalidField("certificate_pem is too long: give one certificate", field="certificate_pem")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
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
