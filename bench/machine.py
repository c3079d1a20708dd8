"""Where and on what a result was measured: commit, processor, memory, kernel, versions. No names of hosts or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("grpcio", "lmdb", "ngh2", "protobuf", "uvloop", "google-crc32c")
"""Distributions whose versions decide about the figures."""

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, object]:
    """Processor model, cores, memory, kernel and versions."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count() or 1,
        "memory_mib": int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def commit() -> dict[str, object]:
    """Commit of the tree and whether files under resolver, storage or bench differ from it."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "resolver", "storage", "bench/*.py", "bench/operations")
    return {"id": head or "unknown", "changed_files": len(changed.splitlines())}


def load_average() -> float:
    """Runnable processes of the machine, mean of the last minute: other work beside the measurement shows here."""
    return round(os.getloadavg()[0], 2)


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0 unknown"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
