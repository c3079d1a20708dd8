"""Handle messages over HTTP: ``POST`` of one message, answered by one body with its answers.

For networks that let only HTTP through. A message is answered as over TCP: challenges and sessions work, since their
ids and not the connection carry them. CNRI's client ignores the status and cannot read chunked bodies, so
every answer is 200 with its length, and answers of several parts stand one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from resolver.errors import MessageTooLarge, WireError
from resolver.handle.codes import ResponseCode
from resolver.telemetry.calls import REST, Operation
from resolver.transport.http.calls import peer_of
from resolver.transport.http.rest_reply import CORS_HEADERS
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.message import Frame, StreamPart

if TYPE_CHECKING:
    from starlette.requests import Request

    from resolver.transport.http.calls import HandleParts, HttpOptions

MESSAGE_TYPE = "application/x-hdl-message"
"""The media type of Handle messages."""

ANSWER_OCTETS_MAX = 16 << 20
"""Octets of answers put together: a list that is longer is for TCP, which has streams."""

_TUNNEL = Operation("rest", "tunnel")


def is_message(request: Request) -> bool:
    """Whether a request carries a Handle message."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MESSAGE_TYPE


def message_in(body: bytes) -> bytes:
    """The message in a body: without a line end before it and without what follows, as the reference server reads."""
    octets = body[1:] if body[:1] in {b"\n", b"\r"} else body
    if len(octets) < ENVELOPE_OCTETS:
        return octets
    length = int.from_bytes(octets[ENVELOPE_OCTETS - 4 : ENVELOPE_OCTETS], "big")
    return octets[: ENVELOPE_OCTETS + length]


class HandleTunnel:
    """The tunnel of one worker."""

    def __init__(self, parts: HandleParts, options: HttpOptions) -> None:
        self._protocol = parts.protocol
        self._relay = parts.relay
        self._options = options

    async def answer(self, request: Request) -> Response:
        """The answers to the message in the body."""
        request.scope["operation"] = _TUNNEL
        octets = message_in(await request.body())
        answers: list[bytes] = []
        length = 0

        async def keep(frame: Frame | StreamPart) -> None:
            nonlocal length
            answers.append(frame.to_wire())
            length += len(answers[-1])
            if length > ANSWER_OCTETS_MAX:
                raise MessageTooLarge("the answer is too long for HTTP: ask over TCP")

        peer = peer_of(request, self._options)
        try:
            at_once = self._protocol.at_once(octets, peer.source, REST)
            if at_once is not None:
                answers.append(at_once)
            else:
                frame = Frame.from_wire(octets)
                if self._relay is None:
                    await self._protocol.respond(frame, peer, keep)
                else:
                    await self._relay.pass_on(frame, peer, keep)
        except WireError as error:
            answers = [self._protocol.undecodable(None, ResponseCode.PROTOCOL_ERROR, error.message).to_wire()]
        return Response(b"".join(answers), 200, CORS_HEADERS | {"content-type": MESSAGE_TYPE})
