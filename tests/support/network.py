"""Hosts on one machine with a bad network between them: network namespaces and a switch that delays, loses and cuts.

The kernel of a test machine may have no netem, so frames go through this program: every host has a TAP device, and the
switch passes each frame on to its addressee (or to all, for a broadcast) after the delay of both hosts' lines, unless
a line loses it or is cut. The test writes a file with one line a host, ``DELAY_MS LOSS CUT``, read many times a second.

    python -m tests.support.network CONTROL_FILE NAMESPACE=ADDRESS ...
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUNSETIFF, TAP_WITHOUT_HEADER = 0x400454CA, 0x0002 | 0x1000
BROADCAST = b"\xff" * 6
LOOK_S = 0.02


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """Hosts by number; ``inside(n)`` is how a command is started on one, ``set_line`` how its line behaves."""

    def __init__(self, directory, count, *, delay_ms, loss):
        if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
            pytest.skip("network namespaces need root and /dev/net/tun")
        self._control = directory / "lines"
        self.switch_pid = 0
        tag = f"idis{os.getpid()}"
        self.names = [f"{tag}-{number}" for number in range(count)]
        self.addresses = [f"10.77.0.{number + 1}" for number in range(count)]
        self._lines = [(delay_ms, loss, False)] * count
        self._write()

    @contextmanager
    def up(self):
        for name in self.names:
            ip("netns", "add", name)
        switch = None
        try:
            hosts = [f"{name}={address}" for name, address in zip(self.names, self.addresses, strict=True)]
            command = [sys.executable, "-m", "tests.support.network", str(self._control), *hosts]
            switch = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
            assert switch.stdout.readline() == b"up\n"
            self.switch_pid = switch.pid
            yield self
        finally:
            if switch is not None:
                switch.kill()
                switch.wait()
                switch.stdout.close()
            for name in self.names:
                subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def inside(self, number):
        return ["ip", "netns", "exec", self.names[number]]

    def set_line(self, number, *, cut):
        delay_ms, loss, _ = self._lines[number]
        self._lines[number] = (delay_ms, loss, cut)
        self._write()

    def _write(self):
        text = "".join(f"{delay_ms} {loss} {int(cut)}\n" for delay_ms, loss, cut in self._lines)
        beside = self._control.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self._control)


def tap(namespace, address):
    """A TAP device that is a host's only line."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"tap{namespace.rpartition('-')[2]}"
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), TAP_WITHOUT_HEADER))
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "addr", "add", f"{address}/24", "dev", name)
    ip("-n", namespace, "link", "set", name, "up")
    ip("-n", namespace, "link", "set", "lo", "up")
    return descriptor


class Switch:
    """Passes frames on."""

    def __init__(self, control, lines):
        self._control, self._lines = control, lines
        self._at = {}
        """Line by hardware address."""
        self._waiting = []
        self._number = 0
        self._chance = random.Random(1)
        self._state = {}
        self._looked_s = 0.0

    def run(self):
        while True:
            now = time.monotonic()
            if now - self._looked_s > LOOK_S:
                self._looked_s = now
                rows = [line.split() for line in self._control.read_text().splitlines()]
                self._state = {
                    line: (float(delay) / 1e3, float(loss), cut == "1")
                    for line, (delay, loss, cut) in zip(self._lines, rows, strict=True)
                }
            due = self._waiting[0][0] - now if self._waiting else LOOK_S
            ready, _, _ = select.select(self._lines, [], [], max(0.0, min(due, LOOK_S)))
            for line in ready:
                self._take(line)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, line, frame = heapq.heappop(self._waiting)
                try:
                    os.write(line, frame)
                except OSError:
                    continue

    def _take(self, line):
        for _ in range(64):
            try:
                frame = os.read(line, 2048)
            except BlockingIOError:
                return
            self._at[frame[6:12]] = line
            known = self._at.get(frame[:6])
            targets = [known] if known is not None and frame[:6] != BROADCAST else self._lines
            for target in targets:
                if target != line and not self._is_lost(line) and not self._is_lost(target):
                    self._number += 1
                    delay_s = (self._state[line][0] + self._state[target][0]) / 2
                    heapq.heappush(self._waiting, (time.monotonic() + delay_s, self._number, target, frame))

    def _is_lost(self, line):
        _, loss, cut = self._state[line]
        return cut or self._chance.random() < loss / 2  # a frame crosses two lines


def main():
    control, *hosts = sys.argv[1:]
    lines = [tap(*host.split("=")) for host in hosts]
    sys.stdout.write("up\n")
    sys.stdout.flush()
    Switch(Path(control), lines).run()


if __name__ == "__main__":
    main()
