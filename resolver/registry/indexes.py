"""The lists by owner of a store made before it had them: filled once, at a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.registry import keys, principals
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from storage.engine import Writer

_FILLED = b"registry_indexes"
"""Key in META: which generation of indexes the store has."""

_GENERATION = b"\x01"


def fill(writer: Writer) -> None:
    """Write MEMBERS and HELD from the rows they repeat, unless the store has them."""
    if writer.get(Table.META, _FILLED) == _GENERATION:
        return
    for _, body in list(writer.scan(Table.PRINCIPALS)):
        principal = pb.Principal.FromString(body)
        if principal.enterprise_id:
            writer.put(Table.MEMBERS, principals.member_key(principal), b"")
    for digest, body in list(writer.scan(Table.KEYS)):
        writer.put(Table.HELD, keys.held_key(stored.StoredKey.FromString(body)), digest)
    writer.put(Table.META, _FILLED, _GENERATION)
