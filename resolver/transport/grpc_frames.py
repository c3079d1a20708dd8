"""gRPC over HTTP/2 as octets and header lists: what a call says of itself, and how messages and statuses are written.

This file does not know sockets, streams, methods or handlers; it turns header lists into ``Opening``, DATA octets into
messages, and outcomes into header lists (gRPC's ``PROTOCOL-HTTP2.md``). Sizes are checked as soon as they are known:
a message that is too long is refused by its five-octet prefix, a compressed one while it is inflated.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = tuple[tuple[bytes, bytes], ...]

PREFIX = struct.Struct(">BI")
"""What stands before each message: compressed flag (1 octet) and length (4, big-endian)."""

PREFIX_OCTETS = PREFIX.size

ENCODINGS = (b"identity", b"deflate", b"gzip")
"""Message encodings that requests may use; answers are always sent as they are stored, which is identity."""

_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS_S = {b"H": 3_600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_UNSAFE = re.compile(rb"[^ -$&-~]")
_FIELD_OVERHEAD_OCTETS = 32
"""What a field counts beyond its name and value (RFC 9113 section 6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE)."""

RESPONSE: Headers = ((b":status", b"200"), (b"content-type", b"application/grpc"))
"""Headers before the first message of an answer."""

TRAILERS_OK: Headers = ((b"grpc-status", b"0"),)
"""Trailers of a call that succeeded."""

NOT_GRPC: Headers = ((b":status", b"415"), (b"content-length", b"0"))
"""The answer to a request that is no gRPC call: its content-type says so."""

NOT_POST: Headers = ((b":status", b"405"), (b"allow", b"POST"), (b"content-length", b"0"))
"""The answer to another HTTP method than POST."""


class FrameError(Exception):
    """What a peer sent breaks the rules of gRPC framing: the canonical status code and a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class MessageTooLong(Exception):
    """A message is longer than it may be; ``octets`` is its length, 0 when only inflating it would tell."""

    def __init__(self, octets: int) -> None:
        super().__init__(octets)
        self.octets = octets


class Opening(NamedTuple):
    """What the header block of a request says."""

    path: bytes
    http_method: bytes
    content_type: bytes
    encoding: bytes
    timeout_s: float | None
    metadata: tuple[tuple[str, str | bytes], ...]
    octets: int
    """Size of the header list as RFC 9113 counts it."""

    @property
    def is_grpc(self) -> bool:
        """Whether the content-type is application/grpc, with or without +proto or parameters."""
        kind = self.content_type.lower()
        return kind[:16] == b"application/grpc" and kind[16:17] in {b"", b"+", b";", b" "}


def read_opening(headers: Headers) -> Opening:
    """What a header list says. Raises FrameError for a timeout or binary metadata that cannot be read."""
    path = http_method = content_type = b""
    encoding = b"identity"
    timeout_s: float | None = None
    metadata: list[tuple[str, str | bytes]] = []
    octets = 0
    for name, value in headers:
        octets += len(name) + len(value) + _FIELD_OVERHEAD_OCTETS
        if name == b":path":
            path = value
        elif name == b":method":
            http_method = value
        elif name == b"content-type":
            content_type = value
        elif name == b"grpc-timeout":
            timeout_s = to_timeout_s(value)
        elif name == b"grpc-encoding":
            encoding = value
        elif name.endswith(b"-bin"):
            metadata.extend((name.decode("latin-1"), from_base64(part)) for part in value.split(b","))
        elif name[:1] != b":" and name[:5] != b"grpc-":
            metadata.append((name.decode("latin-1"), value.decode("latin-1")))
    return Opening(path, http_method, content_type, encoding, timeout_s, tuple(metadata), octets)


def header_list_octets(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Size of a header list as RFC 9113 section 6.5.2 counts it."""
    return sum(len(name) + len(value) + _FIELD_OVERHEAD_OCTETS for name, value in headers)


def to_timeout_s(text: bytes) -> float:
    """Seconds of a ``grpc-timeout``: up to eight digits and a unit of HMSmun. Raises FrameError."""
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise FrameError(13, "metadata 'grpc-timeout' is not up to eight digits and one of H M S m u n: correct it")
    return int(found[1]) * _UNITS_S[found[2]]


def from_base64(text: bytes) -> bytes:
    """Octets of a ``-bin`` header, padded or not, in either alphabet. Raises FrameError."""
    text = text.strip().rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise FrameError(13, "metadata whose name ends in '-bin' is not base64: encode it") from None


def to_base64(octets: bytes) -> bytes:
    """Octets as the value of a ``-bin`` header, without padding."""
    return base64.b64encode(octets).rstrip(b"=")


def to_grpc_message(text: str) -> bytes:
    """A status message percent-encoded: space to ``~`` but ``%`` stay, all other octets of its UTF-8 do not."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def status_fields(code: int, message: str = "", details: bytes = b"") -> Headers:
    """The trailers of a status; ``details`` is a serialised google.rpc.Status."""
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", to_grpc_message(message)))
    if details:
        fields.append((b"grpc-status-details-bin", to_base64(details)))
    return tuple(fields)


def encoding_refusal(encoding: bytes) -> Headers:
    """The whole answer to a request whose message encoding is not known here; it names those that are."""
    text = f"message encoding {encoding[:40].decode('latin-1')!r} is not known: use gzip, deflate or identity"
    return (*RESPONSE, (b"grpc-accept-encoding", b",".join(ENCODINGS)), *status_fields(12, text))


def to_frame(message: bytes) -> bytes:
    """A message with its prefix, not compressed."""
    return PREFIX.pack(0, len(message)) + message


def inflate(encoding: bytes, octets: bytes, octets_max: int) -> bytes:
    """A compressed message in full; never makes more than ``octets_max`` octets.

    Raises FrameError for broken data or an encoding without compression, MessageTooLong.
    """
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise FrameError(13, "a message is flagged as compressed and 'grpc-encoding' names no compression: set it")
    decompressor = zlib.decompressobj(bits)
    try:
        inflated = decompressor.decompress(octets, octets_max)
        if not decompressor.eof and decompressor.decompress(decompressor.unconsumed_tail, 1):
            raise MessageTooLong(0)
    except zlib.error:
        raise FrameError(13, f"a message is not valid {encoding.decode()}: compress it anew") from None
    if not decompressor.eof:
        raise FrameError(13, f"a message is not valid {encoding.decode()}: it ends too early")
    return inflated


class Deframer:
    """Messages out of the DATA octets of one stream, however they are cut.

    ``receive_data`` returns the messages completed. After MessageTooLong or FrameError it must not be fed again.
    """

    __slots__ = ("_buffer", "_encoding", "_inflated_max", "_needed", "_octets_max")

    def __init__(self, octets_max: int, encoding: bytes, inflated_max: int) -> None:
        """Bound one message to ``octets_max`` octets as sent, and to ``inflated_max`` once decompressed."""
        self._octets_max = octets_max
        self._encoding = encoding
        self._inflated_max = inflated_max
        self._buffer = bytearray()
        self._needed = PREFIX_OCTETS
        """Octets in the buffer from which on something can be done."""

    @property
    def held_octets(self) -> int:
        """Octets of the message that is not complete."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> list[bytes]:
        """The messages that end in these octets. Raises MessageTooLong, FrameError."""
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._needed:
                return []
            data = bytes(buffer)
            buffer.clear()
        messages: list[bytes] = []
        start, end = 0, len(data)
        octets_max, unpack = self._octets_max, PREFIX.unpack_from
        self._needed = PREFIX_OCTETS
        while end - start >= PREFIX_OCTETS:
            flag, length = unpack(data, start)
            if flag > 1:
                raise FrameError(13, f"the compressed flag of a message is {flag}: it is 0 or 1")
            if length > octets_max:
                raise MessageTooLong(length)
            following = start + PREFIX_OCTETS + length
            if following > end:
                self._needed = PREFIX_OCTETS + length
                break
            message = data[start + PREFIX_OCTETS : following]
            messages.append(inflate(self._encoding, message, self._inflated_max) if flag else message)
            start = following
        buffer += data[start:]
        return messages
