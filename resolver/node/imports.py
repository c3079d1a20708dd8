"""Where imports stand: chunks are numbered from 1 without gaps, and each is applied once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import ImportOutOfSequence, InvalidField
from resolver.node.count_rows import body_of
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from storage.engine import Reader, Writer

_KEPT_US = 30 * 86_400 * 1_000_000
_LOOKED_AT = 50


def check_import_id(import_id: str) -> None:
    """Raise InvalidField for an id that is empty, too long or holds NUL."""
    octets = len(import_id.encode())
    if not 0 < octets <= limits.IMPORT_ID_OCTETS_MAX or "\0" in import_id:
        raise InvalidField(
            f"import_id has {octets} octets: give 1 to {limits.IMPORT_ID_OCTETS_MAX}, such as a UUID", field="import_id"
        )


def _key(principal_id: str, import_id: str) -> bytes:
    return principal_id.encode() + b"\0" + import_id.encode()


def durable_sequence(reader: Reader, principal_id: str, import_id: str) -> int:
    """The highest chunk of an import that is durable; 0 for a new one."""
    body = reader.get(Table.IMPORTS, _key(principal_id, import_id))
    return 0 if body is None else int(stored.StoredImport.FromString(body).durable_sequence)


def advance(writer: Writer, principal_id: str, import_id: str, sequence: int, now_us: int) -> None:
    """Note that a chunk is applied. Raises ImportOutOfSequence unless it follows the last one."""
    durable = durable_sequence(writer, principal_id, import_id)
    if sequence != durable + 1:
        raise ImportOutOfSequence(
            f"chunk {sequence} of import {import_id!r} does not follow chunk {durable}, the last durable one: send "
            f"chunk {durable + 1}" + ("; the outcome of this one is no longer kept" if sequence <= durable else ""),
            field="sequence",
            details={"durable_sequence": str(durable)},
        )
    if sequence == 1:
        _forget_old(writer, principal_id, import_id, now_us)
    row = stored.StoredImport(durable_sequence=sequence, time_us=now_us)
    writer.put(Table.IMPORTS, _key(principal_id, import_id), row.SerializeToString())


def _forget_old(writer: Writer, principal_id: str, import_id: str, now_us: int) -> None:
    """Remove some imports of the principal that ended a month ago.

    It looks at those behind the new one, and then from the first on: ids are random or ascend, so in time all are seen.
    """
    first, here = _key(principal_id, ""), _key(principal_id, import_id)
    keys = [*_keys(writer, here, principal_id.encode() + b"\x01"), *_keys(writer, first, here)]
    for key in keys[:_LOOKED_AT]:
        body = body_of(writer, Table.IMPORTS, key)
        if body and stored.StoredImport.FromString(body).time_us + _KEPT_US < now_us:
            writer.delete(Table.IMPORTS, key)


def _keys(writer: Writer, start: bytes, stop: bytes) -> list[bytes]:
    """The first few keys of a stretch."""
    return [key for key, _ in islice(writer.scan_rows(Table.IMPORTS, start, stop), _LOOKED_AT)]
