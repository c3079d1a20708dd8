"""What a new store begins with: the node's prefix, the operator's own enterprise prefix, and an administrator."""

from __future__ import annotations

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

    from storage.engine import Engine

ADMINISTRATOR_ID = "administrator"
"""Principal of the first start."""

OWN_SEGMENT = "1"
"""Segment of the enterprise prefix that is ready for use: 88.300.1 under the node prefix 88.300."""


def first_start(engine: Engine, prefix: str, now_us: int, randomness: Callable[[int], bytes]) -> str | None:
    """Fill a new store in one transaction and return the administrator's API token; None when it is not new.

    Raises InvalidPrefix, and InvalidField when the store belongs to another node prefix.
    """
    wanted = Prefix.from_text(prefix)
    with engine.write() as writer:
        stored = writer.get(Table.META, NODE_PREFIX_KEY)
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
        for text, description in (
            (wanted.text, "prefix of the node"),
            (f"{wanted.text}.{OWN_SEGMENT}", "enterprise prefix of the operator of the node"),
        ):
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
        return keys.create(writer, caller, request, now_us, randomness).token
