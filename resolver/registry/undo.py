"""A part of a write transaction that is undone when it is refused.

A job of the lane decides first and changes last, because its neighbours in the transaction go on when it is refused.
Where a job does several things that each decide for themselves, that cannot be kept; such a job writes through an
``Undoable``, which puts back what it overwrote.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from resolver.errors import ResolverError
from storage.intercepting import Intercepting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storage.engine import Writer
    from storage.tables import Table


class Undoable(Intercepting):
    """A writer that remembers. For tables whose rows have no marks."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._before: dict[tuple[Table, bytes], bytes | None] = {}

    def _remember(self, table: Table, key: bytes) -> None:
        place = (table, key)
        if place not in self._before:
            self._before[place] = self._writer.get(table, key)

    def undo(self) -> None:
        """Put everything back."""
        for (table, key), body in self._before.items():
            if body is None:
                self._writer.delete(table, key)
            else:
                self._writer.put(table, key, body)

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """As Writer; without marks."""
        assert not marks  # noqa: S101 - registry rows have none
        self._remember(table, key)
        self._writer.put(table, key, body)

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """As Writer."""
        self.put(table, key, body)

    def append_many(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """As Writer."""
        for key, body in rows:
            self.put(table, key, body)

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """As Writer; without marks."""
        for key, body, marks in rows:
            self.put(table, key, body, marks=marks)

    def delete(self, table: Table, key: bytes) -> bool:
        """As Writer."""
        self._remember(table, key)
        return self._writer.delete(table, key)


@contextmanager
def undone_when_refused(writer: Writer) -> Iterator[Writer]:
    """A writer whose changes are put back when the block raises a ResolverError."""
    undoable = Undoable(writer)
    try:
        yield undoable
    except ResolverError:
        undoable.undo()
        raise
