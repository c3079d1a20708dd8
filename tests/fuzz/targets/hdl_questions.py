"""The plain question's shortest way against the way for all questions, and the whole service on any message.

Each message is answered as it came and with lengths that agree. A message with an odd id comes as a datagram.
"""

from bench.hdl_load import resolution
from resolver.errors import WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.service.hdl_peer import Peer
from resolver.wire.message import Frame, Message, StreamPart
from tests.fuzz import asked, lengths
from tests.fuzz.handle_node import Node
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded
from tests.support.builders import PREFIX_A

INSTRUMENT = (
    "resolver.service.hdl_plain",
    "resolver.service.hdl_resolution",
    "resolver.service.handle_protocol",
    "resolver.service.hdl_answers",
    "resolver.service.hdl_authentication",
    "resolver.service.hdl_changes",
    "resolver.service.hdl_writing",
    "resolver.service.hdl_listing",
    "resolver.service.hdl_replication",
    "resolver.service.hdl_turn",
    "resolver.node.challenges",
    "resolver.node.hdl_resolve",
    "resolver.node.hdl_sessions",
    "resolver.wire.message",
    "resolver.wire.requests",
    "resolver.wire.replication_requests",
)


SEEDS = (
    *(resolution(f"{PREFIX_A}/A", pad, 7) for pad in (0, 5)),
    *asked.SEEDS,
    *asked.DATAGRAMS,
    *(of_hex(vector["hex"])[:1_500] for vector in recorded("messages_requests")),
    *(
        of_hex(vector["request_hex"])[:1_500]
        for vector in recorded("live_exchanges")
        if isinstance(vector.get("request_hex"), str)
    ),
)

_KNOWN = {op_code.value for op_code in OpCode} - {1004, 606, 607, 608, 609}


def feed(octets):
    """One message, and the same with lengths that agree."""
    _ask(octets)
    mended = lengths.mended_message(octets)
    if mended != octets:
        _ask(mended)


def _ask(octets):
    """At once by both ways, then as a whole; no defect, and never an answer to an answer."""
    with Node.only().input() as node:
        short = node.protocol._plain.answer(octets, "192.0.2.1")
        if short is not None:
            assert short == node.protocol.resolution.at_once(octets, "192.0.2.1")
        try:
            frame = Frame.from_wire(octets)
        except WireError:
            return
        found = node.answers(frame, Peer.of("192.0.2.1", is_stream=not frame.envelope.request_id & 1))
    is_answer = len(frame.payload) >= 24 and any(frame.payload[4:8]) and not frame.envelope.is_encrypted
    assert not (is_answer and found)
    for answer in found:
        _check(frame, answer)


def _check(frame, answer):
    """An answer is one to this request, and can be read."""
    assert not isinstance(answer, StreamPart), "a stream for somebody unknown"
    assert answer.envelope.request_id == frame.envelope.request_id
    if answer.envelope.is_encrypted:
        return
    message = Message.from_wire(answer.to_wire())
    assert message.header.is_answer
    if message.header.response_code == ResponseCode.ERROR:
        op_code = int.from_bytes(frame.payload[:4], "big")
        words = getattr(message.body, "message", "")
        assert not words.startswith("Server error") or op_code not in _KNOWN, words
