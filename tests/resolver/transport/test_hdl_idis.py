"""What IDIS clients do and CNRI's do not: a login bound to the connection, lookups that are never challenged."""

import pytest

from resolver.wire import requests
from resolver.wire.versions import Version
from tests.resolver.transport.hdl_node import PRIVATE, admin, handle_node, rsa_key, value


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("idis")) as node:
        node.store("88.300.1/IDIS", admin("0.NA/88.300", 300), value(1, "URL", "x"), value(2, "N", "s", PRIVATE))
        yield node


SDK = {"version": (2, 3), "suggested": (2, 10), "flags": 0}
"""Versions and flags of the ID-SDK."""


def login(client, identity="300:0.NA/88.300", key=None):
    index, _, handle = identity.partition(":")
    request = client.request(2001, requests.Login(handle, int(index)), flags=0x0080_0000)
    challenge = client.send(request)
    if challenge.header.response_code != 402:
        return challenge
    assert challenge.header.op_code == 2001
    return client.send(client.answer_to(challenge, request, identity, key or rsa_key("admin")))


def one(name, index=1):
    return requests.WithValues(name, (value(index, "URL", "http://example.org/"),))


def test_login_serves_the_whole_connection(node):
    client = node.client(**SDK, keep=True)
    done = login(client)
    assert (done.header.response_code, done.header.op_code) == (1, 2001)
    assert done.request_digest is None
    for op_code, body in (
        (100, one("88.300.1/LOGIN")),
        (102, one("88.300.1/LOGIN", 6)),
        (104, one("88.300.1/LOGIN", 6)),
        (103, requests.RemoveValues("88.300.1/LOGIN", (6,))),
        (101, requests.OfHandle("88.300.1/LOGIN")),
    ):
        assert client.ask(op_code, body).header.response_code == 1, op_code
    assert login(client).header.response_code == 407
    client.close()


def test_another_connection_is_not_logged_in(node):
    client = node.client(**SDK, keep=True)
    assert login(client).header.response_code == 1
    assert node.client(**SDK).ask(100, one("88.300.1/NOT")).header.response_code == 408
    client.close()


def test_wrong_key_does_not_log_in(node):
    client = node.client(**SDK, keep=True)
    assert login(client, key=rsa_key("stranger")).header.response_code == 403
    assert client.ask(100, one("88.300.1/NOT")).header.response_code == 408
    assert login(client).header.response_code == 1, "the connection may try again"
    client.close()


def test_lookup_of_restricted_values_follows_the_login(node):
    client = node.client(**SDK, keep=True)
    before = client.ask(1, requests.Resolution("88.300.1/IDIS"))
    assert [item.index for item in before.body.values] == [100, 1]
    only_hidden = client.ask(1, requests.Resolution("88.300.1/IDIS", indexes=(2,)))
    assert only_hidden.header.response_code == 200
    assert login(client).header.response_code == 1
    after = client.ask(1, requests.Resolution("88.300.1/IDIS"))
    assert [item.index for item in after.body.values] == [100, 1, 2]
    client.close()


def test_answer_with_a_session_id_of_its_own(node):
    """Teleinfo's client invents one; the login that waits on the connection is meant."""
    client = node.client(**SDK, keep=True)
    request = client.request(2001, requests.Login("0.NA/88.300", 300), flags=0x0080_0000, session_id=77)
    challenge = client.send(request)
    answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
    frame = answer.to_frame()
    from resolver.wire.message import Message

    moved = frame._replace(envelope=frame.envelope._replace(session_id=77))
    assert Message.from_frame(client.frames(moved.to_wire())[0]).header.response_code == 1
    assert client.ask(100, one("88.300.1/OWN-ID"), session_id=77).header.response_code == 1
    client.close()


def test_codes_the_sdk_cannot_name_are_said_otherwise(node):
    client = node.client(**SDK)
    assert client.ask(1, requests.Resolution("99.999/X")).header.response_code == 100
    assert node.client().ask(1, requests.Resolution("99.999/X")).header.response_code == 301


def test_login_whose_key_is_elsewhere_is_refused_by_a_code_the_sdk_knows(node):
    """The answer to a challenge suggests another version than the login did."""
    client = node.client(**SDK, keep=True)
    request = client.request(2001, requests.Login("0.NA/99.999", 300), flags=0x0080_0000)
    challenge = client.send(request)
    client.version = client.suggested = Version(2, 10)
    answer = client.answer_to(challenge, request, "300:0.NA/99.999", rsa_key("stranger"))
    assert client.send(answer).header.response_code == 403
    client.close()


def test_keep_alive_question_and_trailing_octets(node):
    client = node.client(**SDK, keep=True)
    assert client.ask(1, requests.Resolution("0")).header.response_code == 100
    found = client.ask(1, requests.Resolution("88.300.1/IDIS", identity=b"\0\0\0\4user"), flags=0x4)
    assert found.header.response_code == 1
    client.close()


def test_password_in_clear_is_not_taken(node):
    found = node.client(flags=0).ask(2000, requests.Resolution("admin", types=("password",)))
    assert found.header.response_code == 5


@pytest.mark.parametrize("versions", [((2, 3), (2, 10)), ((2, 5), (0, 0))])
def test_each_sdk_is_told_to_log_in(node, versions):
    version, suggested = versions
    client = node.client(version=version, suggested=suggested, flags=0)
    assert client.ask(100, one("88.300.1/NOT")).header.response_code == 408


@pytest.mark.parametrize("minor", range(1, 12))
def test_a_client_without_flags_that_is_no_sdk_is_challenged(node, minor):
    client = node.client(version=(2, minor), flags=0)
    assert client.ask(100, one("88.300.1/NOT")).header.response_code == 402
    assert client.do(100, one(f"88.300.1/RAW-{minor}")).header.response_code == 1
    assert [item.index for item in client.ask(1, requests.Resolution("88.300.1/IDIS")).body.values] == [100, 1]
