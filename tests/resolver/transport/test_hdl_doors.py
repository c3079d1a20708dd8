"""The doors themselves: pipelining, half-closed clients, slow and greedy ones, and what UDP gives to strangers."""

import asyncio
import random
import socket
import threading
import time
from contextlib import suppress

import pytest

from resolver.errors import StorageFailed
from resolver.node import hdl_resolve
from resolver.transport.hdl_rate import AnswerRate, Pace
from resolver.wire import requests
from resolver.wire.datagrams import split
from resolver.wire.envelope import Envelope
from resolver.wire.message import Frame, Message
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, SECRET, handle_node, read_frame, rsa_key, value
from tests.support.clock import FakeClock
from tests.support.ipv6 import needs_ipv6


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("doors")) as node:
        for size in (10, 60, 150, 400, 900, 5_000, 60_000):
            node.store(f"88.300.1/S-{size}", value(1, "URL", "x" * size))
        yield node


def question(node, name, **options):
    return node.client().request(1, requests.Resolution(name), flags=HSJ_PUBLIC, **options)


def test_many_requests_on_one_connection_are_all_answered(node):
    client = node.client(keep=True)
    wanted = {}
    octets = b""
    for number in range(200):
        if number % 7:
            message = client.request(
                1, requests.Resolution(f"88.300.1/S-{(10, 60, 150)[number % 3]}"), flags=HSJ_PUBLIC
            )
        else:
            message = client.request(2, requests.OfHandle("/"))
        wanted[message.envelope.request_id] = message.header.op_code
        octets += message.to_wire()
    connection = client.connection()
    connection.sendall(octets)
    found = [Message.from_frame(read_frame(connection)) for _ in wanted]
    assert {answer.envelope.request_id: answer.header.op_code for answer in found} == wanted
    client.close()


def test_octet_by_octet_with_the_next_request_behind(node):
    message = question(node, "88.300.1/S-10").to_wire()
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in message:
            connection.sendall(bytes((octet,)))
        connection.sendall(message + message[:7])
        assert read_frame(connection).header.response_code == 1
        assert read_frame(connection).header.response_code == 1
        connection.sendall(message[7:])
        assert read_frame(connection).header.response_code == 1


def test_client_that_closes_its_half_gets_its_answer_and_the_end(node):
    for message in (question(node, "88.300.1/S-10"), node.client().request(2, requests.OfHandle("/"))):
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
            connection.sendall(message.to_wire())
            connection.shutdown(socket.SHUT_WR)
            assert read_frame(connection).header.response_code == 1
            assert connection.recv(1) == b""


def test_large_record_over_tcp(node):
    found = node.client().send(question(node, "88.300.1/S-60000"))
    assert len(found.body.values[0].data) == 60_000


def test_message_that_is_too_large_is_refused_at_its_envelope(node):
    envelope = question(node, "88.300.1/S-10").envelope._replace(message_octets=300_000)
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(envelope.to_wire())
        answer = read_frame(connection)
        assert answer.header.response_code == 2
        assert answer.envelope.request_id == envelope.request_id
        assert connection.recv(1) == b""


def test_what_came_before_a_message_that_is_too_large_is_answered(node):
    """The answer was lost: the connection was closed while it was being made."""
    before = node.client().request(2, requests.OfHandle("/"))
    envelope = before.envelope._replace(message_octets=300_000, request_id=7)
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(before.to_wire() + envelope.to_wire())
        codes = {found.envelope.request_id: found.header.response_code for found in map(read_frame, [connection] * 2)}
        assert codes == {7: 2, before.envelope.request_id: 1}
        assert connection.recv(1) == b""


def stuck(node):
    """The connection whose client does not take its answers, as soon as there is one."""
    wait_for(lambda: [each for each in list(node.tcp[0]._connections) if each._blocked is not None])
    (served,) = [each for each in list(node.tcp[0]._connections) if each._blocked is not None]
    return served


def test_client_that_reads_late_is_read_again(node):
    """Nothing was read any more once a burst of answers had to wait for its reader."""
    message = question(node, "88.300.1/S-60000").to_wire()
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(message * 150)
        stuck(node)
        assert all(read_frame(connection).header.response_code == 1 for _ in range(150))
        connection.sendall(message)
        assert read_frame(connection).header.response_code == 1


@pytest.mark.parametrize("together", [1, 1_000])
def test_answers_are_not_kept_for_a_client_that_takes_none(node, together):
    """Each question had its answer made, whoever took it: one client filled the memory of a worker."""
    message = question(node, "88.300.1/S-60000").to_wire()
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(1_000 // together):
            connection.sendall(message * together)
            time.sleep(0.0005)
        served = stuck(node)
        time.sleep(0.3)
        assert served._transport.get_write_buffer_size() < 300_000
        codes = {read_frame(connection).header.response_code for _ in range(1_000)}
        assert codes == {1}


def test_last_answer_of_a_client_that_reads_late_and_has_said_all(node):
    message = question(node, "88.300.1/S-60000").to_wire()
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(message * 150)
        connection.shutdown(socket.SHUT_WR)
        stuck(node)
        assert all(read_frame(connection).header.response_code == 1 for _ in range(150))
        assert connection.recv(1) == b""


def test_a_defect_ends_the_connection_it_happens_on(node, monkeypatch):
    """Its client waited ten minutes for an answer that nobody made."""

    async def broken(*_):
        raise ValueError("a defect")

    monkeypatch.setattr(node.protocols[0], "respond", broken)
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as connection:
        connection.sendall(node.client().request(2, requests.OfHandle("/")).to_wire())
        assert closed(connection)


def test_a_drain_waits_for_answers_to_be_taken(tmp_path):
    """What a slow client had not read yet was lost with the worker."""
    with handle_node(tmp_path) as node:
        node.store("88.300.1/LONG", value(1, "URL", "x" * 600_000))
        node.tcp[0]._lobby._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
            connection.sendall(question(node, "88.300.1/LONG").to_wire())
            while not node.tcp[0]._connections:
                time.sleep(0.005)
            found = []

            def read():
                wait_for(lambda: node.tcp[0]._left is not None)
                time.sleep(0.3)
                found.append(read_frame(connection))

            reader = threading.Thread(target=read)
            reader.start()
            node.on_loop(node.tcp[0].drain(60.0))
            assert not node.tcp[0]._connections
            reader.join()
            assert len(found[0].payload) > 600_000
            assert connection.recv(1) == b""


def test_answers_are_not_answered(node):
    message = question(node, "88.300.1/S-10")
    header = message.header._replace(response_code=1)
    answer = header.to_wire() + message.header_and_body[24:] + bytes(4)
    octets = Frame(message.envelope, answer).to_wire()
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        connection.sendall(octets + message.to_wire())
        assert read_frame(connection).envelope.request_id == message.envelope.request_id
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    with udp(node) as client:
        client.send(octets)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(600)


def udp(node):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(60)
    client.connect(("127.0.0.1", node.port))
    return client


@pytest.mark.parametrize("size", [10, 60, 150, 400, 900, 5_000, 60_000])
@pytest.mark.parametrize("flags", [HSJ_PUBLIC, HSJ_PUBLIC | 0x4000_0000, HSJ_PUBLIC | 0x0080_0000])
def test_nobody_gets_over_three_times_what_was_sent(node, size, flags):
    octets = node.client().request(1, requests.Resolution(f"88.300.1/S-{size}"), flags=flags).to_wire()
    with udp(node) as client:
        client.send(octets)
        packets = [client.recv(4_096)]
        client.settimeout(0.05)
        while True:
            try:
                packets.append(client.recv(4_096))
            except TimeoutError:
                break
    assert sum(map(len, packets)) <= 3 * len(octets)
    code = Message.from_wire(packets[0]).header.response_code if len(packets) == 1 else 1
    assert code == (1 if size == 10 and not flags & 0x4000_0000 else code)
    assert code in {1, 2}


def test_a_large_record_is_told_what_one_that_just_has_no_room_is_told(node, monkeypatch):
    """It is not encoded for that: two thousand values took two milliseconds from everybody."""
    node.store("88.300.1/S-MANY", *[value(number, "URL", f"https://a.example/{number}") for number in range(1, 2_001)])
    core, counted = node.protocols[0]._core, []
    monkeypatch.setattr(
        core.calls, "observe", lambda _what, result, _s, count, door: counted.append((result, count, door))
    )
    encode, encoded, told = hdl_resolve.value_to_wire, [], []
    monkeypatch.setattr(hdl_resolve, "value_to_wire", lambda each: encoded.append(1) or encode(each))
    for name in ("S-900", "S-MANY"):
        asked = question(node, f"88.300.1/{name}").to_wire()
        with udp(node) as client:
            client.send(asked[:8] + bytes(4) + asked[12:])  # of one request id
            told.append(client.recv(4_096))
    small, large = (octets[:40] + octets[44:] for octets in told)  # but for the time until which it holds
    assert small == large
    assert Message.from_wire(told[1]).header.response_code == 2
    assert len(encoded) < 2  # the small one may be kept
    until_s = time.monotonic() + 60
    while len(counted) < 2 and time.monotonic() < until_s:
        time.sleep(0.002)
    assert counted == [("SUCCESS", 1, "hdl_udp")] * 2


def test_no_signature_is_made_that_may_not_be_sent(node, monkeypatch):
    """CNRI's client asks three times when the signature is missing, before it goes to TCP."""
    made = []
    sign_as = node.protocols[0].signer.sign_as
    monkeypatch.setattr(node.protocols[0].signer, "sign_as", lambda *arguments: made.append(1) or sign_as(*arguments))
    asked = node.client().request(1, requests.Resolution("88.300.1/S-10"), flags=HSJ_PUBLIC | 0x4000_0000)
    with udp(node) as client:
        client.send(asked.to_wire())
        assert Message.from_wire(client.recv(600)).header.response_code == 2
    assert not made
    found = node.client().send(asked)
    assert (found.header.response_code, len(made)) == (1, 1)
    large = node.client().request(1, requests.Resolution("88.300.1/S-10", types=("T" * 80,)), flags=asked.header.flags)
    smallest = node.client().send(large)
    assert smallest.header.response_code == 200
    around = len(smallest.to_wire()) - node.protocols[0].signer.certified_octets_min
    assert around == len("SHA-256") - len("SHA1") + 4, "the name of the hash, and a body of four octets"
    with udp(node) as client:
        client.send(large.to_wire())
        assert Message.from_wire(client.recv(600)).header.response_code == 200, "there is room for this signature"


def test_a_small_answer_comes_over_udp(node):
    with udp(node) as client:
        client.send(question(node, "88.300.1/S-10").to_wire())
        assert Message.from_wire(client.recv(600)).body.values[0].data == b"x" * 10


def test_proven_source_gets_its_answer_in_packets(tmp_path):
    """The answer to a challenge shows that the sender receives at its address."""
    with handle_node(tmp_path) as node:
        found = answer_to_proof(node)
    assert found.header.response_code in {1, 400}


def answer_to_proof(node):
    """What comes in packets; wrong secrets that other tests have sent to the node would count."""
    node.store("88.300.1/PROVEN", value(1, "URL", "y" * 2_000), value(2, "N", b"s", 12))
    client = node.client()
    with udp(node) as connection:
        request = client.request(1, requests.Resolution("88.300.1/PROVEN"), flags=0x1800_0000)
        connection.send(request.to_wire())
        challenge = Message.from_wire(connection.recv(600))
        assert challenge.header.response_code == 402
        answer = client.answer_to(challenge, request, "301:0.NA/88.300", SECRET)
        for packet in split(answer.to_frame(), is_request=True):
            connection.send(packet)
        first = connection.recv(600)
        whole = Envelope.from_wire(first).message_octets
        payload = first[20:]
        while len(payload) < whole:
            payload += connection.recv(600)[20:]
    return Message.from_frame(Frame(Envelope.from_wire(first), payload))


def test_a_store_that_fails_costs_udp_the_datagrams_of_that_moment_only(node, monkeypatch):
    """The datagram was taken when the store was there only: until then it was tried 50,000 times a second."""
    core, tries = node.udp[0]._core, []
    message = question(node, "88.300.1/S-10").to_wire()

    def broken():
        tries.append(core)
        raise StorageFailed("the disk is gone")

    with udp(node) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(core, "burst", broken)
            connection.send(message)
            while not tries:
                time.sleep(0.005)
            time.sleep(0.1)
        assert len(tries) == 1
        connection.send(message)
        assert Message.from_wire(connection.recv(600)).header.response_code == 1
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(600)


@pytest.mark.parametrize("op_code", [100, 101, 102, 103, 104, 105, 300, 301, 302, 2001])
def test_udp_takes_no_administration(node, op_code):
    body = requests.BODIES[op_code]
    given = {
        requests.WithValues: requests.WithValues("88.300.1/U", ()),
        requests.RemoveValues: requests.RemoveValues("88.300.1/U", (1,)),
        requests.Login: requests.Login("0.NA/88.300", 300),
    }.get(body, requests.OfHandle("0.NA/88.300"))
    with udp(node) as client:
        client.send(node.client().request(op_code, given).to_wire())
        assert Message.from_wire(client.recv(600)).header.response_code == 4


def test_rate_of_a_network_is_bounded_and_others_are_not_touched():
    rate = AnswerRate(200, random.Random(1).randbytes, buckets=1 << 12)
    paces = [rate.take("192.0.2", 1.0) for _ in range(1_000)]
    assert paces.count(Pace.ANSWER) == 200
    assert abs(paces.count(Pace.SLIP) - paces.count(Pace.NOTHING)) <= 1
    assert rate.take("198.51.100", 1.0) is Pace.ANSWER
    assert rate.take("192.0.2", 2.0) is Pace.ANSWER
    assert all(rate.take("127.0.0", 1.0) is Pace.ANSWER for _ in range(1_000)), "loopback cannot be forged"


def test_slow_clients_are_closed_and_honest_ones_are_not(tmp_path):
    clock = FakeClock()
    with handle_node(tmp_path, clock=clock, idle_s=600.0) as node:
        node.store("88.300.1/X", value(1, "URL", "x"))
        message = question(node, "88.300.1/X").to_wire()
        silent = socket.create_connection(("127.0.0.1", node.port), timeout=60)
        in_header = socket.create_connection(("127.0.0.1", node.port), timeout=60)
        in_header.sendall(message[:10])
        in_body = socket.create_connection(("127.0.0.1", node.port), timeout=60)
        in_body.sendall(message[:30])
        honest = node.client(keep=True)

        def heard():
            """Wait until the door has read what was sent: it reads in turns, and answers in them."""
            for _ in range(5):
                assert honest.send(question(node, "88.300.1/X")).header.response_code == 1

        heard()
        clock.advance(4)
        in_header.sendall(message[10:11])
        in_body.sendall(message[30:31])
        heard()
        clock.advance(2)
        assert closed(silent)
        assert closed(in_header), "trickling octets win no time"
        in_body.sendall(message[31:32])
        clock.advance(5)
        assert closed(in_body)
        assert honest.send(question(node, "88.300.1/X")).header.response_code == 1
        clock.advance(601)
        assert closed(honest.connection())
        honest.close()


def closed(connection):
    """Whether the node closes: its timer goes round once a second."""
    connection.settimeout(60)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    finally:
        connection.close()


def test_idle_and_trickling_connections_do_not_delay_the_others(node):
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(300)]
    message = question(node, "88.300.1/S-10").to_wire()
    stop, rounds = threading.Event(), []

    def trickle():
        while not stop.wait(0.02):
            rounds.append(message[len(rounds) % 20 :][:1])
            for connection in idle[:100]:
                with suppress(OSError):
                    connection.send(rounds[-1])

    client = node.client(keep=True)

    def median_s(is_enough):
        took = []
        while not is_enough(len(took)):
            began = time.perf_counter()
            assert client.send(question(node, "88.300.1/S-10")).header.response_code == 1
            took.append(time.perf_counter() - began)
        return sorted(took)[len(took) // 2]

    alone_s = median_s(lambda count: count > 200)
    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        among_them_s = median_s(lambda count: count > 200 and len(rounds) > 20)
        client.close()
    finally:
        stop.set()
        thread.join()
        for connection in idle:
            connection.close()
    assert among_them_s < 100 * alone_s, "one in two would wait"


def test_damaged_requests_never_end_the_door(node):
    """Every octet of several requests is damaged; the door answers or closes, and goes on."""
    seeded = random.Random(7)
    client = node.client()
    samples = [
        client.request(1, requests.Resolution("88.300.1/S-10", (1,), ("URL",)), flags=HSJ_PUBLIC),
        client.request(100, requests.WithValues("88.300.1/Z", (value(1, "URL", "x"),))),
        client.request(200, requests.ChallengeAnswer("HS_SECKEY", "0.NA/88.300", 301, b"\x02" + bytes(20))),
        client.request(201, requests.VerifyAnswer("0.NA/88.300", 301, b"n", _digest(), b"\x02" + bytes(20))),
        client.request(400, requests.SessionSetup(4, 60, "", 1, public_key=b"x" * 40)),
        client.request(2001, requests.Login("0.NA/88.300", 300)),
    ]
    with udp(node) as connection:
        connection.setblocking(False)
        for sample in samples:
            octets = sample.to_wire()
            for position in range(len(octets)):
                damaged = bytearray(octets)
                damaged[position] ^= 1 << seeded.randrange(8)
                connection.send(
                    bytes(damaged[: seeded.randrange(1, len(damaged) + 1)] if position % 3 == 0 else damaged)
                )
    for sample in samples:
        octets = sample.to_wire()
        for position in range(20, len(octets), 3):
            damaged = bytearray(octets)
            damaged[position] ^= 1 << seeded.randrange(8)
            with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
                connection.sendall(bytes(damaged))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
    assert node.client().send(question(node, "88.300.1/S-10")).header.response_code == 1


def _digest():
    from resolver.wire.digests import HashCode, RequestDigest

    return RequestDigest(HashCode.SHA1, b"d" * 20)


@needs_ipv6
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_ipv6_wildcard_takes_ipv4_too_over_tcp_as_over_udp(tmp_path, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with handle_node(tmp_path, host="::", answers_per_s=50) as node:
        asked = question(node, "88.300.1/NONE").to_wire()
        with socket.create_connection((address, node.port), timeout=60) as tcp:
            tcp.sendall(asked)
            assert Message.from_frame(read_frame(tcp)).header.response_code == 100
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.settimeout(60)
            udp.connect((address, node.port))
            for _ in range(100):  # twice the rate of a network: loopback has none, however it is written
                udp.send(asked)
                assert Message.from_wire(udp.recv(2_048)).header.response_code == 100


def test_answer_to_a_challenge_that_is_sent_again_while_it_is_checked_is_dropped(node):
    """Clients send a datagram again after half a second; another node may take longer to tell a key."""
    node.store("88.300.1/SLOW", value(1, "URL", "y"), value(2, "N", b"s", 12))
    client = node.client()
    authentication = node.protocols[0].authentication
    verdict = authentication._verdict

    goes_on = threading.Event()

    async def slow(*arguments):
        await asyncio.to_thread(goes_on.wait, 60)
        return await verdict(*arguments)

    with udp(node) as connection:
        request = client.request(1, requests.Resolution("88.300.1/SLOW"), flags=0x1800_0000)
        connection.send(request.to_wire())
        challenge = Message.from_wire(connection.recv(600))
        answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin")).to_wire()
        authentication._verdict = slow
        try:
            connection.send(answer)
            connection.send(answer)
            connection.send(question(node, "88.300.1/S-10").to_wire())
            assert Message.from_wire(connection.recv(600)).body.values[0].data == b"x" * 10, "both have been taken"
            goes_on.set()
            assert Message.from_wire(connection.recv(600)).header.response_code == 1
        finally:
            goes_on.set()
            authentication._verdict = verdict
        connection.send(answer)
        assert Message.from_wire(connection.recv(600)).header.response_code == 405, "it counts once"


@pytest.mark.parametrize("worker", [0, 1])
def test_list_of_a_large_prefix_leaves_room_for_others_and_ends_with_its_client(tmp_path, worker):
    """A hundred thousand names kept a worker from everything else for a quarter of a second, for longer when the
    client had left; the list may also come from the other worker, which has the challenge."""
    with handle_node(tmp_path, workers=2) as node:
        pages = []

        async def endless(*_where):
            pages.append(time.monotonic())
            return [f"88.300.1/N-{number}" for number in range(50)], b"more"

        for protocol in node.protocols:
            protocol.listing._page = endless
        asker = node.client(0)
        asked = asker.request(105, requests.OfHandle("0.NA/88.300.1"))
        answer = asker.answer_to(asker.send(asked), asked, "300:0.NA/88.300", rsa_key("admin"))
        taken = threading.Event()
        with socket.create_connection(("127.0.0.1", node.ports[worker]), timeout=60) as connection:
            connection.sendall(answer.to_wire())
            taker = threading.Thread(target=take_until, args=(connection, taken))
            taker.start()
            wait_for(lambda: pages)
            for number in range(2):
                assert node.client(number).send(question(node, "0.NA/88.300.1")).header.response_code == 1
            taken.set()
            taker.join(60)
        wait_for(lambda: not node.protocols[0].listing._busy)
        count = len(pages)
        assert node.client(0).send(question(node, "0.NA/88.300.1")).header.response_code == 1
        assert len(pages) == count, "nothing is read for a client that has left"


def take_until(connection, taken):
    while not taken.is_set():
        connection.recv(1 << 16)


def wait_for(what, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
