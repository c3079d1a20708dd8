"""The shortest way to many answers: short names, and records that are public and whole.

That is nearly every question a node gets. Every step runs over all names of a burst or batch before the next, so that
the loops are those of C functions. All checks of ``resolve`` are made here too: prefix served, checksum, no restricted
values. Whatever is not this case is answered with None, and ``resolve`` says what there is to say: so there is one
place only that knows what to refuse.
"""

from __future__ import annotations

from collections import Counter
from struct import unpack
from typing import TYPE_CHECKING

from resolver import limits
from resolver.node.record_octets import FIELD_1
from storage.tables import Table, unseal_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resolver.node.prefixes import ServedPrefixes
    from storage.engine import Reader


NO_KEY = b"/"
"""Stands for a name that is not plain: no handle has this key."""

_ONE_OCTET_MAX = 127
"""Largest length that protobuf writes in one octet."""

_LOOK_FIRST, _LOOK = 8, 128
"""Rows read before their octets are looked at, and most of those read before the next look: a record may have a
mebibyte, and a batch a thousand names of it."""


def keys_of(names: Sequence[str]) -> list[bytes]:
    """The folded octets of names, which are the keys of short handles.

    Names that are empty or long, or that some door could not read as UTF-8, get keys that no handle has.
    """
    keys = "\n".join(names).encode("utf-8", "surrogatepass").upper().split(b"\n")  # octets fold ASCII only, as handles
    if len(keys) != len(names):  # none, or one with a line end
        keys = [name.encode("utf-8", "surrogatepass").upper() for name in names]
    if all(keys) and max(map(len, keys), default=0) <= limits.KEY_WHOLE_OCTETS_MAX:
        return keys
    return [key if 0 < len(key) <= limits.KEY_WHOLE_OCTETS_MAX else NO_KEY for key in keys]


def keys_in(request: bytes) -> Sequence[bytes] | None:
    """The folded octets of the names in a BatchResolveRequest that is nothing but short names of one length, else None.

    Most are: one application, one code. A request that was parsed has UTF-8 only, so octets are cut without a look.
    """
    if len(request) < 2 or not 0 < request[1] <= _ONE_OCTET_MAX:
        return None
    step = 2 + request[1]
    count, rest = divmod(len(request), step)
    if rest or request[::step] != FIELD_1 * count or request[1::step] != request[1:2] * count:
        return None
    return unpack(f"2x{step - 2}s" * count, request.upper())


def find_plain(
    reader: Reader, served: ServedPrefixes, keys: Sequence[bytes], octets_max: int | None = limits.ANSWER_OCTETS_MAX
) -> tuple[list[bytes | None], Mapping[str, int]]:
    """The body for each folded name, None for what is not plain; and how many bodies there are of each prefix.

    Keys have 1 to 448 octets, as those of ``keys_of`` and ``keys_in``. When rows together exceed ``octets_max`` none is
    plain; without it, who asks looks at the octets of few itself.
    """
    rows = _rows(reader, keys, octets_max)
    if rows is None:
        return [None] * len(keys), {}
    bodies = unseal_many(keys, rows)
    found = keys if all(bodies) else [key for key, body in zip(keys, bodies, strict=True) if body is not None]
    if found and served.sifts and served.share is not None:
        answers = served.share.answers
        bodies = [body if body is None or answers(key) else None for key, body in zip(keys, bodies, strict=True)]
        found = [key for key, body in zip(keys, bodies, strict=True) if body is not None]
    counts = _prefixes(found)
    refused = [prefix for prefix in counts if served.refusal(reader, prefix) is not None]
    if refused:
        for prefix in refused:
            del counts[prefix]
        for place, key in enumerate(keys):
            if bodies[place] is not None and key.partition(b"/")[0].decode() not in counts:
                bodies[place] = None
    return bodies, counts


def _rows(reader: Reader, keys: Sequence[bytes], octets_max: int | None) -> list[bytes | None] | None:
    """The rows of some keys; None when they are too many octets to be held together.

    How long the first are tells how many to read at a time: of long ones hardly more than there is room for.
    """
    asked = len(keys)
    rows = reader.get_rows(Table.RECORDS, keys[:_LOOK_FIRST])
    if octets_max is None and asked <= _LOOK_FIRST:
        return rows
    octets = sum(map(len, filter(None, rows)))
    if octets_max is None:
        octets_max = limits.ANSWER_OCTETS_MAX
        if asked <= _LOOK and octets * asked <= octets_max * _LOOK_FIRST:
            rows += reader.get_rows(Table.RECORDS, keys[_LOOK_FIRST:])
            return rows
    count = len(rows)
    while octets <= octets_max:
        if count == asked:
            return rows
        alike = 1 + (octets_max - octets) * count // (octets or 1)
        some = reader.get_rows(Table.RECORDS, keys[count : count + min(alike, _LOOK)])
        octets += sum(map(len, filter(None, some)))
        rows += some
        count = len(rows)
    return None


def _prefixes(keys: Sequence[bytes]) -> dict[str, int]:
    """How many keys of registered handles there are of each folded prefix."""
    if not keys:
        return {}
    prefix, slash, _ = min(keys).partition(b"/")
    if max(keys).startswith(prefix + slash):  # then so does everything between them
        return {prefix.decode(): len(keys)}
    return {prefix.decode(): count for prefix, count in Counter([key.partition(b"/")[0] for key in keys]).items()}
