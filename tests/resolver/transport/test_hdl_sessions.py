"""Sessions over real sockets, two workers side by side: set-up, MACs, replays, encryption, end."""

import os
import socket
import threading
import time

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import padding

from resolver.handle.value import Permission
from resolver.node import hdl_sessions
from resolver.transport.hdl_rate import Pace
from resolver.wire import ciphers, requests, sessions, signatures
from resolver.wire.ciphers import CipherCode
from resolver.wire.credential import signed_octets
from resolver.wire.datagrams import Reassembler
from resolver.wire.keys import DhPublicKey, public_key_from_wire
from resolver.wire.message import Frame, Message, request_message
from resolver.wire.sessions import SessionKey
from tests.resolver.transport.hdl_node import (
    HSJ,
    HSJ_PUBLIC,
    PRIVATE,
    ClientSession,
    handle_node,
    read_frame,
    rsa_key,
    value,
)

CERTIFIED = 0x5800_0000


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("sessions"), workers=2) as node:
        node.store("88.300.1/HIDDEN", value(1, "URL", "http://a"), value(2, "NOTE", "secret", PRIVATE))
        yield node


def create(name):
    return requests.WithValues(name, (value(1, "URL", "http://example.org/"),))


def test_set_up_is_signed_by_the_key_of_the_site(node):
    session = ClientSession(node.client())
    found = session.setup
    covered = signed_octets(found.envelope, found.header_and_body, 0)
    key = rsa_key("node").public
    assert found.credential.type == "HS_SIGNED"
    assert signatures.verify(key, found.credential.algorithm, found.credential.signature, covered)
    assert found.request_digest is not None
    assert session.key.cipher == 3


@pytest.mark.parametrize("version", [(2, 4), (2, 5), (2, 6), (2, 7), (2, 8), (2, 10), (2, 11)])
def test_one_challenge_then_macs_alone_in_every_version(node, version):
    session = ClientSession(node.client(version=version))
    name = f"88.300.1/SESSION-{version[1]}"
    made = session.ask(100, create(name), flags=CERTIFIED)
    assert made.header.response_code == 1
    assert made.credential.is_mac_of(made.envelope, made.header_and_body, session.key.octets)
    frame = session.request(101, requests.OfHandle(name), flags=CERTIFIED)
    gone = session.read(session.client.frames(frame.to_wire())[0])
    assert gone.header.response_code == 1, "an authenticated session is not challenged again"
    assert gone.credential.counter > made.credential.counter


def test_session_is_good_at_the_other_worker_too(node):
    session = ClientSession(node.client(0))
    session.client.port = node.ports[1]
    assert session.ask(100, create("88.300.1/ELSEWHERE")).header.response_code == 1
    frame = session.request(101, requests.OfHandle("88.300.1/ELSEWHERE"), encrypts=True)
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 1


def test_repeated_message_is_rejected(node):
    session = ClientSession(node.client())
    assert session.ask(100, create("88.300.1/AGAIN")).header.response_code == 1
    frame = session.request(101, requests.OfHandle("88.300.1/AGAIN"))
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 1
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 505


def test_message_without_mac_or_with_a_wrong_one(node):
    session = ClientSession(node.client())
    plain = session.client.request(101, requests.OfHandle("88.300.1/X"), session_id=session.id)
    assert session.client.send(plain).header.response_code == 404
    good = session.request(101, requests.OfHandle("88.300.1/X"))
    damaged = good.payload[:-1] + bytes((good.payload[-1] ^ 1,))
    found = session.client.frames(good._replace(payload=damaged).to_wire())[0]
    assert session.read(found).header.response_code == 502


def test_encrypted_request_gets_an_encrypted_answer(node):
    session = ClientSession(node.client())
    assert session.ask(100, create("88.300.1/CIPHER"), encrypts=True).header.response_code == 1
    assert session.was_encrypted
    assert session.ask(1, requests.Resolution("88.300.1/CIPHER"), flags=0x3900_0000).header.response_code == 1
    assert session.was_encrypted


def test_restricted_values_are_read_in_a_session_and_hidden(node):
    session = ClientSession(node.client())
    node.store("88.300.1/HIDDEN", value(1, "URL", "http://a"), value(2, "NOTE", "secret", PRIVATE))
    found = session.ask(1, requests.Resolution("88.300.1/HIDDEN"), flags=0x1800_0000)
    assert [(item.index, item.data) for item in found.body.values] == [(1, b"http://a"), (2, b"secret")]
    assert session.was_encrypted
    assert not found.body.values[1].permissions & Permission.PUBLIC_READ


def test_wrong_answer_leaves_the_session_anonymous(node):
    session = ClientSession(node.client())
    found = session.ask(100, create("88.300.1/NO"), key=rsa_key("stranger"))
    assert found.header.response_code == 403
    frame = session.request(100, create("88.300.1/NO"))
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 402


def test_ended_session_is_gone(node):
    session = ClientSession(node.client())
    ended = session.ask(401, requests.OfHandle("/"))
    assert ended.header.response_code == 1
    frame = session.request(101, requests.OfHandle("88.300.1/X"))
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code == 500


@pytest.mark.parametrize(
    ("key", "code"),
    [(b"no key", 501), (rsa_key("x").public.to_wire(), 501), (b"", 501)],
)
def test_bad_exchange_key(node, key, code):
    setup = requests.SessionSetup(4, 60, "", 0xFFFFFFFF, public_key=key)
    assert node.client().ask(400, setup).header.response_code == code


def test_set_ups_do_not_keep_the_others_waiting(node, monkeypatch):
    """Each took the loop of all doors for up to 26 milliseconds, and strangers may send them by the dozen."""
    kept = node.protocols[0].authentication.sessions
    agree, begun, goes_on = hdl_sessions.agree, [], threading.Event()

    def held(*arguments):
        begun.append(arguments)
        assert goes_on.wait(60)
        return agree(*arguments)

    monkeypatch.setattr(hdl_sessions, "agree", held)
    large = DhPublicKey(y=3, p=(1 << sessions.GROUP_BITS_MAX) - 1, g=(1 << sessions.GROUP_BITS_MAX) - 4)
    setup = requests.SessionSetup(4, 60, "", 0xFFFFFFFF, public_key=large.to_wire())
    many, other = node.client(), node.client()
    octets = b"".join(many.request(400, setup).to_wire() for _ in range(60))
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as connection:
        before = len(kept)
        connection.sendall(octets)
        while not begun:
            time.sleep(0.005)
        assert other.ask(1, requests.Resolution("88.300.1/HIDDEN"), flags=HSJ_PUBLIC).header.response_code == 1
        assert (len(begun), len(kept) - before) == (1, 0), "one at a time"
        goes_on.set()
        answers = [Message.from_frame(read_frame(connection)).header.response_code for _ in range(60)]
    assert answers == [1] * 60


def test_set_up_in_a_group_that_is_too_large_is_refused(node):
    large = DhPublicKey(y=3, p=(1 << 4_096) - 1, g=2)
    setup = requests.SessionSetup(4, 60, "", 0xFFFFFFFF, public_key=large.to_wire())
    assert node.client().ask(400, setup).header.response_code == 501


def test_old_version_without_cipher_is_refused(node):
    setup = requests.SessionSetup(4, 60, "", 0xFFFFFFFF, public_key=b"")
    assert node.client(version=(2, 3)).ask(400, setup).header.response_code == 501


def test_key_handed_over_encrypted_for_the_client(node):
    client = node.client()
    setup = requests.SessionSetup(1, 60, "", 0xFFFFFFFF, public_key=rsa_key("client").public.to_wire())
    found = client.ask(400, setup)
    assert found.header.response_code == 1
    session = ClientSession(client)
    session.id = found.envelope.session_id
    clear = rsa_key("client").to_native().decrypt(found.body.data, padding.PKCS1v15())
    session.key, session.counter = SessionKey.from_wire(clear), 0
    assert session.ask(100, create("88.300.1/RSA-1")).header.response_code == 1


def test_key_handed_over_encrypted_for_the_server(node):
    client = node.client()
    found = client.ask(400, requests.SessionSetup(2, 60, "", 0xFFFFFFFF))
    key = SessionKey(type(ClientSession(client).key.cipher)(3), os.urandom(16))
    encrypted = public_key_from_wire(found.body.data).to_native().encrypt(key.to_wire(), padding.PKCS1v15())
    message = client.request(402, requests.ExchangeKey(encrypted), session_id=found.envelope.session_id)
    assert client.send(message).header.response_code == 1
    assert client.send(message).header.response_code == 501, "a key is taken once"
    session = ClientSession(client)
    session.id, session.key, session.counter = found.envelope.session_id, key, 0
    assert session.ask(100, create("88.300.1/RSA-2")).header.response_code == 1


def exchanged(client, octets):
    """The code of an exchange that hands over some octets as the key, and the session then."""
    found = client.ask(400, requests.SessionSetup(2, 60, "", 0xFFFFFFFF))
    public = public_key_from_wire(found.body.data).to_native()
    encrypted = public.encrypt(octets, padding.PKCS1v15())
    session = ClientSession(client)
    session.id = found.envelope.session_id
    session.key, session.counter = SessionKey(CipherCode(int.from_bytes(octets[:4], "big")), octets[4:]), 0
    answer = client.ask(402, requests.ExchangeKey(encrypted), session_id=session.id)
    return answer.header.response_code, session


@pytest.mark.parametrize("octets", [b"\0\0\0\3short", b"\0\0\0\3", b"\0\0\0\4" + bytes(15), b"\0\0\0\1" + bytes(7)])
def test_a_key_that_is_too_short_is_none(node, octets):
    """It was taken, and nothing could be encrypted by it: who asked for that got no answer at all."""
    code, session = exchanged(node.client(), octets)
    assert code == 1, "nobody learns what decrypts"
    frame = session.request(1, requests.Resolution("88.300.1/HIDDEN"), flags=HSJ | 0x2000_0000)
    assert session.client.send(Message.from_frame(frame)).header.response_code == 502


@pytest.mark.parametrize("takes_legacy", [False, True])
def test_sessions_with_des_are_for_the_legacy_switch(tmp_path, takes_legacy):
    with handle_node(tmp_path, takes_legacy=takes_legacy) as node, structlog.testing.capture_logs() as logged:
        code, session = exchanged(node.client(), b"\0\0\0\1" + b"12345678")
        found = session.client.send(Message.from_frame(session.request(2, requests.OfHandle("/"))))
    assert (code, found.header.response_code) == ((1, 1) if takes_legacy else (501, 502))
    assert [entry["cipher"] for entry in logged if "cipher" in entry] == (["DES"] if takes_legacy else [])


def test_answer_with_the_mac_of_another_session_is_no_proof(node):
    first, second = ClientSession(node.client()), ClientSession(node.client())
    frame = first.request(101, requests.OfHandle("88.300.1/X"))
    moved = request_message(
        frame.envelope._replace(session_id=second.id), frame.header, requests.OfHandle("88.300.1/X")
    )
    assert moved.envelope.session_id == second.id
    stolen = frame._replace(envelope=frame.envelope._replace(session_id=second.id))
    assert second.read(second.client.frames(stolen.to_wire())[0]).header.response_code == 502


def over_udp(port, frame, timeout_s=60.0, source="127.0.0.1"):
    """The answer to a message of one packet, put together, and whether its envelope says it is encrypted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_s)
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
        client.send(frame.to_wire())
        reassembler = Reassembler()
        while (found := reassembler.receive(client.recv(600), "node", "node", 0.0)) is None:
            pass
        return found


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("encrypts", [False, True])
def test_large_answer_to_a_session_comes_over_udp_from_every_worker(node, worker, encrypts):
    """The MAC proves the address, also to the worker that passes the question on: CNRI's client waits three seconds
    for an answer that does not come."""
    node.store("88.300.1/LARGE", value(1, "URL", "y" * 3_000), value(2, "N", b"s", PRIVATE))
    session = ClientSession(node.client(), flags=0x5980_0000)
    body = requests.Resolution("88.300.1/LARGE")
    assert session.ask(1, body, flags=HSJ).header.response_code == 1
    frame = session.request(1, body, flags=HSJ, encrypts=encrypts)
    found = session.read(over_udp(node.ports[worker], frame))
    assert found.header.response_code == 1
    assert len(found.body.values) == 2


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("encrypts", [False, True])
def test_a_session_proves_no_address_but_those_where_it_was_begun(node, worker, encrypts):
    """A stranger began a session over TCP and put another's address on its packets: that one got 64 KiB for each."""
    node.store("88.300.1/LARGE", value(1, "URL", "y" * 3_000))
    session = ClientSession(node.client())
    frame = session.request(1, requests.Resolution("88.300.1/LARGE"), flags=HSJ_PUBLIC, encrypts=encrypts)
    found = over_udp(node.ports[worker], frame, source="127.0.9.1")
    assert found.header.response_code == 2
    assert len(found.payload) < 40


def test_a_challenge_proves_no_address_but_those_where_it_was_asked_for(node):
    node.store("88.300.1/LARGE", value(1, "URL", "y" * 3_000), value(2, "N", b"s", PRIVATE))
    client = node.client()
    request = client.request(1, requests.Resolution("88.300.1/LARGE"), flags=HSJ)
    answer = client.answer_to(client.send(request), request, "300:0.NA/88.300", rsa_key("admin"))
    found = over_udp(node.ports[0], answer.to_frame(), source="127.0.9.1")
    assert found.header.response_code == 2
    assert len(found.payload) < 40


def test_encrypted_question_over_the_rate_is_told_to_use_tcp(tmp_path):
    """Silence would cost the client three seconds; the small answer sends it to TCP at once."""
    with handle_node(tmp_path) as node:
        session = ClientSession(node.client())
        frame = session.request(1, requests.Resolution("0.NA/88.300"), flags=HSJ, encrypts=True)
        node.udp[0]._rate.take = lambda _source, _now_s: Pace.SLIP
        found = over_udp(node.port, frame)
    assert found.header.response_code == 2
    assert found.envelope.request_id == frame.envelope.request_id


def test_mac_of_an_ended_session_does_not_matter_outside_of_one(node):
    """CNRI's client leaves it in the lookup that it repeats without a session, and gives up at a second code 500."""
    session = ClientSession(node.client())
    asked = session.request(1, requests.Resolution("88.300.1/HIDDEN"), flags=HSJ)
    node.on_loop(forget(node, session.id))
    assert session.read(session.client.frames(asked.to_wire())[0]).header.response_code == 500
    again = asked._replace(envelope=asked.envelope._replace(session_id=0))
    challenge = Message.from_frame(session.client.frames(again.to_wire())[0])
    assert challenge.header.response_code == 402
    answer = session.client.answer_to(challenge, Message.from_frame(again), "300:0.NA/88.300", rsa_key("admin"))
    found = session.client.send(answer)
    assert found.header.response_code == 1
    assert len(found.body.values) == 2


async def forget(node, session_id):
    node.protocols[0].authentication.sessions.end(session_id)


@pytest.mark.parametrize("encrypts", [False, True])
def test_answer_too_large_for_datagrams_sends_its_client_to_tcp(node, encrypts):
    """With the session's MAC, so that the client goes on with the session; some of 400 packets would be lost."""
    node.store("88.300.1/HUGE", value(1, "URL", "y" * 200_000), value(2, "N", b"s", PRIVATE))
    session = ClientSession(node.client(), flags=0x5980_0000)
    body = requests.Resolution("88.300.1/HUGE")
    assert session.ask(1, body, flags=CERTIFIED).header.response_code == 1
    frame = session.request(1, body, flags=CERTIFIED, encrypts=encrypts)
    found = session.read(over_udp(node.ports[0], frame))
    assert found.header.response_code == 2
    assert found.credential.is_mac_of(found.envelope, found.header_and_body, session.key.octets)
    again = session.request(1, body, flags=CERTIFIED, encrypts=encrypts)
    assert len(session.read(session.client.frames(again.to_wire())[0]).body.values) == 2


def test_what_does_not_decrypt_is_a_session_that_failed(node):
    """An answer in clear by the code of sessions that fail: there is no key to say it in secret by."""
    session = ClientSession(node.client())
    frame = session.request(101, requests.OfHandle("88.300.1/X"), encrypts=True)
    damaged = frame._replace(payload=frame.payload[:16] + bytes(len(frame.payload) - 16))
    found = session.client.frames(damaged.to_wire())[0]
    assert (found.envelope.is_encrypted, found.header.response_code) == (False, 501)
    nameless = frame._replace(envelope=frame.envelope._replace(session_id=0))
    assert session.client.frames(nameless.to_wire())[0].header.response_code == 501


def test_what_is_wrong_with_an_encrypted_message_is_not_told(node):
    """Padding that is wrong was 501 and what it hides 502: a password was read from its message in 2,000 questions."""
    session = ClientSession(node.client())
    made = session.ask(100, create("88.300.1/ORACLE"))
    assert made.header.response_code == 1
    hidden = (value(1, "URL", "http://a"), value(2, "HS_SECKEY", "secret", PRIVATE))
    frame = session.request(104, requests.WithValues("88.300.1/ORACLE", hidden), encrypts=True)

    def padded(octets):
        """Octets as one block that decrypts to them: whoever guesses the key stream makes such."""
        key = session.key
        vector = bytes(16)
        return vector + ciphers.encrypt(key.cipher, key.octets, octets, vector)

    clear = sessions.decrypt(frame, session.key)
    wrong_mac = clear.payload[:-1] + bytes((clear.payload[-1] ^ 1,))
    no_mac = session.client.request(101, requests.OfHandle("88.300.1/ORACLE")).to_frame().payload
    as_answer = clear.payload[:4] + b"\0\0\0\1" + clear.payload[8:]
    wrong = [
        frame.payload[:-32] + bytes(32),
        frame.payload[:-5],
        b"",
        bytes(32),
        padded(b""),
        padded(b"no message"),
        padded(clear.payload[:-9]),
        padded(wrong_mac),
        padded(no_mac),
        padded(as_answer),
    ]
    answers = set()
    for octets in wrong:
        envelope = frame.envelope._replace(message_octets=len(octets))
        (found,) = session.client.frames(Frame(envelope, octets).to_wire())
        answers.add((found.envelope, found.payload[:16] + found.payload[20:]))  # all but when it expires
    assert len(answers) == 1
    assert Message.from_frame(found).header.response_code == 501
    assert session.read(session.client.frames(frame.to_wire())[0]).header.response_code in {1, 200}, "nothing was done"


def test_refused_answer_to_a_challenge_is_of_the_session_as_well(node):
    session = ClientSession(node.client())
    found = session.ask(100, create("88.300.1/NO"), key=rsa_key("stranger"), flags=CERTIFIED)
    assert (found.header.response_code, found.envelope.session_id) == (403, session.id)
    assert found.credential.is_mac_of(found.envelope, found.header_and_body, session.key.octets)


@pytest.mark.parametrize(("op_code", "code"), [(0, 4), (999, 2)])
def test_an_operation_nobody_knows_is_refused_behind_encryption_too(node, op_code, code):
    """What it is shows only once it is open: it was a defect in the log then."""
    session = ClientSession(node.client())
    with structlog.testing.capture_logs() as logged:
        found = session.ask(op_code, requests.Opaque(b"x"), encrypts=True)
    assert (found.header.response_code, session.was_encrypted) == (code, True)
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
