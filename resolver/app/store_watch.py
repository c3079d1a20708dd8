"""The data file under a running node: whole, and still the one that was opened.

A file that is cut short ends whoever meets a page that is gone. One that is removed or replaced is worse, since nothing
fails: those who have it open go on writing to what nobody can open again, and a new worker would begin an empty store.
So the supervisor looks once a second and lets the node end; what the old file holds is then copied out of the engine
that has it open still, with everything that was acknowledged.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import structlog

from resolver.app.data_dir import StoreRefused
from storage.directories import make_directory
from storage.errors import StorageError, StoreDamaged
from storage.extent import REMEDY, require_whole
from storage.lmdb_engine import DATA_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from resolver.app.data_dir import DataDir
    from storage.engine import Engine

_RESCUED = "rescued-{}"
"""Directory beside the store."""

_log = structlog.get_logger()


def file_of(store: Path) -> tuple[int, int]:
    """What tells the data file of a store from any other: device and inode. Raises OSError."""
    found = (store / DATA_FILE).stat()
    return found.st_dev, found.st_ino


def require_same(store: Path, file: tuple[int, int]) -> None:
    """Raise StoreDamaged unless the data file is the one given, or none is: a worker never begins a store."""
    try:
        is_same = not any(file) or file_of(store) == file
    except OSError:
        is_same = False
    if not is_same:
        raise StoreDamaged(f"{store / DATA_FILE} was removed or replaced under the running node")


def require_none_lost(data: DataDir) -> None:
    """Raise StoreRefused for a node that has lost its store: another one would deny what the node has acknowledged.

    A service manager starts a node again that has ended. What was saved when the file was lost is named first, since
    any backup is older.
    """
    for rescued in sorted(data.root.glob(_RESCUED.format("*"))):
        if (rescued / DATA_FILE).exists():
            raise StoreRefused(
                f"{rescued} holds what a data file held that was removed or replaced under the running node: put it in "
                f"place of {data.store}, or move it away to go on with what is there now"
            )
    file = data.store / DATA_FILE
    if data.admin_token.exists() and not (file.exists() and file.stat().st_size):
        raise StoreRefused(
            f"{file} is missing or empty, and this node has had a store: {REMEDY}. To begin anew, remove "
            f"{data.admin_token}"
        )


class StoreWatch:
    """Looks after the data file of a store that is open."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.file = file_of(store)
        self._rescued = store.parent / _RESCUED.format(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        self._is_lost = False

    def look(self) -> str:
        """Why the node has to end; empty while all is well."""
        data = self._store / DATA_FILE
        try:
            if file_of(self._store) == self.file:
                require_whole(data)
                return ""
            what = "was replaced"
        except FileNotFoundError:
            what = "was removed"
        except StoreDamaged as error:
            return str(error)
        except OSError as error:
            _log.warning("the data file cannot be looked at", why=error.strerror)
            return ""
        self._is_lost = True
        return (
            f"{data} {what} under the running node: what it held is saved in {self._rescued}, unless the log above "
            f"says otherwise; put that in place of {self._store}, and start again"
        )

    def rescue(self, engine: Engine) -> None:
        """Save what a lost file holds. Call it when nobody writes any more."""
        self.look()  # it may be lost since the last time
        if not self._is_lost:
            return
        try:
            make_directory(self._rescued)
            engine.copy_to(self._rescued, takes_all_room=True)  # nobody registers here any more
        except (StorageError, OSError) as error:
            (self._rescued / DATA_FILE).unlink(missing_ok=True)  # a part of it is no store
            held = f"/proc/{os.getpid()}/fd"
            _log.error("what the lost data file holds could not be saved", why=str(error), it_was_in=held)
        else:
            _log.error("the data file was lost, what it held is saved", place=str(self._rescued))
