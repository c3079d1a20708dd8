"""A load of random keys over HTTP/2: closed loop for ceilings, open loop for latency from the due time.

Why not h2load: it posts one body for ever, so every request asks for the one key that is in every cache. This
generator walks answers frame by frame in about a microsecond of Python, so one process outruns the servers
measured here; it runs in a process of its own, and its CPU is reported beside the server's. An answer counts as an
error when it has no DATA (a gRPC error is Trailers-Only), when the stream is reset, or when it never comes; rates are
of good answers. The official client sends a stream again that was refused (REFUSED_STREAM), this one counts it as an
error: grpcio's server does that to writes, because it keeps finished streams for a while and has a limit of streams.

Open loop: request i is due at t0 + i/rate and its latency runs from then, whether it could be sent or not. The
generator looks at the clock every tenth of a millisecond, which is the resolution of its latencies.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from bench import h2_frames as h2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from bench.processes import Process

DRAIN_S = 60.0
"""Seconds for what is in flight when the time is over; what has come by then is no error of a server."""
POLL_S = 0.01
TICK_S = 0.0001
RECEIVE_OCTETS = 1 << 18
OPEN_IN_FLIGHT_MAX = 96
"""Requests in flight on a connection of an open loop: what servers allow is 100 or more."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send where."""

    port: int
    path: str
    messages: Callable[[], Iterator[bytes]]
    """Request messages without their gRPC frame; an empty one means GET."""
    seconds: float
    warm_s: float
    connections: int = 16
    in_flight: int = 32
    rate: float | None = None
    """Requests a second of an open loop; None is a closed loop."""
    fields: tuple[tuple[str, str], ...] = ()
    """Further header fields, such as authorization."""
    prepared: int = 100_000
    """Requests made before the clock starts; those made after it cost the client what the servers lack: make enough."""


@dataclass(slots=True)
class _Wire:
    """One connection."""

    socket: socket.socket
    number: int
    rest: bytes = b""
    made: list[bytes] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    sent: int = 0
    done: int = 0
    opened: int = 0
    failed: int = 0
    octets: int = 0
    window: int = h2.WINDOW_START
    credit: int = h2.WINDOW_MAX
    greeted: bool = False


class Generator:
    """Sends a load. ``connect``, then ``run``."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._messages = load.messages()
        method = "POST"
        first = next(self._messages)
        if not first:
            method = "GET"
        self._first_message = first
        fields = [(":method", method), (":scheme", "http"), (":path", load.path), (":authority", "127.0.0.1")]
        if method == "POST":
            fields += [("content-type", "application/grpc"), ("te", "trailers")]
        self._blocks = h2.header_blocks([*fields, *load.fields])
        self._wires: list[_Wire] = []
        self._epoll = select.epoll()
        self._data = bytearray(h2.FRAME_OCTETS + h2.PAYLOAD_OCTETS_MAX + RECEIVE_OCTETS)  # memory that stays in caches
        self._lags: list[float] = []

    def connect(self) -> None:
        """Open every connection and get one answer on each. Raises OSError when there is none."""
        load = self._load
        for number in range(load.connections):
            sock = socket.create_connection(("127.0.0.1", load.port), 60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = _Wire(sock, number)
            self._wires.append(wire)
            body = self._body(self._first_message if number == 0 else next(self._messages))
            sock.sendall(h2.hello())
            while not wire.greeted:
                self._receive(wire)
            sock.sendall(h2.request(1, self._blocks[0], body))
            while not wire.done:
                self._receive(wire)
            if wire.opened != wire.done or wire.failed:
                raise OSError(f"the first request to {load.path} was answered by an error")
            wire.sent = 1
            wire.made, wire.costs = [b""], [0]
        for wire in self._wires:
            self._make(wire, load.prepared // load.connections)
            wire.socket.setblocking(False)
            self._epoll.register(wire.socket.fileno(), select.EPOLLIN)

    def run(self) -> dict[str, float]:
        """Load the server; figures of the window after the warm-up, counts of everything."""
        by_number = {wire.socket.fileno(): wire for wire in self._wires}
        cpu_start = time.process_time()
        start = time.perf_counter()
        warm, stop = start + self._load.warm_s, start + self._load.warm_s + self._load.seconds
        counted = measured_s = 0.0
        base = None
        rate = self._load.rate
        if rate is None:
            for wire in self._wires:
                self._send(wire, self._load.in_flight)
        while True:
            now = time.perf_counter()
            if base is None and now >= warm:
                base = (now, self._done())
                self._lags.clear()
                if now >= stop:  # a busy machine has let it sleep through all of its time
                    stop = now + self._load.seconds
            if now >= stop:
                assert base is not None  # noqa: S101 - warm is before stop
                counted, measured_s = self._done() - base[1], now - base[0]
                break
            if rate is not None:
                self._send_due(now - start, rate)
                select.select([self._epoll], [], [], TICK_S)
            for number, _ in self._epoll.poll(0 if rate is not None else POLL_S):
                wire = by_number[number]
                finished = self._receive(wire, start if rate is not None else None)
                if rate is None and finished:
                    self._send(wire, finished)
        self._drain(by_number)
        done, sent = self._done(), sum(wire.sent - 1 for wire in self._wires)
        errors = sent - done + sum(wire.done - wire.opened + wire.failed for wire in self._wires)
        good = done - max(0, errors - (sent - done))
        figures = {
            "rate": counted / measured_s * good / max(1, done),
            "operations": float(done),
            "errors": float(errors),
            "answer_octets": sum(wire.octets for wire in self._wires) / max(1, done),
            "client_cpu_us": (time.process_time() - cpu_start) * 1e6 / max(1, done),
        }
        self.close()
        return figures | _percentiles(self._lags)

    def close(self) -> None:
        """Close every connection."""
        self._epoll.close()
        for wire in self._wires:
            wire.socket.close()

    def _done(self) -> int:
        return sum(wire.done for wire in self._wires) - len(self._wires)

    def _body(self, message: bytes) -> bytes:
        return h2.grpc_frame(message) if message else b""

    def _make(self, wire: _Wire, requests: int) -> None:
        """Prepare the next requests of a connection."""
        block, stream = self._blocks[1], 2 * len(wire.made) + 1
        for message in islice(self._messages, requests):
            body = self._body(message)
            wire.made.append(h2.request(stream, block, body))
            wire.costs.append(len(body))
            stream += 2

    def _send(self, wire: _Wire, requests: int) -> None:
        """Send up to so many more requests, as the peer's window allows; the rest goes with later answers."""
        requests = min(
            self._load.in_flight if self._load.rate is None else OPEN_IN_FLIGHT_MAX, requests + self._owed(wire)
        )
        begin = wire.sent
        if begin + requests > len(wire.made):
            self._make(wire, begin + requests - len(wire.made))
        end, cost = begin, 0
        while end < begin + requests and cost + wire.costs[end] <= wire.window:
            cost += wire.costs[end]
            end += 1
        if end == begin:
            return
        wire.window -= cost
        wire.sent = end
        octets = b"".join(wire.made[begin:end])
        wire.made[begin:end] = [b""] * (end - begin)
        try:
            gone = wire.socket.send(octets)
        except BlockingIOError:
            gone = 0
        if gone < len(octets):
            wire.socket.setblocking(True)
            wire.socket.sendall(octets[gone:])
            wire.socket.setblocking(False)

    def _owed(self, wire: _Wire) -> int:
        """Requests of a closed loop that the window held back before."""
        if self._load.rate is not None or wire.sent == 1:
            return 0
        return max(0, self._load.in_flight - (wire.sent - wire.done))

    def _send_due(self, elapsed_s: float, rate: float) -> None:
        """Send what is due: request j of connection c is number j · connections + c."""
        connections = len(self._wires)
        for wire in self._wires:
            due = int((elapsed_s * rate - wire.number) / connections) + 1 - (wire.sent - 1)
            room = OPEN_IN_FLIGHT_MAX - (wire.sent - wire.done)
            if due > 0 and room > 0:
                self._send(wire, min(due, room))

    def _receive(self, wire: _Wire, start: float | None = None) -> int:
        """Take in what has come; how many answers are complete. With ``start`` their lags are kept."""
        data, begun = self._data, len(wire.rest)
        data[:begun] = wire.rest
        got = wire.socket.recv_into(memoryview(data)[begun:], RECEIVE_OCTETS)
        if not got:
            raise OSError("the server closed the connection")
        now = time.perf_counter()
        at, size, done = 0, begun + got, 0
        head = h2.frame_head.unpack_from
        while size - at >= h2.FRAME_OCTETS:
            length, flags, stream = head(data, at)
            kind, length = length & 0xFF, length >> 8
            end = at + h2.FRAME_OCTETS + length
            if end > size:
                break
            if kind <= h2.HEADERS:
                if kind == h2.DATA:
                    wire.octets += length
                    wire.credit -= length
                elif not flags & h2.END_STREAM:
                    wire.opened += 1
                if flags & h2.END_STREAM:
                    done += 1
                    if start is not None:
                        self._note_lag(wire, stream, now - start)
            else:
                done += self._control(wire, kind, flags, stream, bytes(data[at + h2.FRAME_OCTETS : end]))
            at = end
        wire.rest = bytes(data[at:size])
        wire.done += done
        if wire.credit < h2.WINDOW_MAX // 2:
            wire.socket.sendall(h2.window_update(0, h2.WINDOW_MAX - wire.credit))
            wire.credit = h2.WINDOW_MAX
        return done

    def _note_lag(self, wire: _Wire, stream: int, elapsed_s: float) -> None:
        assert self._load.rate is not None  # noqa: S101 - lags are of open loops
        number = ((stream >> 1) - 1) * len(self._wires) + wire.number
        self._lags.append(elapsed_s - number / self._load.rate)

    def _control(self, wire: _Wire, kind: int, flags: int, stream: int, payload: bytes) -> int:
        """Answer what must be answered; 1 when it ended a stream."""
        if kind == h2.SETTINGS and not flags & h2.ACK:
            wire.greeted = True
            wire.socket.sendall(h2.frame(h2.SETTINGS, h2.ACK, 0))
        elif kind == h2.PING and not flags & h2.ACK:
            wire.socket.sendall(h2.frame(h2.PING, h2.ACK, 0, payload))
        elif kind == h2.WINDOW_UPDATE and stream == 0:
            wire.window += int.from_bytes(payload, "big")
        elif kind == h2.GOAWAY:
            raise OSError(f"the server sent GOAWAY: {payload[4:].hex()}")
        elif kind == h2.RST_STREAM and payload != b"\0\0\0\0":
            wire.failed += 1
            wire.opened += 1  # so that it is counted once, not also as an answer without DATA
            return 1
        return 0

    def _drain(self, by_number: dict[int, _Wire]) -> None:
        deadline = time.perf_counter() + DRAIN_S
        while time.perf_counter() < deadline and any(wire.done < wire.sent for wire in self._wires):
            for number, _ in self._epoll.poll(0.05):
                self._receive(by_number[number])


def _percentiles(lags: list[float]) -> dict[str, float]:
    """Latencies in milliseconds; nothing for a closed loop."""
    if not lags:
        return {}
    lags.sort()
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: lags[min(len(lags) - 1, int(len(lags) * share))] * 1e3 for name, share in shares.items()}


def _child(pipe: Connection, make: Callable[[Any], Any], load: Any) -> None:
    """Body of a generator's process: connect, say so, wait for the word, run."""
    try:
        generator = make(load)
        generator.connect()
        pipe.send("ready")
        pipe.recv()
        pipe.send(generator.run())
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        pipe.send(f"{type(error).__name__}: {error}")


class LoadFailed(Exception):
    """The generator could not do its work."""


def measure(
    load: Any,
    server: Process,
    *,
    make: Callable[[Any], Any] = Generator,
    begin: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Send a load to a server from another process: the generator's figures and the server's ``cpu_us``.

    CPU covers the load from its first request to its last answer, warm-up included; ``begin`` is called when it begins.
    Raises LoadFailed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, make, load), daemon=True)
    child.start()
    theirs.close()
    try:
        _expect(ours, "ready")
        before = server.cpu_s()
        ours.send("go")
        begin()
        figures = _expect(ours)
        figures["cpu_us"] = (server.cpu_s() - before) * 1e6 / max(1.0, figures.pop("operations"))
    finally:
        child.join(2)
        child.kill()
    return figures


def _expect(pipe: Connection, word: str | None = None) -> Any:
    try:
        found = pipe.recv() if pipe.poll(120) else "it said nothing for two minutes"
    except EOFError:
        found = "it ended"
    if (isinstance(found, str) and found != word) or (word is not None and found != word):
        raise LoadFailed(f"the load generator failed: {found}")
    return found
