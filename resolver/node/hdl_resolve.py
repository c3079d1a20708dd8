"""Resolution for the Handle doors: stored octets become the protocol's values, with as little made as possible.

The record is found as ``resolve`` finds it, by the same rules and with the same refusals; what differs is that the
name comes as octets and goes back as octets, and that values leave in the protocol's own form. Names that nobody has
registered need not even be names: whatever octets they are, they are not found.
"""

from __future__ import annotations

from itertools import compress
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import HandleNotFound, RecordCorrupt
from resolver.handle.name import PREFIX_OF_PREFIXES, WantedTypes, fold_octets, key_of_octets
from resolver.node import record_octets
from resolver.node import values as node_values
from resolver.wire.cursor import counted, pack_u32, sized_text, text_from_wire
from storage.errors import RowCorrupt
from storage.tables import MARK, Table, marks_of, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resolver.node.prefixes import ServedPrefixes
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

_HEAD = Struct(">IIBIBI")
_NO_REFERENCES = bytes(4)

VALUE_OCTETS_MIN = _HEAD.size + 4 + len(_NO_REFERENCES)
"""Octets of the smallest value in the protocol's form."""

_BESIDE_VALUES_OCTETS_MAX = 4_096
_TIMES_LONGER_MAX = 8
"""A stored record beside its values, a name and some numbers; and how much longer stored values are than in the
protocol's form: in truth a fifth at most, for one with nothing in it and the largest numbers."""


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
        raise _absent(reader, served, prefix, name, folded if slash else key)
    refusal = served.refusal(reader, prefix)
    if refusal is not None:
        raise refusal.again()
    if served.sifts:
        served.require_share(text_from_wire(name[:200]), folded if slash else key)
    try:
        body = unseal(Table.RECORDS, key, row)
    except RowCorrupt as error:
        raise RecordCorrupt(
            f"the record of {text_from_wire(name)[:200]!r} is damaged on disk and is not served: the operator can "
            "restore it from a backup or a mirror"
        ) from error
    if len(key) > limits.KEY_WHOLE_OCTETS_MAX and fold_octets(record_octets.parse(body).name.encode()) != folded:
        raise _absent(reader, served, prefix, name, folded if slash else key)
    return Found(key, prefix, body, bool(marks_of(row) & MARK))


def _absent(reader: Reader, served: ServedPrefixes, prefix: str, name: bytes, whole: bytes) -> Exception:
    """Why a name without a record is not answered; octets that cannot be a prefix are just not found."""
    shown = name[:200].decode(errors="replace")
    octets = prefix.encode("utf-8", "surrogateescape")
    if not prefix or len(octets) > limits.PREFIX_OCTETS_MAX or not _is_text(prefix):
        return HandleNotFound(f"handle {shown!r} is not registered: check its spelling", details={"name": shown})
    return served.absent(reader, prefix, shown, whole)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_to_wire(value: pb.HandleValue) -> bytes:
    """A stored value in the protocol's form."""
    type_, data, ttl_s, until_s = value.type.encode(), value.data, value.ttl_s, value.ttl_until_s
    is_absolute = bool(until_s) or (not ttl_s and value.WhichOneof("ttl") == "ttl_until_s")
    references = value.references
    return b"".join(
        (
            _HEAD.pack(
                value.index,
                value.timestamp_s,
                is_absolute,
                until_s if is_absolute else ttl_s,
                value.permissions,
                len(type_),
            ),
            type_,
            len(data).to_bytes(4, "big"),
            data,
            counted(sized_text(reference.name) + pack_u32(reference.index) for reference in references)
            if references
            else _NO_REFERENCES,
        )
    )


def values_to_wire(values: Sequence[pb.HandleValue]) -> bytes:
    """Stored values with their count, in the protocol's form."""
    return pack_u32(len(values)) + b"".join(map(value_to_wire, values))


def is_longer(body_octets: int, octets_max: int) -> bool:
    """Whether the answer with all values of a stored record is surely longer than so many octets."""
    return body_octets > _BESIDE_VALUES_OCTETS_MAX + _TIMES_LONGER_MAX * octets_max


def wanted(values: Iterable[pb.HandleValue], indexes: Sequence[int], types: Sequence[str]) -> list[pb.HandleValue]:
    """The values with one of the indexes or types; all when neither is given."""
    if not indexes and not types:
        return list(values)
    given = list(values)
    return [*compress(given, node_values.wanted(given, frozenset(indexes), WantedTypes(types)))]
