"""Reverse look-up: the handles whose public values are as asked, among those that the caller may list.

The table of ``node/search.py`` is read in slices, the loop being free between them; a question that would read too
much of it is refused with what to ask instead. Every candidate's record is looked at, for the other conditions and
because a key does not hold all of long data.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from resolver.errors import InvalidField, NotImplementedYet, RecordCorrupt
from resolver.handle.name import fold, fold_octets, split
from resolver.node import record_octets, search
from resolver.node.authorize import Action, permits
from resolver.node.search import Pattern
from storage.errors import RowCorrupt
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resolver.node.authorize import Caller
    from resolver.service.core import Core
    from storage.engine import Reader

ROWS_MAX = 200_000
"""Rows one question may read: some tenths of a second of a core, in slices."""

SLICE_ROWS = 1_000
"""Rows of one read transaction: about a millisecond."""

OCTETS_MAX = 64 << 20
"""Octets of records one question may look at: some tenths of a second, in slices."""

SLICE_OCTETS = 256 << 10
"""Octets of records that are looked at before others have their turn: a few milliseconds."""

NAMES_MAX = 10_000
"""Names of one answer."""

TERMS_MAX = 8
"""Conditions of one question."""


class ReverseLookup:
    """The look-up of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def find(self, caller: Caller, wanted: Mapping[str, str]) -> list[str]:
        """Handles that have, for each type, a public value that fits the pattern (``*`` is any text).

        Raises NotImplementedYet where no types are chosen, InvalidField for a type that is not and for a question
        that is too broad.
        """
        with self._core.reading() as reader:
            chosen = search.chosen_types(reader)
        if not chosen:
            raise NotImplementedYet("reverse look-up is off in this node: its operator can set http.search_types")
        terms = {fold(type_): Pattern.from_text(text) for type_, text in wanted.items()}
        if not terms or len(terms) > TERMS_MAX:
            raise InvalidField(f"name 1 to {TERMS_MAX} types to search for, each with a value, such as URL=*example*")
        if unknown := sorted(terms.keys() - set(chosen)):
            raise InvalidField(f"{unknown[0][:80]!r} cannot be searched for, only {', '.join(chosen)}")
        # The condition whose start says most leads; its rows are read, the others are checked.
        leading = max(terms, key=lambda type_: len(terms[type_].parts[0]) + (len(terms[type_].parts) == 1))
        names: list[str] = []
        seen: set[bytes] = set()  # a record has a row for each of its values
        start: bytes | None = b""
        rows = octets = slice_octets = 0
        while start is not None:
            with self._core.reading() as reader:
                part = search.search(reader, leading, terms[leading], start, SLICE_ROWS)
            for key in part.found:
                if key in seen:
                    continue
                seen.add(key)
                with self._core.reading() as reader:
                    body = self._body(reader, key)
                    if (name := self._checked(reader, caller, body, terms)) is not None:
                        names.append(name)
                octets, slice_octets = octets + len(body), slice_octets + len(body)
                if slice_octets > SLICE_OCTETS:
                    slice_octets = 0
                    await asyncio.sleep(0)
                if octets > OCTETS_MAX:
                    raise _too_broad()
            start, rows = part.following, rows + part.rows
            if len(names) > NAMES_MAX or (rows >= ROWS_MAX and start is not None):
                raise _too_broad()
            await asyncio.sleep(0)
        return names

    @staticmethod
    def _body(reader: Reader, key: bytes) -> bytes:
        """The public record of a candidate, empty for one that has gone. Raises RecordCorrupt."""
        try:
            return reader.get(Table.RECORDS, key) or b""
        except RowCorrupt as error:
            raise RecordCorrupt(f"{error}; the look-up is not complete without it") from error

    def _checked(self, reader: Reader, caller: Caller, body: bytes, terms: Mapping[str, Pattern]) -> str | None:
        """The name of a candidate that fits all conditions and may be listed by the caller."""
        if not body:
            return None
        record = record_octets.parse(body)
        prefix = fold(split(record.name)[0])
        if not permits(caller, Action.LIST_HANDLES, self._core.served.owner(reader, prefix)):
            return None
        values = [(fold(value.type), fold_octets(value.data)) for value in record.values]
        fits = all(
            any(type_ == each and pattern.fits(data) for each, data in values) for type_, pattern in terms.items()
        )
        return record.name if fits else None


def _too_broad() -> InvalidField:
    return InvalidField(
        f"the question is too broad: over {NAMES_MAX} handles, {ROWS_MAX} values or {OCTETS_MAX} octets of records "
        "would have to be looked at; begin the value with what it begins with, not with '*'"
    )
