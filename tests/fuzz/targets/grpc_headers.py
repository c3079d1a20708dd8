"""Header lists of requests: path, timeout, encoding, binary metadata, credential; and statuses written back."""

from resolver.transport import grpc_frames as frames
from resolver.transport.grpc_frames import FrameError
from resolver.transport.h2_mounts import Refusal, Ticket, ticket_of
from tests.fuzz.world import mounts

INSTRUMENT = ("resolver.transport.grpc_frames", "resolver.transport.h2_mounts", "resolver.transport.requests")
_CALL = b":method\0POST\n:path\0/resolver.v1.ResolutionService/Resolve\ncontent-type\0application/grpc\n"
SEEDS = (
    _CALL,
    _CALL + b"grpc-timeout\x00100m\ngrpc-encoding\0gzip\nauthorization\0Bearer idis_abc",
    _CALL + b"trace-bin\0AAEC,AwQ=\ngrpc-timeout\x0099999999H",
    _CALL + b"trace-bin\0-_-_\nx\0caf\xc3\xa9",
    b":method\0GET\n:path\0/\ncontent-type\0text/plain",
    b":method\0POST\n:path\0/no/such\ncontent-type\0application/grpc+proto; x=y\ngrpc-encoding\0br",
)


def feed(octets):
    """Lines are fields, a zero octet parts name and value."""
    headers = tuple((name, value) for name, _, value in (line.partition(b"\0") for line in octets.split(b"\n")))
    try:
        opening = frames.read_opening(headers)
    except FrameError as error:
        assert error.message
    else:
        assert opening.octets == frames.header_list_octets(headers)
        assert opening.timeout_s is None or 0 <= opening.timeout_s < 4e11
    answer = ticket_of(mounts(), headers)
    assert isinstance(answer, (Ticket, Refusal))
    if isinstance(answer, Refusal):
        assert all(value.isascii() and b"\n" not in value for _, value in answer.answer)
    message = frames.to_grpc_message(octets.decode("utf-8", "surrogateescape"))
    assert all(0x20 <= octet <= 0x7E for octet in message)
    assert frames.from_base64(frames.to_base64(octets)) == octets
