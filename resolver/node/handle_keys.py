"""Keys of the Handle System that principals have: HS_PUBKEY and HS_SECKEY values of prefix handles (RFC 3652).

A principal's key has one index, from 300 up, and stands under it in the prefix handle of every prefix of its
enterprise; a key of the node's own principals stands in the handle of the node's prefix. The row here says whose
key it is and whether it is still good; the values are kept in step by the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.authorize import Caller, Role
from resolver.v1 import registry_pb2 as registry
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.engine import Reader

FIRST_INDEX = 300
"""Index of the first key of a prefix handle, by the convention of all Handle tools."""

ROLES: dict[registry.Role, Role] = {
    registry.ROLE_NODE_ADMINISTRATOR: Role.NODE_ADMINISTRATOR,
    registry.ROLE_ENTERPRISE_USER: Role.ENTERPRISE_USER,
    registry.ROLE_APPLICATION: Role.APPLICATION,
    registry.ROLE_MIRROR: Role.MIRROR,
}
"""The role of the policy for each role of the API."""

_START = b"h"


def row_key(enterprise_id: str, index: int) -> bytes:
    """Key in KEYS of the row of an enterprise's key; the node itself has the id ""."""
    return b"%b%b\0%b" % (_START, enterprise_id.encode(), index.to_bytes(4, "big"))


def place_of(key: bytes) -> tuple[str, int] | None:
    """Enterprise and index in the key of a row, None for the row of another kind of credential."""
    if key[:1] != _START:
        return None
    return key[1:-5].decode(), int.from_bytes(key[-4:], "big")


def rows_of(reader: Reader, enterprise_id: str) -> Iterator[tuple[int, stored.StoredKey]]:
    """Index and row of every Handle key of an enterprise by ascending index, revoked ones too."""
    for key, body in reader.scan(Table.KEYS, row_key(enterprise_id, 0), row_key(enterprise_id, 0xFFFF_FFFF)):
        yield int.from_bytes(key[-4:], "big"), stored.StoredKey.FromString(body)


def caller_of(reader: Reader, enterprise_id: str, index: int, now_us: int) -> tuple[bool, Caller | None]:
    """Whether a principal has the key, and what the policy knows of it: None when it may not be used."""
    body = reader.get(Table.KEYS, row_key(enterprise_id, index))
    if body is None:
        return False, None
    row = stored.StoredKey.FromString(body)
    found = reader.get(Table.PRINCIPALS, row.principal_id.encode())
    principal = registry.Principal.FromString(found or b"")
    if row.revoked or 0 < row.expire_time_us <= now_us or found is None or principal.disabled:
        return True, None
    return True, Caller(row.principal_id, ROLES[principal.role], principal.enterprise_id)
