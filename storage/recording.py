"""A writer that remembers which rows of some tables it has changed, for whoever copies a store row by row.

It hands every call on to the writer it stands in front of, so it may be used wherever that one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.intercepting import Intercepting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.engine import Writer
    from storage.tables import Table


class RecordingWriter(Intercepting):
    """A write transaction that is watched; see ``engine.Writer``."""

    def __init__(self, writer: Writer, tables: frozenset[Table]) -> None:
        super().__init__(writer)
        self._tables = tables
        self.touched: dict[tuple[Table, bytes], None] = {}
        """Table and key of each row of ``tables`` put or deleted, in the order of the first change."""

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """As the writer's own, remembered."""
        self._writer.put(table, key, body, marks=marks)
        self._note(table, key)

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """As the writer's own, remembered."""
        self._writer.append(table, key, body)
        self._note(table, key)

    def append_many(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """As the writer's own, remembered."""
        rows = list(rows)
        self._writer.append_many(table, rows)
        for key, _ in rows:
            self._note(table, key)

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """As the writer's own, remembered."""
        rows = list(rows)
        self._writer.put_many(table, rows)
        for key, _, _ in rows:
            self._note(table, key)

    def delete(self, table: Table, key: bytes) -> bool:
        """As the writer's own; remembered when there was a row."""
        found = self._writer.delete(table, key)
        if found:
            self._note(table, key)
        return found

    def _note(self, table: Table, key: bytes) -> None:
        if table in self._tables:
            self.touched[table, key] = None
