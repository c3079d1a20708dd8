"""Tell systemd how the service is (sd_notify(3)): a datagram of NAME=VALUE lines to NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import time


def notify(*lines: str) -> bool:
    """Send the lines; False when no service manager listens. RELOADING=1 gets the time it must carry."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if "RELOADING=1" in lines:
        lines = (*lines, f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect("\0" + address[1:] if address.startswith("@") else address)
            sender.sendall("\n".join(lines).encode())
    except OSError:
        return False
    return True


def watchdog_interval_s() -> float | None:
    """Half the time systemd waits for a sign of life, None when it does not wait for this process."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000
