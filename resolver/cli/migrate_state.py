"""How far a migration is, beside its result file (``OUT.migration``), so that a stopped command goes on.

Written durably after every chunk whose results are on disk: after the death of the process or a power cut the next run
repeats at most what was under way, which the node recognises, since putting the same values again changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resolver.app.data_dir import write_whole
from resolver.cli.output import CONFLICT, INVALID, STORE, Failed

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
"""Version of the file."""


@dataclass
class MigrationState:
    """What a run needs to go on where another ended."""

    source: str
    """``HOST:PORT``."""
    server_key: str
    """Key of the source's site, as hexadecimal digits: another one later would be another server."""
    is_dumped: bool = False
    dump_kind: int = 0
    dump_start: str = ""
    """Last handle of the dump that is in this node; empty at its beginning."""
    transaction_id: int | None = None
    """Last transaction that is in this node, or to go on behind after the dump; None until the source has told it."""
    date_ms: int = 0
    result_octets: int = 0
    """Length of the result file with the results of all this."""
    last_row: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def save(self, path: Path) -> None:
        """Replace the file, durably; sync the result file before. Raises Failed."""
        try:
            write_whole(path, json.dumps({"format": VERSION, **vars(self)}).encode())
        except OSError as error:
            raise Failed(
                f"the state of the migration cannot be written to {path} ({error.strerror}): free space, then go on",
                STORE,
            ) from error

    @classmethod
    def load(cls, path: Path, source: str) -> MigrationState | None:
        """The state of an earlier run, None when there is none. Raises Failed for a damaged or another one."""
        try:
            found = json.loads(path.read_bytes())
            is_known = found.pop("format") == VERSION
            state = cls(**found)
            state.counts = Counter(found["counts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"{path} is no state of a migration ({error}): begin again with --restart", INVALID) from error
        if not is_known:
            raise Failed(f"{path} was written by another version: begin again with --restart", INVALID)
        if state.source != source:
            raise Failed(
                f"{path} belongs to a migration from {state.source}: name another --result, or begin again with "
                "--restart",
                CONFLICT,
            )
        return state

    def begin_again(self) -> None:
        """Dump anew: the source has said that its transactions do not lead on from here."""
        self.is_dumped, self.dump_kind, self.dump_start, self.transaction_id, self.date_ms = False, 0, "", None, 0
