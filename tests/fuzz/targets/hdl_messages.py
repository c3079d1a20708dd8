"""Whole messages of the Handle protocol, requests and answers of every operation, and the parts they are made of."""

from resolver.errors import WireError
from resolver.wire import requests, responses
from resolver.wire.credential import Credential
from resolver.wire.cursor import Cursor
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import Frame, Message
from tests.fuzz import asked, lengths
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = (
    "resolver.wire.message",
    "resolver.wire.envelope",
    "resolver.wire.header",
    "resolver.wire.cursor",
    "resolver.wire.requests",
    "resolver.wire.responses",
    "resolver.wire.replication_requests",
    "resolver.wire.credential",
    "resolver.wire.digests",
    "resolver.wire.values",
    "resolver.wire.versions",
)
SEEDS = (
    *asked.SEEDS,
    *(
        of_hex(vector["hex"])[:4_000]
        for file in ("messages_requests", "messages_responses")
        for vector in recorded(file)
    ),
)


def feed(octets):
    """One message as it might come over TCP, the same with lengths that agree, and each of its parts alone."""
    for decode in (Envelope.from_wire, Credential.from_wire, lambda some: Header.from_wire(Cursor(some))):
        _tried(decode, octets)
    _tried(Credential.from_wire, lengths.mended_octets(Credential.from_wire, octets))
    _decode(octets)
    mended = lengths.mended_message(octets)
    if mended != octets:
        _decode(mended)


def _decode(octets):
    frame = _tried(Frame.from_wire, octets)
    if frame is None:
        return
    assert Frame.from_wire(frame.to_wire()) == frame
    message = _tried(Message.from_frame, frame)
    if message is not None:
        again = Message.from_wire(message.to_wire())
        assert (again.header, again.body, again.credential) == (message.header, message.body, message.credential)
        assert _encoded(message) == message.body


def _encoded(message):
    """The body, made anew into octets and read again."""
    digest = message.request_digest
    if message.header.is_answer:
        octets = responses.body_to_wire(message.body, digest, message.envelope.version)
        return responses.body_from_wire(message.header, Cursor(octets), message.envelope.version)[1]
    octets = message.body.to_wire()
    return requests.body_from_wire(message.header.op_code, Cursor(octets), message.envelope.version)


def _tried(decode, octets):
    try:
        return decode(octets)
    except WireError as error:
        assert error.message
        return None
