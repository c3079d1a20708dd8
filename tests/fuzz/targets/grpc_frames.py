"""DATA octets of one gRPC stream, cut anywhere, compressed or not."""

import gzip
import struct
import zlib

from resolver.transport.grpc_frames import Deframer, FrameError, MessageTooLong, to_frame

INSTRUMENT = ("resolver.transport.grpc_frames",)
_OCTETS_MAX, _INFLATED_MAX = 1_024, 8_192
_ENCODINGS = (b"identity", b"gzip", b"deflate")


def _squeezed(octets):
    return struct.pack(">BI", 1, len(octets)) + octets


SEEDS = (
    b"\0\x05" + to_frame(b"message"),
    b"\0\x01" + to_frame(b"") + to_frame(b"two"),
    b"\x01\x07" + _squeezed(gzip.compress(b"message" * 9)),
    b"\x02\x03" + _squeezed(zlib.compress(b"message")) + to_frame(b"plain"),
    b"\x01\x07" + _squeezed(gzip.compress(bytes(20_000))),
)


def feed(octets):
    """The first octet chooses the encoding, the second how the rest is cut."""
    encoding, step, data = _ENCODINGS[octets[0] % 3] if octets else b"gzip", (octets[1:2] or b"\0")[0], octets[2:]
    whole = _messages(encoding, [data])
    assert whole == _messages(encoding, [data[at : at + step + 1] for at in range(0, len(data), step + 1)])


def _messages(encoding, pieces):
    """What comes out before the first error, and the error."""
    deframer, messages, fault = Deframer(_OCTETS_MAX, encoding, _INFLATED_MAX), [], None
    for piece in pieces:
        # A read that ends in an error hands out none of its messages, so what came out is compared only without one.
        try:
            messages += deframer.receive_data(piece)
        except (FrameError, MessageTooLong) as error:
            return type(error), error.args
        assert deframer.held_octets < _OCTETS_MAX + 5 + len(piece)
    assert all(len(message) <= _INFLATED_MAX for message in messages)
    return messages, deframer.held_octets, fault
