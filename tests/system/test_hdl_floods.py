"""Crowds, guessers and replayers at the Handle doors of real processes. Slow: a minute (``make soak``)."""

import json
import os
import selectors
import socket
import statistics
import time
from contextlib import suppress

import pytest

from resolver.transport.hdl_tcp import HEADER_TIMEOUT_S, SWEEP_S
from resolver.wire import requests
from resolver.wire.challenges import HashCode
from resolver.wire.keys import der_of_pem
from resolver.wire.private_keys import private_key_from_der
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, PRIVATE, HandleClient, group, value
from tests.system.test_process_model import serving

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(300)]

IDLE, DRIPPING = 10_000, 1_000
CLOSED_WITHIN_S = 15.0
QUESTIONS = 400
SECRET_OF = "301:0.NA/88.300"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("floods") / "data"
    with serving(directory, "--hdl", "127.0.0.1:0") as running:
        running.port = int(running.endpoints["hdl_tcp"].rpartition(":")[2])
        running.key = private_key_from_der(der_of_pem((directory / "credentials" / "admin_rsa.pem").read_bytes()))
        client = HandleClient(running.port)
        secret = requests.WithValues("0.NA/88.300", (value(301, "HS_SECKEY", b"the right one", PRIVATE),))
        assert client.do(102, secret, key=running.key).header.response_code == 1
        members = requests.WithValues("0.NA/88.300", (group((300, "0.NA/88.300"), (301, "0.NA/88.300")),))
        assert client.do(104, members, key=running.key).header.response_code == 1
        yield running


def latencies(port, questions):
    """Seconds of each of some questions on a connection of its own, every tenth on a new one."""
    client, found = HandleClient(port, keep=True), []
    for number in range(questions):
        if number % 10 == 0:
            client.close()
        started = time.perf_counter()
        assert client.ask(1, requests.Resolution("88.300.1/NONE"), flags=HSJ_PUBLIC).header.response_code == 100
        found.append(time.perf_counter() - started)
        time.sleep(0.002)
    client.close()
    return found


def p99(found):
    return statistics.quantiles(found, n=100)[98]


def connected(port, count):
    return [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]


def test_a_crowd_is_shown_the_door_and_not_noticed(node):
    """10,000 silent connections and 1,000 that send an octet a second."""
    if int(os.sysconf("SC_OPEN_MAX")) < IDLE + DRIPPING + 500:
        pytest.skip("this machine allows too few open files")
    before = p99(latencies(node.port, QUESTIONS))
    started = time.monotonic()
    crowd = connected(node.port, IDLE) + connected(node.port, DRIPPING)
    drippers, message = crowd[IDLE:], HandleClient(node.port).request(1, requests.Resolution("88.300.1/NONE")).to_wire()
    opened_s = time.monotonic() - started
    selector = selectors.DefaultSelector()
    for each in crowd:
        each.setblocking(False)
        selector.register(each, selectors.EVENT_READ)
    under, sent = [], 0
    while selector.get_map() and time.monotonic() < started + opened_s + HEADER_TIMEOUT_S + CLOSED_WITHIN_S:
        if sent < len(message) and time.monotonic() > started + opened_s + sent:
            for each in drippers:
                if each.fileno() >= 0:
                    try:
                        each.send(message[sent : sent + 1])
                    except OSError:
                        continue
            sent += 1
        if len(under) < QUESTIONS:
            under += latencies(node.port, 20)
        for key, _ in selector.select(0):
            with suppress(ConnectionError):
                assert key.fileobj.recv(1) == b""
            selector.unregister(key.fileobj)
            key.fileobj.close()
    left = len(selector.get_map())
    selector.close()
    for each in crowd:
        each.close()
    during = p99(under)
    print(json.dumps({"p99_ms": [before * 1e3, during * 1e3], "left": left, "opened_s": opened_s}))
    assert left == 0
    assert time.monotonic() - started - opened_s < HEADER_TIMEOUT_S + SWEEP_S + CLOSED_WITHIN_S
    assert during <= max(10 * before, 0.010)


def wrong(client, request, secret):
    challenge = client.send(request)
    return client.send(client.answer_to(challenge, request, SECRET_OF, secret, code=HashCode.SHA1))


def test_guessers_lock_themselves_out_and_nobody_else(node):
    """10,000 wrong secrets from one network; the owner, who comes from another, goes on."""
    client = HandleClient(node.port, keep=True)
    request = client.request(105, requests.OfHandle("0.NA/88.300.1"))
    for number in range(10_000):
        assert wrong(client, request, b"guess %d" % number).header.response_code == 403
    assert wrong(client, request, b"the right one").header.response_code == 403, "the guesser is locked"
    client.close()
    owner = HandleClient(node.port)
    owner.connection = lambda: socket.create_connection(
        ("127.0.0.1", node.port), timeout=10, source_address=("127.0.9.1", 0)
    )
    assert owner.do(105, requests.OfHandle("0.NA/88.300.1"), SECRET_OF, b"the right one").header.response_code == 1


def test_no_replayed_answer_is_accepted(node):
    client = HandleClient(node.port)
    accepted = 0
    for number in range(200):
        body = requests.WithValues(f"88.300.1/REPLAY-{number}", (value(1, "URL", "x"),))
        request = client.request(100, body)
        challenge = client.send(request)
        answer = client.answer_to(challenge, request, "300:0.NA/88.300", node.key)
        assert client.send(answer).header.response_code == 1
        assert client.do(101, requests.OfHandle(f"88.300.1/REPLAY-{number}"), key=node.key).header.response_code == 1
        accepted += sum(client.send(answer).header.response_code == 1 for _ in range(5))
        other = client.send(client.request(100, body))
        moved = client.request(200, answer.body, flags=request.header.flags, session_id=other.envelope.session_id)
        accepted += client.send(moved).header.response_code == 1
    assert accepted == 0
