"""Another server asked in the Handle protocol: one connection, many questions at once (RFC 3652 section 2).

Over TCP questions go out as they come and answers are matched by their id. When the connection is lost a question is
asked once more over one of its own; servers that close after each answer get a connection for each. Over
UDP, for servers that have nothing else, each question has a socket and a random id of its own, and is sent three
times at most; an answer in several packets is put together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import MalformedMessage, WireError
from resolver.federation.connection import HandleConnection, ServerUnreachable
from resolver.federation.contacts import TCP
from resolver.federation.datagram_question import ask_by_datagram
from resolver.federation.steps import SAID, Reply, Said
from resolver.handle.codes import OpCode, ResponseCode
from resolver.node.values import to_pb
from resolver.v1 import handle_pb2 as pb
from resolver.wire import digests, requests, responses, signatures, versions
from resolver.wire.envelope import Envelope
from resolver.wire.header import SERIAL_UNKNOWN, Header, OpFlag
from resolver.wire.keys import public_key_from_wire
from resolver.wire.message import Message, request_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resolver.clock import Clock
    from resolver.federation.contacts import Contact
    from resolver.federation.steps import Ask, Moment
    from resolver.handle.value import HandleValue
    from resolver.wire.keys import PublicKey
    from resolver.wire.message import Frame

_VALID_S = 43_200
_PUBLIC_READ = 2
_EPHEMERAL_MAX = 16
"""Connections at one time to a server that takes one question each."""

_SINGLE_S = 300.0
"""Seconds that a server is taken for one that closes after each answer."""


class HandlePeer:
    """A server that is asked over TCP or UDP. ``close`` it at the end."""

    def __init__(self, contact: Contact, clock: Clock, randomness: Callable[[int], bytes], *, octets_max: int) -> None:
        self._contact = contact
        self._clock = clock
        self._randomness = randomness
        self._octets_max = octets_max
        self._key: PublicKey | None = None
        if contact.public_key:
            try:
                self._key = public_key_from_wire(contact.public_key)
            except WireError:
                self._key = None
        self._connection = self._connect()
        self._next_id = int.from_bytes(randomness(4), "big") & 0x7FFF_FFFF
        self._single_until_s = 0.0
        self._single = asyncio.Semaphore(_EPHEMERAL_MAX)

    def _connect(self) -> HandleConnection:
        return HandleConnection(
            self._contact.host,
            self._contact.port,
            timeout_s=limits.UPSTREAM_ASK_SECONDS_MAX,
            octets_max=self._octets_max,
        )

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def ask(self, ask: Ask, moment: Callable[[], Moment]) -> Reply:
        """What the server says; a failure is a reply too."""
        request = self._request(ask)
        try:
            frames = await self._exchange(request, ask.timeout_s)
            return self._understood(frames, request, moment())
        except (ServerUnreachable, WireError) as error:
            return Reply.failed(moment(), error.message)

    def _request(self, ask: Ask) -> Message:
        """The question as a message."""
        flags = OpFlag.CACHE_CERTIFY | OpFlag.PUBLIC_ONLY
        if ask.authoritative:
            flags |= OpFlag.AUTHORITATIVE
        if ask.recursive:
            flags |= OpFlag.RECURSIVE
        if ask.is_certified:
            flags |= OpFlag.CERTIFIED | OpFlag.REQUEST_DIGEST
        if self._contact.protocol == TCP:
            self._next_id = (self._next_id + 1) & 0x7FFF_FFFF
            request_id = self._next_id
        else:
            request_id = int.from_bytes(self._randomness(4), "big") & 0x7FFF_FFFF
        envelope = Envelope(self._contact.version, versions.OWN, 0, 0, request_id, 0, 0)
        expiration_s = self._clock.now_us() // 1_000_000 + _VALID_S
        header = Header(OpCode.RESOLUTION, 0, int(flags), SERIAL_UNKNOWN, min(ask.recursions, 255), expiration_s, 0)
        return request_message(envelope, header, requests.Resolution(ask.name))

    async def _exchange(self, request: Message, timeout_s: float) -> list[Frame]:
        frame = request.to_frame()
        if self._contact.protocol != TCP:
            return [await ask_by_datagram(self._contact.host, self._contact.port, frame, timeout_s, self._octets_max)]
        until_s = self._clock.monotonic_s() + timeout_s
        if self._keeps_open():
            try:
                return await self._connection.ask(frame, _is_whole, timeout_s=timeout_s)
            except ServerUnreachable as error:
                reason = error.__cause__
                if not isinstance(reason, ConnectionError) or isinstance(reason, ConnectionRefusedError):
                    raise
        async with self._single:
            connection = self._connect()
            try:
                return await connection.ask(frame, _is_whole, timeout_s=max(until_s - self._clock.monotonic_s(), 0.0))
            finally:
                await connection.close()

    def _keeps_open(self) -> bool:
        """Whether the server can be asked much over one connection; one that could not is tried again later."""
        now_s = self._clock.monotonic_s()
        if self._connection.closes_after_answer:
            self._connection.closes_after_answer = False
            self._single_until_s = now_s + _SINGLE_S
        return now_s >= self._single_until_s

    def _understood(self, frames: list[Frame], request: Message, moment: Moment) -> Reply:
        """What the answer says. Raises WireError for one that does not prove itself."""
        message = Message.from_frame(frames[0])
        header = message.header
        digest = message.request_digest
        if digest is not None and digest != digests.digest_by_code(request.header_and_body, digest.code):
            raise MalformedMessage("the answer is to another request: it is not believed")
        if header.op_code != OpCode.RESOLUTION and header.response_code == ResponseCode.SUCCESS:
            raise MalformedMessage("the answer is to another operation: it is not believed")
        if request.header.has(OpFlag.CERTIFIED):
            self._check_signature(message)
            if digest is None and request.envelope.version >= versions.REQUEST_DIGEST:
                # Signed "not here" and referrals name nothing: they could be those to another question.
                raise MalformedMessage("the signed answer does not say which question it is to: it is not believed")
        try:
            return _reply_of(message, moment)
        except UnicodeEncodeError:
            raise MalformedMessage("the answer has a text that is not UTF-8: it cannot be told on") from None

    def _check_signature(self, message: Message) -> None:
        """Raise MalformedMessage unless the server's key has signed the answer."""
        found = message.credential
        if self._key is None:
            raise MalformedMessage("the key in the site record cannot be read: its answers cannot be believed")
        if found is None or not signatures.is_signed_by(found, message.envelope, message.header_and_body, self._key):
            raise MalformedMessage("the answer is not signed by the key of the site: it is not believed")


def _is_whole(_: Frame) -> bool:
    """A record comes in one message. What a stranger sends behind it is not waited for, and not kept."""
    return True


def _reply_of(message: Message, moment: Moment) -> Reply:
    """What an answer comes down to. Raises UnicodeEncodeError for texts that are none."""
    header, body = message.header, message.body
    said = SAID.get(header.response_code, Said.REFUSED)
    if isinstance(body, responses.Resolved):
        values = _public(body.values)
        if not values:
            return Reply(moment, Said.NO_VALUES, ResponseCode.VALUES_NOT_FOUND, serial=header.site_serial)
        record = pb.HandleRecord(name=body.handle, values=values)
        return Reply(moment, Said.FOUND, header.response_code, record, serial=header.site_serial)
    if isinstance(body, responses.Referral):
        values = _public(body.values or ())
        return Reply(
            moment,
            said,
            header.response_code,
            values=tuple(values),
            referral_handle=body.handle,
            serial=header.site_serial,
        )
    words = body.message.encode("utf-8", "replace").decode() if isinstance(body, responses.Failure) else ""
    if said not in {Said.NOT_FOUND, Said.NO_VALUES}:
        said = Said.REFUSED
        words = words or f"response code {header.response_code}"
    return Reply(moment, said, header.response_code, message=words[:200], serial=header.site_serial)


def _public(values: Iterable[HandleValue]) -> list[pb.HandleValue]:
    """The values that everybody may read, in ascending index; one that comes twice counts once."""
    found = {value.index: to_pb(value) for value in values if int(value.permissions) & _PUBLIC_READ}
    return [found[index] for index in sorted(found)]
