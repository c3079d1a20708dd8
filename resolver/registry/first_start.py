"""What a new store begins with: the node's prefixes, by the role of the node, and an administrator.

A role is nothing but what stands in the store. A top node homes a prefix such as 88 and allots 88.300 to others; a
secondary node homes 88.300, has an enterprise prefix of its own and allots others; an enterprise's node homes the
prefix that was allotted to it; a recursive node homes nothing and only asks others.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from resolver.errors import InvalidField
from resolver.handle.name import Prefix
from resolver.node.authorize import Caller, Role
from resolver.node.prefixes import NODE_PREFIX_KEY
from resolver.registry import indexes, keys, rows
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Engine, Reader

ADMINISTRATOR_ID = "administrator"
"""Principal of the first start."""

OWN_SEGMENT = "1"
"""Segment of the enterprise prefix that is ready for use: 88.300.1 under the node prefix 88.300."""


ROLE_KEY = b"node_role"
"""Key in META of the role that the store was made for."""


class NodeRole(Enum):
    """What a node is in the tree."""

    TOP = "top"
    SECONDARY = "secondary"
    ENTERPRISE = "enterprise"
    RECURSIVE = "recursive"


def role_of(reader: Reader) -> NodeRole:
    """The role that a store was made for."""
    return NodeRole((reader.get(Table.META, ROLE_KEY) or b"secondary").decode())


def first_start(
    engine: Engine,
    prefix: str,
    now_us: int,
    randomness: Callable[[int], bytes],
    role: NodeRole = NodeRole.SECONDARY,
    *,
    keep: Callable[[str], None] | None = None,
) -> str | None:
    """Fill a new store in one transaction and return the administrator's API token; None when it is not new.

    ``prefix`` is empty for a recursive node. ``keep`` gets the token before the store is committed and must make it
    durable: a crash in between leaves a token of nothing, which the next first start replaces, and never a store whose
    only token is lost. Raises InvalidPrefix, and InvalidField when the store belongs to another
    node prefix.
    """
    with engine.write() as writer:
        stored = writer.get(Table.META, NODE_PREFIX_KEY)
        homes_nothing = not prefix and (stored == b"" or (stored is None and role is NodeRole.RECURSIVE))
        wanted = Prefix("") if homes_nothing else Prefix.from_text(prefix)
        if stored is not None:
            if Prefix(stored.decode()).folded != wanted.folded:
                raise InvalidField(
                    f"the store belongs to node prefix {stored.decode()!r}, not {wanted.text!r}: start with that one "
                    "or with another data directory",
                    field="prefix",
                )
            indexes.fill(writer)
            return None
        indexes.fill(writer)
        writer.put(Table.META, NODE_PREFIX_KEY, wanted.text.encode())
        writer.put(Table.META, ROLE_KEY, role.value.encode())
        for text, description in _begins_with(wanted.text, role):
            row = pb.Prefix(
                prefix=text,
                status=pb.PREFIX_STATUS_ENABLED,
                homed=True,
                hosting=pb.HOSTING_HERE,
                description=description,
            )
            rows.insert(writer, Table.PREFIXES, Prefix(text).key, row, now_us, f"prefix {text!r}")
            writer.put(Table.OWNED, b"\0" + Prefix(text).key, b"")
        principal = pb.Principal(
            principal_id=ADMINISTRATOR_ID, role=pb.ROLE_NODE_ADMINISTRATOR, display_name="administrator of the node"
        )
        thing = f"principal {ADMINISTRATOR_ID!r}"
        rows.insert(writer, Table.PRINCIPALS, ADMINISTRATOR_ID.encode(), principal, now_us, thing)
        request = pb.CreateKeyRequest(
            principal_id=ADMINISTRATOR_ID, kind=pb.KEY_KIND_API_TOKEN, description="made at the first start"
        )
        caller = Caller(ADMINISTRATOR_ID, Role.NODE_ADMINISTRATOR)
        token = keys.create(writer, caller, request, now_us, randomness).token
        if keep is not None:
            keep(token)
        return token


def _begins_with(prefix: str, role: NodeRole) -> list[tuple[str, str]]:
    """The prefixes that a new node homes, and what they are."""
    if not prefix:
        return []
    found = [(prefix, "prefix of the node")]
    if role is NodeRole.SECONDARY:
        found.append((f"{prefix}.{OWN_SEGMENT}", "enterprise prefix of the operator of the node"))
    return found
