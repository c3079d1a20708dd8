"""Where an import stands, beside its result file (``OUT.resume``), so that a killed command can go on.

The file is written before the first chunk is sent, and replaced every ``SAVE_S`` and at the end of the run. A run
that resumes cuts the result file back to the length noted, reads the same input again, passes over the chunks
that are done and goes on under the same import_id: the node answers a chunk it has applied already with the
outcome of then, so nothing is registered twice and no line is missing.

What is noted is on disk before it is noted: the result file is synced first, then this file is written beside its
place, synced, and renamed. So it holds after the death of the process and after a power cut alike, at the price of
asking the node again for half a second of outcomes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resolver.intake.rows import IntakeError
from storage.directories import sync_directory

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
"""Version of the file."""

SAVE_S = 0.5
"""Seconds between two saves: two syncs are nothing beside that, and what is asked again is little."""


@dataclass
class ImportState:
    """What a run needs to go on where another ended."""

    import_id: str
    fingerprint: str
    """Of the input, see ``intake.fingerprint``."""
    options: dict[str, Any]
    """What decides the rows and their chunks; a run that resumes must have the same."""
    items_done: int = 0
    """Chunks and operations whose results are in the result file."""
    result_octets: int = 0
    """Length of the result file with them."""
    last_row: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def save(self, path: Path) -> None:
        """Replace the file, durably; sync the result file before. Raises IntakeError."""
        beside = path.with_name(path.name + ".new")
        try:
            with beside.open("w", encoding="utf-8") as stream:
                json.dump({"format": VERSION, **vars(self)}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
            sync_directory(path.parent)
        except OSError as error:
            raise IntakeError(
                f"the state of the import cannot be written to {path} ({error.strerror or error}): free space, then "
                "resume"
            ) from error

    @classmethod
    def load(cls, path: Path) -> ImportState | None:
        """The state of an earlier run, None when there is none. Raises IntakeError for a damaged one."""
        try:
            found = json.loads(path.read_text("utf-8"))
            state = cls(**{key: content for key, content in found.items() if key != "format"})
            state.counts = Counter(found["counts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntakeError(
                f"{path} is no state of an import ({error}): start again without --resume, rows that are there already "
                "are recognised"
            ) from error
        if found["format"] != VERSION:
            raise IntakeError(f"{path} was written by another version: start again without --resume")
        return state

    def check(self, path: Path, fingerprint: str, options: dict[str, Any]) -> None:
        """Raise IntakeError unless the input and the options are those of the earlier run."""
        for key, before in self.options.items():
            if options.get(key) != before:
                raise IntakeError(
                    f"the import began with {key} {before!r} and now has {options.get(key)!r}: give the same to "
                    "resume, or start again without --resume"
                )
        if self.fingerprint != fingerprint:
            raise IntakeError(
                f"{path} is not the file the import began with (size, time or content differ): put that one back to "
                "resume, or start again without --resume, rows that are there already are recognised"
            )


def state_path(result: Path) -> Path:
    """Where the state of an import with this result file lies."""
    return result.with_name(result.name + ".resume")
