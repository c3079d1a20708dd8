"""Prefix handles follow the registry, in the transaction of the change, and leave alone what others have put there."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from resolver import methods
from resolver.errors import InvalidField, PermissionDenied
from resolver.handle.value import Permission
from resolver.node import handle_admin, site_info
from resolver.registry import prefix_handles
from resolver.registry.handle_start import prepare_handle_service
from resolver.v1 import registry_pb2 as pb
from resolver.wire.keys import public_key_from_wire
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.predefined.hs_vlist import HsVlist
from tests.support.builders import ADMIN, PREFIX_A, dump, journal, ledger_on, recount, register, tallies, value

NATIVE = rsa.generate_private_key(65_537, 2_048).public_key()
PEM = NATIVE.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NODE_KEY = public_key_from_wire(PEM).to_wire()
OWNER = f"0.NA/{PREFIX_A}"


def site(port=2641):
    return site_info.site_of("127.0.0.1", port, port, NODE_KEY, "test")


def prepare(world, port=2641):
    prepare_handle_service(world.engine, "88.300", site(port), NODE_KEY, world.clock.now_us())


def held(world, name):
    """Type and data by index of all values of a handle."""
    with world.engine.read() as reader:
        return {item.index: (item.type, item.data) for item in handle_admin.values_of(reader, name)}


def members(world, name):
    return [reference.to_text() for reference in HsVlist.from_wire(held(world, name)[200][1]).references]


def run(world, *steps):
    async def body():
        async with world.serving() as asker:
            return [await asker.ask("administrator", method, **fields) for method, fields in steps]

    return asyncio.run(body())


def prefix(text, **fields):
    return methods.CREATE_PREFIX, {"prefix": pb.Prefix(prefix=text, **fields)}


def change(text, **fields):
    return methods.UPDATE_PREFIX, {"prefix": text, **fields}


def public_key(principal="user-a", key=PEM, **fields):
    return methods.CREATE_KEY, {"principal_id": principal, "kind": 3, "public_key": key, **fields}


def test_the_start_makes_handles_for_the_prefixes_there_are(memory_world):
    world = memory_world
    prepare(world)
    for text, keys in (("88.300", {300}), ("88.300.1", {300}), (PREFIX_A, set())):
        assert set(held(world, f"0.NA/{text}")) == {1, 100, 200} | keys, text
    assert HsSite.from_wire(held(world, OWNER)[1][1]) == site()
    assert HsAdmin.from_wire(held(world, OWNER)[100][1]).admin.to_text() == f"200:{OWNER}"
    assert members(world, OWNER) == [f"300:{OWNER}", "200:0.NA/88.300"]
    assert members(world, "0.NA/88.300") == ["300:0.NA/88.300"]
    before = dump(world.engine)
    prepare(world)
    assert dump(world.engine) == before, "a second start changes nothing"


def test_new_ports_reach_every_handle_that_has_the_node_s_site(memory_world):
    world = memory_world
    prepare(world)
    own = HsSite(site(7).servers, serial=9).to_wire()
    with ledger_on(world.engine, world.clock) as ledger:
        prefix_handles.create(ledger, ADMIN, pb.Prefix(prefix="88.300.40"))
    register(world.engine, world.clock, "0.NA/88.300.40", [value(1, own, "HS_SITE")], on_existing=3)
    prepare(world, 2642)
    for text in ("88.300", "88.300.1", PREFIX_A):
        found = HsSite.from_wire(held(world, f"0.NA/{text}")[1][1])
        assert (found.servers, found.serial) == (site(2642).servers, 2), text
    assert held(world, "0.NA/88.300.40")[1][1] == own, "what an operator has put in its place stays"
    assert recount(world.engine) == tallies(world.engine)


def test_the_handle_comes_changes_and_goes_with_the_prefix(memory_world):
    world = memory_world
    prepare(world)
    run(world, prefix("88.300.41", enterprise_id="ent-a"))
    name = "0.NA/88.300.41"
    assert set(held(world, name)) == {1, 100, 200}
    assert journal(world.engine)[-1][1].principal_id == "administrator"
    run(world, change("88.300.41", status=4))
    assert set(held(world, name)) == {100, 200}, "out of service it names no site"
    route = pb.Route(address="192.0.2.7", tcp_port=2641)
    run(world, change("88.300.41", status=3, hosting=2, routes=[route]))
    there = HsSite.from_wire(held(world, name)[1][1]).servers[0]
    assert (there.address[-4:], there.interfaces[0].port) == (bytes([192, 0, 2, 7]), 2641)
    run(world, change("88.300.41", hosting=1))
    assert HsSite.from_wire(held(world, name)[1][1]) == site()
    run(world, change("88.300.41", status=5))
    assert held(world, name) == {}
    run(world, change("88.300.41", status=3))
    assert set(held(world, name)) == {1, 100, 200}


def test_an_application_gets_its_handle_when_it_is_enabled(memory_world):
    world = memory_world
    prepare(world)
    run(world, prefix("88.300.42", enterprise_id="ent-a", status=1))
    assert held(world, "0.NA/88.300.42") == {}
    run(world, change("88.300.42", status=3))
    assert set(held(world, "0.NA/88.300.42")) == {1, 100, 200}


def test_keys_of_principals_come_and_go(memory_world):
    world = memory_world
    prepare(world)
    run(world, prefix("88.300.43", enterprise_id="ent-a"))
    (made,) = run(world, public_key())
    assert made.key.handle_index == 300
    assert list(made.key.identities) == [f"300:{OWNER}", "300:0.NA/88.300.43"]
    (secret,) = run(world, (methods.CREATE_KEY, {"principal_id": "user-a", "kind": 4}))
    assert len(secret.token) >= 40
    for name in (OWNER, "0.NA/88.300.43"):
        assert held(world, name)[300] == ("HS_PUBKEY", NODE_KEY)
        assert held(world, name)[301] == ("HS_SECKEY", secret.token.encode())
        assert members(world, name) == [f"300:{name}", f"301:{name}", "200:0.NA/88.300"]
    run(world, prefix("88.300.44", enterprise_id="ent-a"))
    assert {300, 301} <= set(held(world, "0.NA/88.300.44")), "a later prefix gets the keys too"
    run(world, (methods.REVOKE_KEY, {"key_id": secret.key.key_id}))
    assert 301 not in held(world, OWNER)
    assert members(world, OWNER) == [f"300:{OWNER}", "200:0.NA/88.300"]
    (again,) = run(world, public_key())
    assert again.key.handle_index == 302, "an index is never used for another key"


def test_a_secret_is_restricted(memory_world):
    world = memory_world
    prepare(world)
    run(world, (methods.CREATE_KEY, {"principal_id": "user-a", "kind": 4, "secret": b"long enough"}))
    with world.engine.read() as reader:
        (found,) = [item for item in handle_admin.values_of(reader, OWNER) if item.type == "HS_SECKEY"]
    assert found.permissions == Permission.ADMIN_READ | Permission.ADMIN_WRITE


def test_a_key_of_an_administrator_stands_in_the_handle_of_the_node(memory_world):
    world = memory_world
    prepare(world)
    (made,) = run(world, public_key("administrator"))
    assert list(made.key.identities) == ["301:0.NA/88.300"], "300 is the key of the first start"
    assert members(world, "0.NA/88.300") == ["300:0.NA/88.300", "301:0.NA/88.300"]


def test_what_others_changed_stays(memory_world):
    world = memory_world
    prepare(world)
    theirs = HsVlist((handle_admin.HsAdmin.from_wire(held(world, OWNER)[100][1]).admin,)).to_wire()
    values = [value(100, HsAdmin.from_wire(held(world, OWNER)[100][1]).to_wire(), "HS_ADMIN")]
    values += [value(200, theirs, "HS_VLIST"), value(300, b"theirs", "DESC"), value(7, "note", "DESC")]
    register(world.engine, world.clock, OWNER, values, on_existing=3)
    (made,) = run(world, public_key())
    assert made.key.handle_index == 301
    assert held(world, OWNER)[300] == ("DESC", b"theirs")
    assert 1 not in held(world, OWNER), "a site that was taken out is not put back"
    assert members(world, OWNER) == [f"200:{OWNER}", f"301:{OWNER}"]
    run(world, (methods.REVOKE_KEY, {"key_id": made.key.key_id}))
    assert members(world, OWNER) == [f"200:{OWNER}"]
    assert set(held(world, OWNER)) == {7, 100, 200, 300}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"public_key": b""}, "no public key"),
        ({"public_key": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, "no public key"),
        ({"public_key": b"x" * 9_000}, "too long"),
        ({"kind": 4, "secret": b"short"}, "fewer than 8"),
        ({"expire_time_us": 1}, "in the past"),
    ],
)
def test_keys_that_are_none(memory_world, fields, fault):
    prepare(memory_world)
    before = dump(memory_world.engine)
    method, given = public_key()
    with pytest.raises(InvalidField, match=fault):
        run(memory_world, (method, given | fields))
    assert dump(memory_world.engine) == before


def test_only_administrators_give_keys(memory_world):
    async def body():
        async with memory_world.serving() as asker:
            method, given = public_key()
            with pytest.raises(PermissionDenied):
                await asker.ask("user_a", method, **given)

    asyncio.run(body())
