"""A load of POST requests over HTTP/1.1: keep-alive connections, one request at a time on each, bodies made before.

What is sent are octets and what comes back is cut by its Content-Length, so the generator costs little beside the
server. An answer is good when its status is 200 and it says so as often as expected.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from bench.load import DRAIN_S, POLL_S, RECEIVE_OCTETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class PostLoad:
    """What to send where."""

    port: int
    path: str
    bodies: Callable[[], Iterator[bytes]]
    seconds: float
    warm_s: float
    connections: int
    prepared: int
    """Bodies made before the clock starts; more are made as needed."""
    fields: tuple[tuple[str, str], ...] = ()
    good: tuple[bytes, int] = (b"", 0)
    """What a good answer holds, and how often."""


@dataclass(slots=True)
class _Wire:
    socket: socket.socket
    made: list[bytes] = field(default_factory=list)
    rest: bytearray = field(default_factory=bytearray)
    is_waiting: bool = False


class PostGenerator:
    """Sends a load. ``connect``, then ``run``."""

    def __init__(self, load: PostLoad) -> None:
        self._load = load
        self._bodies = load.bodies()
        lines = [f"POST {load.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        self._head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in load.fields)]).encode()
        self._wires: list[_Wire] = []
        self._epoll = select.epoll()
        self._done = 0
        self._failed = 0

    def _request(self) -> bytes:
        body = next(self._bodies)
        return self._head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def connect(self) -> None:
        """Open every connection and get one good answer on each. Raises OSError when there is none."""
        load = self._load
        for _ in range(load.connections):
            sock = socket.create_connection(("127.0.0.1", load.port), 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = _Wire(sock)
            self._wires.append(wire)
            sock.sendall(self._request())
            wire.is_waiting = True
            while wire.is_waiting:
                self._receive(wire)
            if self._failed:
                raise OSError(f"the first request to {load.path} was answered by an error")
            wire.made = [self._request() for _ in islice(self._bodies_left(), load.prepared // load.connections)]
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._done = 0

    def _bodies_left(self) -> Iterator[None]:
        while True:
            yield None

    def _receive(self, wire: _Wire) -> None:
        """Take octets; count the answer when it is whole."""
        octets = wire.socket.recv(RECEIVE_OCTETS)
        if not octets:
            raise OSError("the server hung up")
        wire.rest += octets
        head, blank, _ = wire.rest.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = bytes(head).lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        end = len(head) + 4 + length
        if len(wire.rest) < end:
            return
        word, times = self._load.good
        is_good = lines[0].split(b" ")[1] == b"200" and wire.rest.count(word) == times
        self._failed += not is_good
        self._done += is_good
        del wire.rest[:end]
        wire.is_waiting = False

    def _send(self, wire: _Wire) -> None:
        wire.socket.sendall(wire.made.pop() if wire.made else self._request())
        wire.is_waiting = True

    def run(self) -> dict[str, float]:
        """Load the server; figures of the window after the warm-up, counts of everything."""
        by_number = {wire.socket.fileno(): wire for wire in self._wires}
        cpu_start, start = time.process_time(), time.perf_counter()
        warm, stop = start + self._load.warm_s, start + self._load.warm_s + self._load.seconds
        base: tuple[float, int] | None = None
        for wire in self._wires:
            self._send(wire)
        now = start
        while now < stop:
            for number, _ in self._epoll.poll(POLL_S):
                wire = by_number[number]
                self._receive(wire)
                if not wire.is_waiting:
                    self._send(wire)
            now = time.perf_counter()
            if base is None and now >= warm:
                base = (now, self._done)
        since, before = base or (start, 0)
        counted, took_s = self._done - before, max(now - since, 1e-9)
        deadline = time.perf_counter() + DRAIN_S
        while time.perf_counter() < deadline and any(wire.is_waiting for wire in self._wires):
            for number, _ in self._epoll.poll(0.05):
                self._receive(by_number[number])
        errors = self._failed + sum(wire.is_waiting for wire in self._wires)
        operations = self._done
        return {
            "rate": counted / took_s,
            "errors": errors,
            "operations": operations,
            "client_cpu_us": (time.process_time() - cpu_start) * 1e6 / max(1, operations),
        }
