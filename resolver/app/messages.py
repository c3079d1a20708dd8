"""What supervisor and worker say to each other: JSON lines over two pipes.

Standard input of a worker carries ``Assignment`` first and ``Reload`` whenever the configuration was read again; its
end means that the supervisor is gone, and the worker leaves too. The status pipe carries
``Status`` the other way: once when every door answers, then every second as a sign of life.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from resolver.config.settings import Config  # noqa: TC001 - msgspec reads the annotation

BEAT_S = 1.0
"""Seconds between two signs of life of a worker."""


class WorkerExit(IntEnum):
    """Exit codes of a worker (sysexits.h where it has a fitting one)."""

    DRAINED = 0
    """It was told to leave and everything is committed."""
    FAILED = 70
    """A defect; the log has the trace. Another worker takes its place."""
    STORE_DAMAGED = 65
    """The data file is damaged: no process can work on it until it is restored."""
    STORE_BROKEN = 75
    """The engine cannot go on in that process; a new process can."""
    HOPELESS = 78
    """Configuration or machine do not allow any worker to run; trying again cannot help."""


class Assignment(Struct, frozen=True, tag="assignment"):
    """Everything a worker needs. ``doors`` maps the name of a door to its host and its port, never 0."""

    worker: int
    config: Config
    doors: dict[str, tuple[str, int]]
    status_fd: int
    store_file: tuple[int, int] = (0, 0)
    """Device and inode of the data file the supervisor has open: a worker opens that one or none."""


class Reload(Struct, frozen=True, tag="reload"):
    """The configuration was read again: certificates and registry rows are looked at anew."""

    config: Config


class Above(Struct, frozen=True):
    """How the top of the tree is seen by a worker. ``silent_since_us`` is 0 while it answers."""

    is_asked: bool
    silent_since_us: int = 0


class Status(Struct, frozen=True):
    """A sign of life. ``state`` is starting, ready, draining or failed; ``detail`` says why it failed.

    ``connections`` counts those open by door, ``queued_rows`` what waits for the write lane; ``above`` is None where
    nobody stands above the node.
    """

    state: str
    detail: str = ""
    connections: dict[str, int] = {}
    queued_rows: int = 0
    above: Above | None = None
