"""What a store can fail with. The node maps these to answers; nothing here knows a protocol."""

from __future__ import annotations


class StorageError(Exception):
    """The store could not do what it was asked."""


class StoreFull(StorageError):
    """The file system or the map has no room; the transaction was undone, reads go on."""


class StoreFailed(StorageError):
    """The disk or the engine failed; the transaction was undone."""


class StoreBroken(StorageError):
    """The engine cannot go on in this process: close it and start again."""


class RowCorrupt(StorageError):
    """A row does not fit its checksum.

    ``table`` and ``key`` name the row; its value must never be served.
    """

    def __init__(self, table: str, key: bytes) -> None:
        super().__init__(
            f"row {key!r} of table {table} does not fit its checksum: restore it from a backup or a mirror"
        )
        self.table = table
        self.key = key


class StoreUnusable(StorageError):
    """The directory holds no store, one of another format, or one that may not be opened."""
