"""Work that one worker of a node does for all: whoever holds a lock file, and the next one when that worker ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

_LOOK_S = 1.0
"""Seconds between two looks whether the lock has become free."""


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
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_LOOK_S)
            await asyncio.gather(*(work() for work in self._work))
        finally:
            os.close(descriptor)
