"""Administrators whose keys live in other nodes: found over real sockets, or refused with 406."""

import asyncio
import threading
from contextlib import contextmanager

import pytest

from resolver.registry import prefixes
from resolver.service import hdl_foreign_keys
from resolver.v1 import registry_pb2 as pb
from resolver.wire import requests
from tests.resolver.transport.hdl_node import ADMIN, SECRET, handle_node, rsa_key, value
from tests.support.handle_servers import Server, found, missing
from tests.support.searching import be_patient, searching

KEEPER = "88.300.40/KEEPER"


@contextmanager
def other_node(says):
    """A Handle server in a thread that says what it is told."""
    loop, server, ready = asyncio.new_event_loop(), Server(says), threading.Event()

    async def serve():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        server.stop = asyncio.Event()
        ready.set()
        await server.stop.wait()
        listening.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.stop.set)
        thread.join(60)
        loop.close()


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)
    monkeypatch.setattr(hdl_foreign_keys, "TIMEOUT_S", 40.0)


@pytest.fixture
def node(tmp_path):
    """A node that routes 88.300.40 of ``ent-a``, and its own 88.300.41, to another node which has keys."""
    keys = found(value(300, "HS_PUBKEY", rsa_key("keeper").public.to_wire()))
    says = {KEEPER: keys, "88.300.41/KEEPER": keys, "": missing()}
    with handle_node(tmp_path) as node, other_node(says) as server:
        node.server = server
        node.add_enterprise("ent-a", "88.300.20")
        route = pb.Route(address="127.0.0.1", tcp_port=server.port)
        with node.engine.write() as writer:
            for text, owner in (("88.300.40", "ent-a"), ("88.300.41", "")):
                row = pb.Prefix(prefix=text, enterprise_id=owner, hosting=pb.HOSTING_ELSEWHERE, routes=[route])
                prefixes.create(writer, ADMIN, row, node.clock.now_us())
        yield node


def create(node, name, identity, key):
    body = requests.WithValues(name, (value(1, "URL", "x"),))
    return node.client().do(100, body, identity, key).header.response_code


def grant(node, prefix, identity):
    """Let an identity administer a prefix, by the prefix's own handle."""
    from tests.resolver.transport.hdl_node import group

    index, _, handle = identity.partition(":")
    node.store(f"0.NA/{prefix}", group((int(index), handle)))


def test_the_enterprise_s_own_node_says_who_speaks_for_it(node):
    identity = f"300:{KEEPER}"
    grant(node, "88.300.20", identity)
    with searching(node):
        assert create(node, "88.300.20/A", identity, rsa_key("keeper")) == 1
        assert create(node, "88.300.20/B", identity, rsa_key("stranger")) == 403
        assert create(node, "88.300.20/B", f"301:{KEEPER}", rsa_key("keeper")) == 403
        assert create(node, "88.300.20/B", "300:88.300.40/NOBODY", rsa_key("keeper")) == 403
        assert create(node, "88.300.1/B", identity, rsa_key("keeper")) == 400


def test_no_other_node_says_who_administers_this_one(node):
    identity = "300:88.300.41/KEEPER"
    for prefix in ("88.300.20", "88.300.1"):
        grant(node, prefix, identity)
    with searching(node):
        assert create(node, "88.300.20/A", identity, rsa_key("keeper")) == 400
        assert create(node, "88.300.1/A", identity, rsa_key("keeper")) == 400


def test_keys_that_cannot_be_had(node):
    with searching(node):
        assert create(node, "88.300.20/A", f"301:{KEEPER}", SECRET) == 406, "a secret stays where it is"
        node.server.says.clear()
        node.server.says[""] = None
    assert create(node, "88.300.20/A", "300:10.1000/X", rsa_key("keeper")) == 406, "a node that asks nobody"
    with other_node({"": missing()}) as gone:
        port = gone.port
    route = pb.Route(address="127.0.0.1", tcp_port=port)
    with node.engine.write() as writer:
        row = pb.Prefix(prefix="88.300.42", enterprise_id="ent-a", hosting=pb.HOSTING_ELSEWHERE, routes=[route])
        prefixes.create(writer, ADMIN, row, node.clock.now_us())
    with searching(node):
        assert create(node, "88.300.20/A", "300:88.300.42/X", rsa_key("keeper")) == 406
