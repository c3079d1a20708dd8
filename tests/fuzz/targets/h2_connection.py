"""A whole HTTP/2 connection of the gRPC door: nghttp2, calls, deframing, service and answers, without a socket.

An input is a script. Raw octets alone would be lost at the first frame, so most of its steps are frames with the right
form and a strange content, and some are raw.
"""

import struct

import hpack

from tests.fuzz.world import Door

INSTRUMENT = (
    "resolver.transport.grpc_frames",
    "resolver.transport.h2_calls",
    "resolver.transport.h2_connection",
    "resolver.transport.h2_endings",
    "resolver.transport.h2_exchange",
    "resolver.transport.h2_guard",
    "resolver.transport.h2_lanes",
    "resolver.transport.h2_mounts",
    "resolver.transport.h2_newcomer",
    "resolver.transport.health",
    "resolver.transport.reflection",
    "resolver.transport.requests",
)
OCTETS_MAX = 1_024
"""Each step of a script is a read of its own; hundreds of them take time that no one input took."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_RAW, _TURN, _CALL, _MESSAGE, _FRAME, _TICK = range(6)
_NAME = b"\x0a\x0b88.300.10/A"


def _step(kind, *numbers, octets=b""):
    return bytes([kind, *numbers, len(octets)]) + octets


SEEDS = (
    _step(_CALL, 1, 0) + _step(_MESSAGE, 1, 1, octets=_NAME),
    _step(_CALL, 1, 1) + _step(_MESSAGE, 1, 1, octets=_NAME * 3),
    _step(_CALL, 1, 2) + _step(_MESSAGE, 1, 0, octets=_NAME) + _step(_TURN) + _step(_MESSAGE, 1, 1, octets=_NAME),
    _step(_CALL, 1, 4) + _step(_TURN) + _step(_FRAME, RST_STREAM, 0, 1, octets=b"\0\0\0\x08"),
    _step(_FRAME, PING, 0, 0, octets=b"12345678") + _step(_FRAME, SETTINGS, 0, 0, octets=b"\0\x04\0\0\0\x01"),
    _step(_FRAME, WINDOW_UPDATE, 0, 0, octets=b"\x7f\xff\xff\xff") + _step(_RAW, octets=b"\0\0\0\x09\0\0\0\0\0"),
    _step(_CALL, 3, 7) + _step(_MESSAGE, 3, 1, octets=b"\0") + _step(_TICK) + _step(_TURN),
    _step(_CALL, 1, 8) + _step(_MESSAGE, 1, 0, octets=b"") + _step(_FRAME, GOAWAY, 0, 0, octets=bytes(8)),
)


def feed(octets):
    """Play the script against a new connection, then let the peer go."""
    door = Door.only()
    with door.connection() as connection:
        connection.receive(PREFACE + _frame(SETTINGS, 0, 0, b""))
        for step in _steps(octets, door.paths):
            if step is _TURN:
                connection.turn()
            elif step is _TICK:
                connection.tick()
            else:
                connection.receive(step)
    assert door.is_idle(), "a connection that has ended holds something"


def _steps(octets, paths):
    """The script as octets to receive, and what to do between."""
    at, encoder = 0, hpack.Encoder()
    while at + 1 < len(octets):
        kind, at = octets[at] % 6, at + 1
        if kind in {_TURN, _TICK}:
            yield kind
            continue
        numbers = octets[at : at + (0, 0, 2, 2, 3)[kind]]
        at += len(numbers)
        length = (octets[at : at + 1] or b"\0")[0]
        body, at = octets[at + 1 : at + 1 + length], at + 1 + length
        if kind == _RAW:
            yield body
        elif len(numbers) < 2 or (kind == _FRAME and len(numbers) < 3):
            return
        elif kind == _CALL:
            yield _frame(HEADERS, 4, numbers[0], encoder.encode(_fields(paths[numbers[1] % len(paths)], body)))
        elif kind == _MESSAGE:
            yield _frame(DATA, numbers[1] & 1, numbers[0], struct.pack(">BI", 0, len(body)) + body)
        else:
            yield _frame(numbers[0] % 12, numbers[1], numbers[2], body)


def _fields(path, extra):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    fields += [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
    return [
        *fields,
        *((name, value) for name, _, value in (line.partition(b"\0") for line in extra.split(b"\n")) if name),
    ]


def _frame(kind, flags, stream_id, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload
