"""A first look at a store from a process of its own, because a damaged page can end the process that meets it.

LMDB follows page numbers and lengths as it finds them; one that points nowhere is SIGSEGV, SIGBUS or a failed
assertion, which no ``except`` sees. Whoever must not die lets a child look first: ``survey`` starts one that opens the
store and reads both ends of every table. That costs a tenth of a second and finds damage of the upper pages, not every
damage: the whole walk is ``check``. ``signal_that_tells`` says which ends of any child mean the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

from storage.errors import StorageError, StoreDamaged
from storage.extent import REMEDY, require_free_pages

ROWS = 100
"""Rows read at each end of a table."""

_SIGNALS = frozenset({signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL})


def signal_that_tells(code: int) -> str:
    """The name of the signal that ended a process because of damaged pages; empty for any other exit code."""
    return signal.Signals(-code).name if -code in _SIGNALS else ""


def damage(store: str, code: int) -> str:
    """The sentence for a process that ended with such an exit code while it read a store."""
    return f"{store} is damaged: reading it ended a process by {signal_that_tells(code)}: {REMEDY}"


def survey(store: Path, map_octets: int) -> None:
    """Let a child look at a store. Raises StoreDamaged when the child does not survive it, or no writer would.

    What the child meets as an error is left to whoever opens the store next, who meets it too.
    """
    from storage.lmdb_engine import DATA_FILE  # noqa: PLC0415 - the child imports this module, too

    with suppress(FileNotFoundError):
        require_free_pages(store / DATA_FILE)
    root = str(Path(__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
    child = subprocess.run(  # noqa: S603 - our own interpreter and module
        (sys.executable, "-P", "-m", "storage.survey", str(store), str(map_octets)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if signal_that_tells(child.returncode):
        raise StoreDamaged(damage(str(store), child.returncode))


def main(store: str, map_octets: str) -> None:
    """Read both ends of every table."""
    from storage.lmdb_engine import LmdbEngine  # noqa: PLC0415 - the parent may do without
    from storage.tables import Table  # noqa: PLC0415 - as above

    try:
        engine = LmdbEngine(Path(store), readonly=True, map_octets=int(map_octets))
    except StorageError:
        return
    for table in Table:
        for reverse in (False, True):
            with suppress(StorageError), engine.read() as reader:
                for _ in islice(reader.scan_rows(table, reverse=reverse), ROWS):
                    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
