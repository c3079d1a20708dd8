"""The Handle protocol as a door sees it: octets of one request in, octets of its answers out (RFC 3652).

``at_once`` answers plain questions without waiting; ``respond`` answers everything. Both doors, TCP and UDP, call
the same two. What a request may do is decided by the same functions as at every other door; here they are put in the
protocol's order: does it decode, whose session is it, does it ask for something this door has, and only then what.
An answer is never answered.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from resolver.errors import ResolverError, WireError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES
from resolver.node.authenticate import server_admins
from resolver.node.challenges import worker_of
from resolver.node.hdl_declined import Declined
from resolver.node.site_info import SITE_INDEX
from resolver.service.hdl_answers import Answers, Signer, code_of, words_of
from resolver.service.hdl_authentication import HandleAuthentication
from resolver.service.hdl_changes import HandleChanges
from resolver.service.hdl_counted import count_answer
from resolver.service.hdl_foreign import HandleForeign
from resolver.service.hdl_listing import HandleListing
from resolver.service.hdl_plain import NO_BOUND, PlainQuestions, TurnUsedUp
from resolver.service.hdl_plain_creations import PlainCreations
from resolver.service.hdl_replication import HandleReplication
from resolver.service.hdl_resolution import HandleResolution
from resolver.service.hdl_turn import AlreadyUnderWay, ChallengeWanted, Turn
from resolver.service.hdl_writing import HandleWriting
from resolver.service.loop_turns import TurnsFull
from resolver.service.published_site import PublishedSite
from resolver.telemetry.calls import HDL_TCP
from resolver.wire import credential, responses
from resolver.wire import header as headers
from resolver.wire.header import OpFlag
from resolver.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resolver.node.hdl_sessions import Session
    from resolver.service.core import Core
    from resolver.service.hdl_peer import Peer
    from resolver.service.hdl_plain_creations import Creation
    from resolver.service.hdl_turn import Send
    from resolver.wire.envelope import Envelope
    from resolver.wire.message import Frame
    from resolver.wire.predefined.hs_site import HsSite
    from resolver.wire.private_keys import PrivateKey

_log = structlog.get_logger("handle")

_DATAGRAM_OPERATIONS = {
    OpCode.RESOLUTION,
    OpCode.GET_SITE_INFO,
    OpCode.CHALLENGE_RESPONSE,
    OpCode.VERIFY_RESPONSE,
    OpCode.SESSION_SETUP,
    OpCode.SESSION_TERMINATE,
    OpCode.SESSION_EXCHANGE_KEY,
}
"""What may be asked over UDP: the site record says that this interface takes questions only."""

_OUTSIDE_SESSIONS = {
    OpCode.CHALLENGE_RESPONSE,
    OpCode.SESSION_SETUP,
    OpCode.SESSION_EXCHANGE_KEY,
    OpCode.LOGIN_ID_SYSTEM,
}
"""What belongs to no session, whatever id it names."""

WAITING_OCTETS_MAX = 4_096
"""Octets of the largest request that waits for its turn: what is larger costs its sender as much, and would be held."""

_SERVER_ERROR = "Server error processing request, see server logs"


@dataclass(frozen=True)
class HandleOptions:
    """What the Handle doors of a worker need to know.

    ``worker`` numbers the worker from 0 to 255; ``server_admins`` are references ``INDEX:HANDLE``, none meaning key
    300 of the node's prefix; ``replication_admins`` may follow, none meaning the server's; ``takes_legacy`` lets old
    clients authenticate by forms that are weak by now. ``own_site`` is the record of this server alone, ``site`` when
    None.
    """

    worker: int
    node_prefix: str
    site: HsSite
    key: PrivateKey
    server_admins: tuple[str, ...] = ()
    replication_admins: tuple[str, ...] = ()
    takes_legacy: bool = True
    own_site: HsSite | None = None


class HandleProtocol:
    """The Handle protocol of one worker. Make it on the worker's loop."""

    def __init__(self, core: Core, options: HandleOptions) -> None:
        self._core = core
        self._worker = options.worker
        published = self._published = PublishedSite(options.site, options.own_site or options.site)
        core.published = published
        core.on_share(published.follow)
        signer = self.signer = Signer(options.key)
        self.answers = Answers(core.clock, signer, published, core.randomness)
        self.authentication = HandleAuthentication(
            core,
            options.worker,
            signer,
            server_admins(options.server_admins, options.node_prefix),
            options.key.public.to_wire(),
            takes_legacy=options.takes_legacy,
        )
        turns = self._turns = core.turns
        self.resolution = HandleResolution(core, self.answers, published, turns)
        writing = HandleWriting(HandleChanges(core), HandleForeign(core))
        listing = self.listing = HandleListing(core)
        authentication = self.authentication
        replication = HandleReplication(
            core,
            signer,
            f"{SITE_INDEX}:{PREFIX_OF_PREFIXES}/{options.node_prefix}",
            server_admins(options.replication_admins or options.server_admins, options.node_prefix),
        )
        self.operations: dict[int, Callable[[Turn], Awaitable[None]]] = {
            OpCode.RESOLUTION: self.resolution.resolve,
            OpCode.GET_SITE_INFO: self._site_info,
            OpCode.CREATE_HANDLE: writing.create,
            OpCode.DELETE_HANDLE: writing.delete,
            OpCode.ADD_VALUE: writing.add,
            OpCode.REMOVE_VALUE: writing.remove,
            OpCode.MODIFY_VALUE: writing.modify,
            OpCode.LIST_HANDLES: listing.handles,
            OpCode.LIST_DERIVED_PREFIXES: listing.derived_prefixes,
            OpCode.VERIFY_RESPONSE: authentication.verify,
            OpCode.HOME_PREFIX: writing.home,
            OpCode.UNHOME_PREFIX: writing.unhome,
            OpCode.LIST_HOMED_PREFIXES: listing.homed_prefixes,
            OpCode.SESSION_SETUP: authentication.set_up_session,
            OpCode.SESSION_TERMINATE: authentication.terminate_session,
            OpCode.SESSION_EXCHANGE_KEY: authentication.exchange_key,
            OpCode.GET_NEXT_TRANSACTION_ID: _denied,
            OpCode.RETRIEVE_TRANSACTION_LOG: replication.transactions,
            OpCode.DUMP_HANDLES: replication.dump,
            OpCode.BACKUP_SERVER: _denied,
            OpCode.LOGIN_PASSWORD: _password_denied,
            OpCode.LOGIN_ID_SYSTEM: authentication.log_in,
        }
        self._plain = PlainQuestions(core, published, turns)
        self._creations = PlainCreations(core, authentication, self.answers, published)

    def at_once(self, octets: bytes, source: str, door: str = HDL_TCP, octets_max: int = NO_BOUND) -> bytes | None:
        """The answer to the octets of one plain question.

        None when they are anything else, the store is on disk, or the answer is large and waits for its turn. Raises
        NoRoom where it is seen before the answer is made that it has more than ``octets_max``; others may have, too.
        """
        if self._core.residency.cold:
            return None
        try:
            found = self._plain.answer(octets, source, door, octets_max)
            return found or self.resolution.at_once(octets, source, door, octets_max)
        except TurnUsedUp:
            return None

    def creation(self, octets: bytes, peer: Peer, answer: Callable[[bytes], None]) -> Creation | None:
        """The plain creation in some octets, to be handed to the write lane; None when they are anything else."""
        return self._creations.take(octets, peer, answer)

    def worker_of(self, frame: Frame, peer: Peer) -> int | None:
        """The other worker that keeps the challenge or the session a request is about; None when it is this one's.

        On a connection that awaits a login the answer to a challenge is the login's, whatever id it has, and on one
        with a seal an encrypted message is of that: IDIS clients put an id of their own into every message.
        """
        id_ = frame.envelope.session_id
        if not id_ or worker_of(id_) == self._worker:
            return None
        if frame.envelope.is_encrypted:
            return None if peer.seal else worker_of(id_)
        if _has_mac(frame) or (_op_code(frame) == OpCode.CHALLENGE_RESPONSE and not peer.login):
            return worker_of(id_)
        return None

    async def respond(self, frame: Frame, peer: Peer, send: Send) -> None:
        """Answer one request, by one message or several in order; an answer that came is dropped."""
        if not frame.envelope.is_encrypted:
            if len(frame.payload) < headers.OCTETS:
                await send(self.undecodable(frame.envelope, ResponseCode.PROTOCOL_ERROR, "Invalid message length"))
                return
            if frame.header.is_answer:
                return
        started_s = self._core.clock.monotonic_s()
        if len(frame.payload) <= WAITING_OCTETS_MAX and not await self._may_go(frame, peer, send):
            return
        try:
            turn = self._turn_of(frame, peer, send)
        except Declined as declined:
            await send(self.undecodable(frame.envelope, declined.code, declined.message))
            return
        except WireError as error:
            await send(self.undecodable(frame.envelope, ResponseCode.ERROR, error.message))
            return
        if turn.asked.header.is_answer:
            return
        try:
            await self._carry_out(turn)
        finally:
            took_s = self._core.clock.monotonic_s() - started_s
            count_answer(self._core.calls, turn.request.header.op_code, turn.code, took_s, peer.door)

    async def _may_go(self, frame: Frame, peer: Peer, send: Send) -> bool:
        """Wait for the turn of a request; whether there still is somebody to answer."""
        try:
            await self._turns.take(peer.network)
        except TurnsFull:  # said unsigned, whatever was asked: signatures are what there is no time for
            op_code = 0 if frame.envelope.is_encrypted else _op_code(frame)
            count_answer(self._core.calls, op_code, ResponseCode.SERVER_BUSY, 0.0, peer.door)
            await send(self.undecodable(frame.envelope, ResponseCode.SERVER_BUSY, "too many ask: try again", op_code))
            return False
        return not peer.has_left

    def undecodable(self, envelope: Envelope | None, code: int, message: str = "", op_code: int = 0) -> Frame:
        """The answer to octets that are no request."""
        return self.answers.undecodable(envelope, code, message, op_code)

    def _turn_of(self, frame: Frame, peer: Peer, send: Send) -> Turn:
        """The request in a frame, its session opened and checked. Raises WireError and Declined."""
        id_ = frame.envelope.session_id
        session = self.authentication.sessions.find(id_, self._core.clock.monotonic_s()) if id_ else None
        seal: Session | None = None
        if frame.envelope.is_encrypted:
            if session is None and peer.seal is None:
                code = ResponseCode.SESSION_TIMEOUT if id_ else ResponseCode.SESSION_FAILED
                raise Declined(code, "the session is unknown or has ended: begin another one")
            opened = None if session is None else _opened(frame, session, needs_mac=True)
            if opened is None and peer.seal is not None:  # the id is made up, and may be that of somebody's session
                opened, session, seal = _opened(frame, peer.seal, needs_mac=False), None, peer.seal
            if opened is None:
                raise Declined(ResponseCode.SESSION_FAILED, "the message does not decrypt with the key of this session")
            asked = opened
        else:
            op_code = _op_code(frame)
            if op_code != OpCode.CHALLENGE_RESPONSE:
                self._require_known(op_code)
            asked = Message.from_frame(frame)
        turn = Turn(asked, asked, peer, self.answers, send)
        turn.session, turn.seal = session, seal
        turn.is_encrypted = frame.envelope.is_encrypted
        return turn

    def _require_known(self, op_code: int) -> None:
        """Raise Declined for an operation that this server does not know."""
        if op_code == OpCode.RESERVED:
            raise Declined(ResponseCode.PROTOCOL_ERROR, "Unknown opCode in message: 0")
        if op_code not in self.operations:
            raise Declined(ResponseCode.ERROR, _SERVER_ERROR)

    def _check_session(self, turn: Turn) -> None:
        """Hold a message against the session it names. Raises Declined.

        CNRI's client asks again without a session when one has ended, and leaves the old MAC in the message: whoever
        names no session has none, whatever else the message carries.
        """
        asked = turn.asked
        if asked.header.op_code in _OUTSIDE_SESSIONS or (
            asked.credential is None and not turn.is_encrypted and turn.peer.has_login(asked.envelope.session_id)
        ):  # a number that an IDIS client has made up may be that of a session
            turn.session = None
            return
        if turn.session is not None:
            session, turn.session = turn.session, None
            if not _has_session_mac(asked):
                if asked.header.op_code == OpCode.SESSION_TERMINATE:
                    raise Declined(ResponseCode.INVALID_SESSION_KEY, "only a message with the session's MAC can end it")
                if not turn.is_encrypted and _is_for_everybody(asked):
                    return
            session.check(asked)
            turn.session = session
            turn.peer.proven_from(session.network)
        elif asked.envelope.session_id and _has_session_mac(asked):
            raise Declined(ResponseCode.SESSION_TIMEOUT, "the session is unknown or has ended: begin another one")

    async def _carry_out(self, turn: Turn) -> None:
        """Carry out a request and say what became of it."""
        try:
            self._check_session(turn)
            self.authentication.renew(turn.peer, turn.session)
            if turn.asked.header.op_code == OpCode.CHALLENGE_RESPONSE:
                await self.authentication.accept(turn)
            op_code = turn.request.header.op_code
            self._require_known(op_code)  # of what came encrypted, it is known only now
            if not turn.peer.is_stream and op_code not in _DATAGRAM_OPERATIONS:
                text = "Received admin request on non-admin interface"
                await turn.send(
                    self.undecodable(turn.asked.envelope, ResponseCode.PROTOCOL_ERROR, text, turn.asked.header.op_code)
                )
                return
            try:
                await self.operations[op_code](turn)
            except ChallengeWanted:
                await self.authentication.challenge(turn)
        except AlreadyUnderWay:
            return
        except Declined as declined:
            await turn.answer(responses.Failure(declined.message, declined.indexes), code=declined.code)
        except ResolverError as error:
            await turn.answer(responses.Failure(words_of(error)), code=code_of(error))
        except Exception as error:  # noqa: BLE001 - a defect must not take the connection with it
            _log.error("defect in a handler", op_code=turn.request.header.op_code, exc_info=error)
            await turn.answer(responses.Failure(_SERVER_ERROR), code=ResponseCode.ERROR)

    @property
    def site(self) -> HsSite:
        """The site as it is told now."""
        return self._published.site

    async def _site_info(self, turn: Turn) -> None:
        """Say which site this is; whatever handle the request names."""
        await turn.answer(responses.SiteInfo(self.site))


async def _denied(turn: Turn) -> None:
    """Operations this server knows of and does not have."""
    raise Declined(
        ResponseCode.OPERATION_DENIED, f"operation {turn.request.header.op_code} is not supported by this server"
    )


async def _password_denied(_turn: Turn) -> None:
    """A login that would send its password in clear, and whose answer no document describes."""
    raise Declined(
        ResponseCode.OPERATION_DENIED, "passwords are not taken in clear: log in with a key pair (operation 2001)"
    )


def _opened(frame: Frame, session: Session, *, needs_mac: bool) -> Message | None:
    """The message in an encrypted frame; None for any that is wrong.

    Padding, what it decrypts to and the MAC are one to whoever asks: told apart, they decrypt what others have sent,
    an octet in some hundred tries. So the MAC is looked at here, before anything is done that shows.
    """
    with suppress(WireError):
        opened = Message.from_frame(session.open(frame))
        if not needs_mac or opened.header.op_code in _OUTSIDE_SESSIONS or session.has_made(opened):
            return opened
    return None


def _op_code(frame: Frame) -> int:
    return int.from_bytes(frame.payload[:4], "big")


def _has_session_mac(asked: Message) -> bool:
    """Whether a message has a MAC, right or wrong."""
    return asked.credential is not None and asked.credential.type == credential.MAC


def _is_for_everybody(asked: Message) -> bool:
    """Whether a question is answered alike whoever asks."""
    header = asked.header
    return header.op_code in {OpCode.GET_SITE_INFO, OpCode.VERIFY_RESPONSE} or (
        header.op_code == OpCode.RESOLUTION and header.has(OpFlag.PUBLIC_ONLY)
    )


def _has_mac(frame: Frame) -> bool:
    """Whether the message carries the MAC of a session, without decoding it."""
    payload = frame.payload
    if len(payload) < headers.OCTETS:
        return False
    end = headers.OCTETS + int.from_bytes(payload[20:24], "big")
    return b"HS_MAC" in payload[end : end + 64]
