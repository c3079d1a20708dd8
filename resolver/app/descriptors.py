"""Open files: a connection costs one, and what a shell or a unit grants at first is far too little for a server.

The limit that acts (soft) may be raised up to the one that only root changes (hard). The supervisor does so before it
opens anything, and its workers inherit it; each door then takes no more connections than fit.
"""

from __future__ import annotations

import resource

import structlog

WANTED = 65_536
"""Descriptors asked for: every connection that the doors of one worker may have together, and the store."""

LEAST = 8_192
"""Below this a warning is due: some thousand connections in each worker."""

REMEDY = f"raise it to {LEAST} or more: LimitNOFILE= in the unit, ulimit -Hn in the shell, --ulimit nofile= for Docker"

log = structlog.get_logger()


def raise_limit() -> int:
    """Let this process and its children open as many files as they are allowed to; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = WANTED if hard == unlimited else min(WANTED, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != unlimited and soft < LEAST:
        log.warning("few open files are allowed, so few connections fit", open_files=soft, remedy=REMEDY)
    return soft
