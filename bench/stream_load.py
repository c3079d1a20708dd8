"""A load of StreamResolve: one stream on each connection, so many questions open, answers counted one by one.

Answers may hold several records, so messages are cut out of the DATA frames and their records counted by walking the
outermost fields. The peer's windows of connection and stream are kept; ours are as large as they can be.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import h2_frames as h2
from bench.load import DRAIN_S, POLL_S, RECEIVE_OCTETS

if TYPE_CHECKING:
    from bench.load import Load

MESSAGES_MAX = 200
"""Questions in one DATA frame."""


@dataclass(slots=True)
class _Stream:
    socket: socket.socket
    rest: bytes = b""
    body: bytes = b""
    made: deque[bytes] = field(default_factory=deque)
    sent: int = 0
    done: int = 0
    misses: int = 0
    messages: int = 0
    window: int = h2.WINDOW_START
    stream_window: int = h2.WINDOW_START
    stream_start: int = h2.WINDOW_START
    credit: int = h2.WINDOW_MAX
    greeted: bool = False


class StreamGenerator:
    """Sends questions on streams. ``connect``, then ``run``."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._questions = load.messages()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", load.path), (":authority", "127.0.0.1")]
        fields += [("content-type", "application/grpc"), ("te", "trailers"), *load.fields]
        self._block = h2.header_blocks(fields)[0]
        self._streams: list[_Stream] = []
        self._epoll = select.epoll()

    def connect(self) -> None:
        """Open every stream and get one answer on each. Raises OSError when there is none."""
        load = self._load
        for _ in range(load.connections):
            sock = socket.create_connection(("127.0.0.1", load.port), 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = _Stream(sock)
            sock.sendall(h2.hello())
            while not stream.greeted:
                self._receive(stream)
            sock.sendall(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, self._block))
            self._make(stream, 1)
            self._send(stream, 1)
            while not stream.done:
                self._receive(stream)
            self._streams.append(stream)
        for stream in self._streams:
            self._make(stream, load.prepared // load.connections)
            self._epoll.register(stream.socket.fileno(), select.EPOLLIN)

    def run(self) -> dict[str, float]:
        """Keep the streams full; figures of the window after the warm-up, counts of everything."""
        by_number = {stream.socket.fileno(): stream for stream in self._streams}
        cpu_start, start = time.process_time(), time.perf_counter()
        warm, stop = start + self._load.warm_s, start + self._load.warm_s + self._load.seconds
        base: tuple[float, int] | None = None
        for stream in self._streams:
            self._send(stream, self._load.in_flight)
        while (now := time.perf_counter()) < stop or base is None:
            if base is None and now >= warm:
                base = (now, self._done())
                if now >= stop:  # a busy machine has let it sleep through all of its time
                    stop = now + self._load.seconds
            for number, _ in self._epoll.poll(POLL_S):
                stream = by_number[number]
                self._receive(stream)
                self._send(stream, self._load.in_flight - (stream.sent - stream.done))
        assert base is not None  # noqa: S101 - warm is before stop
        rate = (self._done() - base[1]) / (now - base[0])
        deadline = time.perf_counter() + DRAIN_S
        while time.perf_counter() < deadline and any(stream.done < stream.sent for stream in self._streams):
            for number, _ in self._epoll.poll(0.05):
                self._receive(by_number[number])
        done = self._done()
        missing = sum(stream.sent - stream.done + stream.misses for stream in self._streams)
        figures = {
            "rate": rate,
            "operations": float(done),
            "errors": float(missing),
            "answers_per_message": done / max(1, sum(stream.messages for stream in self._streams)),
            "client_cpu_us": (time.process_time() - cpu_start) * 1e6 / max(1, done),
        }
        for stream in self._streams:
            stream.socket.close()
        return figures

    def _done(self) -> int:
        return sum(stream.done for stream in self._streams) - len(self._streams)

    def _make(self, stream: _Stream, questions: int) -> None:
        for _ in range(questions):
            stream.made.append(h2.grpc_frame(next(self._questions)))

    def _send(self, stream: _Stream, questions: int) -> None:
        """Send so many questions, as the windows allow."""
        while questions > 0:
            if len(stream.made) < questions:
                self._make(stream, max(questions, 256))
            room = min(stream.window, stream.stream_window, h2.PAYLOAD_OCTETS_MAX) // len(stream.made[0])
            several = min(questions, room, MESSAGES_MAX)
            if several <= 0:
                return
            payload = b"".join([stream.made.popleft() for _ in range(several)])
            stream.window -= len(payload)
            stream.stream_window -= len(payload)
            stream.sent += several
            questions -= several
            stream.socket.sendall(h2.frame(h2.DATA, 0, 1, payload))

    def _receive(self, stream: _Stream) -> None:
        data = stream.socket.recv(RECEIVE_OCTETS)
        if not data:
            raise OSError("the server closed the connection")
        if stream.rest:
            data = stream.rest + data
        at, size, bodies = 0, len(data), []
        while size - at >= h2.FRAME_OCTETS:
            length, flags, number = h2.frame_head.unpack_from(data, at)
            kind, length = length & 0xFF, length >> 8
            begin = at + h2.FRAME_OCTETS
            if begin + length > size:
                break
            if kind == h2.DATA:
                bodies.append(data[begin : begin + length])
                stream.credit -= length
            else:
                self._control(stream, kind, flags, number, data[begin : begin + length])
            at = begin + length
        stream.rest = data[at:]
        if bodies:
            self._count(stream, b"".join([stream.body, *bodies]))
        if stream.credit < h2.WINDOW_MAX // 2:
            more = h2.WINDOW_MAX - stream.credit
            stream.socket.sendall(h2.window_update(0, more) + h2.window_update(1, more))
            stream.credit = h2.WINDOW_MAX

    def _count(self, stream: _Stream, body: bytes) -> None:
        """Count the records and misses of every whole message."""
        at, size = 0, len(body)
        while size - at >= 5:
            end = at + 5 + int.from_bytes(body[at + 1 : at + 5], "big")
            if end > size:
                break
            at += 5
            stream.messages += 1
            while at < end:
                tag, at = body[at], at + 1
                length, shift = 0, 0
                while body[at] & 0x80:
                    length |= (body[at] & 0x7F) << shift
                    at, shift = at + 1, shift + 7
                length |= body[at] << shift
                at += 1 + length
                if tag == 0x0A:
                    stream.done += 1
                elif tag == 0x1A:
                    stream.done += 1
                    stream.misses += 1
        stream.body = body[at:]

    def _control(self, stream: _Stream, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == h2.SETTINGS and not flags & h2.ACK:
            for begin in range(0, len(payload), 6):
                if int.from_bytes(payload[begin : begin + 2], "big") == 4:
                    start = int.from_bytes(payload[begin + 2 : begin + 6], "big")
                    stream.stream_window += start - stream.stream_start
                    stream.stream_start = start
            stream.greeted = True
            stream.socket.sendall(h2.frame(h2.SETTINGS, h2.ACK, 0))
        elif kind == h2.PING and not flags & h2.ACK:
            stream.socket.sendall(h2.frame(h2.PING, h2.ACK, 0, payload))
        elif kind == h2.WINDOW_UPDATE:
            octets = int.from_bytes(payload, "big")
            if number:
                stream.stream_window += octets
            else:
                stream.window += octets
        elif kind in {h2.GOAWAY, h2.RST_STREAM} or (kind == h2.HEADERS and flags & h2.END_STREAM):
            raise OSError(f"the server ended the stream with a frame of kind {kind}: {payload.hex()}")
