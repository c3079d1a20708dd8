"""A client of the Handle protocol for any server: questions, changes, lists, sessions, logins.

One client speaks to one server over one connection. A challenge is answered by the identity the client was given, at
most twice, for a server may come down to an older form. With the key of the server's site, answers are asked to be
signed and are refused when they are not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from resolver.errors import MalformedMessage, Meaning, Refused
from resolver.federation.connection import HandleConnection, has_no_more
from resolver.handle.codes import OpCode, ResponseCode
from resolver.wire import digests, requests, responses, sessions, signatures, versions
from resolver.wire.credential import SIGNED, ReplayWindow, mac_credential
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, SERIAL_UNKNOWN, Header, OpFlag
from resolver.wire.keys import public_key_from_wire
from resolver.wire.message import Message, frame_of, request_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resolver.clock import Clock
    from resolver.federation.identity import Identity
    from resolver.handle.value import HandleValue
    from resolver.wire.digests import RequestDigest
    from resolver.wire.keys import PublicKey
    from resolver.wire.message import Frame
    from resolver.wire.predefined.hs_site import HsSite
    from resolver.wire.requests import RequestBody
    from resolver.wire.sessions import SessionKey
    from resolver.wire.versions import Version

B = TypeVar("B")

TIMEOUT_S = 5.0
"""Seconds a server may take for an answer."""

_VALID_S = 43_200
_ROUNDS_MAX = 2
_PRIVATE_OCTETS = 48


class AnswerRefused(Refused):
    """The server has answered no: ``code`` and its words, ``referral`` when it names another place."""

    def __init__(self, code: int, message: str, referral: responses.Referral | None = None) -> None:
        super().__init__(f"the server answers {_name(code)}{': ' if message else ''}{message}")
        self.code = code
        self.referral = referral

    @property
    def meaning(self) -> Meaning:
        """What the code means at our own doors."""
        return Meaning(9, self.code, 502, -2)


def _name(code: int) -> str:
    try:
        return f"{code} {ResponseCode(code).name}"
    except ValueError:
        return str(code)


@dataclass(slots=True)
class _Session:
    id: int
    key: SessionKey
    counter: int = 0
    window: ReplayWindow = field(default_factory=ReplayWindow)

    def next_counter(self) -> int:
        self.counter += 1
        return self.counter


class HandleClient:
    """A client of one server. ``close`` it at the end.

    ``identity`` answers challenges; ``server_key`` are the octets of the server's key in its HS_SITE, and makes every
    answer be verified. Messages are in ``version``, and ``suggested`` is the highest one that answers may be in.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock: Clock,
        randomness: Callable[[int], bytes],
        identity: Identity | None = None,
        server_key: bytes = b"",
        version: Version = versions.OWN,
        suggested: Version = versions.OWN,
        timeout_s: float = TIMEOUT_S,
        connection: HandleConnection | None = None,
    ) -> None:
        self._connection = connection or HandleConnection(host, port, timeout_s=timeout_s)
        self._clock = clock
        self._randomness = randomness
        self._identity = identity
        self._server_key: PublicKey | None = public_key_from_wire(server_key) if server_key else None
        self._version = version
        self._suggested = suggested
        self._session: _Session | None = None

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def resolve(
        self, name: str, *, types: Iterable[str] = (), indexes: Iterable[int] = (), public_only: bool = True
    ) -> tuple[HandleValue, ...]:
        """The values of a handle. Raises AnswerRefused, with the referral if there is one."""
        body = requests.Resolution(name, tuple(indexes), tuple(types))
        flags = CLIENT_FLAGS if public_only else CLIENT_FLAGS & ~OpFlag.PUBLIC_ONLY
        answer = await self._one(OpCode.RESOLUTION, body, responses.Resolved, flags | OpFlag.REQUEST_DIGEST)
        return answer.values

    async def site_info(self) -> HsSite:
        """The site of the server. Raises AnswerRefused."""
        flags = CLIENT_FLAGS | OpFlag.REQUEST_DIGEST
        return (await self._one(OpCode.GET_SITE_INFO, requests.OfHandle("/"), responses.SiteInfo, flags)).site

    async def _one(self, op_code: int, body: RequestBody, kind: type[B], flags: int) -> B:
        """The body of a successful answer. Raises AnswerRefused, and MalformedMessage for one to something else."""
        answer = (await self.ask(op_code, body, flags=flags))[0]
        return _of_kind(answer, kind)

    async def create(
        self, name: str, values: Iterable[HandleValue], *, overwrites: bool = False, mints: bool = False
    ) -> str:
        """Create a handle; its name. Raises AnswerRefused."""
        flags = (OpFlag.OVERWRITE if overwrites else OpFlag(0)) | (OpFlag.MINT_SUFFIX if mints else OpFlag(0))
        answer = (await self.ask(OpCode.CREATE_HANDLE, requests.WithValues(name, tuple(values)), flags=flags))[0]
        created = answer.body.handle if isinstance(answer.body, responses.Created) else None
        return created or name

    async def delete(self, name: str) -> None:
        """Delete a handle. Raises AnswerRefused."""
        await self.ask(OpCode.DELETE_HANDLE, requests.OfHandle(name))

    async def add_values(self, name: str, values: Iterable[HandleValue], *, overwrites: bool = False) -> None:
        """Add values to a handle. Raises AnswerRefused."""
        flags = OpFlag.OVERWRITE if overwrites else OpFlag(0)
        await self.ask(OpCode.ADD_VALUE, requests.WithValues(name, tuple(values)), flags=flags)

    async def modify_values(self, name: str, values: Iterable[HandleValue]) -> None:
        """Put values in place of those with the same indexes. Raises AnswerRefused."""
        await self.ask(OpCode.MODIFY_VALUE, requests.WithValues(name, tuple(values)))

    async def remove_values(self, name: str, indexes: Iterable[int]) -> None:
        """Remove values from a handle. Raises AnswerRefused."""
        await self.ask(OpCode.REMOVE_VALUE, requests.RemoveValues(name, tuple(indexes)))

    async def list_handles(self, prefix_handle: str) -> list[str]:
        """The handles of a prefix. Raises AnswerRefused."""
        return await self._names(OpCode.LIST_HANDLES, prefix_handle)

    async def list_homed_prefixes(self) -> list[str]:
        """The prefix handles of the prefixes homed at the server. Raises AnswerRefused."""
        return await self._names(OpCode.LIST_HOMED_PREFIXES, "/")

    async def home_prefix(self, prefix_handle: str) -> None:
        """Let the server serve a prefix. Raises AnswerRefused."""
        await self.ask(OpCode.HOME_PREFIX, requests.OfHandle(prefix_handle))

    async def unhome_prefix(self, prefix_handle: str) -> None:
        """Let the server serve a prefix no more. Raises AnswerRefused."""
        await self.ask(OpCode.UNHOME_PREFIX, requests.OfHandle(prefix_handle))

    async def _names(self, op_code: int, name: str) -> list[str]:
        found = await self.ask(op_code, requests.OfHandle(name))
        return [handle for part in found if isinstance(part.body, responses.Handles) for handle in part.body.handles]

    async def begin_session(self) -> None:
        """Agree on a session's key: messages have MACs from then on. Raises AnswerRefused."""
        private = int.from_bytes(self._randomness(_PRIVATE_OCTETS), "big") | 1
        group = sessions.OAKLEY_2
        ours = sessions.public_half(private, group)
        handle, index = ("", 0xFFFF_FFFF) if self._identity is None else self._identity.reference
        setup = requests.SessionSetup(requests.MODE_DIFFIE_HELLMAN, 86_400, handle, index, public_key=ours.to_wire())
        answer = (await self.ask(OpCode.SESSION_SETUP, setup, flags=CLIENT_FLAGS | OpFlag.REQUEST_DIGEST))[0]
        accepted = _of_kind(answer, responses.SessionAccepted)
        cipher, theirs = sessions.exchange_data_from_wire(accepted.data, answer.envelope.version)
        if (theirs.p, theirs.g) != (group.p, group.g):
            raise MalformedMessage("the server answers the session set-up in another group than it was asked in")
        self._session = _Session(
            answer.envelope.session_id, sessions.derive(sessions.shared_secret(private, theirs), cipher)
        )

    async def end_session(self) -> None:
        """End the session, if there is one. Raises AnswerRefused."""
        if self._session is not None:
            await self.ask(OpCode.SESSION_TERMINATE, requests.OfHandle("/"))
            self._session = None

    async def ask(self, op_code: int, body: RequestBody, *, flags: int = 0) -> list[Message]:
        """The messages of a successful answer, a challenge being answered on the way.

        Raises AnswerRefused for any other answer, MalformedMessage for one that does not prove itself, and
        ServerUnreachable.
        """
        flags |= OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFY
        if self._server_key is not None:
            flags |= OpFlag.CERTIFIED
        request = self._request(op_code, body, int(flags), signs=True)
        found = await self._exchange(request)
        asked = request
        for _ in range(_ROUNDS_MAX):
            if found[0].header.response_code != ResponseCode.AUTHENTICATION_NEEDED or self._identity is None:
                break
            answer = await self._answer_to(found[0], asked, int(flags))
            found = await self._exchange(answer)
        code = found[0].header.response_code
        if code != ResponseCode.SUCCESS:
            raise _refusal(code, found[0].body)
        return found

    def _request(
        self, op_code: int, body: RequestBody, flags: int, *, signs: bool, session_id: int | None = None
    ) -> Message:
        """A request in the version of this client, with the session's MAC when there is a session."""
        session = self._session
        id_ = (session.id if session is not None else 0) if session_id is None else session_id
        request_id = int.from_bytes(self._randomness(4), "big") & 0x7FFF_FFFF
        envelope = Envelope(self._version, self._suggested, 0, id_, request_id, 0, 0)
        expiration_s = self._clock.now_us() // 1_000_000 + _VALID_S
        plain = request_message(envelope, Header(op_code, 0, flags, SERIAL_UNKNOWN, 0, expiration_s, 0), body)
        if session is None or not signs:
            return plain
        credential = mac_credential(plain.envelope, plain.header_and_body, session.key.octets, session.next_counter())
        return request_message(plain.envelope, plain.header, body, credential)

    async def _answer_to(self, challenge: Message, request: Message, flags: int) -> Message:
        """The answer to a challenge. Raises MalformedMessage for a challenge of another request."""
        assert self._identity is not None  # noqa: S101 - asked by the caller
        assert isinstance(challenge.body, responses.Challenge)  # noqa: S101 - the codec chose it by the code
        digest = challenge.request_digest
        if digest is None or digest != _digest_like(digest, request):
            raise MalformedMessage("the challenge is about another request: somebody stands between us and the server")
        version = min(challenge.envelope.version, versions.OWN)
        body = await asyncio.to_thread(
            self._identity.answer, challenge.body.nonce, digest.octets, version, self._randomness
        )
        id_ = challenge.envelope.session_id
        return self._request(OpCode.CHALLENGE_RESPONSE, body, flags, signs=False, session_id=id_)

    async def _exchange(self, request: Message) -> list[Message]:
        """Send a request and understand its answer."""
        frame = frame_of(request.envelope, request.header_and_body, request.credential)
        found = await self._connection.ask(frame, lambda part: has_no_more(self._opened(part)))
        return [self._understood(self._opened(part), request) for part in found]

    def _opened(self, frame: Frame) -> Frame:
        """A frame decrypted with the session's key, when it is encrypted."""
        return frame if self._session is None else sessions.decrypt(frame, self._session.key)

    def _understood(self, frame: Frame, request: Message) -> Message:
        """The answer in a frame, checked to be for the request and from the server. Raises MalformedMessage."""
        message = Message.from_frame(frame)
        digest = message.request_digest
        is_challenge = message.header.response_code == ResponseCode.AUTHENTICATION_NEEDED
        if digest not in {None, _digest_like(digest, request)} and not is_challenge:
            raise MalformedMessage("the answer is to another request: it is not believed")
        if not request.header.has(OpFlag.CERTIFIED):
            return message
        wants_digest = request.header.has(OpFlag.REQUEST_DIGEST) and self._version >= versions.REQUEST_DIGEST
        if digest is None and wants_digest:
            raise MalformedMessage("the signed answer does not say which request it is to: it is not believed")
        found = message.credential
        if found is None:
            raise MalformedMessage("the server was asked to sign its answer and has not: it is not believed")
        if found.type == SIGNED:
            is_proven = self._server_key is not None and signatures.is_signed_by(
                found, message.envelope, message.header_and_body, self._server_key
            )
        else:
            session = self._session
            is_proven = (
                session is not None
                and found.is_mac_of(message.envelope, message.header_and_body, session.key.octets)
                and session.window.take(found.counter)
            )
        if not is_proven:
            raise MalformedMessage("the answer was not signed by the key of the site: it is not believed")
        return message


def _digest_like(digest: RequestDigest | None, request: Message) -> RequestDigest | None:
    """The digest of a request by the algorithm of another digest."""
    return None if digest is None else digests.digest_by_code(request.header_and_body, digest.code)


def _of_kind(answer: Message, kind: type[B]) -> B:
    """The body of an answer, of the kind asked for. Raises MalformedMessage: the server says which operation it is."""
    if not isinstance(answer.body, kind):
        raise MalformedMessage("the answer is to another operation than was asked for: it is not believed")
    return answer.body


def _refusal(code: int, body: object) -> AnswerRefused:
    if isinstance(body, responses.Referral):
        return AnswerRefused(code, "", body)
    return AnswerRefused(code, body.message if isinstance(body, responses.Failure) else "")
