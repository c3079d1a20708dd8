"""Processes that are measured: started in a session of their own, watched through /proc, ended by their group.

CPU is utime and stime of the process and all it started, living or gone and waited for. It counts in ticks of a
hundredth of a second, so a measurement should use a tenth at least.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
STOP_S = 15.0
"""Seconds that a process may take to leave before it is killed."""


class NotStarted(Exception):
    """A process did not become ready; the message holds the end of its log."""


class Process:
    """A program with everything it starts; ``with`` it, so that it never outlives the run."""

    def __init__(
        self, command: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as sink:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Number of the process itself."""
        return self._popen.pid

    def wait_until(self, ready: Callable[[], bool], timeout_s: float = 90.0) -> None:
        """Wait until ``ready`` says so. Raises NotStarted."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.02)
        self.stop()
        raise NotStarted(f"{self._popen.args[0]!r} did not become ready; its log ends with: {self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-800:]

    def pids(self) -> list[int]:
        """The process and all it has started."""
        return _tree(self.pid)

    def cpu_s(self) -> float:
        """CPU seconds of the tree so far."""
        return sum(_cpu_ticks(pid) for pid in self.pids()) / TICKS_PER_S

    def rss_mib(self) -> dict[int, float]:
        """Memory of each process that is its own: resident anonymous pages, without the mapped store."""
        return {pid: _anonymous_mib(pid) for pid in self.pids()}

    def descriptors(self) -> int:
        """Open file descriptors of the tree."""
        count = 0
        for pid in self.pids():
            with suppress(OSError):
                count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return count

    def stop(self) -> None:
        """End the group, by force if it does not leave."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_S)
                break
        with suppress(ProcessLookupError):  # one that ends while it starts may leave children
            os.killpg(self._popen.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _tree(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += _tree(int(child))
    return found


def cpu_s_of(pid: int) -> float:
    """CPU seconds of one process so far."""
    return _cpu_ticks(pid) / TICKS_PER_S


def _cpu_ticks(pid: int) -> int:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(int(fields[number]) for number in (11, 12, 13, 14))
    return 0


def _anonymous_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    import socket  # noqa: PLC0415 - asked for a few times in a run

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody takes connections at a port of loopback."""
    import socket  # noqa: PLC0415 - asked for a few times in a run

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
