"""A session stays alive by its use, ends when it is idle, and costs a write only now and then."""

import asyncio

from resolver.node import http_sessions
from tests.resolver.transport.hdl_node import SECRET
from tests.resolver.transport.http.http_node import http_node
from tests.support.clock import FakeClock


def on_loop(node, work):
    return asyncio.run_coroutine_threadsafe(work, node._loop).result(20)


def test_a_session_lives_by_its_use(tmp_path):
    clock = FakeClock()
    with http_node(tmp_path, clock=clock) as node:
        from resolver.service.hdl_peer import Peer
        from resolver.service.http_identity import HttpIdentity
        from resolver.wire.challenges import answer_by_secret
        from resolver.wire.digests import HashCode

        core = node.service.core
        identity = HttpIdentity(core, node.protocol.authentication, node.protocol.signer, b"secret")
        begun = identity.begin()
        answer = answer_by_secret(SECRET, begun.nonce, b"mine", HashCode.HMAC_SHA256)
        peer = Peer.of("192.0.2.1", is_stream=True)
        proven = on_loop(node, identity.by_answer(peer, begun, "0.NA/88.300", 301, answer, b"mine"))
        assert proven.identity.text == "301:0.NA/88.300"
        for _ in range(4):
            clock.advance(http_sessions.IDLE_S - 1)
            assert on_loop(node, identity.find(begun.id)).identity.index == 301
        clock.advance(http_sessions.IDLE_S + 1)
        assert on_loop(node, identity.find(begun.id)) is None
        assert on_loop(node, identity.find("made up")) is None
