"""The few HTTP/2 frames that a load needs (RFC 9113, RFC 7541), written and read without a state machine.

A general client spends more on a request than the servers measured here, so requests are whole octet strings made
before the clock starts: a HEADERS frame whose fields are all in the peer's table after the first request, and DATA.
Answers are walked frame by frame. This is a load, not a client: it speaks only to servers that were checked.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
FRAME_OCTETS = 9
PAYLOAD_OCTETS_MAX = 16_384
"""Largest payload that every peer takes (RFC 9113 section 4.2)."""
WINDOW_START = 65_535
"""Octets that may be sent before the first update (RFC 9113 section 6.9.2)."""
WINDOW_MAX = 2**31 - 1
WHOLE_INDEX_START = 62
"""First index of the dynamic table (RFC 7541 section 2.3.3)."""

frame_head = struct.Struct(">IBI")
"""Length and kind in one number, flags, stream: length is the first 24 bits, kind the last 8."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return frame_head.pack(len(payload) << 8 | kind, flags, stream) + payload


def hello() -> bytes:
    """What a client sends first: no push, and windows so large that the peer never waits for us."""
    settings = struct.pack(">HIHI", 2, 0, 4, WINDOW_MAX)
    return PREFACE + frame(SETTINGS, 0, 0, settings) + window_update(0, WINDOW_MAX - WINDOW_START)


def window_update(stream: int, octets: int) -> bytes:
    """Lets the peer send more."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", octets))


def _integer(number: int, bits: int, first: int) -> bytes:
    """A number with a prefix of ``bits`` bits (RFC 7541 section 5.1)."""
    top = (1 << bits) - 1
    if number < top:
        return bytes([first | number])
    octets = bytearray([first | top])
    number -= top
    while number >= 128:
        octets.append(number % 128 | 128)
        number //= 128
    octets.append(number)
    return bytes(octets)


def header_blocks(fields: Iterable[tuple[str, str]]) -> tuple[bytes, bytes]:
    """The block of a connection's first request, which fills the table, and that of every later one.

    ``fields`` leaves out nothing: ``:method`` and the other pseudo fields first.
    """
    first, later = b"", b""
    known = {(":method", "GET"): 2, (":method", "POST"): 3, (":scheme", "http"): 6}
    stored = [field for field in fields if field not in known]
    for field in fields:
        if field in known:
            octets = _integer(known[field], 7, 0x80)
            first += octets
            later += octets
            continue
        name, value = (text.encode() for text in field)
        first += b"\x40" + _integer(len(name), 7, 0) + name + _integer(len(value), 7, 0) + value
        later += _integer(WHOLE_INDEX_START + len(stored) - 1 - stored.index(field), 7, 0x80)
    return first, later


def request(stream: int, block: bytes, body: bytes) -> bytes:
    """A whole request; without a body the headers end it."""
    if not body:
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
    return frame(HEADERS, END_HEADERS, stream, block) + data_frames(stream, body, end=True)


def data_frames(stream: int, body: bytes, *, end: bool) -> bytes:
    """A body in DATA frames that every peer takes."""
    last = END_STREAM if end else 0
    if len(body) <= PAYLOAD_OCTETS_MAX:
        return frame(DATA, last, stream, body)
    pieces = [body[at : at + PAYLOAD_OCTETS_MAX] for at in range(0, len(body), PAYLOAD_OCTETS_MAX)]
    return b"".join(frame(DATA, last if piece is pieces[-1] else 0, stream, piece) for piece in pieces)


def grpc_frame(message: bytes) -> bytes:
    """A gRPC message: not compressed, length, octets."""
    return struct.pack(">BI", 0, len(message)) + message
