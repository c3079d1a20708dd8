"""Who presents this credential? From memory, for as long as the registry does not change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import CredentialInvalid
from resolver.node.authorize import ANONYMOUS, Caller
from resolver.node.handle_keys import ROLES
from resolver.registry import keys, principals
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from storage.engine import Reader

_CACHE_MAX = 50_000
_NEVER = 1 << 63


class Directory:
    """Finds the caller of a credential; ``drop`` when the registry changed."""

    def __init__(self) -> None:
        self._callers: dict[bytes, tuple[Caller, int]] = {}

    def drop(self) -> None:
        """Forget everything."""
        self._callers = {}

    def by_token(self, reader: Reader, token: str, now_us: int) -> Caller:
        """The caller of an API token. Raises CredentialInvalid."""
        return self._find(reader, keys.token_digest(token), now_us)

    def by_certificate(self, reader: Reader, digest: bytes, now_us: int) -> Caller:
        """The caller of a client certificate, by ``keys.certificate_digest``. Raises CredentialInvalid.

        One that is nobody's credential proves only what the authority of the TLS door says of it: its caller is
        anonymous. So a proxy may hold a certificate, and those behind it ask what everybody may ask.
        """
        return self._find(reader, digest, now_us, ANONYMOUS)

    def _find(self, reader: Reader, digest: bytes, now_us: int, stranger: Caller | None = None) -> Caller:
        known = self._callers.get(digest)
        if known is None:
            known = self._load(reader, digest, stranger)
            if len(self._callers) >= _CACHE_MAX:
                self.drop()
            self._callers[digest] = known
        caller, expire_time_us = known
        if now_us >= expire_time_us:
            raise CredentialInvalid("the credential has expired: ask the administrator of the node for a new one")
        return caller

    @staticmethod
    def _load(reader: Reader, digest: bytes, stranger: Caller | None) -> tuple[Caller, int]:
        """The caller and when the credential expires; ``stranger`` is whom an unknown one stands for.

        There is one sentence for every reason to refuse, so that none can be probed.
        """
        refusal = CredentialInvalid(
            "the credential is unknown, revoked or disabled: check the token file, or ask the administrator of the "
            "node for a new one"
        )
        body = reader.get(Table.KEYS, digest)
        session = reader.get(Table.SESSIONS, digest) if body is None else None
        if body is not None:
            key = stored.StoredKey.FromString(body)
            principal_id, expire_time_us, revoked = key.principal_id, key.expire_time_us, key.revoked
        elif session is not None:
            given = stored.StoredSession.FromString(session)
            principal_id, expire_time_us, revoked = given.principal_id, given.expire_time_us, False
        elif stranger is not None:
            return stranger, _NEVER
        else:
            raise refusal
        principal = principals.load(reader, principal_id)
        if revoked or principal.disabled:
            raise refusal
        if principal.enterprise_id:
            row = pb.Enterprise.FromString(reader.get(Table.ENTERPRISES, principal.enterprise_id.encode()) or b"")
            if row.status != pb.ENTERPRISE_STATUS_ENABLED:
                raise refusal
        caller = Caller(principal.principal_id, ROLES[principal.role], principal.enterprise_id)
        return caller, expire_time_us or _NEVER
