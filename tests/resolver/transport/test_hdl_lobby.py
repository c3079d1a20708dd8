"""The lobby of the Handle TCP door: first questions are answered there, all else goes on to the door unharmed."""

import errno
import socket
import time
import tracemalloc

import pytest

from resolver.errors import StorageFailed
from resolver.transport import hdl_lobby, hdl_tcp
from resolver.wire import requests
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, handle_node, read_frame, value
from tests.support.clock import FakeClock

NAME, LONG = "88.300.1/FIRST", "88.300.1/LONG"
LONG_OCTETS = 600_000


@pytest.fixture
def node(tmp_path):
    with handle_node(tmp_path) as node:
        node.store(NAME, value(1, "URL", "x"))
        node.store(LONG, value(1, "URL", "y" * LONG_OCTETS))
        yield node


def question(node, name=NAME):
    return node.client().request(1, requests.Resolution(name), flags=HSJ_PUBLIC).to_wire()


def connected(node):
    return socket.create_connection(("127.0.0.1", node.port), timeout=60)


def until(condition):
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def in_lobby(node):
    return len(node.tcp[0]._lobby)


def code_of(connection):
    return read_frame(connection).header.response_code


def test_a_first_question_is_answered_without_a_connection_of_the_door(node):
    with connected(node) as connection:
        until(lambda: in_lobby(node) == 1)
        connection.sendall(question(node))
        assert code_of(connection) == 1
        assert in_lobby(node) == node.tcp[0].connection_count == 1
        connection.sendall(question(node) * 3)
        assert [code_of(connection) for _ in range(3)] == [1, 1, 1]
        assert (in_lobby(node), node.tcp[0].connection_count) == (0, 1)
    until(lambda: node.tcp[0].connection_count == 0)


def test_what_comes_in_pieces_or_is_not_plain_goes_on_to_the_door(node):
    octets = question(node)
    site = node.client().request(2, requests.OfHandle("/")).to_wire()
    for pieces in ((octets[:5], octets[5:]), (octets + octets[:ENVELOPE_OCTETS], octets[ENVELOPE_OCTETS:]), (site,)):
        with connected(node) as connection:
            connection.sendall(pieces[0])
            until(lambda: len(node.tcp[0]._connections) == 1)
            for piece in pieces[1:]:
                connection.sendall(piece)
            assert code_of(connection) == 1
            assert in_lobby(node) == 0
        until(lambda: not node.tcp[0].connection_count)


def test_an_answer_that_the_socket_does_not_take_at_once_arrives_whole(node):
    node.tcp[0]._lobby._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    with connected(node) as connection:
        connection.sendall(question(node, LONG))
        time.sleep(0.1)
        assert len(read_frame(connection).payload) > LONG_OCTETS
        connection.sendall(question(node))
        assert code_of(connection) == 1


def test_large_answers_of_one_turn_are_not_held_together(node):
    """All of them were kept until they were counted: megabytes for each client that had asked."""
    clients = [connected(node) for _ in range(60)]
    until(lambda: in_lobby(node) == len(clients))

    async def all_at_once():
        for client in clients:
            client.sendall(question(node, LONG))
        tracemalloc.start()
        node.tcp[0]._lobby._serve()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak = node.on_loop(all_at_once())
    for client in clients:
        assert code_of(client) == 1
        client.close()
    assert peak < 20 * LONG_OCTETS


def test_silence_has_its_time_before_and_after_the_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(hdl_tcp, "SWEEP_S", 0.05)
    clock = FakeClock()
    with handle_node(tmp_path, clock=clock, idle_s=600.0) as node, connected(node) as silent, connected(node) as asking:
        until(lambda: in_lobby(node) == 2)
        asking.sendall(question(node, "88.300.1/NONE"))
        assert code_of(asking) == 100
        clock.advance(hdl_lobby.HEADER_TIMEOUT_S)
        assert silent.recv(1) == b""
        assert in_lobby(node) == 1
        clock.advance(600.0)
        assert asking.recv(1) == b""


def test_there_is_room_for_so_many(node, monkeypatch):
    monkeypatch.setattr(hdl_tcp, "CONNECTIONS_MAX", 2)
    with connected(node) as one, connected(node) as two, connected(node) as three:
        assert three.recv(1) == b""
        for each in (one, two):
            each.sendall(question(node))
            assert code_of(each) == 1


def test_without_descriptors_accepting_rests_and_goes_on(node, monkeypatch):
    monkeypatch.setattr(hdl_lobby, "_NO_DESCRIPTORS_S", 0.05)
    lobby, tries = node.tcp[0]._lobby, []

    class Exhausted:
        """A listener whose process has no descriptor for two clients."""

        def __init__(self, listener):
            self.fileno, self.close = listener.fileno, listener.close
            self._accept = listener.accept

        def accept(self):
            tries.append(time.monotonic())
            if len(tries) <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._accept()

    lobby._listener = Exhausted(lobby._listener)
    with connected(node) as connection:
        connection.sendall(question(node))
        assert code_of(connection) == 1
    assert tries[2] - tries[0] > 0.05


def test_a_store_that_fails_costs_the_questions_of_that_moment_only(node, monkeypatch):
    core = node.tcp[0].core

    def broken():
        raise StorageFailed("the disk is gone")

    with monkeypatch.context() as patch, connected(node) as connection:
        patch.setattr(core, "burst", broken)
        connection.sendall(question(node))
        assert connection.recv(1) == b""
    with connected(node) as connection:
        connection.sendall(question(node))
        assert code_of(connection) == 1


def test_leaving_closes_who_waits_and_answers_who_has_asked(node):
    with connected(node) as silent, connected(node) as asking:
        until(lambda: in_lobby(node) == 2)
        site = node.client().request(2, requests.OfHandle("/")).to_wire()

        async def leave():
            asking.sendall(site)
            await node.tcp[0].drain(60.0)

        node.on_loop(leave())
        assert code_of(asking) == 1
        assert silent.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(node)
