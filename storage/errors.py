"""What a store can fail with. The node maps these to answers; nothing here knows a protocol.

    StorageError
    ├── StoreFull        no room: undone, reads go on, try again when space was freed
    ├── StoreFailed      the disk or the engine failed: undone
    │   └── PageCorrupt  the engine met a damaged page: read once more in a new transaction, then alarm
    ├── StoreBroken      this process must open the store anew
    ├── RowCorrupt       one row does not fit its checksum: never serve it
    ├── StoreUnusable    the directory is no store of this format, or may not be opened
    │   └── StoreDamaged the data file is damaged so that no process may work on it: restore it
    └── BackupUnusable   the file is no backup of this format, or is damaged

Programmer errors (a key of no or too many octets, an append out of order) are ``ValueError``.
"""

from __future__ import annotations


class StorageError(Exception):
    """The store could not do what it was asked."""


class StoreFull(StorageError):
    """The file system or the map has no room; the transaction was undone, reads go on."""


class StoreFailed(StorageError):
    """The disk or the engine failed; the transaction was undone."""


class PageCorrupt(StoreFailed):
    """The engine met a page that cannot be right.

    Read once more in a new transaction; when that fails too, the file is damaged: restore it from a backup or a
    mirror.
    """


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


class StoreDamaged(StoreUnusable):
    """The data file lacks pages, or is damaged so that the engine cannot read it: no process may go on with it."""


class BackupUnusable(StorageError):
    """The file is no backup, one of another format, or one that was damaged."""
