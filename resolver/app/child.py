"""One worker as its supervisor sees it: started by exec, heard through a pipe, told by signals and a pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import resolver
from resolver.app.messages import Assignment, Reload, Status
from resolver.telemetry.metrics import METRICS_DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.app.messages import Above
    from resolver.clock import Clock
    from resolver.config.settings import Config

COMMAND = (sys.executable, "-P", "-m", "resolver.app.worker")
"""What a worker runs. Workers are spawned: a store or a gRPC core must never cross a fork."""


class Child:
    """A running worker. Made by ``spawn``; after its end ``wait`` gives the exit code, negative for a signal."""

    def __init__(self, index: int, process: asyncio.subprocess.Process, clock: Clock) -> None:
        self.index = index
        self.ready = asyncio.Event()
        self.state = "starting"
        self.detail = ""
        self.connections: dict[str, int] = {}
        self.queued_rows = 0
        self.above: Above | None = None
        self.leaving = False
        self.started_s = self.heard_s = clock.monotonic_s()
        self._process = process
        self._clock = clock
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    async def spawn(
        cls,
        index: int,
        config: Config,
        doors: dict[str, tuple[str, int]],
        metrics: Path,
        clock: Clock,
        command: Sequence[str] = COMMAND,
        store_file: tuple[int, int] = (0, 0),
    ) -> Child:
        """Start a worker and give it its assignment."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        root = str(Path(resolver.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        environment = {"GRPC_VERBOSITY": "ERROR"} | os.environ  # each failed handshake of a scanner is no news
        environment |= {METRICS_DIRECTORY_VARIABLE: str(metrics), "PYTHONPATH": os.pathsep.join(paths)}
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(writing,),
                env=environment,
            )
        except (OSError, RuntimeError):  # RuntimeError: no thread to wait for its end
            os.close(reading)
            os.close(writing)
            raise
        child = cls(index, process, clock)
        child._tell(Assignment(index, config, doors, writing, store_file))
        os.close(writing)
        child._listener = asyncio.create_task(child._listen(reading))
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def reload(self, config: Config) -> None:
        """Tell the worker that the configuration was read again."""
        self._tell(Reload(config))

    def drain(self) -> None:
        """Ask the worker to leave; asked twice it leaves at once."""
        self.leaving = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the worker now."""
        self._signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end and for the last words; the exit code."""
        code = await self._process.wait()
        if self._listener is not None:
            await self._listener
        return code

    async def wait_ready(self) -> bool:
        """Wait until the doors of the worker answer; False when it ended before."""
        ready = asyncio.create_task(self.ready.wait())
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        ended.cancel()
        return self.ready.is_set() and self._process.returncode is None

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal unless the worker has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _tell(self, message: Assignment | Reload) -> None:
        """Write one line to the worker; a worker that has ended does not hear it."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def _listen(self, descriptor: int) -> None:
        """Take in the worker's states until it closes the pipe."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        try:
            while line := await reader.readline():
                with suppress(msgspec.DecodeError):
                    status = msgspec.json.decode(line, type=Status)
                    self.state, self.detail = status.state, status.detail
                    self.connections, self.queued_rows = status.connections, status.queued_rows
                    self.above = status.above
                self.heard_s = self._clock.monotonic_s()
                if self.state == "ready":
                    self.ready.set()
        finally:
            transport.close()
