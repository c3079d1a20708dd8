"""A node of one's own for the length of a run: started by its command, found by its endpoints file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 200.0
DOORS = ("grpc", "hdl", "http", "admin")
ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def node(data_dir: Path, *options: str) -> Iterator[dict[str, str]]:
    """The endpoints of a node that runs until the block ends; doors that the options do not place choose ports."""
    command = [sys.executable, "-m", "resolver", "serve", "--data-dir", str(data_dir), "--no-banner"]
    command += [word for door in DOORS for word in (f"--{door}", "127.0.0.1:0")]
    command += options
    log = data_dir.with_suffix(".log")
    (data_dir / "endpoints.json").unlink(missing_ok=True)  # of a node that was killed
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)  # noqa: S603 - our own command
        try:
            yield _endpoints(data_dir, process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _endpoints(data_dir: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    until = time.monotonic() + START_TIMEOUT_S
    path = data_dir / "endpoints.json"
    while time.monotonic() < until:
        if path.exists():
            endpoints: dict[str, str] = json.loads(path.read_text())
            return endpoints
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the node did not start:\n{log.read_text()[-4000:]}")
