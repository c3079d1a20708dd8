"""The engine interface: read and write transactions over ordered tables of octets.

One screen on purpose. An engine promises: a write transaction is all or nothing, is visible to
readers from its commit on, and is on disk when ``write()`` has left its block without an error;
readers see one moment; there is one writer at a time over all processes. Keys have 1 to 511 octets;
storing under another key, or asking for the empty one, raises ValueError and changes nothing.

Values go in and come out *unsealed*: the engine seals every row it stores and checks every row it
reads (``tables.seal``), so no caller can forget to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from storage.tables import Table


class Space(NamedTuple):
    """Room for writes, in octets."""

    free_octets: int
    """What can still be written, in the file system and in free pages of the store."""
    reserve_octets: int
    """What is kept back; below it only deletions are accepted."""
    used_octets: int
    """Size of the store on disk."""


class Reader(Protocol):
    """One moment of the store. Keep it for less than a second: it pins old pages."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The body under a key, None when there is none. Raises RowCorrupt."""

    def get_row(self, table: Table, key: bytes) -> bytes | None:
        """The row under a key as stored, seal included and *unchecked*: for callers that check it themselves."""

    def get_rows(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row under each of many keys as ``get_row`` gives it: the fastest way to many."""

    def scan(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and body of every row with ``start <= key < stop`` in key order, or against it.

        A writer may change the table meanwhile: rows ahead are seen as they are when their turn comes.
        """

    def scan_rows(
        self, table: Table, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As ``scan``, with rows as stored, seal included and *unchecked*."""

    def last_key(self, table: Table) -> bytes | None:
        """The greatest key of the table, None when it is empty."""

    def count(self, table: Table) -> int:
        """Rows of the table."""


class Writer(Reader, Protocol):
    """A transaction that may also change rows; it reads what it has written."""

    def put(self, table: Table, key: bytes, body: bytes, *, marks: int = 0) -> None:
        """Store a body under a key, in place of what was there."""

    def append(self, table: Table, key: bytes, body: bytes) -> None:
        """Store a body under a key greater than every other of the table; faster than put. Raises ValueError."""

    def append_many(self, table: Table, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store many (key, body), ascending, with keys greater than every other of the table. Raises ValueError."""

    def put_many(self, table: Table, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Store many (key, body, marks); sorted by key it is faster."""

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a row; False when there was none."""


class Engine(Protocol):
    """A store. ``read()`` and ``write()`` give a transaction for the length of a ``with`` block."""

    def read(self) -> AbstractContextManager[Reader]:
        """A read transaction. Raises StoreFailed, StoreBroken.

        PageCorrupt in its block deserves one more try in a new transaction before the alarm.
        """

    def write(self) -> AbstractContextManager[Writer]:
        """A write transaction: committed durably at the end of the block, undone when the block raises.

        Raises StoreFull, StoreFailed or StoreBroken when the commit fails; nothing is written then. A method that
        raised StoreFull or StoreFailed has spoilt the transaction: its end raises it again, if the block did not.
        Do not begin a second one in the block: it waits for the first for ever.
        """

    def space(self) -> Space:
        """Room left for writes."""

    def copy_to(self, path: Path, *, takes_all_room: bool = False) -> None:
        """A consistent, compact copy of the store in a new directory, while others read and write.

        ``takes_all_room`` lets it have what the store keeps back for itself.
        """

    def housekeep(self) -> int:
        """Clear the reader slots of dead processes; how many there were. Call it every second."""

    def close(self) -> None:
        """Give everything back. The engine cannot be used afterwards."""
