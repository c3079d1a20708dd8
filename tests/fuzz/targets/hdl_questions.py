"""The plain question's shortest way against the way for all questions, and the whole service on any message."""

import asyncio
import functools

from bench.hdl_load import resolution
from resolver.errors import WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.node.site_info import site_of
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.service.hdl_peer import Peer
from resolver.wire.message import Frame, Message
from storage.memory_engine import MemoryEngine
from tests.resolver.transport.hdl_node import rsa_key
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded
from tests.support.builders import HIDDEN, PREFIX_A, register, value
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

INSTRUMENT = (
    "resolver.service.hdl_plain",
    "resolver.service.hdl_resolution",
    "resolver.service.handle_protocol",
    "resolver.service.hdl_authentication",
    "resolver.service.hdl_changes",
    "resolver.service.hdl_writing",
    "resolver.service.hdl_listing",
    "resolver.node.hdl_resolve",
    "resolver.wire.message",
)


SEEDS = (
    *(resolution(f"{PREFIX_A}/A", pad, 7) for pad in (0, 5)),
    *(of_hex(vector["hex"])[:1_500] for vector in recorded("messages_requests")),
    *(
        of_hex(vector["request_hex"])[:1_500]
        for vector in recorded("live_exchanges")
        if isinstance(vector.get("request_hex"), str)
    ),
)


QUIET_EVERY = 500
"""Inputs after which all sessions end: up to 2,000 of a network are kept on purpose, and would look like a leak."""

_KNOWN = {op_code.value for op_code in OpCode} - {1004, 606, 607, 608, 609}


class _Service:
    """A node in memory with its Handle service, and a loop to answer in."""

    def __init__(self):
        self.fed = 0
        self.loop = asyncio.new_event_loop()
        self.world = World(MemoryEngine(), FakeClock(), seeded_randomness())
        register(
            self.world.engine, self.world.clock, f"{PREFIX_A}/A", [value(1, "x"), value(2, "y", permissions=HIDDEN)]
        )
        self.loop.run_until_complete(self._start())

    async def _start(self):
        self._serving = self.world.serving()
        asker = await self._serving.__aenter__()
        site = site_of("127.0.0.1", 2641, 2641, rsa_key("node").public.to_wire(), "fuzz")
        self.protocol = HandleProtocol(asker.service.core, HandleOptions(0, "88.300", site, rsa_key("node")))

    def count(self):
        """One more input; now and then time passes and nobody is left."""
        self.fed += 1
        if self.fed % QUIET_EVERY == 0:
            self.world.clock.advance(60.0)
            sessions = self.protocol.authentication.sessions
            for id_ in [*sessions._sessions]:
                sessions.end(id_)
            assert [*sessions._sessions, *sessions._begun, *sessions._networks] == []

    def answers(self, frame):
        found = []

        async def send(answer):
            found.append(answer)

        peer = Peer.of("192.0.2.1", is_stream=True)
        self.loop.run_until_complete(self.protocol.respond(frame, peer, send))
        return found


@functools.cache
def service():
    """The one of a process."""
    return _Service()


def feed(octets):
    """One message: at once by both ways, then as a whole; no defect, and never an answer to an answer."""
    served = service()
    served.count()
    short = served.protocol._plain.answer(octets, "192.0.2.1")
    if short is not None:
        assert short == served.protocol.resolution.at_once(octets, "192.0.2.1")
    try:
        frame = Frame.from_wire(octets)
    except WireError:
        return
    found = served.answers(frame)
    is_answer = len(frame.payload) >= 24 and any(frame.payload[4:8]) and not frame.envelope.is_encrypted
    assert not (is_answer and found)
    for answer in found:
        message = Message.from_frame(answer) if not answer.envelope.is_encrypted else None
        if message is not None and message.header.response_code == ResponseCode.ERROR:
            op_code = int.from_bytes(frame.payload[:4], "big")
            words = getattr(message.body, "message", "")
            assert not words.startswith("Server error") or op_code not in _KNOWN, words
