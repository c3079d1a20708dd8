"""In which order a change is judged, and what is let through: as the reference server does it, over real sockets."""

from dataclasses import replace

import pytest

from resolver.handle.value import HandleValue, Permission, Reference
from resolver.node import handle_admin
from resolver.wire import requests
from resolver.wire.predefined.hs_admin import AdminPermission as Bits
from tests.resolver.transport.hdl_node import ClientSession, admin, group, handle_node, rsa_key, value

OVERWRITE = 0x1840_0000
READ_ONLY = Permission.ADMIN_READ | Permission.PUBLIC_READ
OWNER, OTHER = "300:0.NA/88.300.20", "301:0.NA/88.300.20"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("order")) as node:
        node.add_enterprise("ent-a", "88.300.20")
        node.store(
            "0.NA/88.300.20",
            admin("0.NA/88.300.20", 200),
            group((300, "0.NA/88.300.20")),
            value(300, "HS_PUBKEY", rsa_key("a").public.to_wire()),
            value(301, "HS_PUBKEY", rsa_key("other").public.to_wire()),
        )
        yield node


def one(name, data="http://example.org/", index=1):
    return requests.WithValues(name, (value(index, "URL", data),))


def code_of(node, op_code, body, identity=OWNER, **options):
    key = rsa_key("a" if identity == OWNER else "other")
    return node.client().do(op_code, body, identity, key, **options).header.response_code


def stored(node, name):
    with node.engine.read() as reader:
        return [(item.index, item.data) for item in handle_admin.values_of(reader, name)]


def test_what_is_missing_or_there_is_said_before_who_may(node):
    """301 holds a key of the owner's and no HS_ADMIN names it."""
    name = "88.300.20/ORDER"
    node.store(name, admin("0.NA/88.300.20", 300), value(1, "URL", "x"))
    assert code_of(node, 102, one(name, index=1), OTHER) == 201
    assert code_of(node, 102, one(name, index=2), OTHER) == 400
    assert code_of(node, 103, requests.RemoveValues(name, (7,)), OTHER) == 200
    assert code_of(node, 103, requests.RemoveValues(name, (1,)), OTHER) == 400
    assert code_of(node, 101, requests.OfHandle("88.300.20/NOT-THERE"), OTHER) == 100


def test_added_values_stand_in_the_order_of_their_indexes(node):
    name = "88.300.20/SORTED"
    made = requests.WithValues(name, (admin("0.NA/88.300.20", 300), value(7, "URL", "7"), value(3, "URL", "3")))
    assert code_of(node, 100, made) == 1
    assert [index for index, _ in stored(node, name)] == [100, 7, 3], "what is created stays as it was given"
    assert code_of(node, 102, requests.WithValues(name, (value(9, "URL", "9"), value(5, "URL", "5")))) == 1
    assert [index for index, _ in stored(node, name)] == [3, 5, 7, 9, 100]
    assert code_of(node, 104, one(name, "new", 7)) == 1
    assert [index for index, _ in stored(node, name)] == [3, 5, 7, 9, 100]


def test_a_value_that_nobody_writes_is_told_to_anybody_and_can_be_taken_away(node):
    name = "88.300.20/READ-ONLY"
    fixed = [value(index, "URL", "x", READ_ONLY) for index in (1, 2)]
    node.store(name, admin("0.NA/88.300.20", 300), *fixed)
    assert node.client().ask(104, one(name, "z")).header.response_code == 401
    assert node.client().ask(104, one(name, "x")).header.response_code == 401, "also when it would say the same"
    missing_first = requests.WithValues(name, (value(9, "URL", "z"), value(1, "URL", "z")))
    assert node.client().ask(104, missing_first).header.response_code == 200
    assert code_of(node, 102, one(name, "over"), flags=OVERWRITE) == 1
    assert (1, b"over") in stored(node, name)
    assert code_of(node, 103, requests.RemoveValues(name, (2,))) == 1


def test_to_modify_nothing_takes_no_right_and_to_repeat_a_value_does(node):
    name = "88.300.20/REPEATED"
    node.store(name, admin("0.NA/88.300.20", 300), value(1, "URL", "same"))
    assert node.client().ask(104, requests.WithValues(name, ())).header.response_code == 1
    assert node.client().ask(104, requests.WithValues("88.300.20/NOBODY", ())).header.response_code == 100
    assert code_of(node, 104, one(name, "same"), OTHER) == 400
    assert code_of(node, 104, one(name, "same")) == 1
    assert code_of(node, 104, requests.WithValues(name, (value(1, "URL", "first"), value(1, "URL", "last")))) == 1
    assert stored(node, name)[-1] == (1, b"last")


def test_to_remove_nothing_takes_the_right_to_remove(node):
    name = "88.300.20/NOTHING"
    node.store(name, admin("0.NA/88.300.20", 300), value(1, "URL", "x"))
    before = stored(node, name)
    assert code_of(node, 103, requests.RemoveValues(name, ()), OTHER) == 400
    assert code_of(node, 103, requests.RemoveValues(name, ())) == 1
    assert stored(node, name) == before
    assert code_of(node, 103, requests.RemoveValues(name, (1, 1))) == 1, "an index twice is once"


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (Bits.ADD_ADMIN, 1),
        (Bits.MODIFY_VALUE | Bits.REMOVE_VALUE | Bits.REMOVE_ADMIN, 1),
        (Bits.MODIFY_VALUE, 400),
        (Bits.DELETE_HANDLE, 1),
        (Bits.ADD_HANDLE, 400),
    ],
)
def test_who_may_put_all_values_anew(node, bits, expected):
    """Value by value; or whoever can become administrator; or who can delete the handle, and create by its prefix."""
    name = f"88.300.20/ANEW-{int(bits)}"
    node.store(name, admin("0.NA/88.300.20", 300, bits=int(bits)), value(1, "URL", "x"), value(2, "URL", "y"))
    assert code_of(node, 100, one(name, "new"), flags=OVERWRITE) == expected
    assert ((1, b"new") in stored(node, name)) == (expected == 1)


def test_deletion_is_challenged_before_it_is_said_that_the_prefix_lives_elsewhere(node):
    absent = requests.OfHandle("10.5555/NOWHERE")
    assert node.client().ask(101, absent).header.response_code == 402
    assert code_of(node, 101, absent) == 100
    assert node.client().ask(104, one("10.5555/NOWHERE")).header.response_code == 301


def test_the_handle_of_a_prefix_at_the_top_is_made_by_who_may_add_handles_there():
    assert handle_admin.to_create("0.NA/88") == ("0.NA/0.NA", Bits.ADD_HANDLE)
    assert handle_admin.to_create("0.NA/88.300.7") == ("0.NA/88.300", Bits.ADD_DERIVED_PREFIX)
    assert handle_admin.to_create("88.300/A.B") == ("0.NA/88.300", Bits.ADD_HANDLE)


def test_what_is_no_prefix_handle_is_homed_nowhere(node):
    assert node.client().ask(105, requests.OfHandle("88.300.20/ORDER")).header.response_code == 301
    client = node.client()
    assert client.do(301, requests.OfHandle("0.NA/10.5555")).header.response_code == 1, "what is not homed is unhomed"


def test_only_its_mac_ends_a_session_and_a_public_question_needs_none(node):
    node.store("88.300.1/OPEN", value(1, "URL", "u"))
    client = node.client()
    assert client.ask(401, requests.OfHandle("/")).header.response_code == 500
    session = ClientSession(client)
    plain = {"session_id": session.id}
    assert client.ask(401, requests.OfHandle("/"), **plain).header.response_code == 502
    assert client.ask(2, requests.OfHandle("/"), **plain).header.response_code == 1
    lookup = requests.Resolution("88.300.1/OPEN")
    assert client.ask(1, lookup, flags=0x1900_0000, **plain).header.response_code == 1
    assert client.ask(1, lookup, flags=0x1800_0000, **plain).header.response_code == 404
    assert client.ask(402, requests.ExchangeKey(b"x"), **plain).header.response_code == 501
    assert client.ask(402, requests.ExchangeKey(b"x"), session_id=session.id + 1).header.response_code == 500
    assert session.ask(401, requests.OfHandle("/")).header.response_code == 1


@pytest.mark.parametrize("mode", [1, 3, 9])
def test_every_set_up_that_fails_says_so_by_the_one_code(node, mode):
    key = rsa_key("a").public.to_wire()[:40]
    setup = requests.SessionSetup(mode, 60, "", 0xFFFF_FFFF, public_key=key, key_handle="0.NA/NOBODY", key_index=1)
    assert node.client().ask(400, setup).header.response_code == 501


@pytest.mark.parametrize(
    "given",
    [
        value(1, "\udcff\udcfe", "x"),
        HandleValue(1, "URL", b"x", references=(Reference("88.300.1/\udcff", 1),)),
    ],
)
def test_type_or_reference_that_is_no_text_is_an_invalid_value(node, given):
    for op_code in (100, 102):
        name = "88.300.1/NO-TEXT" if op_code == 100 else "88.300.1/OPEN"
        found = node.client().do(op_code, requests.WithValues(name, (replace(given, index=40),)))
        assert found.header.response_code == 202
        assert "UTF-8" in found.body.message
