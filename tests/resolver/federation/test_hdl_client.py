"""Our client of the Handle protocol against our own doors over real sockets, and whom it asks."""

import asyncio
import os
from ipaddress import ip_address

import pytest

from resolver.clock import SystemClock
from resolver.errors import MalformedMessage, MessageTooLarge, PrefixNotServed
from resolver.federation import connection as connections
from resolver.federation.client import AnswerRefused, HandleClient
from resolver.federation.connection import HandleConnection, ServerUnreachable
from resolver.federation.identity import KeyIdentity, SecretIdentity
from resolver.federation.sites import is_any_address, is_public_address, places_for
from resolver.handle.codes import OpCode, ResponseCode
from resolver.node.site_info import site_of
from resolver.wire import requests
from resolver.wire.hash_selection import server_index
from resolver.wire.header import OpFlag
from resolver.wire.predefined.hs_site import HsSite, Interface, Server, address_to_wire
from resolver.wire.responses import Resolved
from resolver.wire.versions import Version
from tests.resolver.transport.hdl_node import PRIVATE, SECRET, handle_node, rsa_key, value
from tests.support.handle_servers import found, serving


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("client"), workers=2) as node:
        yield node


def run(node, work, **options):
    async def main():
        key = options.pop("server_key", rsa_key("node").public.to_wire())
        identity = options.pop("identity", KeyIdentity("0.NA/88.300", 300, rsa_key("admin")))
        client = HandleClient(
            "127.0.0.1",
            options.pop("port", node.port),
            clock=SystemClock(),
            randomness=os.urandom,
            identity=identity,
            server_key=key,
            **options,
        )
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("version", [(2, 4), (2, 6), (2, 7), (2, 11)])
def test_life_of_a_handle(node, in_session, version):
    name = f"88.300.1/LIFE-{version[1]}-{in_session}"

    async def work(client):
        if in_session:
            await client.begin_session()
        assert await client.create(name, [value(1, "URL", "a"), value(3, "N", "hidden", PRIVATE)]) == name
        await client.add_values(name, [value(2, "URL", "b")])
        await client.modify_values(name, [value(2, "URL", "c")])
        await client.remove_values(name, [1])
        public = await client.resolve(name)
        everything = await client.resolve(name, public_only=False) if in_session else ()
        assert name in await client.list_handles("0.NA/88.300.1")
        await client.delete(name)
        with pytest.raises(AnswerRefused) as gone:
            await client.resolve(name)
        if in_session:
            await client.end_session()
        return [item.data for item in public], [item.data for item in everything], gone.value.code

    public, everything, code = run(node, work, version=Version(*version))
    assert (public, code) == ([b"c"], 100)
    assert everything == ([b"c", b"hidden"] if in_session else [])  # an addition puts all in the order of indexes


def test_secret_key_and_minted_name(node):
    async def work(client):
        return await client.create("88.300.2/M-", [value(1, "URL", "a")], mints=True)

    assert len(run(node, work, identity=SecretIdentity("0.NA/88.300", 301, SECRET))) == len("88.300.2/M-") + 36
    assert "peer" not in repr(SecretIdentity("0.NA/88.300", 301, SECRET))


def test_many_questions_at_once_on_one_connection(node):
    for number in range(50):
        node.store(f"88.300.3/Q-{number}", value(1, "URL", str(number)))

    async def work(client):
        found = await asyncio.gather(*(client.resolve(f"88.300.3/Q-{number}") for number in range(50)))
        return [values[0].data for values in found]

    assert run(node, work, server_key=b"") == [str(number).encode() for number in range(50)]


def test_answer_not_signed_by_the_site_is_not_believed(node):
    with pytest.raises(MalformedMessage, match="not signed by the key"):
        run(node, lambda client: client.site_info(), server_key=rsa_key("stranger").public.to_wire())
    assert run(node, lambda client: client.site_info()).serial == 1


def test_a_signed_answer_must_name_its_request(node):
    key = rsa_key("node")

    async def work(client):
        async with serving({"": found()}, key=key, to_another=True) as server:
            client._connection = HandleConnection("127.0.0.1", server.port, timeout_s=5.0)
            await client.resolve("88.300.1/A")

    with pytest.raises(MalformedMessage, match="does not say which request"):
        run(node, work)


def test_an_answer_to_another_operation_is_not_believed(node):
    def as_resolution(octets):
        return octets[:20] + int(OpCode.RESOLUTION).to_bytes(4, "big") + octets[24:]

    site_of_node = (ResponseCode.SUCCESS, lambda _: Resolved("88.300.1/A", ()))

    async def work(client):
        async with serving({"": site_of_node}, mangle=as_resolution) as server:
            client._connection = HandleConnection("127.0.0.1", server.port, timeout_s=5.0)
            await client.site_info()

    with pytest.raises(MalformedMessage, match="another operation"):
        run(node, work, server_key=b"")


@pytest.mark.parametrize("messages", [7, 8, 9, 30])
def test_a_list_that_goes_on_is_no_list_that_has_ended(node, messages, monkeypatch):
    """As many messages as may be are a whole answer; what goes on behind them is an error, never a shorter list."""
    monkeypatch.setattr(connections, "MESSAGES_MAX", 8)
    more = OpFlag.CONTINUOUS.value.to_bytes(4, "big")

    def in_pieces(octets):
        flags = bytes(a | b for a, b in zip(octets[28:32], more, strict=True))
        return (octets[:28] + flags + octets[32:]) * (messages - 1) + octets

    async def work(client):
        async with serving({"": found()}, mangle=in_pieces) as server:
            client._connection = HandleConnection("127.0.0.1", server.port, timeout_s=5.0)
            return await client.ask(OpCode.RESOLUTION, requests.Resolution("88.300.1/A"))

    if messages <= 8:
        assert len(run(node, work, server_key=b"")) == messages
    else:
        with pytest.raises(MessageTooLarge, match=r"127\.0\.0\.1:\d+ answers in more than 8 messages"):
            run(node, work, server_key=b"")


def test_nobody_there(node):
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1 cannot be reached: Connection refused$"):
        run(node, lambda client: client.site_info(), port=1)


def test_without_an_identity_a_challenge_is_a_refusal(node):
    with pytest.raises(AnswerRefused) as refused:
        run(node, lambda client: client.delete("88.300.1/X"), identity=None)
    assert refused.value.code == 402


def test_server_is_chosen_by_hash_and_primaries_take_changes():
    servers = tuple(
        Server(number, address_to_wire(f"8.8.8.{number}"), b"", (Interface(3, 1, 2641),)) for number in (1, 2, 3)
    )
    site, mirror = HsSite(servers), HsSite(servers[:1], roles=0)
    name = "10.1000/182"
    chosen = places_for(name, [mirror, site], administers=True)
    assert [place.host for place in chosen] == [f"8.8.8.{server_index(name, 2, 3) + 1}"]
    assert len(places_for(name, [mirror, site], administers=False)) == 2


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "::1", "fe80::1"])
def test_addresses_inside_are_refused_unless_allowed(address):
    site = site_of(address, 2641, 2641, b"", "inside")
    with pytest.raises(PrefixNotServed):
        places_for("88.300.1/X", [site], administers=False)
    assert not is_public_address(ip_address(address))
    assert is_any_address(ip_address(address)) != ip_address(address).is_multicast
