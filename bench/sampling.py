"""Where processes spend their CPU: samples of ``perf`` by shared object, which is by library.

Python's own code, ours included, is one share: what it costs beyond its libraries. ``perf`` is Debian's ``linux-perf``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SAMPLES_PER_S = 997
_PARTS = (
    (re.compile(r"libpython|^python3"), "python"),
    (re.compile(r"^cpython\.cpython|lmdb"), "lmdb"),
    (re.compile(r"^_core\.cpython|^events\.cpython|nghttp2"), "http2"),
    (re.compile(r"^_message|upb"), "protobuf"),
    (re.compile(r"crc32c"), "checksums"),
    (re.compile(r"cygrpc|grpc"), "grpc"),
    (re.compile(r"^loop\.cpython|libuv|_asyncio"), "loop"),
    (re.compile(r"^libc[.-]|^libm[.-]|libpthread"), "libc"),
    (re.compile(r"kernel|\[k\]|vdso"), "kernel"),
    (re.compile(r"_hashlib|_sha|libcrypto"), "hashes"),
)
_LINE = re.compile(r"\s*([0-9.]+)%\s+(\S+)")


class Unavailable(Exception):
    """``perf`` is not there, or may not watch processes."""


class Sampler:
    """Samples some processes for some seconds. ``start`` when they are at work, then ``shares``."""

    def __init__(self, path: Path) -> None:
        """Keep samples in a file of the run. Raises Unavailable."""
        if shutil.which("perf") is None:
            raise Unavailable("perf is not installed: apt-get install linux-perf")
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, pids: Iterable[int], seconds: float) -> None:
        """Begin to sample."""
        command = ["perf", "record", "-q", "-F", str(SAMPLES_PER_S), "-o", str(self._path)]
        command += ["-p", ",".join(map(str, pids)), "--", "sleep", f"{seconds:.2f}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def shares(self) -> dict[str, float]:
        """The share of each part, from 0 to 1. Raises Unavailable."""
        if self._process is None or self._process.wait(60) != 0:
            raise Unavailable("perf could not watch the processes: it needs perf_event_paranoid <= 1 or root")
        command = ["perf", "report", "-i", str(self._path), "--stdio", "--no-children", "-g", "none", "--sort", "dso"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return shares_of(done.stdout)


def shares_of(listing: str) -> dict[str, float]:
    """The share of each part in a report of perf sorted by shared object."""
    shares: dict[str, float] = {}
    for line in listing.splitlines():
        found = _LINE.match(line)
        if found is not None and not line.startswith("#"):
            part = next((name for pattern, name in _PARTS if pattern.search(found[2])), "other")
            shares[part] = shares.get(part, 0.0) + float(found[1]) / 100
    return shares
