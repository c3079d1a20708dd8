"""Set-ups that come again over UDP get the first answer's packets; what is kept is bounded."""

import os
import socket

from resolver.transport.hdl_repeats import ENTRIES_MAX, KEPT_S, Repeats
from resolver.wire import requests, sessions
from resolver.wire.envelope import Envelope
from tests.resolver.transport.hdl_node import handle_node
from tests.support.clock import FakeClock

CERTIFIED_WITH_DIGEST = 0x5980_0000


def packets_of(connection, count):
    return [connection.recv(600) for _ in range(count)]


def test_repeated_set_up_gets_the_same_packets_and_another_address_other_ones(tmp_path):
    with handle_node(tmp_path, clock=FakeClock()) as node:
        ours = sessions.public_half(int.from_bytes(os.urandom(48), "big"), sessions.OAKLEY_2)
        body = requests.SessionSetup(4, 86_400, "0.NA/88.300", 300, public_key=ours.to_wire())
        asked = node.client().request(400, body, flags=CERTIFIED_WITH_DIGEST).to_wire()
        found = []
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
                connection.settimeout(60)
                connection.connect(("127.0.0.1", node.port))
                connection.send(asked)
                first = packets_of(connection, 2)
                connection.send(asked)
                assert packets_of(connection, 2) == first
                found.append(Envelope.from_wire(first[0]).session_id)
        assert len(set(found)) == 2
        assert len(node.protocols[0].authentication.sessions) == 2


def test_what_is_kept_is_bounded_by_number_and_time():
    repeats = Repeats()
    sent, is_new = repeats.first("a", b"m", 0.0)
    assert is_new
    sent.append(b"packet")
    assert repeats.first("a", b"m", KEPT_S - 0.1) == ([b"packet"], False)
    assert repeats.first("a", b"m", KEPT_S) == ([], True)
    for number in range(2 * ENTRIES_MAX):
        repeats.first(number, b"m", KEPT_S)
    assert len(repeats) == ENTRIES_MAX
    assert repeats.first("x", b"m", 3 * KEPT_S) == ([], True)
    assert len(repeats) == 1
