"""What the worker that follows a primary tells the others of this mirror: a small file, replaced as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class MirrorReport(msgspec.Struct, frozen=True):
    """How following goes. Serial and sequence are the primary's newest when it was last heard."""

    serial: int = 0
    sequence: int = 0
    heard_time_us: int = 0
    trouble: str = ""
    missing_files: int = 0


def write(path: Path, report: MirrorReport) -> None:
    """Replace the file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(report))
    beside.replace(path)


def read(path: Path) -> MirrorReport:
    """The last report; an empty one when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=MirrorReport)
    except (OSError, msgspec.MsgspecError):
        return MirrorReport()
