"""Whole messages of the Handle protocol, requests and answers of every operation, and the parts they are made of."""

from resolver.errors import WireError
from resolver.wire.credential import Credential
from resolver.wire.cursor import Cursor
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import Frame, Message
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
SEEDS = tuple(
    of_hex(vector["hex"])[:4_000] for file in ("messages_requests", "messages_responses") for vector in recorded(file)
)


def feed(octets):
    """One message as it might come over TCP, and each of its parts alone."""
    for decode in (Envelope.from_wire, Credential.from_wire, lambda some: Header.from_wire(Cursor(some))):
        _tried(decode, octets)
    frame = _tried(Frame.from_wire, octets)
    if frame is None:
        return
    assert Frame.from_wire(frame.to_wire()) == frame
    message = _tried(Message.from_frame, frame)
    if message is not None:
        again = Message.from_wire(message.to_wire())
        assert (again.header, again.body, again.credential) == (message.header, message.body, message.credential)


def _tried(decode, octets):
    try:
        return decode(octets)
    except WireError as error:
        assert error.message
        return None
