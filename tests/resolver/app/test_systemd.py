"""What systemd hears."""

import os
import socket

from resolver.app.systemd import notify, watchdog_interval_s


def test_lines_reach_the_manager(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the whole path may be longer than the address of a socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        assert notify("READY=1", "STATUS=serving")
        assert manager.recv(1_000) == b"READY=1\nSTATUS=serving"
        assert notify("RELOADING=1")
        first, second = manager.recv(1_000).decode().split("\n")
        assert first == "RELOADING=1"
        assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_nobody_listens(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")


def test_watchdog_of_this_process_only(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval_s() == 1.5
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval_s() is None
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval_s() is None
