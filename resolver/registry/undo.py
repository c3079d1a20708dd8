"""A part of a write transaction that is undone when it is refused.

A job of the lane decides first and changes last, because its neighbours in the transaction go on when it is refused.
Where a job does several things that each decide for themselves, that cannot be kept; such a job writes through an
``Undoable``, which puts back what it overwrote. What also tells the ledger, such as a prefix with its handle, cannot be
put back: there ``HalfDone`` undoes the whole transaction, and the lane does the neighbours again without it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from resolver.errors import ResolverError
from resolver.registry.rows import registry_version
from storage.intercepting import Intercepting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from resolver.node.ledger import Ledger
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


class HalfDone(Exception):
    """A refusal that came when something had been changed already: the transaction must not be committed."""

    def __init__(self, refusal: ResolverError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


@contextmanager
def whole_or_nothing(ledger: Ledger) -> Iterator[None]:
    """Raise HalfDone for a ResolverError of the block when the registry or a handle has been changed in it."""
    before = ledger.serial, registry_version(ledger.writer)
    try:
        yield
    except ResolverError as refusal:
        if (ledger.serial, registry_version(ledger.writer)) != before:
            raise HalfDone(refusal) from refusal
        raise


@contextmanager
def undone_when_refused(writer: Writer) -> Iterator[Writer]:
    """A writer whose changes are put back when the block raises a ResolverError."""
    undoable = Undoable(writer)
    try:
        yield undoable
    except ResolverError:
        undoable.undo()
        raise
