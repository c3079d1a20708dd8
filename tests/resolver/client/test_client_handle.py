"""The Handle System from one server on: sites by prefix handle, servers by hash, mirrors, signatures, batches."""

import asyncio

import pytest

from resolver.client.handle import HandleSystem
from resolver.errors import MalformedMessage, PrefixNotServed
from resolver.federation.client import AnswerRefused
from resolver.federation.connection import ServerUnreachable
from resolver.federation.identity import KeyIdentity
from resolver.service.hdl_answers import Signer
from resolver.wire.hash_selection import server_index
from resolver.wire.predefined.hs_site import HsSite, Interface, Server, address_to_wire
from tests.resolver.transport.hdl_node import handle_node, rsa_key, value

KEY = rsa_key("node").public.to_wire()
NAMES = [f"88.300.2/N-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("system"), workers=2) as node:
        for name in NAMES:
            node.store(name, value(1, "URL", name))
        yield node


def server(number, *doors, key=KEY):
    return Server(number, address_to_wire("127.0.0.1"), key, tuple(Interface(*door) for door in doors))


def both(port):
    return (3, 1, port)


def publish(node, *sites, prefix="88.300.2", **others):
    """Name sites in a prefix handle, in place of those there."""
    values = [value(1 + place, "HS_SITE", site.to_wire()) for place, site in enumerate(sites)]
    node.store(f"0.NA/{prefix}", *values, *others.get("more", ()))


def ask(node, work, **options):
    steps = []

    async def main():
        async with HandleSystem("127.0.0.1", node.port, observe=steps.append, timeout_s=30.0, **options) as system:
            return await work(system)

    return asyncio.run(main()), steps


async def resolve_all(system):
    return [(await system.resolve(name))[0].data.decode() for name in NAMES]


@pytest.mark.parametrize("option", [0, 1, 2])
def test_the_hash_of_the_name_chooses_the_server(node, option):
    site = HsSite((server(1, both(node.ports[0])), server(2, both(node.ports[1]))), hash_option=option)
    publish(node, site)
    found, steps = ask(node, resolve_all)
    assert found == NAMES
    asked = [step.place for step in steps if step.task == "resolve"]
    assert asked == [f"127.0.0.1:{node.ports[server_index(name, option, 2)]}" for name in NAMES]
    assert sum(step.task == "find sites" for step in steps) == 1, "sites are looked up once"


def test_questions_go_to_mirrors_too_and_changes_to_primaries_only(node):
    nobody = 1
    primary = HsSite((server(1, (2, 0, nobody), both(nobody)),))
    mirror = HsSite((server(1, (2, 1, node.ports[1])),), roles=0)
    publish(node, primary, mirror)
    found, steps = ask(node, resolve_all)
    assert found == NAMES
    assert f"127.0.0.1:{node.ports[1]}" in {step.place for step in steps}
    identity = KeyIdentity("0.NA/88.300", 300, rsa_key("admin"))
    with pytest.raises(ServerUnreachable):
        ask(node, lambda system: system.delete(NAMES[0]), identity=identity)
    publish(node, HsSite((server(1, both(node.ports[0])),), roles=0), mirror)
    with pytest.raises(PrefixNotServed):
        ask(node, lambda system: system.delete(NAMES[0]), identity=identity)


def test_the_first_interface_for_the_task_is_taken(node):
    site = HsSite((server(1, (2, 1, node.ports[0]), (1, 1, node.ports[1])),))
    publish(node, site, site)
    identity = KeyIdentity("0.NA/88.300", 300, rsa_key("admin"))

    async def work(system):
        await system.resolve(NAMES[0])
        await system.create("88.300.2/DOOR", [value(1, "URL", "x")])
        await system.delete("88.300.2/DOOR")

    _, steps = ask(node, work, identity=identity)
    places = {step.task: step.place for step in steps}
    assert places["resolve"] == f"127.0.0.1:{node.ports[0]}"
    assert places["create"] == places["delete"] == f"127.0.0.1:{node.ports[1]}"


def test_services_are_followed(node):
    publish(node, more=[value(1, "HS_SERV", "88.300.3/SERVICE"), value(2, "HS_SERV", "88.300.3/SERVICE")])
    node.store("88.300.3/SERVICE", value(1, "HS_SITE", HsSite((server(1, both(node.ports[1])),)).to_wire()))
    node.store("88.300.3/SERVICE", value(2, "HS_SERV", "0.NA/88.300.2"))
    found, steps = ask(node, resolve_all)
    assert found == NAMES
    assert {step.place for step in steps if step.task == "resolve"} == {f"127.0.0.1:{node.ports[1]}"}


def test_answers_of_another_key_are_not_believed(node):
    stranger = rsa_key("stranger").public.to_wire()
    site = HsSite((server(1, both(node.port), key=stranger),))
    publish(node, site, site)
    with pytest.raises(MalformedMessage, match="not signed by the key"):
        ask(node, resolve_all, certifies=True)
    site = HsSite((server(1, both(node.port)),))
    publish(node, site, site)
    assert ask(node, resolve_all, certifies=True)[0] == NAMES
    identity = KeyIdentity("0.NA/88.300", 300, rsa_key("admin"))
    ask(node, lambda system: system.list_handles("88.300.2"), certifies=True, in_session=True, identity=identity)


@pytest.mark.parametrize("follows", [False, True])
def test_nothing_is_believed_unsigned_when_answers_are_to_be_certified(node, follows, monkeypatch):
    """Without a key everything was believed: of the given server none was known."""
    site = HsSite((server(1, both(node.port)),))
    publish(node, site, site)
    assert ask(node, resolve_all, certifies=True, follows=follows)[0] == NAMES
    publish(node, *[HsSite((server(1, both(node.ports[1]), key=b""),))] * 2)
    if follows:
        with pytest.raises(MalformedMessage, match="names no key"):
            ask(node, resolve_all, certifies=True)
    for protocol in node.protocols:
        stranger = Signer(rsa_key("stranger"))
        monkeypatch.setattr(protocol.answers, "_signer", stranger)
    with pytest.raises(MalformedMessage, match="not signed by the key"):
        ask(node, resolve_all, certifies=True, follows=follows)


@pytest.mark.parametrize("certifies", [False, True])
def test_tasks_that_ask_at_once_share_a_connection(node, certifies):
    async def at_once(system):
        found = await asyncio.gather(*(system.resolve(name) for name in NAMES))
        for _ in range(1_000):  # those that asked for the key are noticed to have left
            if node.tcp[0].connection_count == 1:
                return len(found)
            await asyncio.sleep(0.005)
        return None

    assert ask(node, at_once, follows=False, certifies=certifies)[0] == len(NAMES)


def test_a_batch_goes_on_after_a_failure(node):
    identity = KeyIdentity("0.NA/88.300", 300, rsa_key("admin"))
    operations = [
        lambda system: system.create("88.300.2/BATCH", [value(1, "URL", "x")]),
        lambda system: system.delete("88.300.2/NOT-THERE"),
        lambda system: system.add_values("88.300.2/BATCH", [value(2, "URL", "y")]),
        lambda system: system.delete("88.300.2/BATCH"),
    ]

    async def work(system):
        return [outcome async for outcome in system.batch(operations)]

    done, _ = ask(node, work, identity=identity, follows=False, in_session=True)
    assert [outcome.error and outcome.error.code for outcome in done] == [None, 100, None, None]


def test_without_following_the_given_server_is_asked(node):
    with pytest.raises(AnswerRefused):
        ask(node, lambda system: system.resolve("99.1/X"), follows=False)
