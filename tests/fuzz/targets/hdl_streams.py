"""Octets of a TCP connection cut anywhere, and UDP packets in any order, with bounds on what is kept."""

from resolver.errors import WireError
from resolver.wire import bounds
from resolver.wire.datagrams import Reassembler
from resolver.wire.stream import FrameStream
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = ("resolver.wire.stream", "resolver.wire.datagrams", "resolver.wire.envelope", "resolver.wire.cursor")
_WHOLE = [of_hex(vector["hex"])[:700] for vector in recorded("messages_requests")[:20]]
_SPLIT = [
    [of_hex(part) for part in vector["request_hex"]]
    for vector in recorded("live_exchanges")
    if isinstance(vector.get("request_hex"), list)
]
SEEDS = (
    *(bytes([0, step]) + whole * 2 for step, whole in enumerate(_WHOLE)),
    *(b"\x01\xff" + b"".join(bytes([len(part) >> 8, len(part) & 0xFF]) + part for part in parts) for parts in _SPLIT),
)


def feed(octets):
    """The first octet chooses stream or packets, the second how a stream is cut."""
    kind, step, data = (octets[:1] or b"\0")[0] & 1, (octets[1:2] or b"\0")[0] + 1, octets[2:]
    if kind:
        _packets(data)
        return
    whole = _frames([data])
    assert whole == _frames([data[at : at + step] for at in range(0, len(data), step)])


def _frames(pieces):
    """The frames that come out, and whether the stream died."""
    stream, frames, dead = FrameStream(10_000), [], False
    for piece in pieces:
        try:
            frames += stream.receive_data(piece)
        except WireError:
            dead = True
            break
        assert stream.pending_octets <= 10_020 + len(piece)
    if not dead:
        try:
            stream.receive_data(b"")
        except WireError:
            dead = True
    return frames, dead


def _packets(data):
    """Packets behind two octets of length, from two sources of one network; nothing outlives its time."""
    reassembler, place, number = Reassembler(), 0, 0
    while place + 2 <= len(data):
        size = int.from_bytes(data[place : place + 2], "big") & 0x3FF
        packet, place, number = data[place + 2 : place + 2 + size], place + 2 + size, number + 1
        try:
            frame = reassembler.receive(packet, number & 1, "network", number / 100)
        except WireError as error:
            assert error.message
            continue
        assert frame is None or len(frame.payload) <= bounds.DATAGRAM_MESSAGE_OCTETS_MAX
        assert len(reassembler) <= bounds.FRAGMENT_ENTRIES_MAX
        assert reassembler.held_octets <= bounds.FRAGMENT_NETWORK_OCTETS_MAX
    reassembler.expire(number / 100 + bounds.FRAGMENT_LIFETIME_S + 1)
    assert not len(reassembler)
    assert not reassembler.held_octets
