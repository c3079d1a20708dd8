"""Work that one worker of a node does for all: whoever holds a lock file, and the next one when that worker ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

_LOOK_S = 1.0
"""Seconds between two looks whether the lock has become free."""

_AGAIN_S = 5.0
"""Seconds after which work that a defect has ended begins again."""

log = structlog.get_logger()


class SoleWorker:
    """Does some work once no other worker does. ``start`` it on the worker's loop, ``close`` it at the end."""

    def __init__(self, lock: Path, *work: Callable[[], Coroutine[object, object, None]]) -> None:
        self._lock = lock
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Wait for the lock, then work."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, and leave the work to another worker."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                log.warning("a lock file cannot be opened, it is tried again", lock=str(self._lock), why=error.strerror)
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                if _is_locked(descriptor):
                    await asyncio.gather(*(self._keep_on(work) for work in self._work))
            finally:
                os.close(descriptor)
            await asyncio.sleep(_LOOK_S)

    async def _keep_on(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Do one thing for ever: a defect in it must neither end it unseen nor disturb the others."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("defect in what one worker does for all, it begins again", lock=self._lock.name)
            await asyncio.sleep(_AGAIN_S)


def _is_locked(descriptor: int) -> bool:
    """Take the lock; False while another worker has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
