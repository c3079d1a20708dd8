"""User names of principals, and the tokens given for their passwords.

A token is like an API token: random, stored as its digest only, good at every door and in every worker. It ends by
itself, when the password changes, when its login is removed, and when so many newer ones were given out.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from resolver.errors import AlreadyExists, CredentialInvalid, InvalidField, NotFound
from resolver.node.authorize import Action, Caller, require
from resolver.node.listing import page_size, start_of, token_for
from resolver.registry import principals, rows
from resolver.registry.keys import TOKEN_START, token_digest
from resolver.v1 import login_pb2 as pb
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

USER_NAME_CHARACTERS_MAX = 50
"""Characters of a user name: the field length of the SNMS token request."""

SESSIONS_MAX = 128
"""Tokens of one login; a further one ends the oldest. Some clients ask for a token with each call."""

_TOKEN_OCTETS = 32


def refusal() -> CredentialInvalid:
    """One sentence for every reason, so that none can be probed."""
    return CredentialInvalid("user name or password is wrong: check both")


def check_user_name(user_name: str) -> None:
    """Raise InvalidField for a text that is no user name."""
    if not 1 <= len(user_name) <= USER_NAME_CHARACTERS_MAX or not user_name.isprintable() or user_name.strip() == "":
        raise InvalidField(
            f"user_name has 1 to {USER_NAME_CHARACTERS_MAX} printable characters: choose another one",
            field="user_name",
        )


def find(reader: Reader, user_name: str) -> stored.StoredLogin | None:
    """What is stored of a user name."""
    if not 1 <= len(user_name) <= USER_NAME_CHARACTERS_MAX:
        return None
    body = reader.get(Table.LOGINS, user_name.encode("utf-8", "surrogatepass"))
    return None if body is None else stored.StoredLogin.FromString(body)


def _to_login(user_name: str, row: stored.StoredLogin, now_us: int, reader: Reader) -> pb.Login:
    return pb.Login(
        user_name=user_name,
        principal_id=row.principal_id,
        digest_login=bool(row.password_sha256),
        create_time_us=row.create_time_us,
        password_time_us=row.password_time_us,
        token_count=sum(1 for digest in row.sessions if not _is_over(reader, digest, now_us)),
    )


def _is_over(reader: Reader, digest: bytes, now_us: int) -> bool:
    body = reader.get(Table.SESSIONS, digest)
    return body is None or stored.StoredSession.FromString(body).expire_time_us <= now_us


def set_password(
    writer: Writer, caller: Caller, principal_id: str, user_name: str, new: stored.StoredLogin, now_us: int
) -> pb.Login:
    """Store what ``passwords.to_stored`` made of a password; tokens given for the one before end."""
    require(caller, Action.ADMINISTER, "", "user names")
    return bind(writer, principal_id, user_name, new, now_us)


def bind(writer: Writer, principal_id: str, user_name: str, new: stored.StoredLogin, now_us: int) -> pb.Login:
    """As ``set_password``, for whoever has judged the caller already."""
    check_user_name(user_name)
    principals.load(writer, principal_id)
    before = find(writer, user_name)
    if before is not None and before.principal_id != principal_id:
        raise AlreadyExists(f"user name {user_name!r} belongs to another principal: choose another", field="user_name")
    row = stored.StoredLogin()
    row.CopyFrom(new)
    row.principal_id, row.password_time_us = principal_id, now_us
    row.create_time_us = now_us if before is None else before.create_time_us
    if before is not None:
        _end_all(writer, before)
    writer.put(Table.LOGINS, user_name.encode(), row.SerializeToString())
    rows.touch(writer)
    return _to_login(user_name, row, now_us, writer)


def page(reader: Reader, caller: Caller, size: int, token: str, now_us: int) -> tuple[list[pb.Login], str]:
    """A page of all logins."""
    require(caller, Action.ADMINISTER, "", "user names")
    size, start = page_size(size), start_of("logins", token, b"")
    found: list[pb.Login] = []
    last = b""
    for key, body in reader.scan(Table.LOGINS, start):
        if len(found) == size:
            return found, token_for("logins", last)
        found.append(_to_login(key.decode(), stored.StoredLogin.FromString(body), now_us, reader))
        last = key
    return found, ""


def remove(writer: Writer, caller: Caller, user_name: str) -> None:
    """Take a user name away. Raises NotFound."""
    require(caller, Action.ADMINISTER, "", "user names")
    row = find(writer, user_name)
    if row is None:
        raise NotFound(f"user name {user_name[:64]!r} does not exist: check it", field="user_name")
    _end_all(writer, row)
    writer.delete(Table.LOGINS, user_name.encode())
    rows.touch(writer)


def _end_all(writer: Writer, row: stored.StoredLogin) -> None:
    for digest in row.sessions:
        writer.delete(Table.SESSIONS, digest)


def open_session(
    writer: Writer, user_name: str, proven: stored.StoredLogin, expire_time_us: int, now_us: int, token: str
) -> str:
    """Store a token for a login whose password was proven, and return its principal. Raises CredentialInvalid.

    The password is proven outside the transaction: one that has changed since proves nothing.
    """
    row = find(writer, user_name)
    if row is None or (row.hash, row.salt) != (proven.hash, proven.salt):
        raise refusal()
    require_active(writer, row.principal_id)
    valid = [digest for digest in row.sessions if not _is_over(writer, digest, now_us)]
    ended = [digest for digest in row.sessions if digest not in valid]
    pushed_out, valid = valid[: -SESSIONS_MAX + 1], valid[-SESSIONS_MAX + 1 :]
    for digest in (*ended, *pushed_out):
        writer.delete(Table.SESSIONS, digest)
    if pushed_out:
        rows.touch(writer)  # workers may know it
    digest = token_digest(token)
    session = stored.StoredSession(principal_id=row.principal_id, user_name=user_name, expire_time_us=expire_time_us)
    writer.put(Table.SESSIONS, digest, session.SerializeToString())
    del row.sessions[:]
    row.sessions.extend([*valid, digest])
    writer.put(Table.LOGINS, user_name.encode(), row.SerializeToString())
    return row.principal_id


def require_active(reader: Reader, principal_id: str) -> registry.Principal:
    """The principal, unless it or its enterprise is disabled. Raises CredentialInvalid."""
    principal = principals.load(reader, principal_id)
    enterprise = registry.Enterprise()
    if principal.enterprise_id:
        enterprise.ParseFromString(reader.get(Table.ENTERPRISES, principal.enterprise_id.encode()) or b"")
    if principal.disabled or (principal.enterprise_id and enterprise.status != registry.ENTERPRISE_STATUS_ENABLED):
        raise refusal()
    return principal


def close_session(writer: Writer, token: str) -> None:
    """End a token; ending it again changes nothing."""
    digest = token_digest(token)
    body = writer.get(Table.SESSIONS, digest)
    if body is None:
        return
    session = stored.StoredSession.FromString(body)
    writer.delete(Table.SESSIONS, digest)
    row = find(writer, session.user_name)
    if row is not None and digest in row.sessions:
        row.sessions.remove(digest)
        writer.put(Table.LOGINS, session.user_name.encode(), row.SerializeToString())
    rows.touch(writer)


def mint_token(randomness: Callable[[int], bytes]) -> str:
    """A fresh token."""
    return TOKEN_START + base64.urlsafe_b64encode(randomness(_TOKEN_OCTETS)).decode().rstrip("=")
