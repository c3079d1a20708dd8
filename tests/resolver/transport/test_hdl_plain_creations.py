"""Plain creations go a short way and say what the usual way says: the same requests, at once and in two pieces.

A message that comes in pieces takes the usual way, so each is sent both ways on real sockets and the answers compared.
"""

import random
import socket
import time

import pytest

from resolver.handle.value import HandleValue, Permission, Reference, Ttl
from resolver.node import administer
from resolver.node.values import to_pb
from resolver.service.hdl_peer import Peer
from resolver.wire import requests
from tests.resolver.transport.hdl_node import (
    HSJ,
    PRIVATE,
    SECRET,
    ClientSession,
    admin,
    handle_node,
    read_frame,
    rsa_key,
    value,
)

CERTIFIED, OVERWRITE, MINT, ENCRYPT = 0x5880_0000, 0x1840_0000, 0x1820_0000, 0x3800_0000
OWNER = "300:0.NA/88.300.30"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("plain"), workers=2) as node:
        node.add_enterprise("ent-a", "88.300.30")
        node.store("0.NA/88.300.30", value(300, "HS_PUBKEY", rsa_key("a").public.to_wire()))
        node.store("88.300.1/THERE", value(1, "URL", "a"))
        yield node


@pytest.fixture
def short_ways(node, monkeypatch):
    """What the short way made of each message: a creation, or None."""
    taken = []
    for protocol in node.protocols:
        usual = protocol.creation

        def counting(octets, peer, answer, usual=usual):
            taken.append(usual(octets, peer, answer))
            return taken[-1]

        monkeypatch.setattr(protocol, "creation", counting)
    return taken


def exchange(node, octets, *, pieces):
    door = node.tcp[0]
    before = set(door._connections)
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        first, *others = pieces(octets)
        connection.sendall(first)
        for piece in others:
            # The door has seen the piece by itself when it holds the start of a message.
            while not any(each._stream.pending_octets for each in set(door._connections) - before):
                time.sleep(0.001)
            connection.sendall(piece)
        return read_frame(connection)


def whole(octets):
    return [octets]


def halves(octets):
    return [octets[:60], octets[60:]]


def session_of(node, identity="300:0.NA/88.300", key=None, mark="X"):
    """A session that has proven who it is."""
    session = ClientSession(node.client(), flags=0x5980_0000)
    session.ask(101, requests.OfHandle(f"88.300.1/NOBODY-{mark}"), identity=identity, key=key)
    return session


def said(session, frame):
    found = session.read(frame)
    header = found.header
    return (
        (header.op_code, header.response_code, f"{header.flags:08x}", header.site_serial, header.recursion_count),
        (found.envelope.version, found.envelope.suggested, found.envelope.session_id == session.id),
        type(found.body),
        getattr(found.body, "message", ""),
        found.request_digest is not None,
        None if found.credential is None else (found.credential.type, found.credential.algorithm),
        session.was_encrypted,
    )


def both_ways(node, short_ways, session, name, *values, flags=HSJ, is_plain=True):
    """What is said to a creation, which must be the same both ways."""
    answers = []
    for mark, pieces in (("-s", whole), ("-l", halves)):
        body = requests.WithValues(name if name.endswith("THERE") else name + mark, values)
        before = len(short_ways)
        frame = exchange(node, session.request(100, body, flags=flags).to_wire(), pieces=pieces)
        if pieces is whole:
            assert (short_ways[before] is not None) == is_plain
        else:
            assert len(short_ways) == before
        answers.append(said(session, frame))
    assert answers[0] == answers[1]
    return answers[0][0][1]


PLAIN = {
    "one value": (value(1, "URL", "http://example.org/"),),
    "an administrator": (value(1, "URL", "a"), admin("0.NA/88.300", 300)),
    "long data": (value(1, "URL", "x" * 20_000), value(7, "标识", "轴承".encode())),
    "all public permissions": tuple(
        value(bits + 1, "N", b"\0\xff", Permission(bits)) for bits in range(16) if bits & 2
    ),
    "times": (HandleValue(1, "A", b"a", Ttl(0)), HandleValue(2, "B", b"b", Ttl(2**31 - 1))),
    "another order": (value(2, "URL", "a"), value(1, "URL", "b")),
}
OTHERS = {
    "none at all": (),
    "a restricted one": (value(1, "URL", "a"), value(2, "N", "b", PRIVATE)),
    "references": (HandleValue(1, "URL", b"a", references=(Reference("88.300.1/X", 1),)),),
    "an absolute time": (HandleValue(1, "A", b"a", Ttl(2_000_000_000, absolute=True)),),
    "no data": (value(1, "URL", b""),),
    "a repeated index": (value(1, "URL", "a"), value(1, "URL", "b")),
    "index 0": (value(0, "URL", "a"),),
    "a negative index": (value(1 << 31, "URL", "a"),),
    "no type": (value(1, "", "a"),),
    "a long type": (value(1, "x" * 300, "a"),),
    "a negative time": (HandleValue(1, "A", b"a", Ttl(2**31)),),
}


@pytest.mark.parametrize("flags", [HSJ, CERTIFIED])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_creations(node, short_ways, kind, flags):
    session = session_of(node)
    assert both_ways(node, short_ways, session, f"88.300.1/p-{kind}-{flags}", *PLAIN[kind], flags=flags) == 1
    records = [stored(node, f"88.300.1/p-{kind}-{flags}{mark}") for mark in ("-s", "-l")]
    assert records[0] == records[1]
    assert records[0]


def stored(node, name):
    """Values of a handle as the node gives them, without their times."""
    found = node.client().ask(1, requests.Resolution(name)).body
    return [(item.index, item.type, item.data, item.ttl, item.permissions) for item in found.values]


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_plain_goes_the_usual_way(node, short_ways, kind):
    both_ways(node, short_ways, session_of(node), f"88.300.1/o-{kind}", *OTHERS[kind], is_plain=False)


@pytest.mark.parametrize(
    ("name", "code", "is_plain"),
    [
        ("88.300.1/THERE", 101, True),
        ("88.300.30/new", 1, True),
        ("88.300.31/unknown", 301, False),
        ("0.NA/88.300.71", 1, False),
        ("88.300.1/" + "x" * 200, 1, False),
        ("noslash", 301, False),
        ("88.300.1/a\tb", 102, False),
    ],
)
def test_names(node, short_ways, name, code, is_plain):
    session = session_of(node)
    assert both_ways(node, short_ways, session, name, value(1, "URL", "a"), is_plain=is_plain) == code


@pytest.mark.parametrize("flags", [OVERWRITE, MINT, ENCRYPT])
def test_flags_that_are_not_plain(node, short_ways, flags):
    session = session_of(node)
    name = f"88.300.1/f-{flags}"
    assert both_ways(node, short_ways, session, name, value(1, "URL", "a"), flags=flags, is_plain=False) == 1


def test_who_may_not_is_told_both_ways(node, short_ways):
    owner = session_of(node, OWNER, rsa_key("a"))
    assert both_ways(node, short_ways, owner, "88.300.1/not-mine", value(1, "URL", "a")) == 400
    assert both_ways(node, short_ways, owner, "88.300.30/mine", value(1, "URL", "a")) == 1
    assert both_ways(node, short_ways, owner, "88.300.1/not-mine", value(1, "URL", "a"), flags=CERTIFIED) == 400


def test_right_is_taken_away_within_a_group(node):
    """An HS_ADMIN that is removed counts from the next creation on."""
    node.store("0.NA/88.300.5", admin("0.NA/88.300", 301, bits=1, at=101))
    session = session_of(node, "301:0.NA/88.300", SECRET)
    assert session.ask(100, requests.WithValues("88.300.5/A", (value(1, "URL", "a"),))).header.response_code == 1
    node.client().do(103, requests.RemoveValues("0.NA/88.300.5", (100, 101)))
    found = session.ask(100, requests.WithValues("88.300.5/B", (value(1, "URL", "a"),)))
    assert found.header.response_code == 400


def test_macs_and_counters_are_held_both_ways(node, short_ways):
    session = session_of(node)
    body = requests.WithValues("88.300.1/mac", (value(1, "URL", "a"),))
    frame = session.request(100, body)
    damaged = frame._replace(payload=frame.payload[:-1] + bytes((frame.payload[-1] ^ 1,))).to_wire()
    for pieces in (whole, halves):
        assert said(session, exchange(node, damaged, pieces=pieces))[0][1] == 502
    assert said(session, exchange(node, frame.to_wire(), pieces=whole))[0][1] == 1
    assert short_ways[-1] is not None
    for pieces in (whole, halves):
        assert said(session, exchange(node, frame.to_wire(), pieces=pieces))[0][1] == 505


@pytest.mark.parametrize("minor", [4, 6, 7, 8, 10, 11])
def test_every_version_with_sessions(node, minor):
    session = ClientSession(node.client(version=(2, minor)))
    session.ask(101, requests.OfHandle("88.300.1/NOBODY"))
    found = session.ask(100, requests.WithValues(f"88.300.1/v-{minor}", (value(1, "URL", "a"),)), flags=CERTIFIED)
    assert (found.header.response_code, found.envelope.version) == (1, (2, minor))
    assert found.credential.is_mac_of(found.envelope, found.header_and_body, session.key.octets)


def test_session_of_another_worker_is_asked_there(node):
    session = session_of(node)
    session.client.port = node.ports[1]
    found = session.ask(100, requests.WithValues("88.300.1/other-worker", (value(1, "URL", "a"),)))
    assert found.header.response_code == 1


def test_connection_that_has_logged_in(node, short_ways):
    """As the ID-SDK creates: no session, no credential, a session id of its own or none."""
    client = node.client(version=(2, 3), suggested=(2, 10), flags=0, keep=True)
    login = client.request(2001, requests.Login("0.NA/88.300", 300), flags=0x0080_0000)
    client.send(client.answer_to(client.send(login), login, "300:0.NA/88.300", rsa_key("admin")))
    for number, session_id in enumerate((0, 77, 1 << 30)):
        body = requests.WithValues(f"88.300.1/sdk-{number}", (value(1, "URL", "a"), value(2, "EMAIL", "b")))
        found = client.ask(100, body, session_id=session_id)
        assert short_ways[-1] is not None
        assert (found.header.response_code, f"{found.header.flags:08x}") == (1, "90000000")
        assert (found.envelope.version, found.envelope.session_id) == ((2, 10), 0)
        assert client.ask(100, body, session_id=session_id).header.response_code == 101
    client.close()


def test_requests_that_are_cut_or_lie_are_left_to_the_usual_way(node):
    """Random damage to a plain request: every octet is covered by the MAC, or checked."""
    session = session_of(node)
    protocol, rnd = node.protocols[0], random.Random(7)
    peer = Peer.of("127.0.0.1", is_stream=True)
    body = requests.WithValues("88.300.1/damage", PLAIN["an administrator"])
    octets = session.request(100, body).to_wire()

    async def attempts():
        taken = 0
        for _ in range(6_000):
            damaged = bytearray(octets)
            for _ in range(rnd.randrange(1, 4)):
                damaged[rnd.randrange(len(damaged))] = rnd.randrange(256)
            damaged = bytes(damaged[: rnd.choice((len(damaged), rnd.randrange(len(damaged))))])
            if damaged != octets:
                taken += protocol.creation(damaged, peer, bytes) is not None
        return taken

    assert node.on_loop(attempts()) == 0


def test_drafts_are_those_of_the_usual_way(node):
    creations, rnd = node.protocols[0]._creations, random.Random(3)

    async def compare():
        for number in range(300):
            count = rnd.randrange(1, 6)
            indexes = sorted(rnd.sample(range(1, 1 << 31), count))
            given = [
                HandleValue(
                    index,
                    rnd.choice(("URL", "EMAIL", "名称", "x" * 127)),
                    rnd.randbytes(rnd.choice((1, 127, 128, 16_383, 16_384))),
                    Ttl(rnd.choice((0, 1, 86_400))),
                    Permission(rnd.choice((2, 3, 6, 14, 15))),
                )
                for index in indexes
            ]
            name = f"88.300.1/草稿-{number}"
            octets = requests.WithValues(name, tuple(given)).to_wire()
            at = 4 + len(name.encode())
            now_s = creations._core.clock.now_us() // 1_000_000
            ours = creations._draft(octets, octets[4:at], at, len(octets))
            usual = administer.prepare(name, [to_pb(item) for item in given], "", now_s, 1 << 20)
            if creations._core.clock.now_us() // 1_000_000 == now_s:
                assert ours == usual

    node.on_loop(compare())
