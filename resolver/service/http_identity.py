"""Who asks over HTTP in the Handle REST interface: secrets, signatures, client certificates, and sessions.

A secret or a signature is checked as the answer to a challenge is at the Handle doors, with the same lockout and in the
same turn; a session keeps what was proven. Whether a credential may be believed at all on a connection is the
door's to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.handle.codes import ResponseCode
from resolver.handle.name import Handle
from resolver.node import http_sessions
from resolver.node.hdl_declined import Declined
from resolver.node.http_sessions import Proven, SessionIds
from resolver.service.hdl_changes import Decision
from resolver.wire.challenges import SECRET_KEY, KeyPairAnswer, answer_by_secret
from resolver.wire.digests import HashCode
from resolver.wire.requests import ChallengeAnswer

if TYPE_CHECKING:
    from resolver.node.handle_admin import Identity
    from resolver.node.ledger import Ledger
    from resolver.service.core import Core
    from resolver.service.hdl_answers import Signer
    from resolver.service.hdl_authentication import HandleAuthentication
    from resolver.service.hdl_peer import Peer
    from resolver.wire.challenges import SecretAnswer

_NONCE_OCTETS = 16


class Session(NamedTuple):
    """A session as a client sees it; ``identity`` is None until it is proven."""

    id: str
    nonce: bytes
    identity: Identity | None


class HttpIdentity:
    """Finds out who asks, for one worker."""

    def __init__(self, core: Core, authentication: HandleAuthentication, signer: Signer, secret: bytes) -> None:
        self._core = core
        self._authentication = authentication
        self._signer = signer
        self._ids = SessionIds(secret, core.randomness)

    def _now_s(self) -> int:
        return self._core.clock.now_us() // 1_000_000

    async def by_password(self, peer: Peer, handle: str, index: int, password: bytes) -> Identity:
        """Who has a secret key. Raises Declined."""
        nonce = self._core.randomness(_NONCE_OCTETS)
        # Put as an answer to a challenge of our own, so that there is one way to check a secret and to be locked out.
        made = answer_by_secret(password, nonce, b"", HashCode.HMAC_SHA256)
        answer = ChallengeAnswer(SECRET_KEY, handle, index, made.to_wire())
        return await self._authentication.identify(peer, answer, nonce, b"")

    def by_certificate(self, peer: Peer, handle: str, index: int, public_key: bytes) -> Identity:
        """Who has the key of a client certificate, a SubjectPublicKeyInfo. Raises Declined."""
        return self._authentication.identify_by_key(peer, handle, index, public_key)

    async def by_answer(
        self,
        peer: Peer,
        session: Session,
        handle: str,
        index: int,
        answer: KeyPairAnswer | SecretAnswer,
        client_nonce: bytes,
    ) -> Session:
        """The session with the identity that an answer to its nonce and the client's proves. Raises Declined."""
        kind = "HS_PUBKEY" if isinstance(answer, KeyPairAnswer) else SECRET_KEY
        given = ChallengeAnswer(kind, handle, index, answer.to_wire())
        return await self.keep(session, await self._authentication.identify(peer, given, session.nonce, client_nonce))

    async def keep(self, session: Session, identity: Identity) -> Session:
        """The session as that of an identity which has been proven. Raises Declined for one without a key."""
        if not identity.key:
            raise Declined(ResponseCode.AUTHENTICATION_FAILED)
        await self._store(session.id, Proven(identity.handle, identity.index, identity.key, self._now_s()))
        return session._replace(identity=identity)

    def require_here(self, handle: str) -> None:
        """Raise PrefixElsewhere or InvalidName unless a handle's prefix lives here."""
        with self._core.reading() as reader:
            self._core.served.require(reader, Handle.from_text(handle).prefix_folded)

    async def is_right(
        self,
        peer: Peer,
        handle: str,
        index: int,
        answer: KeyPairAnswer | SecretAnswer,
        nonce: bytes,
        client_nonce: bytes,
    ) -> bool:
        """Whether an answer was made with a key of a handle that lives here."""
        kind = "HS_PUBKEY" if isinstance(answer, KeyPairAnswer) else SECRET_KEY
        given = ChallengeAnswer(kind, handle, index, answer.to_wire())
        return await self._authentication.is_right(peer, given, nonce, client_nonce)

    def sign(self, octets: bytes) -> tuple[str, bytes]:
        """The node's signature of some octets: the hash's name and the signature."""
        return self._signer.sign(octets)

    def begin(self) -> Session:
        """A new session of nobody."""
        id_ = self._ids.make(self._now_s())
        return Session(id_, self._ids.nonce(id_), None)

    async def find(self, id_: str) -> Session | None:
        """A session that has not ended; using it keeps it alive."""
        now_s = self._now_s()
        made_s = self._ids.made_s(id_)
        if made_s is None:
            return None
        with self._core.reading() as reader:
            proven = http_sessions.find(reader, id_, now_s)
        session = Session(id_, self._ids.nonce(id_), None)
        if proven is None:
            return session if made_s + http_sessions.IDLE_S > now_s else None
        try:
            identity = self._authentication.identity_of(proven.handle, proven.key_index)
        except Declined:
            return None
        if identity.key != proven.key_digest:
            return None
        if proven.used_s + http_sessions.REFRESH_S < now_s:
            await self._store(id_, proven._replace(used_s=now_s))
        return session._replace(identity=identity)

    async def _store(self, id_: str, proven: Proven) -> None:
        def decide(ledger: Ledger) -> None:
            http_sessions.store(ledger.writer, id_, proven)

        await self._core.lane.submit(Decision(decide))

    async def end(self, id_: str) -> None:
        """End a session."""

        def decide(ledger: Ledger) -> None:
            http_sessions.end(ledger.writer, id_)

        await self._core.lane.submit(Decision(decide, frees_space=True))
