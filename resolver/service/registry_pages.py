"""Pages by number and with a total over rows of the registry: what the national interface asks, and no index gives.

A total needs a look at every row. So a list is walked in slices of about a millisecond, each in a transaction of its
own, and others have their turn between two; a worker walks one list at a time, and keeps the rows of the page only.
What changes during a walk is seen in one state or the other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from resolver.handle.name import fold
from resolver.node.authorize import Action, require
from resolver.node.listing import after
from resolver.registry import applications
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.registry.applications import Record
    from resolver.service.call import Call
    from resolver.service.core import Core
    from storage.engine import Reader

    Look = Callable[[Reader, bytes, bytes], None]
    """Takes a row: the reader, its key and its body."""

ROWS_AT_ONCE = 100
"""Rows of a slice; a row is parsed in some microseconds."""

DOCUMENTS_AT_ONCE = 25
"""Enterprise records of a slice when their documents have to be parsed, some tens of microseconds each."""

R = TypeVar("R")

_LISTED = ("orgName", "orgCrtType", "orgCrtCode", "entPrefix", "contactName", "contactPhone", "contactEmail")
"""What lists show of a document: a page is a thousand of them, and one may have a quarter of a megabyte."""


class Wanted(NamedTuple):
    """Which rows, and which page of them."""

    number: int
    """Of the page, from 0."""
    size: int
    from_us: int = 0
    before_us: int = 1 << 62
    """Rows made at or after ``from_us`` and before this."""
    name: str = ""
    """Part of the enterprise's name."""
    prefix: str = ""
    """What the prefix begins with."""

    def is_in(self, time_us: int) -> bool:
        """Whether a row of this time is wanted."""
        return self.from_us <= time_us < self.before_us

    @property
    def place(self) -> slice:
        """Where the page lies among all rows that are wanted."""
        return slice(self.number * self.size, (self.number + 1) * self.size)


class Page(NamedTuple, Generic[R]):
    """The rows of a page, and how many are wanted in all."""

    rows: list[R]
    total: int


class RegistryPages:
    """Pages of prefixes and enterprises."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._walking = asyncio.Lock()

    async def prefixes(self, call: Call, wanted: Wanted) -> Page[pb.Prefix]:
        """Prefixes the caller may see, all or those of its enterprise, in key order."""
        owner = call.caller.enterprise_id
        require(call.caller, Action.READ_REGISTRY, owner, "prefixes")
        head = owner.encode() + b"\0" if owner else b""
        named: dict[str, bool] = {}
        rows: list[pb.Prefix] = []
        total, place = 0, wanted.place

        def is_named(reader: Reader, enterprise_id: str) -> bool:
            if enterprise_id not in named:
                body = reader.get(Table.ENTERPRISES, enterprise_id.encode()) if enterprise_id else None
                row = None if body is None else pb.Enterprise.FromString(body)
                # The name that is shown: what the enterprise filed last, and whole.
                named[enterprise_id] = row is not None and wanted.name in applications.record_of(reader, row).name
            return named[enterprise_id]

        def look(reader: Reader, key: bytes, body: bytes) -> None:
            nonlocal total
            row = pb.Prefix.FromString(reader.get(Table.PREFIXES, key[len(head) :]) or b"" if owner else body)
            if not wanted.is_in(row.create_time_us) or (wanted.name and not is_named(reader, row.enterprise_id)):
                return
            if place.start <= total < place.stop:
                rows.append(row)
            total += 1

        table = Table.OWNED if owner else Table.PREFIXES
        start = head + fold(wanted.prefix).encode()
        await self._walk(table, start, look, DOCUMENTS_AT_ONCE if wanted.name else ROWS_AT_ONCE)
        return Page(rows, total)

    async def enterprises(self, call: Call, wanted: Wanted) -> Page[Record]:
        """Enterprises the caller may see, all or its own, with their records, oldest first."""
        own = call.caller.enterprise_id
        require(call.caller, Action.READ_REGISTRY, own, "enterprises")
        found: list[tuple[int, str]] = []

        def look(reader: Reader, _: bytes, body: bytes) -> None:
            row = pb.Enterprise.FromString(body)
            time_us = applications.filed_us(reader, row)
            if not wanted.is_in(time_us):
                return
            if wanted.name and wanted.name not in applications.record_of(reader, row).name:
                return
            found.append((time_us, row.enterprise_id))

        if own:
            with self._core.reading() as reader:
                look(reader, b"", reader.get(Table.ENTERPRISES, own.encode()) or b"")
        else:
            await self._walk(Table.ENTERPRISES, b"", look, DOCUMENTS_AT_ONCE if wanted.name else ROWS_AT_ONCE)
        found.sort()
        rows: list[Record] = []
        page = found[wanted.place]
        for start in range(0, len(page), DOCUMENTS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            rows += self._records(call, [each for _, each in page[start : start + DOCUMENTS_AT_ONCE]])
        return Page(rows, len(found))

    def _records(self, call: Call, enterprise_ids: list[str]) -> list[Record]:
        with self._core.reading() as reader:
            return [_listed(applications.record(reader, call.caller, each)) for each in enterprise_ids]

    async def _walk(self, table: Table, start: bytes, look: Look, at_once: int) -> None:
        """Show every row whose key begins with ``start``, slice by slice."""
        stop = after(start) if start else None
        async with self._walking:
            place = self._slice(table, start, stop, look, at_once)
            while place is not None:
                await asyncio.sleep(0)  # no event to wait for: the others' turn
                place = self._slice(table, place, stop, look, at_once)

    def _slice(self, table: Table, start: bytes, stop: bytes | None, look: Look, at_once: int) -> bytes | None:
        """Show some rows; where to go on, None at the end."""
        with self._core.reading() as reader:
            for count, (key, body) in enumerate(reader.scan(table, start, stop), start=1):
                look(reader, key, body)
                if count == at_once:
                    return key + b"\0"
        return None


def _listed(record: Record) -> Record:
    """The record with what lists show of its document."""
    basic = record.document.get("entBasicInfo", {})
    kept = {name: basic[name] for name in _LISTED if name in basic}
    return record._replace(document={"entBasicInfo": kept} if kept else {})
