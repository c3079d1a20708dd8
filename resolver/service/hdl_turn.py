"""One request on its way to its answer, and what the parts of the Handle service share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.handle.codes import ResponseCode
from resolver.node.hdl_declined import Declined
from resolver.service.hdl_answers import IDIS_CODES, is_idis_style
from resolver.wire import bounds
from resolver.wire.header import CLIENT_FLAGS
from resolver.wire.responses import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resolver.node.handle_admin import Identity
    from resolver.node.hdl_sessions import Session
    from resolver.service.hdl_answers import Answers
    from resolver.service.hdl_peer import Peer
    from resolver.wire.message import Frame, Message, StreamPart
    from resolver.wire.responses import ResponseBody

    Send = Callable[[Frame | StreamPart], Awaitable[None]]


class ChallengeWanted(Exception):
    """The operation needs to know who asks, and the client can be challenged."""


class AlreadyUnderWay(Exception):
    """The datagram repeats one that is being answered, and gets no answer of its own."""


@dataclass(slots=True)
class Turn:
    """A request being answered.

    ``asked`` is the message that came, ``request`` the one that is carried out: they differ when ``asked`` answers a
    challenge. ``session`` is set when the message proved to belong to one; ``is_encrypted`` says that it came so, and
    ``seal`` is then the session whose key hides the answer, if it is not ``session``.
    """

    asked: Message
    request: Message
    peer: Peer
    answers: Answers
    send: Send
    session: Session | None = None
    identity: Identity | None = None
    is_encrypted: bool = False
    seal: Session | None = None
    code: int = 0
    """Response code of the answer that was sent last."""

    @property
    def is_plain(self) -> bool:
        """Whether the request has none of the flags that CNRI clients set: then a lookup is never challenged."""
        return not self.request.header.flags & CLIENT_FLAGS.value

    def known_identity(self) -> Identity | None:
        """Who asks, None when that has not been proven: by this turn, its session or its connection."""
        if self.identity is not None:
            return self.identity
        if self.session is not None and self.session.identity is not None:
            return self.session.identity
        return self.peer.identity_in(self.asked.envelope.session_id)

    def require_identity(self) -> Identity:
        """Who asks. Raises ChallengeWanted, or Declined for a client that cannot be challenged here.

        That is 408 for one that must log in first, and 500 for one that names a session nobody knows: Teleinfo's SDK
        takes a challenge for success, when its login was on another connection of its pool.
        """
        identity = self.known_identity()
        if identity is not None:
            return identity
        if self.session is None:
            names_session = bool(self.asked.envelope.session_id)
            if is_idis_style(self.request) or (self.peer.is_idis and not names_session):
                raise Declined(ResponseCode.LOGIN_FIRST, "log in on this connection first")
            if names_session:
                text = "the session is unknown on this connection: log in on it, or begin one"
                raise Declined(ResponseCode.SESSION_TIMEOUT, text)
        raise ChallengeWanted

    async def answer(
        self,
        body: ResponseBody,
        *,
        code: int = ResponseCode.SUCCESS,
        flags: int = 0,
        session_id: int = 0,
        with_digest: bool = True,
        is_secret: bool = False,
        is_authoritative: bool = True,
    ) -> None:
        """Send an answer of the operation carried out.

        What does not fit the buffers that datagrams are received in becomes an error, upon which clients ask again
        over TCP: of a hundred packets and more some are lost, and the client waits for them in vain.
        """
        if is_idis_style(self.request):  # the answer to a challenge has other flags and versions than the login
            code = IDIS_CODES.get(code, code)
        self.code = code

        def made(code: int, body: ResponseBody) -> Frame:
            return self.answers.to(
                self.asked,
                self.request.header.op_code,
                code,
                body,
                session=self.session,
                seal=self.seal,
                session_id=session_id,
                flags=flags,
                with_digest=with_digest,
                hides=is_secret or self.is_encrypted,
                is_authoritative=is_authoritative,
            )

        frame = made(code, body)
        if not self.peer.is_stream and len(frame.payload) > bounds.DATAGRAM_MESSAGE_OCTETS_MAX:
            frame = made(ResponseCode.ERROR, Failure())
        await self.send(frame)
