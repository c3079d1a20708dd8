"""Resolution for the Handle doors: stored octets become the protocol's values, with as little made as possible.

The record is found as ``resolve`` finds it, by the same rules and with the same refusals; what differs is that the
name comes as octets and goes back as octets, and that values leave in the protocol's own form. Names that nobody has
registered need not even be names: whatever octets they are, they are not found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import HandleNotFound, RecordCorrupt
from resolver.handle.name import PREFIX_OF_PREFIXES, fold_octets, key_of_octets, type_matches
from resolver.node import record_octets
from resolver.v1 import stored_pb2 as stored
from resolver.wire.cursor import counted, pack_u32, sized_text, text_from_wire
from resolver.wire.values import fields_to_wire
from storage.errors import RowCorrupt
from storage.tables import MARK, Table, marks_of, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resolver.node.prefixes import ServedPrefixes
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

_CACHE_ENTRIES_MAX = 16_384
_CACHED_OCTETS_MAX = 4_096
_PUBLIC_READ = 2


class Found(NamedTuple):
    """A record as it is stored: its body, and whether the handle has restricted values beside it."""

    key: bytes
    prefix: str
    body: bytes
    is_restricted: bool


def find(reader: Reader, served: ServedPrefixes, name: bytes) -> Found:
    """The record of a name as the protocol carries it.

    Raises HandleNotFound, a prefix refusal or RecordCorrupt.
    """
    folded = fold_octets(name)
    key = folded if len(folded) <= limits.KEY_WHOLE_OCTETS_MAX else key_of_octets(name)
    prefix_octets, slash, _ = folded.partition(b"/")
    if not slash:
        prefix_octets = PREFIX_OF_PREFIXES.encode()
        key = key_of_octets(b"%b/%b" % (prefix_octets, folded))
    prefix = text_from_wire(prefix_octets)
    row = reader.get_row(Table.RECORDS, key) if prefix_octets else None
    if row is None:
        raise _absent(reader, served, prefix, name)
    refusal = served.refusal(reader, prefix)
    if refusal is not None:
        raise refusal.with_traceback(None)
    try:
        body = unseal(Table.RECORDS, key, row)
    except RowCorrupt as error:
        raise RecordCorrupt(
            f"the record of {text_from_wire(name)[:200]!r} is damaged on disk and is not served: the operator can "
            "restore it from a backup or a mirror"
        ) from error
    if len(key) > limits.KEY_WHOLE_OCTETS_MAX and fold_octets(record_octets.parse(body).name.encode()) != folded:
        raise _absent(reader, served, prefix, name)
    return Found(key, prefix, body, bool(marks_of(row) & MARK))


def _absent(reader: Reader, served: ServedPrefixes, prefix: str, name: bytes) -> Exception:
    """Why a name without a record is not answered; octets that cannot be a prefix are just not found."""
    shown = name[:200].decode(errors="replace")
    octets = prefix.encode("utf-8", "surrogateescape")
    if not prefix or len(octets) > limits.PREFIX_OCTETS_MAX or not _is_text(prefix):
        return HandleNotFound(f"handle {shown!r} is not registered: check its spelling", details={"name": shown})
    return served.absent(reader, prefix, shown)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_to_wire(value: pb.HandleValue) -> bytes:
    """A stored value in the protocol's form."""
    absolute = value.WhichOneof("ttl") == "ttl_until_s"
    references = value.references
    if not references:
        return fields_to_wire(
            value.index,
            value.type.encode(),
            value.data,
            value.ttl_until_s if absolute else value.ttl_s,
            value.permissions,
            value.timestamp_s,
            ttl_is_absolute=absolute,
        )
    return fields_to_wire(
        value.index,
        value.type.encode(),
        value.data,
        value.ttl_until_s if absolute else value.ttl_s,
        value.permissions,
        value.timestamp_s,
        ttl_is_absolute=absolute,
        references=counted(sized_text(reference.name) + pack_u32(reference.index) for reference in references),
    )


def wanted(values: Iterable[pb.HandleValue], indexes: Sequence[int], types: Sequence[str]) -> list[pb.HandleValue]:
    """The values with one of the indexes or types; all when neither is given."""
    if not indexes and not types:
        return list(values)
    numbers = frozenset(indexes)
    return [
        value for value in values if value.index in numbers or any(type_matches(type_, value.type) for type_ in types)
    ]


def restricted(reader: Reader, key: bytes) -> list[pb.HandleValue]:
    """The values of a handle without public read."""
    body = reader.get(Table.RESTRICTED, key)
    return [] if body is None else list(stored.StoredRestricted.FromString(body).values)


class WireValues:
    """All public values of records in the protocol's form, remembered by the octets of the record.

    A record's octets say everything about it, so nothing here is ever out of date.
    """

    def __init__(self, entries_max: int = _CACHE_ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._known: dict[bytes, tuple[bytes, ...]] = {}

    def of(self, body: bytes) -> tuple[bytes, ...]:
        """The public values of a record in ascending index; empty when all are restricted."""
        values = self._known.get(body)
        if values is None:
            values = tuple([value_to_wire(value) for value in record_octets.parse(body).values])
            if len(body) <= _CACHED_OCTETS_MAX:
                if len(self._known) >= self._entries_max:
                    self._known.clear()
                self._known[body] = values
        return values
