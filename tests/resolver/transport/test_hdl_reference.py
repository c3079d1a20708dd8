"""What clients of the reference server and of the SDKs rely on beyond the recorded exchanges, over real sockets."""

import json

import pytest

from resolver.wire import requests, sessions
from resolver.wire.challenges import HashCode
from resolver.wire.message import Message
from tests.resolver.transport.hdl_node import PRIVATE, SECRET, ClientSession, admin, handle_node, rsa_key, value

HSJ, OVERWRITE = 0x1800_0000, 0x1840_0000
WORKERS = 3
LISTER = "301:0.NA/88.300"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("reference"), workers=WORKERS) as node:
        yield node


def one(name, data="http://example.org/", index=1):
    return requests.WithValues(name, (value(index, "URL", data),))


@pytest.mark.parametrize("worker", range(WORKERS))
@pytest.mark.parametrize("own_id", [1, 77, 10_000, 1 << 23 | 5, 2 << 23 | 5, 999_999_999])
def test_login_of_a_client_that_puts_its_own_id_into_every_message(node, worker, own_id):
    """Whatever worker the id seems to name, the login belongs to the connection."""
    client = node.client(worker, version=(2, 3), suggested=(2, 10), flags=0, keep=True)
    request = client.request(2001, requests.Login("0.NA/88.300", 300), flags=0x0080_0000, session_id=own_id)
    challenge = client.send(request)
    assert challenge.header.response_code == 402
    answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin")).to_frame()
    answer = answer._replace(envelope=answer.envelope._replace(session_id=own_id))
    assert Message.from_frame(client.frames(answer.to_wire())[0]).header.response_code == 1
    name = f"88.300.1/OWN-{worker}-{own_id}"
    for op_code, body in ((100, one(name)), (104, one(name, "b")), (101, requests.OfHandle(name))):
        assert client.ask(op_code, body, session_id=own_id).header.response_code == 1
    client.close()


def test_request_sent_again_in_a_session_gets_the_same_challenge(node):
    """A datagram is sent again when its answer is late; the client answers the first challenge that comes."""
    session = ClientSession(node.client())
    first = session.request(100, one("88.300.1/LATE"))
    session.client._ids -= 1  # the same request, with a MAC of its own
    again = session.request(100, one("88.300.1/LATE"))
    assert first.envelope.request_id == again.envelope.request_id
    challenge = session.read(session.client.frames(first.to_wire())[0])
    assert session.read(session.client.frames(again.to_wire())[0]).body.nonce == challenge.body.nonce
    answer = session.client.answer_to(challenge, Message.from_frame(first), "300:0.NA/88.300", rsa_key("admin"))
    assert session.read(session.client.frames(answer.to_wire())[0]).header.response_code == 1


def test_session_that_asks_for_no_time_gets_the_usual(node):
    client = node.client()
    session = ClientSession(client)
    node.protocols[0].authentication.sessions.end(session.id)
    made = node.protocols[0].authentication.sessions.begin(session.key, "net", 0.0, 0.0)
    assert made.deadline_s == 86_400.0


@pytest.mark.parametrize("version", [((2, 3), (2, 11)), ((2, 1), (2, 1)), ((2, 11), (2, 11)), ((2, 10), (2, 11))])
def test_client_without_flags_is_challenged_unless_it_is_an_sdk(node, version):
    client = node.client(version=version[0], suggested=version[1], flags=0)
    assert client.ask(100, one("88.300.1/FLAGLESS")).header.response_code == 402


def test_prefix_may_be_named_without_its_slash(node):
    client = node.client()
    for op_code in (300, 105, 301):
        assert client.do(op_code, requests.OfHandle("88.300.9")).header.response_code == 1, op_code
    assert client.do(105, requests.OfHandle("88.300.9")).header.response_code == 301


def test_what_is_no_prefix_is_said_before_anybody_is_challenged(node):
    assert node.client().ask(300, requests.OfHandle("88.300.1/X")).header.response_code == 102


def test_nothing_to_add_and_impossible_indexes(node):
    client = node.client()
    assert client.do(100, one("88.300.1/EDGES")).header.response_code == 1
    nothing, twice = requests.WithValues("88.300.1/EDGES", ()), (value(1, "URL", "a"), value(1, "URL", "b"))
    assert client.ask(102, nothing).header.response_code == 202
    assert client.ask(102, one("88.300.1/EDGES", index=0)).header.response_code == 202
    assert client.ask(100, one("88.300.1/NEGATIVE", index=0xFFFF_FFFF)).header.response_code == 202
    assert client.ask(102, requests.WithValues("88.300.1/EDGES", twice)).header.response_code == 201
    assert client.ask(104, one("88.300.1/EDGES", index=0)).header.response_code == 200
    assert client.do(104, requests.WithValues("88.300.1/EDGES", twice)).header.response_code == 1


def test_a_value_that_is_repeated_takes_no_right(node):
    """An HS_ADMIN that may only add values is enough to add some and repeat others."""
    client, adder = node.client(), 0x40
    values = (admin("0.NA/88.300", 301, bits=adder), value(1, "URL", "a"))
    assert client.do(100, requests.WithValues("88.300.1/REPEATED", values)).header.response_code == 1
    both = requests.WithValues("88.300.1/REPEATED", (value(1, "URL", "a"), value(2, "URL", "b")))
    assert client.do(102, both, LISTER, SECRET, flags=OVERWRITE).header.response_code == 1
    other = requests.WithValues("88.300.1/REPEATED", (value(1, "URL", "c"),))
    assert client.do(102, other, LISTER, SECRET, flags=OVERWRITE).header.response_code == 400
    whole = (*values, value(2, "URL", "b"), value(3, "URL", "d"))
    found = client.do(100, requests.WithValues("88.300.1/REPEATED", whole), LISTER, SECRET, flags=OVERWRITE)
    assert found.header.response_code == 1


def test_secret_key_under_index_0(node):
    """Tools that are told no index send 0: any secret of the handle is meant, and who it was is known from then on."""
    node.store("88.300.1/PERSON", value(5, "HS_SECKEY", b"first", PRIVATE), value(6, "HS_SECKEY", b"second", PRIVATE))
    values = (admin("88.300.1/PERSON", 6), value(1, "URL", "a"))
    client = node.client()
    assert client.do(100, requests.WithValues("88.300.1/THEIRS", values)).header.response_code == 1
    for secret, code in ((b"third", 403), (b"first", 400), (b"second", 1)):
        found = client.do(101, requests.OfHandle("88.300.1/THEIRS"), "0:88.300.1/PERSON", secret)
        assert found.header.response_code == code, secret


def test_key_of_another_place_cannot_be_verified_here(node):
    client = node.client()
    request = client.request(100, one("88.300.1/V"))
    challenge = client.send(request)
    answer = client.answer_to(challenge, request, LISTER, SECRET, code=HashCode.PBKDF2_HMAC_SHA1).body
    digest, nonce = challenge.request_digest, challenge.body.nonce

    def verify(handle):
        return client.ask(201, requests.VerifyAnswer(handle, 301, nonce, digest, answer.signed_response))

    assert verify("0.NA/88.300").body.is_valid
    assert not verify("0.NA/88.300.1/NOT").body.is_valid
    assert verify("99.999/X").header.response_code == 301


STATUS = requests.Resolution("0.site/STATUS")


def test_status_is_for_server_administrators(node):
    client = node.client()
    assert client.ask(1, STATUS, flags=0x1900_0000).header.response_code == 200, "it has no public values"
    assert client.ask(1, STATUS).header.response_code == 402
    assert client.do(1, STATUS, LISTER, SECRET).header.response_code == 400, "no server administrator"
    sdk = node.client(version=(2, 3), suggested=(2, 10), flags=0)
    assert sdk.ask(1, STATUS).header.response_code == 200, "an SDK cannot be challenged at a lookup"
    found = client.do(1, STATUS)
    assert (found.header.response_code, found.body.handle) == (1, "0.site/STATUS")
    server, journal = found.body.values
    assert (server.index, server.type, server.permissions) == (1, "CNRI.SERVER_STATUS", PRIVATE)
    facts = dict(item.split("=") for item in server.data.decode().split("; "))
    assert list(facts) == ["freemem", "totalmem", "maxmem", "runtime", "numreqs"]
    assert all(int(number) > 0 for number in facts.values())
    assert (journal.index, journal.type) == (3, "CNRI.REPLICATION_STATUS")
    assert json.loads(journal.data)["latestTxnId"] > 0
    only = client.do(1, requests.Resolution("0.SITE/status", types=("CNRI.REPLICATION_STATUS",)))
    assert [item.index for item in only.body.values] == [3]
    hidden = ClientSession(client)
    assert hidden.ask(1, STATUS, flags=HSJ).header.response_code == 1
    assert hidden.was_encrypted


def test_negative_ttl_of_a_java_client_is_refused_with_a_reason(node):
    """It is -1 on the wire as a number from 2^31 on; read from others it means that nothing is kept."""
    negative = bytes.fromhex("0000000100000000" + "00" + "ffffffff" + "0e")
    body = requests.sized_text("88.300.1/NEGATIVE") + (1).to_bytes(4, "big") + negative
    body += requests.sized_text("URL") + requests.sized_text("a") + bytes(4)
    client = node.client()
    request = client.request(100, requests.Opaque(body))
    found = client.authenticated(Message.from_frame(request.to_frame()))[0]
    assert found.header.response_code == 202
    assert "TTL" in found.body.message


def test_session_whose_every_message_is_encrypted(node):
    """As a batch of CNRI's tools with ENCRYPT and AUTHENTICATE: the answer to the challenge is hidden too."""
    session, flags = ClientSession(node.client()), 0x7800_0000
    frame = session.request(100, one("88.300.1/HIDDEN-ALL"), flags=flags, encrypts=True)
    challenge = session.read(session.client.frames(frame.to_wire())[0])
    assert (challenge.header.response_code, session.was_encrypted) == (402, True)
    request = Message.from_frame(sessions.decrypt(frame, session.key))
    answer = session.client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
    for port in (node.ports[2], node.ports[0]):  # the session is the first worker's, wherever its answer comes
        session.client.port = port
        hidden = sessions.encrypt(answer.to_frame(), session.key, bytes(16)).to_wire()
        made = session.read(session.client.frames(hidden)[0])
        if port == node.ports[2]:
            assert (made.header.response_code, made.header.op_code, session.was_encrypted) == (1, 100, True)
            assert made.credential.is_mac_of(made.envelope, made.header_and_body, session.key.octets)
        else:
            assert made.header.response_code == 405, "an answer counts once"
    for op_code, body in ((104, one("88.300.1/HIDDEN-ALL", "b")), (101, requests.OfHandle("88.300.1/HIDDEN-ALL"))):
        following = session.request(op_code, body, flags=flags, encrypts=True)
        done = session.read(session.client.frames(following.to_wire())[0])
        assert (done.header.response_code, session.was_encrypted) == (1, True)
