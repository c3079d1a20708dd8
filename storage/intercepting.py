"""A writer in front of another, to see or change what is written through it.

It reads what the one behind it reads; what it does with a row that is put or deleted is for who derives from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.engine import Writer
    from storage.tables import Table


class Intercepting:
    """The reading half of ``engine.Writer``, handed on."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def get(self, table: Table, key: bytes) -> bytes | None:
        """As Reader."""
        return self._writer.get(table, key)

    def get_row(self, table: Table, key: bytes) -> bytes | None:
        """As Reader."""
        return self._writer.get_row(table, key)

    def get_rows(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader."""
        return self._writer.get_rows(table, keys)

    def scan(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As Reader."""
        return self._writer.scan(table, start, stop, reverse=reverse)

    def scan_rows(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As Reader."""
        return self._writer.scan_rows(table, start, stop, reverse=reverse)

    def last_key(self, table: Table) -> bytes | None:
        """As Reader."""
        return self._writer.last_key(table)

    def count(self, table: Table) -> int:
        """As Reader."""
        return self._writer.count(table)
