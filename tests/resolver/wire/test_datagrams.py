"""UDP: messages split and put together, in any order, and the bounds of what is kept."""

from __future__ import annotations

import random

import pytest

from resolver.errors import MalformedMessage, MessageTooLarge
from resolver.wire.datagrams import Reassembler, split
from resolver.wire.envelope import TRUNCATED, Envelope
from resolver.wire.message import Frame
from resolver.wire.versions import OWN


def frame(octets: int, request_id: int = 1) -> Frame:
    payload = random.Random(octets).randbytes(octets)
    return Frame(Envelope(OWN, OWN, 0, 0, request_id, 0, octets), payload)


@pytest.mark.parametrize("octets", [0, 1, 491, 492, 493, 984, 985, 10_000])
@pytest.mark.parametrize("is_request", [True, False])
def test_what_is_split_comes_together_in_any_order(octets, is_request):
    message = frame(octets)
    packets = split(message, is_request=is_request)
    assert len(packets) == max(1, -(-octets // 492))
    assert all(len(packet) <= 512 for packet in packets)
    flags = {Envelope.from_wire(packet).flags for packet in packets}
    assert flags == {TRUNCATED if is_request and len(packets) > 1 else 0}
    random.Random(7).shuffle(packets)
    table = Reassembler()
    received = [table.receive(packet, "peer", "net", 0.0) for packet in packets]
    assert received[:-1] == [None] * (len(packets) - 1)
    assert received[-1] == message
    assert len(table) == 0
    assert table.held_octets == 0


def test_one_packet_over_512_octets_is_a_message():
    message = frame(700)
    assert Reassembler().receive(message.to_wire(), "peer", "net", 0.0) == message


def test_repeated_packets_do_not_count_twice():
    first, second = split(frame(600), is_request=True)
    table = Reassembler()
    assert table.receive(first, "peer", "net", 0.0) is None
    assert table.receive(first, "peer", "net", 0.0) is None
    assert table.receive(second, "peer", "net", 0.0) == frame(600)


def test_packets_of_other_sources_and_requests_are_kept_apart():
    first, second = split(frame(600), is_request=True)
    other = split(frame(600, request_id=2), is_request=True)[1]
    table = Reassembler()
    table.receive(first, "a", "net", 0.0)
    assert table.receive(second, "b", "net", 0.0) is None
    assert table.receive(other, "a", "net", 0.0) is None
    assert len(table) == 3


def test_parts_are_forgotten_after_their_time():
    first, second = split(frame(600), is_request=True)
    table = Reassembler(lifetime_s=1.0)
    table.receive(first, "peer", "net", 10.0)
    assert table.receive(second, "peer", "net", 11.0) is None
    assert len(table) == 1
    table.expire(12.0)
    assert table.held_octets == 0


def test_a_flood_displaces_the_oldest_and_holds_no_more():
    table = Reassembler(entries_max=8)
    for request_id in range(100):
        table.receive(split(frame(600, request_id), is_request=True)[0], "peer", request_id, 0.0)
    assert len(table) == 8
    assert table.held_octets == 8 * 600


def test_one_network_holds_its_share_only():
    table = Reassembler(network_octets_max=1_500)
    for request_id in range(10):
        table.receive(split(frame(600, request_id), is_request=True)[0], "peer", "net", 0.0)
    assert len(table) == 2
    first, second = split(frame(600), is_request=True)
    table.receive(first, "other", "elsewhere", 0.0)
    assert table.receive(second, "other", "elsewhere", 0.0) == frame(600)


def test_what_a_network_has_left_unfinished_does_not_lock_it_out():
    table = Reassembler(network_octets_max=1_500)
    for request_id in range(10, 15):
        table.receive(split(frame(600, request_id), is_request=True)[0], "peer", "net", 0.0)
    first, second = split(frame(700), is_request=True)
    assert table.receive(first, "peer", "net", 0.0) is None
    assert table.receive(second, "peer", "net", 0.0) == frame(700)
    assert table.held_octets <= 1_500


def test_another_length_under_the_same_id_starts_again():
    table = Reassembler()
    table.receive(split(frame(600), is_request=True)[0], "peer", "net", 0.0)
    first, second = split(frame(700), is_request=True)
    assert table.receive(first, "peer", "net", 0.0) is None
    assert table.receive(second, "peer", "net", 0.0) == frame(700)
    assert table.held_octets == 0


def test_packets_that_cannot_be():
    table = Reassembler()
    with pytest.raises(MalformedMessage):
        table.receive(b"\2\3", "peer", "net", 0.0)
    packet = split(frame(600), is_request=True)[1]
    with pytest.raises(MalformedMessage, match="must have 108"):
        table.receive(packet + b"x", "peer", "net", 0.0)
    envelope = Envelope(OWN, OWN, TRUNCATED, 0, 1, 2, 600)
    with pytest.raises(MalformedMessage, match="has 2 packets"):
        table.receive(envelope.to_wire(), "peer", "net", 0.0)
    with pytest.raises(MessageTooLarge, match="use TCP"):
        table.receive(envelope._replace(message_octets=2**31).to_wire(), "peer", "net", 0.0)
    assert len(table) == 0
