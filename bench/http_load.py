"""A closed loop over HTTP/1.1: connections kept alive, one request at a time on each, every answer looked at.

It runs in a process of its own. An answer that is no 200 is an error; rates are of good answers, and the server's CPU
is that of its process tree over the window.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from bench.processes import Process

RECEIVE_OCTETS = 1 << 20
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """What to send where."""

    port: int
    requests: tuple[bytes, ...]
    """Whole requests, sent round and round, a part of them on each connection."""
    seconds: float
    warm_s: float
    connections: int
    each: int = 1
    """Operations in one request."""


def request(method: str, path: str, body: bytes = b"", *fields: str) -> bytes:
    """The octets of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *fields]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEAD_END + body


def _answer_octets(buffer: bytes) -> int:
    """Octets of the first answer in a buffer; 0 while its head is not whole. Answers here tell their length."""
    end = buffer.find(_HEAD_END)
    if end < 0:
        return 0
    start = buffer.lower().index(_LENGTH, 0, end + 2) + len(_LENGTH)
    return end + len(_HEAD_END) + int(buffer[start : buffer.index(b"\r", start)])


def _run(load: HttpLoad, found: Connection) -> None:
    """Send the load; tell when the window begins, and good and bad answers in it. It ends with an answer at least."""
    epoll = select.epoll()
    wires: dict[int, tuple[socket.socket, cycle[bytes]]] = {}
    rest: dict[int, bytes] = {}
    for number in range(load.connections):
        sock = socket.create_connection(("127.0.0.1", load.port), 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own = cycle(load.requests[number :: load.connections] or load.requests)
        wires[sock.fileno()] = sock, own
        rest[sock.fileno()] = b""
        epoll.register(sock.fileno(), select.EPOLLIN)
        sock.sendall(next(own))
    start = time.perf_counter()
    stop = start + load.warm_s + load.seconds
    begun = False
    good = bad = 0
    while (now := time.perf_counter()) < stop or not begun or not good + bad:
        if not begun and now >= start + load.warm_s:
            begun, good, bad, began = True, 0, 0, now
            if now >= stop:  # a busy machine has let it sleep through all of its time
                stop = now + load.seconds
            found.send("begun")
        for number, _ in epoll.poll(0.05):
            sock, own = wires[number]
            octets = rest[number] + sock.recv(RECEIVE_OCTETS)
            size = _answer_octets(octets)
            if not size or len(octets) < size:
                rest[number] = octets
                continue
            rest[number] = octets[size:]
            if octets.startswith(b"HTTP/1.1 200"):
                good += 1
            else:
                bad += 1
            sock.sendall(next(own))
    found.send((good, bad, time.perf_counter() - began))


def measure(load: HttpLoad, process: Process) -> dict[str, float]:
    """Rate of operations, and the server's CPU for each in microseconds. Raises RuntimeError when answers were bad."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_run, args=(load, theirs))
    worker.start()
    theirs.close()  # so that its end is heard of
    try:
        if not ours.poll(60):
            raise RuntimeError("the load did not begin")
        ours.recv()
        before_s = process.cpu_s()
        if not ours.poll(load.seconds + 60):
            raise RuntimeError("the load did not end: the server has answered nothing for a minute")
        good, bad, took_s = ours.recv()
        spent_s = process.cpu_s() - before_s
    except EOFError as error:
        raise RuntimeError("the load broke: see its error above") from error
    finally:
        worker.join(10)
        worker.kill()
    if bad:
        raise RuntimeError(f"{bad} of {good + bad} answers were no 200")
    return {"rate": good * load.each / took_s, "cpu_us": spent_s * 1e6 / (good * load.each)}
