"""Creating, changing, deleting, listing and homing over real sockets: who may, who may not, and what is said."""

import asyncio

import pytest

from resolver.handle.name import Handle
from resolver.handle.value import Permission
from resolver.node import handle_admin
from resolver.node.lockout import FREE_FAILURES
from resolver.service import hdl_listing
from resolver.wire import requests
from resolver.wire.challenges import HashCode
from tests.resolver.transport.hdl_node import PRIVATE, SECRET, admin, group, handle_node, read_frame, rsa_key, value
from tests.support.clock import FakeClock

OVERWRITE, MINT = 0x1840_0000, 0x1820_0000


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("administration"), workers=2) as node:
        node.add_enterprise("ent-a", "88.300.20")
        node.add_enterprise("ent-b", "88.300.21", "91110000600037341L")
        for prefix, key in (("88.300.20", "a"), ("88.300.21", "b")):
            node.store(
                f"0.NA/{prefix}",
                admin(f"0.NA/{prefix}", 200),
                group((300, f"0.NA/{prefix}")),
                value(300, "HS_PUBKEY", rsa_key(key).public.to_wire()),
            )
        yield node


def one(name, data="http://example.org/", index=1):
    return requests.WithValues(name, (value(index, "URL", data),))


A, B = "300:0.NA/88.300.20", "300:0.NA/88.300.21"


def stored(node, name):
    with node.engine.read() as reader:
        return {item.index: item.data for item in handle_admin.values_of(reader, name)}


def test_owner_creates_changes_and_deletes(node):
    client, key = node.client(), rsa_key("a")
    name = "88.300.20/One"
    made = client.do(100, requests.WithValues(name, (admin("0.NA/88.300.20", 300), value(1, "URL", "x"))), A, key)
    assert (made.header.response_code, made.body.handle) == (1, name)
    assert client.do(102, one(name, "second", 2), A, key).header.response_code == 1
    assert client.do(104, one(name, "third", 2), A, key).header.response_code == 1
    assert client.do(103, requests.RemoveValues(name, (1,)), A, key).header.response_code == 1
    assert stored(node, name)[2] == b"third"
    assert set(stored(node, name)) == {2, 100}
    assert client.do(101, requests.OfHandle(name), A, key).header.response_code == 1
    assert stored(node, name) == {}


def test_a_change_is_seen_at_once_by_the_other_worker(node):
    for number in range(5):
        name = f"88.300.1/SEEN-{number}"
        assert node.client(number % 2).do(100, one(name)).header.response_code == 1
        found = node.client((number + 1) % 2).ask(1, requests.Resolution(name.lower()), flags=0x1900_0000)
        assert found.body.handle == name.lower()


def test_stranger_may_not_touch_what_is_anothers(node):
    client = node.client()
    assert client.do(100, one("88.300.20/MINE"), B, rsa_key("b")).header.response_code == 400
    name = "88.300.20/TWO"
    client.do(100, requests.WithValues(name, (admin("0.NA/88.300.20", 300), value(1, "URL", "x"))), A, rsa_key("a"))
    for op_code, body in (
        (101, requests.OfHandle(name)),
        (102, one(name, "y", 7)),
        (103, requests.RemoveValues(name, (1,))),
        (104, one(name, "y", 1)),
        (105, requests.OfHandle("0.NA/88.300.20")),
        (106, requests.OfHandle("0.NA/88.300.20")),
        (300, requests.OfHandle("0.NA/88.300.22")),
        (302, requests.OfHandle("/")),
    ):
        assert client.do(op_code, body, B, rsa_key("b")).header.response_code == 400, op_code
    assert stored(node, name)[1] == b"x"


def test_hs_admin_that_names_a_foreign_enterprise_grants_nothing(node):
    """The policy of the node decides first: HS_ADMIN values narrow it and never widen it."""
    name = "88.300.20/SHARED"
    node.store(name, admin("0.NA/88.300.21", 300), value(1, "URL", "x"))
    found = node.client().do(104, one(name, "y"), B, rsa_key("b"))
    assert found.header.response_code == 400
    assert stored(node, name)[1] == b"x"


def test_permission_bits_are_held(node):
    client, key = node.client(), rsa_key("a")
    name = "88.300.20/BITS"
    node.store(name, admin("0.NA/88.300.20", 300, bits=0x10), value(1, "URL", "x"), value(2, "URL", "y"))
    assert client.do(104, one(name, "z"), A, key).header.response_code == 1, "modify is allowed"
    assert client.do(102, one(name, "z", 9), A, key).header.response_code == 400, "add is not"
    assert client.do(103, requests.RemoveValues(name, (2,)), A, key).header.response_code == 400
    assert client.do(101, requests.OfHandle(name), A, key).header.response_code == 400
    change = requests.WithValues(name, (admin("0.NA/88.300.20", 300),))
    assert client.do(104, change, A, key).header.response_code == 400, "nor is more power for oneself"


def test_value_that_administrators_may_not_write(node):
    name = "88.300.20/FIXED"
    fixed = value(1, "URL", "x", Permission.ADMIN_READ | Permission.PUBLIC_READ)
    node.store(name, admin("0.NA/88.300.20", 300), fixed, value(2, "URL", "y"))
    found = node.client().do(104, one(name, "z"), A, rsa_key("a"))
    assert (found.header.response_code, found.body.indexes) == (401, (1,))
    assert stored(node, name)[1] == b"x"


def test_nested_groups_and_a_circle_of_groups(node):
    first, second = "88.300.20/GROUP-1", "88.300.20/GROUP-2"
    node.store(first, group((200, second)), value(1, "DESC", "one"))
    node.store(second, group((200, first), (300, "0.NA/88.300.20")), value(1, "DESC", "two"))
    node.store("88.300.20/NESTED", admin(first, 200), value(1, "URL", "x"))
    assert node.client().do(104, one("88.300.20/NESTED", "z"), A, rsa_key("a")).header.response_code == 1
    node.store(second, group((200, first)))
    assert node.client().do(104, one("88.300.20/NESTED", "w"), A, rsa_key("a")).header.response_code == 400


def test_key_in_an_ordinary_handle_acts_for_the_owner_of_its_prefix(node):
    node.store("88.300.20/USER", value(300, "HS_PUBKEY", rsa_key("user").public.to_wire()))
    node.store("88.300.20/OF-USER", admin("88.300.20/USER", 300), value(1, "URL", "x"))
    client = node.client()
    found = client.do(104, one("88.300.20/OF-USER", "y"), "300:88.300.20/user", rsa_key("user"))
    assert found.header.response_code == 1
    found = client.do(104, one("88.300.1/SEEN-0", "y"), "300:88.300.20/USER", rsa_key("user"))
    assert found.header.response_code in {100, 400}


def test_index_0_tries_every_public_key(node):
    node.store("88.300.20/MANY", value(301, "HS_PUBKEY", rsa_key("m1").public.to_wire()))
    node.store("88.300.20/MANY", value(302, "HS_PUBKEY", rsa_key("m2").public.to_wire()))
    node.store("88.300.20/OF-MANY", admin("88.300.20/MANY", 302), value(1, "URL", "x"))
    assert (
        node.client().do(104, one("88.300.20/OF-MANY", "y"), "0:88.300.20/MANY", rsa_key("m2")).header.response_code
        == 1
    )
    assert (
        node.client().do(104, one("88.300.20/OF-MANY", "z"), "0:88.300.20/MANY", rsa_key("m1")).header.response_code
        == 400
    )


def test_overwrite_says_so_and_mint_adds_a_uuid(node):
    client = node.client()
    assert client.do(100, one("88.300.1/OVER")).header.response_code == 1
    assert client.do(100, one("88.300.1/OVER")).header.response_code == 101
    over = client.do(100, one("88.300.1/OVER", "new"), flags=OVERWRITE)
    assert (over.header.response_code, over.header.flags & 0x0040_0000) == (1, 0x0040_0000)
    first = client.do(100, one("88.300.1/OVER-2"), flags=OVERWRITE)
    assert (first.header.response_code, first.header.flags & 0x0040_0000) == (1, 0)
    minted = client.do(100, one("88.300.1/M-"), flags=MINT).body.handle
    assert minted.startswith("88.300.1/M-")
    assert len(minted) == len("88.300.1/M-") + 36
    assert minted[-36:].lower() == minted[-36:]


def test_list_goes_out_in_messages_of_fifty(node):
    client = node.client()
    names = {f"88.300.3/L-{number:03}" for number in range(120)}
    for name in names:
        node.store(name, value(1, "URL", "x"))
    found = client.authenticated(client.request(105, requests.OfHandle("0.NA/88.300.3")))
    assert [len(answer.body.handles) for answer in found] == [50, 50, 20]
    assert [bool(answer.header.flags & 0x0400_0000) for answer in found] == [True, True, False]
    assert {name for answer in found for name in answer.body.handles} == names


def test_rows_of_a_list_are_looked_at_some_at_a_time(node, monkeypatch):
    """Fifty records of a mebibyte, or any number of prefixes that are not homed, were one piece."""
    names = {f"88.300.6/S-{number:03}" for number in range(60)}
    for name in names:
        node.store(name, value(1, "URL", "x"))
    read = []
    handle = hdl_listing._handle
    monkeypatch.setattr(hdl_listing, "_handle", lambda body: read.append(body) or handle(body))
    turns = []
    sleep = asyncio.sleep
    monkeypatch.setattr(hdl_listing.asyncio, "sleep", lambda delay: turns.append(len(read)) or sleep(delay))
    client = node.client()
    for name, most in (("_SKIP", 7), ("_OCTETS_AT_ONCE", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(hdl_listing, name, most)
            read.clear()
            turns.clear()
            found = client.authenticated(client.request(105, requests.OfHandle("0.NA/88.300.6")))
        assert [len(answer.body.handles) for answer in found] == [50, 10]
        assert {name for answer in found for name in answer.body.handles} == names
        assert max(after - before for before, after in zip([0, *turns], [*turns, len(read)], strict=True)) <= 2 * 7


def test_exactly_fifty_need_one_message(node):
    for number in range(50):
        node.store(f"88.300.4/{number}", value(1, "URL", "x"))
    client = node.client()
    found = client.authenticated(client.request(105, requests.OfHandle("0.NA/88.300.4")))
    assert [len(answer.body.handles) for answer in found] == [50]


def test_home_unhome_and_derived_prefixes(node):
    client = node.client()
    assert client.do(100, one("88.300.55/X")).header.response_code == 301
    assert client.do(300, requests.OfHandle("0.NA/88.300.55")).header.response_code == 1
    assert client.do(100, one("88.300.55/X")).header.response_code == 1
    derived = client.do(106, requests.OfHandle("0.NA/88.300"))
    assert "0.NA/88.300.55" in derived.body.handles
    assert client.do(301, requests.OfHandle("0.NA/88.300.55")).header.response_code == 1
    assert client.do(101, requests.OfHandle("88.300.55/X")).header.response_code == 301
    assert "0.NA/88.300.55" not in client.do(302, requests.OfHandle("/")).body.handles
    for op_code, name in ((106, "0.NA/88.300"), (105, "0.NA/0.NA/88.300")):
        assert "0.NA/88.300.55" in client.do(op_code, requests.OfHandle(name)).body.handles, (
            "it is derived all the same"
        )
    assert client.do(300, requests.OfHandle("0.NA/10.1000")).header.response_code == 102, "not under this node's"


@pytest.mark.parametrize("op_code", [1000, 1003])
def test_operations_that_are_not_supported(node, op_code):
    assert node.client().ask(op_code, requests.OfHandle("/")).header.response_code == 5


@pytest.mark.parametrize("code", [HashCode.MD5_OLD, HashCode.SHA1, HashCode.HMAC_SHA256, HashCode.PBKDF2_HMAC_SHA1])
def test_secret_key_in_every_form(node, code):
    client = node.client()
    request = client.request(100, one(f"88.300.2/S-{code.name}"))
    challenge = client.send(request)
    answer = client.answer_to(challenge, request, "301:0.NA/88.300", SECRET, code=code)
    assert client.send(answer).header.response_code == 1


def test_answer_counts_once_and_for_its_own_request_only(node):
    client = node.client()
    request = client.request(100, one("88.300.1/ONCE"))
    challenge = client.send(request)
    answer = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
    assert client.send(answer).header.response_code == 1
    for _ in range(3):
        assert client.send(answer).header.response_code == 405
    other = client.send(client.request(101, requests.OfHandle("88.300.1/ONCE")))
    stolen = client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))
    moved = stolen.to_frame()
    moved = moved._replace(envelope=moved.envelope._replace(session_id=other.envelope.session_id))
    from resolver.wire.message import Message

    assert Message.from_frame(client.frames(moved.to_wire())[0]).header.response_code == 403


def test_foreign_key_cannot_be_looked_up(node):
    found = node.client().do(100, one("88.300.1/F"), "300:0.NA/10.1000", rsa_key("a"))
    assert found.header.response_code == 406


def test_restricted_values_need_the_right_to_read(node):
    node.store(
        "88.300.20/R", admin("0.NA/88.300.20", 300, bits=0x400), value(1, "URL", "x"), value(2, "N", "s", PRIVATE)
    )
    node.store(
        "88.300.20/R2", admin("0.NA/88.300.20", 300, bits=0x3FF), value(1, "URL", "x"), value(2, "N", "s", PRIVATE)
    )
    client = node.client()
    found = client.do(1, requests.Resolution("88.300.20/R"), A, rsa_key("a"))
    assert [item.index for item in found.body.values] == [100, 1, 2]
    assert client.do(1, requests.Resolution("88.300.20/R2"), A, rsa_key("a")).header.response_code == 400
    assert client.do(1, requests.Resolution("88.300.20/R"), B, rsa_key("b")).header.response_code == 400
    public = client.ask(1, requests.Resolution("88.300.20/R"), flags=0x1900_0000)
    assert [item.index for item in public.body.values] == [100, 1]


def test_prefix_handle_may_be_made_by_the_node_only(node):
    assert node.client().do(100, one("0.NA/88.300.20.1"), A, rsa_key("a")).header.response_code == 400
    assert node.client().do(100, one("0.NA/88.300.66")).header.response_code == 1
    assert Handle.from_text("0.NA/88.300.66").key
    assert node.client().do(100, one("88.300.66/X")).header.response_code == 1


def test_wrong_answers_lock_their_source_and_nobody_else(tmp_path):
    with handle_node(tmp_path, clock=FakeClock()) as node:
        client = node.client()
        request = client.request(100, one("88.300.2/LOCK"))
        codes = []
        for _ in range(FREE_FAILURES + 4):
            challenge = client.send(request)
            codes.append(
                client.send(client.answer_to(challenge, request, "301:0.NA/88.300", b"wrong", code=HashCode.SHA1))
            )
        assert {answer.header.response_code for answer in codes} == {403}
        challenge = client.send(request)
        right = client.answer_to(challenge, request, "301:0.NA/88.300", SECRET, code=HashCode.SHA1)
        locked = client.send(right)
        assert locked.header.response_code == 403
        assert "wait" in locked.body.message
        other = client.do(100, one("88.300.2/LOCK"), "300:0.NA/88.300", rsa_key("admin"))
        assert other.header.response_code == 1, "another identity of the same source goes on"


def guess(node, worker, secret):
    """The answer to a creation proven by a secret, asked of a worker."""
    return node.client(worker).do(100, one("88.300.2/LOCK"), "301:0.NA/88.300", secret).header.response_code


def test_workers_count_wrong_answers_together_and_a_restart_forgets_none(tmp_path):
    shared, clock = tmp_path / "failures", FakeClock()
    for directory in ("first", "second"):
        (tmp_path / directory).mkdir()
    with handle_node(tmp_path / "first", workers=3, clock=clock, failures_file=shared) as node:
        assert [guess(node, number % 3, b"wrong") for number in range(FREE_FAILURES)] == [403] * FREE_FAILURES
        assert [guess(node, worker, SECRET) for worker in range(3)] == [403] * 3
    with handle_node(tmp_path / "second", clock=clock, failures_file=shared) as node:
        assert guess(node, 0, SECRET) == 403


def test_answers_that_are_under_way_when_the_lock_falls_are_wrong(tmp_path):
    with handle_node(tmp_path, clock=FakeClock()) as node:
        client, connections = node.client(), []
        request = client.request(100, one("88.300.2/RACE"))
        for secret in [b"wrong"] * 40 + [SECRET]:
            answer = client.answer_to(client.send(request), request, "301:0.NA/88.300", secret)
            connections.append((client.connection(), answer.to_wire()))
        for connection, octets in connections:
            connection.sendall(octets)
        codes = [read_frame(connection).header.response_code for connection, _ in connections]
        for connection, _ in connections:
            connection.close()
        assert codes == [403] * 41


def test_old_forms_can_be_switched_off(tmp_path):
    with handle_node(tmp_path, takes_legacy=False) as node:
        old = node.client(version=(2, 6))
        assert old.do(100, one("88.300.2/OLD"), "301:0.NA/88.300", SECRET).header.response_code == 403
        assert node.client().do(100, one("88.300.2/NEW"), "301:0.NA/88.300", SECRET).header.response_code == 1


def test_verify_is_no_oracle(tmp_path):
    from resolver.wire.challenges import answer_by_secret
    from resolver.wire.digests import RequestDigest

    def asked(secret):
        made = answer_by_secret(secret, b"n" * 16, b"d" * 20, HashCode.SHA1)
        return requests.VerifyAnswer(
            "0.NA/88.300", 301, b"n" * 16, RequestDigest(HashCode.SHA1, b"d" * 20), made.to_wire()
        )

    with handle_node(tmp_path, clock=FakeClock()) as node:
        client = node.client()
        assert client.ask(201, asked(SECRET)).body.is_valid
        for number in range(FREE_FAILURES + 2):
            assert not client.ask(201, asked(b"guess %d" % number)).body.is_valid
        assert not client.ask(201, asked(SECRET)).body.is_valid
