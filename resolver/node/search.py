"""Reverse look-up: which handles have a public value of a type with some data. Off unless types are chosen.

The table SEARCH has a row for each public value of a chosen type, written in the transaction that changes the record
(``maintain``, called by the ledger), so it is never behind. META says which types those are; changing them
builds the table anew (``rebuild``) while nobody writes. A row's key begins with the data, so data that begins
as asked is found without reading the rest; a pattern that begins with ``*`` reads all rows of its type, in slices.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from resolver.config.lists import parts
from resolver.errors import InvalidField
from resolver.handle.name import fold, fold_octets
from resolver.node import record_octets
from storage.errors import RowCorrupt
from storage.tables import Table, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from storage.engine import Engine, Reader, Writer

TYPE_OCTETS_MAX = 64
"""Octets of a type that can be searched for."""

DATA_OCTETS_MAX = 256
"""Octets of data in a key; of longer data the rest is read from the record."""

PARTS_MAX = 64
"""Parts of a pattern between two ``*``: each is looked for in the data of every row."""

TYPES_MAX = 16
"""Types that can be chosen: every one costs a row for each of its values."""

REBUILD_RECORDS = 5_000
"""Records of one transaction of a rebuild."""

_META_KEY = b"search_types"
_DIGEST_OCTETS = 16
_COMPLETE = b"\x01"
_UNDER_WAY = b"\x00"


def types_of(text: str) -> tuple[str, ...]:
    """The types in a list by commas, folded and sorted. Raises InvalidField."""
    found = sorted({fold(part) for part in parts(text)})
    for type_ in found:
        if len(type_.encode()) > TYPE_OCTETS_MAX or "\0" in type_:
            raise InvalidField(f"{type_[:80]!r} is no type to search for: at most {TYPE_OCTETS_MAX} octets")
    if len(found) > TYPES_MAX:
        raise InvalidField(f"{len(found)} types are too many to search for: choose at most {TYPES_MAX}")
    return tuple(found)


def chosen_types(reader: Reader) -> tuple[str, ...]:
    """The types that can be searched for; none while the table is built."""
    body = reader.get(Table.META, _META_KEY)
    return () if body is None or body[:1] != _COMPLETE else _types_in(body)


def _types_in(body: bytes) -> tuple[str, ...]:
    return tuple(body[1:].decode().split("\0")) if len(body) > 1 else ()


def _rows(key: bytes, public: bytes, types: Iterable[str]) -> dict[bytes, bytes]:
    """The rows of a record: key to body."""
    chosen = set(types)
    rows: dict[bytes, bytes] = {}
    for value in record_octets.parse(public).values:
        type_ = fold(value.type)
        if type_ in chosen:
            place = hashlib.sha256(value.index.to_bytes(4, "big") + key).digest()[:_DIGEST_OCTETS]
            rows[_start(type_) + fold_octets(value.data[:DATA_OCTETS_MAX]) + place] = key
    return rows


def _start(type_: str) -> bytes:
    """What the keys of a type begin with."""
    return type_.encode() + b"\0"


def maintain(writer: Writer, changed: Mapping[bytes, tuple[bytes, bytes] | None]) -> None:
    """Bring the table to what the records of a transaction will be; called before they are written.

    ``changed`` has their public and restricted bodies; None for a record that goes.
    """
    body = writer.get(Table.META, _META_KEY)
    if body is None or len(body) == 1:
        return
    types = _types_in(body)
    for key in sorted(changed):
        after = changed[key]
        try:
            before = writer.get(Table.RECORDS, key)
        except RowCorrupt:
            before = None
        old = {} if before is None else _rows(key, before, types)
        new = {} if after is None else _rows(key, after[0], types)
        for row in old.keys() - new.keys():
            writer.delete(Table.SEARCH, row)
        for row in sorted(new.keys() - old.keys()):
            writer.put(Table.SEARCH, row, new[row])


def rebuild(engine: Engine, types: Sequence[str], progress: Callable[[int], None] | None = None) -> int:
    """Make the table one of ``types``, if it is not; how many records were read. Nobody may write meanwhile."""
    marker = "\0".join(types).encode()
    with engine.read() as reader:
        stands = reader.get(Table.META, _META_KEY)
    if stands == _COMPLETE + marker or (stands is None and not types):
        return 0
    with engine.write() as writer:
        writer.put(Table.META, _META_KEY, _UNDER_WAY + marker)
    while _clear_some(engine):
        pass
    count, start = 0, b""
    while types:
        with engine.write() as writer:
            rows: dict[bytes, bytes] = {}
            taken = 0
            for key, row in writer.scan_rows(Table.RECORDS, start):
                with suppress(RowCorrupt):  # a damaged record is not found; the check tells of it
                    rows |= _rows(key, unseal(Table.RECORDS, key, row), types)
                start, taken = key + b"\0", taken + 1
                if taken == REBUILD_RECORDS:
                    break
            writer.put_many(Table.SEARCH, ((key, rows[key], 0) for key in sorted(rows)))
        count += taken
        if progress is not None:
            progress(count)
        if taken < REBUILD_RECORDS:
            break
    with engine.write() as writer:
        writer.put(Table.META, _META_KEY, _COMPLETE + marker)
    return count


def _clear_some(engine: Engine) -> int:
    """Remove up to a transaction's worth of rows; how many."""
    with engine.read() as reader:
        keys = [key for key, _ in zip((row[0] for row in reader.scan_rows(Table.SEARCH)), range(REBUILD_RECORDS))]  # noqa: B905 - the range is the bound
    if keys:
        with engine.write() as writer:
            for key in keys:
                writer.delete(Table.SEARCH, key)
    return len(keys)


class Pattern(NamedTuple):
    """Data to look for: folded octets, with ``*`` for any octets between them."""

    parts: tuple[bytes, ...]

    @classmethod
    def from_text(cls, text: str) -> Pattern:
        """The pattern in a text; ``*`` stands for any octets, and case of ASCII letters does not count.

        Raises InvalidField.
        """
        parts = [fold_octets(part.encode("utf-8", "surrogateescape")) for part in text.split("*")]
        middle = [part for part in parts[1:-1] if part]  # ** is no more than *
        if len(middle) > PARTS_MAX:
            raise InvalidField(f"a pattern has more than {PARTS_MAX} parts between '*': ask for fewer")
        return cls((*parts[:1], *middle, *parts[1:][-1:]))

    def fits(self, data: bytes) -> bool:
        """Whether some folded data is what is looked for."""
        first, last = self.parts[0], self.parts[-1]
        if len(self.parts) == 1:
            return data == first
        if len(data) < len(first) + len(last) or not data.startswith(first) or not data.endswith(last):
            return False
        at, end = len(first), len(data) - len(last)
        for part in self.parts[1:-1]:
            found = data.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class Slice(NamedTuple):
    """Part of a search: the handle keys that fit, where to go on (None at the end), and the rows read."""

    found: list[bytes]
    following: bytes | None
    rows: int


def search(reader: Reader, type_: str, pattern: Pattern, start: bytes, rows_max: int) -> Slice:
    """Look through up to ``rows_max`` rows of a type from a key on; begin with ``start`` empty.

    ``found`` may hold keys whose data is longer than a key holds: whoever takes them looks at the record.
    """
    begin = _start(type_) + pattern.parts[0][:DATA_OCTETS_MAX]
    rows, found = 0, []
    for key, body in reader.scan(Table.SEARCH, start or begin, _after(begin)):
        data = key[len(_start(type_)) : -_DIGEST_OCTETS]
        if len(data) == DATA_OCTETS_MAX or pattern.fits(data):
            found.append(body)
        rows += 1
        if rows == rows_max:
            return Slice(found, key + b"\0", rows)
    return Slice(found, None, rows)


def _after(start: bytes) -> bytes | None:
    """The first key that does not begin with ``start``."""
    stripped = start.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def problems(reader: Reader, key: bytes, body: bytes) -> str:
    """What is wrong with a row of the table, "" for nothing."""
    public = reader.get(Table.RECORDS, body)
    stands = reader.get(Table.META, _META_KEY) or b""
    if public is None:
        return "names a handle that has no record"
    if key not in _rows(body, public, _types_in(stands)):
        return "is of a value that the handle does not have"
    return ""


def missing(reader: Reader, key: bytes, public: bytes) -> int:
    """How many rows of a record the table lacks."""
    types = chosen_types(reader)
    return sum(reader.get_row(Table.SEARCH, row) is None for row in _rows(key, public, types)) if types else 0
