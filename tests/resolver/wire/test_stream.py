"""The TCP stream, fed whole, octet by octet, in odd pieces and with octets behind."""

from __future__ import annotations

import pytest

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.wire.bounds import MESSAGE_OCTETS_MAX
from resolver.wire.envelope import Envelope
from resolver.wire.message import Frame
from resolver.wire.stream import FrameStream
from resolver.wire.versions import OWN
from tests.resolver.wire.vectors import octets, recorded


def frame(payload: bytes, request_id: int = 1) -> Frame:
    return Frame(Envelope(OWN, OWN, 0, 0, request_id, 0, len(payload)), payload)


MESSAGES = [frame(b"a" * 30, 1), frame(b"", 2), frame(bytes(range(256)), 3), frame(b"z", 4)]
WHOLE = b"".join(message.to_wire() for message in MESSAGES)


@pytest.mark.parametrize("step", [1, 2, 7, 19, 20, 21, 64, len(WHOLE)])
def test_pieces_of_any_size_give_the_same_messages(step):
    stream = FrameStream()
    received = [
        message for start in range(0, len(WHOLE), step) for message in stream.receive_data(WHOLE[start : start + step])
    ]
    assert received == MESSAGES
    assert stream.pending_octets == 0
    stream.end()


@pytest.mark.parametrize("step", [1, 19, 50, len(WHOLE)])
def test_messages_as_octets_are_the_same(step):
    stream = FrameStream()
    received = [
        message
        for start in range(0, len(WHOLE), step)
        for message in stream.receive_octets(WHOLE[start : start + step])
    ]
    assert received == [message.to_wire() for message in MESSAGES]


def test_one_message_at_a_time_is_not_copied():
    stream = FrameStream()
    whole = MESSAGES[2].to_wire()
    assert stream.receive_octets(whole)[0] is whole
    assert stream.pending_octets == 0


def test_octets_behind_a_message_wait_for_the_next():
    stream = FrameStream()
    assert stream.receive_data(WHOLE + WHOLE[:25]) == MESSAGES
    assert stream.pending_octets == 25
    assert stream.pending_envelope == MESSAGES[0].envelope
    assert stream.receive_data(WHOLE[25:]) == MESSAGES


def test_an_end_inside_a_message_is_an_error():
    stream = FrameStream()
    stream.receive_data(WHOLE[:-1])
    with pytest.raises(MalformedMessage, match="20 octets had come"):
        stream.end()


def test_a_promise_of_too_much_is_refused_with_the_envelope_alone():
    large = Envelope(OWN, OWN, 0, 0, 9, 0, MESSAGE_OCTETS_MAX + 1)
    stream = FrameStream()
    assert stream.receive_data(large.to_wire()[:-1]) == []
    with pytest.raises(MessageTooLarge, match="262145"):
        stream.receive_data(large.to_wire()[-1:])
    assert stream.pending_envelope == large
    assert stream.pending_octets == 0
    with pytest.raises(MalformedMessage, match="close"):
        stream.receive_data(WHOLE)


def test_messages_before_a_refused_one_are_handed_out():
    large = Envelope(OWN, OWN, 0, 0, 9, 0, 2**32 - 1)
    stream = FrameStream()
    assert stream.receive_data(WHOLE + large.to_wire()) == MESSAGES
    with pytest.raises(MessageTooLarge):
        stream.receive_data(b"")


def test_the_largest_message_is_taken():
    largest = frame(bytes(MESSAGE_OCTETS_MAX))
    assert FrameStream().receive_data(largest.to_wire()) == [largest]


def test_recorded_requests_in_one_stream():
    whole = [octets(vector["hex"]) for vector in recorded("messages_requests")]
    stream = FrameStream()
    received = stream.receive_data(b"".join(whole))
    assert [message.to_wire() for message in received] == whole
