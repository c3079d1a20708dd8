"""Who is asking? Challenges, their answers, logins, sessions and the checking of answers for other servers.

A secret is checked in a thread, since that takes milliseconds; how many are checked at one time is bounded, and so
are the wrong answers that one source may give for one identity.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from cryptography.hazmat.primitives.asymmetric import padding

from resolver.errors import MalformedMessage, ResolverError
from resolver.handle.codes import OpCode, ResponseCode
from resolver.handle.name import Handle, fold, whole_name
from resolver.node import authenticate, handle_admin, hdl_sessions
from resolver.node.challenges import Challenges
from resolver.node.handle_admin import Identity
from resolver.node.hdl_declined import Declined
from resolver.node.hdl_sessions import Sessions
from resolver.service.hdl_foreign_keys import ForeignKeys
from resolver.service.hdl_turn import AlreadyUnderWay
from resolver.wire import requests, responses
from resolver.wire.challenges import SECRET_KEY
from resolver.wire.digests import digest_of
from resolver.wire.keys import RsaPublicKey, public_key_from_wire
from resolver.wire.requests import ChallengeAnswer
from resolver.wire.sessions import SessionKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.node.authenticate import Key, Verdict
    from resolver.node.hdl_sessions import Session
    from resolver.service.core import Core
    from resolver.service.hdl_answers import Signer
    from resolver.service.hdl_peer import Peer
    from resolver.service.hdl_turn import Turn
    from resolver.wire.requests import SessionSetup

_log = structlog.get_logger("handle")

CHECKS_AT_ONCE = 4
"""Secrets checked at one time: each takes milliseconds of a core, and resolution needs the cores too."""

CHECKS_WAITING_MAX = 256
"""Answers that wait to be checked before further ones are told to come again."""


AGREEMENTS_WAITING_MAX = 256
"""Session set-ups that wait for their key before further ones are told to come again: one is made at a time, since the
interpreter lets nothing else run within one exponentiation."""

RENEWAL_S = 0.5
"""Seconds for which a login or a session is taken on trust before its key is looked at again."""

_NOT_THE_ANSWER = {ResponseCode.SERVER_BUSY, ResponseCode.UNABLE_TO_AUTHENTICATE}
"""Codes that say nothing about an answer, which is therefore not counted as wrong."""


class HandleAuthentication:
    """Challenges, sessions and logins of one worker."""

    def __init__(
        self,
        core: Core,
        worker: int,
        signer: Signer,
        is_server_admin: Callable[[str, int], bool],
        node_public_key: bytes,
        *,
        takes_legacy: bool,
    ) -> None:
        self._core = core
        self._signer = signer
        self._is_server_admin = is_server_admin
        self._node_public_key = node_public_key
        self._takes_legacy = takes_legacy
        self.challenges = Challenges(worker, core.randomness)
        self.sessions = Sessions(worker, core.randomness)
        self._lockout = core.lockout
        self._foreign = ForeignKeys(core)
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._under_way: set[tuple[int, int]] = set()
        self._waiting = 0
        self._agreeing = asyncio.Semaphore(1)
        self._agreements = 0

    def _now_s(self) -> float:
        return self._core.clock.monotonic_s()

    def _is_locked(self, identity: str, network: str) -> bool:
        return self._lockout.is_locked(identity, network, self._core.clock.now_us() / 1_000_000)

    def _failed(self, identity: str, network: str) -> None:
        self._lockout.failed(identity, network, self._core.clock.now_us() / 1_000_000)

    async def challenge(self, turn: Turn) -> None:
        """Challenge the client to prove who it is; the request is kept until it does."""
        version = turn.asked.envelope.answered_in()
        digest = digest_of(turn.request.header_and_body, version)
        session_id = 0 if turn.session is None else turn.session.id
        issued = self.challenges.issue(
            turn.request,
            digest.octets,
            turn.peer.network,
            self._now_s(),
            session_id=session_id,
            hides=turn.is_encrypted,
            is_proven=turn.peer.is_proven,
        )
        if turn.request.header.op_code == OpCode.LOGIN_ID_SYSTEM:
            turn.peer.login = issued.id
        body = responses.Challenge(issued.nonce)
        await turn.answer(body, code=ResponseCode.AUTHENTICATION_NEEDED, session_id=issued.id)

    async def accept(self, turn: Turn) -> None:
        """Take the answer to a challenge: from then on the turn is about the request that was challenged.

        A client that has waited for half a second sends its datagram again: while the first one is being checked the
        second is dropped, or its client would hear that it is too late. Raises Declined and AlreadyUnderWay.
        """
        message = turn.asked.envelope.session_id, turn.asked.envelope.request_id
        if turn.peer.is_stream:
            await self._accept(turn)
            return
        if message in self._under_way:
            raise AlreadyUnderWay
        self._under_way.add(message)
        try:
            await self._accept(turn)
        finally:
            self._under_way.discard(message)

    async def _accept(self, turn: Turn) -> None:
        answer = turn.asked.body
        assert isinstance(answer, ChallengeAnswer)  # noqa: S101 - the codec chose it by the operation
        now_s = self._now_s()
        challenge = self.challenges.take(turn.asked.envelope.session_id, now_s)
        if challenge is None and turn.peer.login:
            challenge = self.challenges.take(turn.peer.login, now_s)  # some clients send a session id of their own
        if challenge is None:
            raise Declined(
                ResponseCode.AUTHENTICATION_TIMEOUT, "this challenge is unknown, answered or too old: ask again"
            )
        turn.request = challenge.request
        turn.is_encrypted = turn.is_encrypted or challenge.hides
        turn.peer.proven_from(challenge.network)
        if challenge.session_id:  # before anything is decided, so that a refusal is of the session as well
            turn.session = self.sessions.find(challenge.session_id, now_s)
            if turn.session is None:
                raise Declined(ResponseCode.SESSION_TIMEOUT, "the session has ended")
        identity = await self.identify(turn.peer, answer, challenge.nonce, challenge.digest)
        if turn.session is not None:
            turn.session.identity = identity
        turn.identity = identity

    async def identify(self, peer: Peer, answer: ChallengeAnswer, nonce: bytes, digest: bytes) -> Identity:
        """Who gave an answer to a nonce. Raises Declined."""
        handle, index = whole_name(answer.user_handle), answer.user_index
        name = f"{index}:{fold(handle)}"
        if self._is_locked(name, peer.network):
            raise Declined(ResponseCode.AUTHENTICATION_FAILED, "too many wrong answers: wait before trying again")
        is_foreign = self._foreign.is_elsewhere(handle)
        try:
            keys = await self._keys(answer, is_foreign=is_foreign)
            verdict = await self._verdict(answer, keys, nonce, digest)
        except Declined as declined:
            if declined.code not in _NOT_THE_ANSWER:
                self._failed(name, peer.network)
            raise
        # Answers that were under way while the lock fell count as wrong, right or not.
        if verdict.index is None or self._is_locked(name, peer.network):
            self._failed(name, peer.network)
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
        self._lockout.succeeded(name, peer.network)
        if verdict.legacy:
            _log.warning("old form of authentication", identity=name[:200], form=verdict.legacy, source=peer.source)
        return self.identity_of(handle, verdict.index, is_foreign=is_foreign)

    async def _keys(self, answer: ChallengeAnswer, *, is_foreign: bool) -> list[Key]:
        """The keys that an answer may have been made with, here or in another node. Raises Declined."""
        handle, index = whole_name(answer.user_handle), answer.user_index
        if is_foreign:
            found = await self._foreign.values_of(handle, answer.auth_type)
            return authenticate.keys_of(found, answer.auth_type, index)
        with self._core.reading() as reader:
            authenticate.caller_of(reader, handle, index, self._core.clock.now_us())
            return authenticate.keys_of(handle_admin.values_of(reader, handle), answer.auth_type, index)

    def identity_of(self, handle: str, index: int, *, is_foreign: bool = False) -> Identity:
        """The identity of a key that has been proven. Raises Declined."""
        handle = whole_name(handle)
        is_admin, now_us = self._is_server_admin(handle, index), self._core.clock.now_us()
        with self._core.reading() as reader:
            if is_foreign:
                caller = authenticate.foreign_caller_of(reader, handle, index, now_us, administers=is_admin)
                return Identity(handle, index, caller, is_admin)
            caller = authenticate.caller_of(reader, handle, index, now_us)
            key = authenticate.key_digest(handle_admin.values_of(reader, handle), index)
        return Identity(handle, index, caller, is_admin, key=key)

    def renew(self, peer: Peer, session: Session | None) -> None:
        """Forget logins, and who a session is of, when what was proven holds no more.

        A key may have been revoked or changed since, a principal disabled, a prefix or an enterprise taken out of
        service: a connection or a session may outlive that by hours.
        """
        now_s = self._now_s()
        if peer.logins and peer.renewed_s + RENEWAL_S <= now_s:
            peer.renewed_s = now_s
            peer.logins = tuple(login for login in peer.logins if self._holds(login[1]))
        if session is not None and session.identity is not None and session.renewed_s + RENEWAL_S <= now_s:
            session.renewed_s = now_s
            if not self._holds(session.identity):
                session.identity = None

    def _holds(self, identity: Identity) -> bool:
        """Whether an identity that was proven would be the same today."""
        try:
            found = self.identity_of(
                identity.handle, identity.index, is_foreign=self._foreign.is_elsewhere(identity.handle)
            )
        except ResolverError:
            return False
        return found == replace(identity, is_idis_login=False)

    def identify_by_key(self, peer: Peer, handle: str, index: int, der: bytes) -> Identity:
        """Who has a key that was proven elsewhere, as in a TLS handshake; index 0 means any. Raises Declined."""
        handle = whole_name(handle)
        name = f"{index}:{fold(handle)}"
        if self._is_locked(name, peer.network):
            raise Declined(ResponseCode.AUTHENTICATION_FAILED, "too many wrong answers: wait before trying again")
        with self._core.reading() as reader:
            authenticate.caller_of(reader, handle, index, self._core.clock.now_us())
            found = authenticate.index_of_key(handle_admin.values_of(reader, handle), index, der)
        if found is None:
            self._failed(name, peer.network)
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
        return self.identity_of(handle, found)

    async def _verdict(self, answer: ChallengeAnswer, keys: Sequence[Key], nonce: bytes, digest: bytes) -> Verdict:
        """The verdict on an answer, in a thread and in turn."""
        if self._waiting >= CHECKS_WAITING_MAX:
            raise Declined(ResponseCode.SERVER_BUSY, "too many answers wait to be checked: try again")
        self._waiting += 1
        try:
            async with self._checking:
                return await asyncio.to_thread(
                    authenticate.verdict, answer, keys, nonce, digest, takes_legacy=self._takes_legacy
                )
        finally:
            self._waiting -= 1

    async def verify(self, turn: Turn) -> None:
        """Tell whether an answer was made with a secret key that lives here."""
        body = turn.request.body
        assert isinstance(body, requests.VerifyAnswer)  # noqa: S101 - the codec chose it by the operation
        answer = ChallengeAnswer(SECRET_KEY, body.user_handle, body.user_index, body.signed_response)
        with self._core.reading() as reader:  # who asks about a key that lives elsewhere is told so, not "no"
            self._core.served.require(reader, Handle.from_text(body.user_handle).prefix_folded)
        is_right = await self.is_right(turn.peer, answer, body.nonce, body.request_digest.octets)
        await turn.answer(responses.Verified(is_right))

    async def is_right(self, peer: Peer, answer: ChallengeAnswer, nonce: bytes, digest: bytes) -> bool:
        """Whether an answer was made with a key that lives here.

        Whoever asks wrongly too often hears "no" from then on, so it cannot be used for guessing.
        """
        name = f"{answer.user_index}:{fold(whole_name(answer.user_handle))}"
        if self._is_locked(name, peer.network):
            return False
        try:
            with self._core.reading() as reader:
                authenticate.caller_of(reader, answer.user_handle, answer.user_index, self._core.clock.now_us())
                found = handle_admin.values_of(reader, answer.user_handle)
                keys = authenticate.keys_of(found, answer.auth_type, answer.user_index)
        except Declined:
            keys = []
        verdict = await self._verdict(answer, keys, nonce, digest)
        if verdict.index is None:
            self._failed(name, peer.network)
        return verdict.index is not None and not self._is_locked(name, peer.network)

    async def log_in(self, turn: Turn) -> None:
        """Bind an identity to a connection; the client proves it by answering the challenge that this is."""
        body = turn.request.body
        assert isinstance(body, requests.Login)  # noqa: S101 - the codec chose it by the operation
        peer = turn.peer
        peer.is_idis = True
        if turn.identity is None:
            if peer.has_login(turn.request.envelope.session_id):
                raise Declined(ResponseCode.RELOGIN, "this connection is logged in already: open another one")
            await self.challenge(turn)
            return
        peer.login = 0
        is_who_it_said = fold(turn.identity.handle) == fold(whole_name(body.user_handle))
        if not is_who_it_said or body.user_index not in {0, turn.identity.index}:
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
        peer.log_in(turn.request.envelope.session_id, replace(turn.identity, is_idis_login=True))
        await turn.answer(responses.Done(), with_digest=False)

    async def set_up_session(self, turn: Turn) -> None:
        """Agree on a key with the client."""
        body = turn.request.body
        assert isinstance(body, requests.SessionSetup)  # noqa: S101 - the codec chose it by the operation
        if body.mode == requests.MODE_DIFFIE_HELLMAN:
            key, data = await self._agreed(turn, body)
        else:
            key, data = self._session_key(body)
        session = self.sessions.begin(key, turn.peer.network, float(body.timeout_s), self._now_s())
        session.awaits_key = body.mode == requests.MODE_SERVER_KEY
        if body.mode == requests.MODE_HANDLE_KEY and turn.asked.envelope.session_id:
            turn.peer.seal = session  # Teleinfo's SDK goes on under the ids it makes up, and makes no MACs
        turn.session = None
        await turn.answer(responses.SessionAccepted(body.mode, data), session_id=session.id)

    async def _agreed(self, turn: Turn, body: SessionSetup) -> tuple[SessionKey, bytes]:
        """The key of a session by Diffie-Hellman, in a thread and in turn: strangers choose what it costs."""
        if self._agreements >= AGREEMENTS_WAITING_MAX:
            raise Declined(ResponseCode.SERVER_BUSY, "too many sessions are being set up: try again")
        version = turn.asked.envelope.answered_in()
        self._agreements += 1
        try:
            async with self._agreeing:
                return await asyncio.to_thread(hdl_sessions.agree, body.public_key, version, self._core.randomness)
        finally:
            self._agreements -= 1

    def _session_key(self, body: SessionSetup) -> tuple[SessionKey, bytes]:
        """The key of a new session of another mode and what the client needs to reach it. Raises Declined."""
        randomness = self._core.randomness
        key = hdl_sessions.made_key(randomness)
        if body.mode == requests.MODE_SERVER_KEY:
            return key, self._node_public_key  # the client's own key takes its place, see exchange_key
        if body.mode == requests.MODE_CLIENT_KEY:
            return key, _encrypted(key, [body.public_key])
        if body.mode == requests.MODE_HANDLE_KEY:
            with self._core.reading() as reader:
                found = handle_admin.values_of(reader, body.key_handle)
            data = [
                value.data for value in found if fold(value.type) == "HS_PUBKEY" and body.key_index in {0, value.index}
            ]
            return key, _encrypted(key, data)
        raise Declined(ResponseCode.SESSION_FAILED, f"key exchange mode {body.mode} is unknown: 1 to 4 are known")

    async def exchange_key(self, turn: Turn) -> None:
        """Take the session key that a client has made and encrypted for this node."""
        body = turn.request.body
        assert isinstance(body, requests.ExchangeKey)  # noqa: S101 - the codec chose it by the operation
        session = self.sessions.find(turn.asked.envelope.session_id, self._now_s())
        if session is None:
            raise Declined(ResponseCode.SESSION_TIMEOUT, "the session is unknown or has ended: begin another one")
        if not session.awaits_key:
            raise Declined(ResponseCode.SESSION_FAILED, "this session has its key already")
        try:
            # What does not decrypt leaves the random key in place, so that nobody learns whether it did.
            session.key = SessionKey.from_wire(self._signer.decrypt(body.encrypted_key))
        except (ValueError, MalformedMessage):
            session.key = hdl_sessions.made_key(self._core.randomness)
        session.awaits_key = False
        turn.session = None
        if session.key.cipher.is_legacy:
            if not self._takes_legacy:
                session.key = hdl_sessions.made_key(self._core.randomness)
                raise Declined(ResponseCode.SESSION_FAILED, "sessions with DES are not taken here: use AES")
            _log.warning("old cipher of a session", cipher=session.key.cipher.name, source=turn.peer.source)
        await turn.answer(responses.Done(), session_id=session.id)

    async def terminate_session(self, turn: Turn) -> None:
        """End the session whose MAC the request carries."""
        session = turn.session
        if session is None:
            raise Declined(ResponseCode.SESSION_TIMEOUT, "the session is unknown or has ended already")
        await turn.answer(responses.Done())
        self.sessions.end(session.id)


def _encrypted(key: SessionKey, public_keys: Sequence[bytes]) -> bytes:
    """The session key encrypted with the first RSA key. Raises Declined."""
    for data in public_keys:
        try:
            public = public_key_from_wire(data)
            if isinstance(public, RsaPublicKey):
                return public.to_native().encrypt(key.to_wire(), padding.PKCS1v15())
        except (MalformedMessage, ValueError) as error:
            raise Declined(ResponseCode.SESSION_FAILED, f"the exchange key is unusable: {error}") from None
    raise Declined(ResponseCode.SESSION_FAILED, "this exchange mode needs an RSA key")
