"""Clients of the Handle TCP door that take their answers slowly, or never: times are given to ``check`` by hand."""

import asyncio
import socket
import time

import pytest

from resolver.transport.hdl_waiting import WRITES_AT_ONCE
from resolver.wire import requests
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, handle_node, read_exactly, read_frame, value
from tests.support.clock import FakeClock


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("slow"), clock=FakeClock()) as node:
        node.store("88.300.1/S-60000", value(1, "URL", "x" * 60_000))
        node.store("88.300.1/LONG", value(1, "URL", "x" * 600_000))
        yield node


def question(node, name):
    return node.client().request(1, requests.Resolution(name), flags=HSJ_PUBLIC)


def narrow(node, octets):
    """A client that takes little before it reads, has sent some octets, and the connection it has become."""
    node.tcp[0]._lobby._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    before = set(node.tcp[0]._connections)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.settimeout(60)
    client.connect(("127.0.0.1", node.port))
    client.sendall(octets)
    while not (found := node.tcp[0]._connections - before):
        time.sleep(0.005)
    (served,) = found
    return client, served


def checked(node, served, later_s):
    """Whether a connection is there still when it has been looked at so many seconds later."""

    async def check():
        served.check(node.clock.monotonic_s() + later_s)
        return not served._transport.is_closing()

    return node.on_loop(check())


def test_a_client_that_is_not_read_meanwhile_is_not_late(node):
    """Five seconds after half an envelope had come it was cut off, though nobody read the other half."""
    message = question(node, "88.300.1/S-60000").to_wire()
    client, served = narrow(node, message * 40 + message[:7])
    with client:
        while served._blocked is None:
            time.sleep(0.005)
        assert checked(node, served, 20.0)
        assert all(read_frame(client).header.response_code == 1 for _ in range(40))
        client.sendall(message[7:])
        assert read_frame(client).header.response_code == 1


def test_a_client_that_takes_a_large_answer_slowly_gets_the_whole_of_it(node):
    """It had thirty seconds for all of it, or five when the lobby had begun to send it."""
    client, served = narrow(node, question(node, "88.300.1/LONG").to_wire())
    with client:
        later_s, took = 0.0, 0
        while took < 600_000:
            took += len(read_exactly(client, 60_000))
            time.sleep(0.02)
            later_s += 25.0
            assert checked(node, served, later_s if served._untaken.is_waiting else 25.0)
        assert not served._untaken.is_waiting


def test_a_client_that_takes_no_answer_is_cut_off(node):
    client, served = narrow(node, question(node, "88.300.1/LONG").to_wire())
    with client:
        while not served._untaken.is_waiting:
            time.sleep(0.005)
        assert checked(node, served, 29.0)
        # What its kernel takes meanwhile may win it time, and is soon full.
        assert not all(checked(node, served, later_s) for later_s in (31.0, 62.0, 93.0, 124.0))


def test_others_have_their_turn_while_many_large_answers_are_taken(node):
    """All answers of a read were made in one turn of the loop as long as their client took them."""

    class Socket:
        """Takes whatever is written, at once."""

        def __init__(self):
            self.taken = []

        def write(self, octets):
            self.taken.append(octets)

        def is_reading(self):
            return True

        def resume_reading(self):
            pass

    async def main():
        served._transport, theirs = Socket(), served._transport
        served._waiting.add([question(node, "88.300.1/S-60000").to_frame() for _ in range(100)])
        served._answer_waiting()
        first = len(served._transport.taken)
        for _ in range(20):
            await asyncio.sleep(0)
        served._transport, taken = theirs, b"".join(served._transport.taken)
        return first, len(taken)

    client, served = narrow(node, question(node, "88.300.1/S-60000").to_wire()[:7])
    with client:
        first, octets = node.on_loop(main())
    assert first == WRITES_AT_ONCE
    assert octets > 100 * 60_000
