"""The rules of the Handle protocol find something wrong with a server that is wrong, and nothing with ours."""

import socket
import threading
from contextlib import suppress

import pytest

from conformance.handle.client import Peer
from conformance.handle.judging import judge_handle
from conformance.handle.rules import RULES
from conformance.suite import judge
from tests.resolver.transport.hdl_node import handle_node


@pytest.fixture
def liar():
    """A server that says "not found" to whatever it gets, without looking."""
    listener = socket.create_server(("127.0.0.1", 0))
    message = bytes.fromhex("020b020b00000000000000010000000000000020") + bytes.fromhex(
        "000000010000006419000000000100007fffffff00000004000000000000000000"
    )

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):  # of who leaves before the lie is out
                connection.recv(1 << 16)
                connection.sendall(message[:52])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave the thread waiting in accept
    thread.join(60)
    listener.close()


def test_a_server_that_does_not_look_is_found_out(liar):
    slow = {"answers are not answered", "requests in packets", "cut requests", "flipped octets", "lying lengths"}
    rules = [rule for rule in RULES if not rule.needs and rule.name not in slow]
    verdicts = judge(Peer("127.0.0.1", liar, "88.300.1"), rules)
    kept = {verdict.check.name for verdict in verdicts if not verdict.fault}
    honest = {"a missing handle is not found", "what must be tolerated", "slow requests"}  # it says 100 to all
    assert kept <= {"unknown operations", "garbage", "lying counts"} | honest, kept
    assert len(verdicts) - len(kept) >= 7


def test_our_doors_keep_every_rule_that_needs_no_administrator(tmp_path):
    with handle_node(tmp_path, workers=2) as node:
        verdicts = judge_handle(f"127.0.0.1:{node.port}", "88.300.1", None)
        assert len(verdicts) >= 18
        assert {verdict.check.name: verdict.fault for verdict in verdicts if verdict.fault} == {}


def test_every_rule_says_where_it_is_written():
    assert len({rule.name for rule in RULES}) == len(RULES) >= 37
    assert all(len(rule.source) > 10 for rule in RULES)
