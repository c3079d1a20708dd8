"""Octets of a TCP connection cut anywhere, and UDP packets in any order, with bounds on what is kept."""

from resolver.errors import WireError
from resolver.wire import bounds
from resolver.wire.datagrams import Reassembler, split
from resolver.wire.envelope import OCTETS, Envelope
from resolver.wire.message import Frame
from resolver.wire.stream import FrameStream
from resolver.wire.versions import OWN
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = ("resolver.wire.stream", "resolver.wire.datagrams", "resolver.wire.envelope", "resolver.wire.cursor")
_WHOLE = [of_hex(vector["hex"])[:700] for vector in recorded("messages_requests")[:20]]
_SPLIT = [
    [of_hex(part) for part in vector["request_hex"]]
    for vector in recorded("live_exchanges")
    if isinstance(vector.get("request_hex"), list)
]
_PACKETS_MAX, _MESSAGE_OCTETS_MAX = 6, 6 * bounds.FRAGMENT_OCTETS


def _long(octets, id_, *, is_request):
    """The packets of a message, the last one first."""
    frame = Frame(Envelope(OWN, OWN, 0, 0, id_, 0, octets), bytes(octets))
    return split(frame, is_request=is_request)[::-1]


_SPLIT += [_long(1_000, 5, is_request=True), _long(492, 6, is_request=True) + _long(985, 7, is_request=False)]
SEEDS = (
    *(bytes([0, step]) + whole * 2 for step, whole in enumerate(_WHOLE)),
    *(b"\x01\xff" + b"".join(bytes([len(part) >> 8, len(part) & 0xFF]) + part for part in parts) for parts in _SPLIT),
)


def feed(octets):
    """The first octet chooses stream or packets, the second how a stream is cut; both also with lengths that agree."""
    kind, step, data = (octets[:1] or b"\0")[0] & 1, (octets[1:2] or b"\0")[0] + 1, octets[2:]
    for given in {data, _mended_packets(data) if kind else _mended_stream(data)}:
        if kind:
            _packets(given)
        else:
            whole = _frames([given])
            assert whole == _frames([given[at : at + step] for at in range(0, len(given), step)])


def _mended_stream(data):
    """Envelopes that promise what there is at most."""
    octets, place = bytearray(data), 0
    while place + OCTETS <= len(data):
        rest = len(data) - place - OCTETS
        says = int.from_bytes(data[place + 16 : place + OCTETS], "big")
        if says > rest:
            says %= rest + 1
            octets[place + 16 : place + OCTETS] = says.to_bytes(4, "big")
        place += OCTETS + says
    return bytes(octets)


def _mended_packets(data):
    """Packets whose place and size can be those of a message's part: one of a full size, or the last."""
    octets, place = bytearray(data), 0
    while place + 2 + OCTETS <= len(data):
        size = min(int.from_bytes(data[place : place + 2], "big") & 0x3FF, len(data) - place - 2)
        size = max(OCTETS, min(size, bounds.DATAGRAM_OCTETS_MAX))
        envelope = Envelope.from_wire(data, place + 2)
        sequence, held = envelope.sequence % _PACKETS_MAX, size - OCTETS
        before = sequence * bounds.FRAGMENT_OCTETS
        is_inside = held == bounds.FRAGMENT_OCTETS and before + held <= envelope.message_octets <= _MESSAGE_OCTETS_MAX
        whole = envelope.message_octets if is_inside else before + held
        octets[place : place + 2] = size.to_bytes(2, "big")
        octets[place + 2 : place + 2 + OCTETS] = envelope._replace(sequence=sequence, message_octets=whole).to_wire()
        place += 2 + size
    return bytes(octets)


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
