"""What the IDIS SDKs send on the connections they keep, as their sources show: ids made up, users mixed, prefixes bare.

The ID-SDK of CAICT numbers a connection from 2.0.8 on and logs in once. Teleinfo's numbers each login; older ones of
them send the requests of all logins, and those of nobody, over one pool of connections.
"""

from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric import padding

from resolver.handle.codes import ResponseCode
from resolver.registry import enterprises, prefix_handles, principals
from resolver.service import hdl_authentication, hdl_peer
from resolver.service.hdl_answers import IDIS_CODES
from resolver.v1 import registry_pb2 as pb
from resolver.wire import requests, sessions
from resolver.wire.message import Message, request_message
from storage.tables import Table
from tests.resolver.transport.hdl_node import ADMIN, ClientSession, admin, group, handle_node, rsa_key, value
from tests.support.builders import ledger_on
from tests.support.clock import FakeClock

OWNERS = {"ent-a": ("88.300.20", "a", "91350100M000100Y43"), "ent-b": ("88.300.21", "b", "91110000600037341L")}
LOGIN = 0x1080_0000
ALL = 0x1900_0000
CAICT_CODES = {1, 2, 3, 4, 5, 100, 101, 102, 200, 201, 202, 302, 303, 400, 401, 402, 403, 404, 405, 407, 408, 3001}
"""Codes that the ID-SDK has a name for; at any other it throws away the answer."""


@pytest.fixture
def node(tmp_path):
    with handle_node(tmp_path, workers=2) as node:
        node.keys = {}
        for enterprise, (prefix, key, code) in OWNERS.items():
            node.add_enterprise(enterprise, prefix, code)
            row = pb.Principal(principal_id=key, role=pb.ROLE_ENTERPRISE_USER, enterprise_id=enterprise)
            request = pb.CreateKeyRequest(principal_id=key, kind=3, public_key=rsa_key(key).public.to_wire())
            with ledger_on(node.engine, node.clock) as ledger:
                principals.create(ledger.writer, ADMIN, row, ledger.now_us, node.randomness)
                node.keys[key] = prefix_handles.create_key(ledger, ADMIN, request, node.randomness).key.key_id
        yield node


def caict(node, worker=0):
    return node.client(worker, version=(2, 3), suggested=(2, 10), flags=0, keep=True)


def teleinfo(node, worker=0):
    return node.client(worker, version=(2, 10), suggested=(2, 11), flags=ALL, keep=True)


def log_in(client, prefix, key, session_id=0):
    """The answer to a login, in which the challenge's id is given back as Teleinfo's SDK does."""
    request = client.request(2001, requests.Login(prefix, 300), flags=LOGIN, session_id=session_id)
    challenge = client.send(request)
    if challenge.header.response_code != 402:
        return challenge
    return client.send(client.answer_to(challenge, request, f"300:{prefix}", rsa_key(key)))


def one(name, index=1):
    return requests.WithValues(name, (value(index, "URL", "http://example.org/"),))


def code(client, op_code, body, session_id=0):
    return client.ask(op_code, body, session_id=session_id).header.response_code


def test_logins_that_share_a_connection_keep_their_rights_apart(node):
    client = teleinfo(node)
    for prefix, key, session_id in (("0.NA/88.300.20", "a", 10_001), ("0.NA/88.300.21", "b", 10_002)):
        assert log_in(client, prefix, key, session_id).header.response_code == 1
    assert code(client, 100, one("88.300.20/A"), 10_001) == 1
    assert code(client, 100, one("88.300.21/B"), 10_002) == 1
    assert code(client, 100, one("88.300.20/C"), 10_002) == 400
    assert code(client, 101, requests.OfHandle("88.300.21/B"), 10_001) == 400
    assert code(client, 100, one("88.300.20/NOBODY"), 10_003) == 500
    assert code(client, 1, requests.Resolution("88.300.20/A"), 10_003) == 1
    client.close()


def test_login_goes_on_where_another_client_object_has_logged_in_before(node, monkeypatch):
    monkeypatch.setattr(hdl_peer, "LOGINS_MAX", 4)
    client = teleinfo(node)
    for session_id in range(10_001, 10_001 + hdl_peer.LOGINS_MAX + 3):
        assert log_in(client, "0.NA/88.300.20", "a", session_id).header.response_code == 1
        assert code(client, 100, one(f"88.300.20/L-{session_id}"), session_id) == 1
    assert code(client, 100, one("88.300.20/OLDEST"), 10_001) == 500, "the oldest logins have made room"
    assert log_in(client, "0.NA/88.300.20", "a", session_id).header.response_code == 407
    client.close()


def test_what_comes_over_another_connection_of_the_pool_is_refused_and_not_challenged(node):
    """The SDK would take a challenge for success, and the handle would be lost without a word."""
    first, second = teleinfo(node), teleinfo(node, 1)
    assert log_in(first, "0.NA/88.300.20", "a", 10_001).header.response_code == 1
    for worker_client in (second, teleinfo(node)):
        found = worker_client.ask(100, one("88.300.20/LOST"), session_id=10_001)
        assert found.header.response_code == 500
        assert b"log in" in found.body.to_wire()
        worker_client.close()
    first.close()


@pytest.mark.parametrize("session_id", [0, 123_456_789])
def test_a_login_holds_for_its_connection(node, session_id):
    """Whatever id its other messages have, while there is one login only."""
    client = caict(node)
    assert code(client, 100, one("88.300.20/BEFORE"), session_id) == 408
    assert log_in(client, "0.NA/88.300.20", "a", session_id).header.response_code == 1
    assert log_in(client, "0.NA/88.300.20", "a", session_id).header.response_code == 407
    for other in (session_id, 0, 7):
        assert code(client, 100, one(f"88.300.20/ID-{other}"), other) in {1, 101}
    client.close()


def test_number_that_is_also_that_of_a_session(node):
    session = ClientSession(node.client())
    client = teleinfo(node)
    assert log_in(client, "0.NA/88.300.20", "a", session.id).header.response_code == 1
    assert code(client, 100, one("88.300.20/SAME"), session.id) == 1
    assert code(client, 1, requests.Resolution("88.300.20/SAME"), session.id) == 1
    client.close()
    stranger = teleinfo(node)
    assert code(stranger, 100, one("88.300.20/STRANGER"), session.id) == 404, "a session asks for its MAC"
    stranger.close()


@pytest.mark.parametrize("spelling", ["88.300.20", "0.NA/88.300.20", "0.na/88.300.20"])
def test_a_user_may_name_its_prefix_bare(node, spelling):
    """The examples of the ID-SDK log in as 300:88.1000.2, and name it in HS_ADMIN values so."""
    client = caict(node)
    assert log_in(client, spelling, "a").header.response_code == 1
    name = "88.300.20/BARE"
    made = requests.WithValues(name, (admin("88.300.20", 300), value(1, "URL", "x")))
    assert code(client, 100, made) == 1
    assert code(client, 102, one(name, 2)) == 1
    assert code(client, 101, requests.OfHandle(name)) == 1
    client.close()


@pytest.mark.parametrize("spelling", ["88.300", "0.NA/88.300"])
def test_a_prefix_handle_may_be_changed_by_its_bare_name(node, spelling):
    client = caict(node)
    assert log_in(client, spelling, "admin").header.response_code == 1
    assert code(client, 102, one("88.300.20", 900)) == 1
    found = client.ask(1, requests.Resolution("88.300.20", indexes=(900,)))
    assert (found.body.handle, len(found.body.values)) == ("88.300.20", 1)
    assert code(client, 103, requests.RemoveValues("88.300.20", (900,))) == 1
    client.close()


def test_hs_admin_and_groups_may_name_a_prefix_bare(node):
    node.store("88.300.20/BY-GROUP", admin("88.300.20/TEAM", 200), value(1, "URL", "x"))
    node.store("88.300.20/TEAM", group((300, "88.300.20")))
    for spelling in ("88.300.20", "0.NA/88.300.20"):
        done = node.client().do(102, one("88.300.20/BY-GROUP", 5), f"300:{spelling}", rsa_key("a"))
        assert done.header.response_code in {1, 201}
    refused = node.client().do(102, one("88.300.20/BY-GROUP", 6), "300:88.300.21", rsa_key("b"))
    assert refused.header.response_code == 400


@pytest.mark.parametrize("spelling", ["88.300.20", "0.NA/88.300.20"])
def test_no_spelling_lets_in_who_is_disabled(node, spelling):
    with ledger_on(node.engine, node.clock) as ledger:
        principals.update(ledger.writer, ADMIN, pb.UpdatePrincipalRequest(principal_id="a", disabled=True))
    client = caict(node)
    assert log_in(client, spelling, "a").header.response_code == 403
    client.close()


def test_guesses_are_counted_under_one_name_however_it_is_spelled(node):
    client = caict(node)
    for turn in range(10):
        spelling = ("88.300.20", "0.NA/88.300.20")[turn % 2]
        assert log_in(client, spelling, "b").header.response_code == 403
    assert log_in(client, "0.NA/88.300.20", "a").header.response_code == 403, "locked"
    client.close()


def test_every_code_is_one_the_sdk_can_name():
    for each in ResponseCode:
        assert each == 0 or int(IDIS_CODES.get(each, each)) in CAICT_CODES, each


def test_a_full_quota_is_told_in_words_to_the_sdk_and_by_its_code_to_others(node):
    row = pb.Enterprise(enterprise_id="ent-a", name="ent-a", credit_code=OWNERS["ent-a"][2])
    row.quota.handles_max = 1
    with node.engine.write() as writer:
        enterprises.update(writer, ADMIN, row, None)
    sdk, other = caict(node), teleinfo(node)
    assert log_in(sdk, "0.NA/88.300.20", "a").header.response_code == 1
    assert log_in(other, "0.NA/88.300.20", "a", 10_001).header.response_code == 1
    assert code(sdk, 100, one("88.300.20/FIRST")) == 1
    full = sdk.ask(100, one("88.300.20/SECOND"))
    assert full.header.response_code == 5
    assert "quota" in full.body.message
    assert code(other, 100, one("88.300.20/SECOND"), 10_001) == 604
    sdk.close()
    other.close()


def test_login_of_a_message_that_ends_behind_its_body(node):
    """Teleinfo's SDK leaves out the length of the credential in its login, and nowhere else."""
    client = teleinfo(node)
    request = client.request(2001, requests.Login("0.NA/88.300.20", 300), flags=LOGIN, session_id=10_001)
    whole = request.to_frame()
    cut = whole.payload[:-4]
    frame = whole._replace(envelope=whole.envelope._replace(message_octets=len(cut)), payload=cut)
    challenge = client.frames(frame.to_wire())[0]
    assert challenge.header.response_code == 402
    asked = request_message(request.envelope, request.header, request.body)
    answer = client.answer_to(Message.from_frame(challenge), asked, "300:0.NA/88.300.20", rsa_key("a"))
    assert client.send(answer).header.response_code == 1
    assert code(client, 100, one("88.300.20/CUT"), 10_001) == 1
    client.close()


class Sealed:
    """Teleinfo's SDK with its encryption on: a key that only the user can read, its own ids, no MACs."""

    def __init__(self, node, worker, prefix, key):
        self.client, self.user, self.id = teleinfo(node, worker), f"300:{prefix}", 10_007
        setup = requests.SessionSetup(3, 86_400, "", 0xFFFF_FFFF, key_handle=prefix, key_index=300)
        done = self.client.ask(400, setup, session_id=self.id)
        assert done.header.response_code == 1, done.body
        octets = rsa_key(key).to_native().decrypt(done.body.data, padding.PKCS1v15())
        self.key = sessions.SessionKey.from_wire(octets)

    def read(self, frame):
        assert frame.envelope.is_encrypted
        return Message.from_frame(sessions.decrypt(frame, self.key))

    def send(self, message):
        frame = sessions.encrypt(message.to_frame(), self.key, b"i" * 16)
        return self.client.frames(frame.to_wire())[0]

    def ask(self, op_code, body, flags=ALL | 0x2000_0000):
        return self.read(self.send(self.client.request(op_code, body, flags=flags, session_id=self.id)))

    def log_in(self, key):
        request = self.client.request(
            2001, requests.Login(self.user[4:], 300), flags=LOGIN | 0x2000_0000, session_id=self.id
        )
        challenge = self.read(self.send(request))
        assert challenge.header.response_code == 402
        return self.read(self.send(self.client.answer_to(challenge, request, self.user, rsa_key(key))))


@pytest.mark.parametrize("worker", [0, 1])
def test_encrypted_connection_of_teleinfos_sdk(node, worker):
    sealed = Sealed(node, worker, "0.NA/88.300.20", "a")
    assert sealed.ask(2, requests.OfHandle("/")).header.response_code == 1
    assert sealed.ask(100, one("88.300.20/BEFORE")).header.response_code == 500
    assert sealed.log_in("a").header.response_code == 1
    for op_code, body, expected in (
        (100, one("88.300.20/SEALED"), 1),
        (102, one("88.300.20/SEALED", 2), 1),
        (1, requests.Resolution("88.300.20/SEALED"), 1),
        (101, requests.OfHandle("88.300.20/SEALED"), 1),
        (101, requests.OfHandle("88.300.20/SEALED"), 100),
    ):
        assert sealed.ask(op_code, body).header.response_code == expected, op_code
    assert code(sealed.client, 1, requests.Resolution("0")) == 100, "its heartbeats are not encrypted"
    sealed.client.close()


def test_a_made_up_id_may_be_that_of_a_session_of_somebody_else(node, monkeypatch):
    """Its messages were tried with the key of that session only, for as long as it lasted."""
    kept = node.protocols[0].authentication.sessions
    monkeypatch.setattr(kept, "_randomness", lambda octets: (10_007).to_bytes(octets, "big"))
    others = kept.begin(
        sessions.SessionKey(sessions.cipher_code(3), bytes(16)), "elsewhere", 60.0, node.clock.monotonic_s()
    )
    monkeypatch.undo()
    sealed = Sealed(node, 0, "0.NA/88.300.20", "a")
    assert others.id == sealed.id
    assert sealed.ask(2, requests.OfHandle("/")).header.response_code == 1
    assert sealed.log_in("a").header.response_code == 1
    assert sealed.ask(100, one("88.300.20/COLLIDING")).header.response_code == 1
    assert others.identity is None
    kept.end(others.id)
    sealed.client.close()


def test_seal_proves_nothing(node):
    """Whoever knows a public key can ask for one, and cannot read it; a key of one's own makes nobody else."""
    sealed = Sealed(node, 0, "0.NA/88.300.20", "a")
    sealed.user = "300:0.NA/88.300.21"
    assert sealed.log_in("a").header.response_code == 403
    assert sealed.ask(100, one("88.300.21/X")).header.response_code == 500
    sealed.key = sessions.SessionKey(sealed.key.cipher, bytes(16))
    refused = sealed.send(sealed.client.request(1, requests.Resolution("88.300.21/X"), session_id=sealed.id))
    assert (refused.envelope.is_encrypted, refused.header.response_code) == (False, 501)
    other = teleinfo(node)
    asked = other.request(2, requests.OfHandle("/"), session_id=sealed.id).to_frame()
    elsewhere = other.frames(sessions.encrypt(asked, sealed.key, b"i" * 16).to_wire())[0]
    assert elsewhere.header.response_code == 500, "the seal is of its connection"
    other.close()
    sealed.client.close()


def revoke(ledger, node):
    prefix_handles.revoke_key(ledger, ADMIN, node.keys["a"])


def disable(ledger, node):
    del node
    principals.update(ledger.writer, ADMIN, pb.UpdatePrincipalRequest(principal_id="a", disabled=True))


def suspend(ledger, node):
    del node
    row = ledger.writer.get(Table.ENTERPRISES, b"ent-a")
    suspended = pb.Enterprise.FromString(row)
    suspended.status = pb.ENTERPRISE_STATUS_DISABLED
    enterprises.update(ledger.writer, ADMIN, suspended, None)


@pytest.mark.parametrize("taken_away", [revoke, disable, suspend])
@pytest.mark.parametrize("way", ["login", "session"])
def test_what_was_proven_ends_with_what_it_was_proven_by(node, way, taken_away, monkeypatch):
    """A connection or a session may last for days: it must not keep alive a key that was revoked."""
    monkeypatch.setattr(hdl_authentication, "RENEWAL_S", 0.0)
    asking, clients, refused = {}, [], {"login": 408, "session": 403}[way]
    for key, prefix in (("a", "88.300.20"), ("b", "88.300.21")):
        if way == "login":
            client = caict(node)
            clients.append(client)
            assert log_in(client, f"0.NA/{prefix}", key).header.response_code == 1
            asking[key] = client.ask
        else:
            session = ClientSession(node.client())
            asking[key] = partial(session.ask, identity=f"300:0.NA/{prefix}", key=rsa_key(key))

    def create(key, name):
        prefix = {"a": "88.300.20", "b": "88.300.21"}[key]
        values = (value(1, "URL", "http://example.org/"), admin(f"0.NA/{prefix}", 300))
        return asking[key](100, requests.WithValues(f"{prefix}/{name}", values)).header.response_code

    assert [create(key, name) for key in "ab" for name in ("FIRST", "SECOND")] == [1] * 4
    with ledger_on(node.engine, node.clock) as ledger:
        taken_away(ledger, node)
    assert [create("a", name) for name in ("THIRD", "FOURTH")] == [refused] * 2
    assert asking["a"](101, requests.OfHandle("88.300.20/FIRST")).header.response_code == refused
    assert create("b", "THIRD") == 1, "others are not troubled"
    for client in clients:
        client.close()


def test_another_key_under_the_index_of_a_login_ends_it(node, monkeypatch):
    monkeypatch.setattr(hdl_authentication, "RENEWAL_S", 0.0)
    node.store("88.300.20/USER", value(300, "HS_PUBKEY", rsa_key("user").public.to_wire()))
    client = caict(node)
    assert log_in(client, "88.300.20/USER", "user").header.response_code == 1
    body = requests.WithValues("88.300.20/BY-USER", (value(1, "URL", "a"),))
    assert code(client, 100, body) in {1, 400}
    node.store("88.300.20/USER", value(300, "HS_PUBKEY", rsa_key("other").public.to_wire()))
    assert code(client, 100, body) == 408
    client.close()


def test_a_connection_with_a_login_may_be_silent_for_a_day(tmp_path):
    """The ID-SDK reads garbage out of a connection that was closed, and logs in again never."""
    clock = FakeClock()
    with handle_node(tmp_path, clock=clock, idle_s=600.0) as node:
        node.store("88.300.1/X", value(1, "URL", "x"))

        def asks(client):
            """Whether the door answers; it has then done with what was asked before."""
            return code(client, 1, requests.Resolution("88.300.1/X")) == 1

        def pass_by(seconds):
            """Let time pass, and the door look at it."""
            anonymous = caict(node)
            assert asks(anonymous)
            clock.advance(seconds)
            assert is_closed(anonymous)

        asker, writer = caict(node), caict(node)
        for client in (asker, writer):
            assert log_in(client, "88.300", "admin").header.response_code == 1
        pass_by(86_000)
        assert asks(asker)
        assert code(writer, 100, one("88.300.2/W")) == 1
        pass_by(86_000)
        assert asks(asker)
        assert code(writer, 101, requests.OfHandle("88.300.2/W")) == 1
        assert asks(writer)
        pass_by(86_401)
        assert is_closed(asker)
        assert is_closed(writer)


def is_closed(client):
    """Whether the door closes: its timer goes round once a second."""
    connection = client.connection()
    connection.settimeout(60)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        client.close()
