"""A measurement that is told to end takes the servers it started with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0


def processes_below(directory):
    """Process ids whose command line names a path below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end while we look
            if os.fsencode(directory) in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_measurement(tmp_path, number):
    command = [sys.executable, "-m", "bench", "soak", "--records", "1000", "--seconds", "0.2", "--out", str(tmp_path)]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as bench:
        until(lambda: any(scratch.rglob("endpoints.json")))
        assert processes_below(scratch)
        bench.send_signal(number)
        assert bench.wait(PATIENCE_S) == 128 + number
    until(lambda: not processes_below(scratch))
    assert list(scratch.iterdir()) == []
