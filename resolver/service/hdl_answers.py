"""Answers of the Handle doors as octets: versions, flags, digests, signatures and MACs put on in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from resolver.errors import NotPrimary, NotThisServer, Refused
from resolver.handle.codes import OpCode, ResponseCode
from resolver.wire import sessions, signatures, versions
from resolver.wire.credential import SIGNED, Credential, mac_credential, signed_octets
from resolver.wire.digests import digest_of
from resolver.wire.envelope import Envelope
from resolver.wire.header import CLIENT_FLAGS, EXPIRATION_S, SERIAL_UNKNOWN, Header, OpFlag, answer_flags
from resolver.wire.message import frame_of, header_and_body_of
from resolver.wire.private_keys import DsaPrivateKey, RsaPrivateKey
from resolver.wire.responses import Failure, body_to_wire
from resolver.wire.versions import OWN, UNKNOWN_PEER, response_code_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.clock import Clock
    from resolver.errors import ResolverError
    from resolver.node.hdl_sessions import Session
    from resolver.service.published_site import PublishedSite
    from resolver.wire.message import Frame, Message
    from resolver.wire.private_keys import PrivateKey
    from resolver.wire.responses import ResponseBody

REQUEST_ID_UNKNOWN = 0xFFFF_FFFF
"""Request id of an answer to octets that had none."""

_CERTIFIED_OCTETS = 89
"""Octets around the signature of the smallest certified answer: envelope 20, header 24, credential with ``SHA1`` 45."""

_DSA_OCTETS_MIN = 40
"""Octets a DSA signature has at least, but for chances of one in many thousands."""

_NOT_IN_SESSION_MACS = {OpCode.SESSION_SETUP, OpCode.SESSION_EXCHANGE_KEY}
_HASHES = {b"SHA1": hashes.SHA1, b"SHA-256": hashes.SHA256}

IDIS_CODES: dict[int, int] = {
    ResponseCode.RECURSION_LIMIT: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.SERVER_BACKUP: ResponseCode.SERVER_BUSY,
    ResponseCode.OUT_OF_DATE_SITE_INFO: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.SERVER_NOT_RESPONSIBLE: ResponseCode.HANDLE_NOT_FOUND,
    ResponseCode.UNABLE_TO_AUTHENTICATE: ResponseCode.AUTHENTICATION_FAILED,
    ResponseCode.SESSION_TIMEOUT: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.SESSION_FAILED: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.INVALID_SESSION_KEY: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.NEED_RSA_KEY: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.INVALID_SESSION_SETUP: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.SESSION_MESSAGE_REJECTED: ResponseCode.PROTOCOL_ERROR,
    ResponseCode.DAILY_REQUEST_LIMIT: ResponseCode.SERVER_BUSY,
    ResponseCode.REGISTRATION_LIMIT: ResponseCode.OPERATION_DENIED,
    ResponseCode.PREFIX_LIMIT: ResponseCode.OPERATION_DENIED,
}
"""What is said instead of codes that the ID-SDK does not know: it stops at a code it cannot name."""


_SILENT_CODES = {
    ResponseCode.HANDLE_NOT_FOUND,
    ResponseCode.HANDLE_ALREADY_EXISTS,
    ResponseCode.VALUES_NOT_FOUND,
}
"""Codes that say everything: the reference server sends no words with them."""


def code_of(error: ResolverError) -> int:
    """The response code of a failure; whatever the policy denies is 400 here, as clients expect."""
    if isinstance(error, Refused) and error.reason == "PERMISSION_DENIED":
        return ResponseCode.INVALID_ADMIN
    return error.response_code


def words_of(error: ResolverError) -> str:
    """What is said beside the code."""
    if error.response_code == ResponseCode.SERVER_NOT_RESPONSIBLE and not isinstance(error, NotThisServer | NotPrimary):
        return "That prefix doesn't live here"
    return "" if error.response_code in _SILENT_CODES else error.message


def is_idis_style(asked: Message) -> bool:
    """Whether a request comes from an IDIS client.

    Those set none of the flags every CNRI client sets some of, and are known by their versions.
    """
    return not asked.header.flags & CLIENT_FLAGS.value and versions.is_of_sdk(
        asked.envelope.version, asked.envelope.suggested
    )


class Signer:
    """The key of the node, ready to sign: making a key ready takes longer than signing with it."""

    def __init__(self, key: PrivateKey) -> None:
        self._kind = key.kind
        self.rsa = key.to_native() if isinstance(key, RsaPrivateKey) else None
        """The key as the cryptography library has it, None for one that is DSA."""
        self._dsa = key.to_native() if isinstance(key, DsaPrivateKey) else None
        signature_octets = _DSA_OCTETS_MIN if self.rsa is None else self.rsa.key_size // 8
        self.certified_octets_min = _CERTIFIED_OCTETS + signature_octets
        """Octets of the smallest answer with a signature of the node."""

    def sign(self, octets: bytes) -> tuple[str, bytes]:
        """The name of the hash, and the node's signature of some octets, for clients that want to know the node."""
        if self.rsa is not None:
            return "SHA256", self.rsa.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        assert self._dsa is not None  # noqa: S101 - a key is one of the two
        return "SHA256", self._dsa.sign(octets, hashes.SHA256())

    def sign_as(self, algorithm: bytes, octets: bytes) -> bytes:
        """The node's signature of some octets by a hash: SHA1 or SHA-256. It takes a fifth of a millisecond."""
        hash_ = _HASHES[algorithm]()
        if self.rsa is not None:
            return self.rsa.sign(octets, padding.PKCS1v15(), hash_)
        assert self._dsa is not None  # noqa: S101 - a key is one of the two
        return self._dsa.sign(octets, hash_)

    def decrypt(self, octets: bytes) -> bytes:
        """What was encrypted with the public half (RSA, PKCS #1 v1.5). Raises ValueError."""
        if self.rsa is None:
            raise ValueError("the key of this node does not encrypt")
        return self.rsa.decrypt(octets, padding.PKCS1v15())

    def credential(self, envelope: Envelope, header_and_body: bytes) -> Credential:
        """The credential that certifies an answer in the version of its envelope."""
        algorithm = signatures.preferred_hash(envelope.version, self._kind)
        return Credential(SIGNED, algorithm, self.sign_as(algorithm, signed_octets(envelope, header_and_body, 0)))


class Answers:
    """Makes the answers of one worker."""

    def __init__(self, clock: Clock, signer: Signer, site: PublishedSite, randomness: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._signer = signer
        self._site = site
        self._randomness = randomness

    @property
    def expiration_s(self) -> int:
        """Until when an answer made now is valid, in epoch seconds."""
        return self._clock.now_us() // 1_000_000 + EXPIRATION_S

    def to(
        self,
        asked: Message,
        op_code: int,
        code: int,
        body: ResponseBody,
        *,
        session: Session | None = None,
        seal: Session | None = None,
        session_id: int = 0,
        flags: int = 0,
        with_digest: bool = True,
        hides: bool = False,
        is_authoritative: bool = True,
    ) -> Frame:
        """The answer to a message.

        ``op_code`` is the operation's, also behind a challenge. ``session_id`` is that of a challenge or of a new
        session; ``flags`` are added. ``hides`` asks for encryption where a session, or a ``seal``, allows it. What
        another node has said is not ``is_authoritative``.
        """
        version = asked.envelope.answered_in()
        if is_idis_style(asked):
            code = IDIS_CODES.get(code, code)
        code = response_code_for(code, version)
        added = answer_flags(asked.header.flags, is_primary=is_authoritative and self._site.is_primary) | flags
        is_challenge = code == ResponseCode.AUTHENTICATION_NEEDED
        digest = None
        if (added & OpFlag.REQUEST_DIGEST.value and with_digest) or is_challenge:
            digest = digest_of(asked.header_and_body, version)
        if digest is None or (is_challenge and version < versions.REQUEST_DIGEST):
            added &= ~OpFlag.REQUEST_DIGEST.value
        else:
            added |= OpFlag.REQUEST_DIGEST.value
        header = Header(op_code, code, added, self._site.serial, asked.header.recursion_count, self.expiration_s, 0)
        octets = header_and_body_of(header, body_to_wire(body, digest, version))
        id_ = session_id or (session.id if session is not None else 0)
        envelope = Envelope(version, OWN, 0, id_, asked.envelope.request_id, 0, 0)
        credential = None
        if asked.header.has(OpFlag.CERTIFIED):
            if session is not None and op_code not in _NOT_IN_SESSION_MACS:
                credential = mac_credential(envelope, octets, session.key.octets, session.next_counter())
            else:
                credential = self._signer.credential(envelope, octets)
        frame = frame_of(envelope, octets, credential)
        keeper = session or seal
        if keeper is None or op_code in _NOT_IN_SESSION_MACS:
            return frame
        if hides or asked.header.has(OpFlag.ENCRYPTION):
            return sessions.encrypt(frame, keeper.key, self._randomness(keeper.key.cipher.block_octets))
        return frame

    def undecodable(self, envelope: Envelope | None, code: int, message: str = "", op_code: int = 0) -> Frame:
        """The answer to octets that are no request: in the version every peer knows, with the request's id if any."""
        header = Header(op_code, code, OpFlag.RECURSIVE | CLIENT_FLAGS, SERIAL_UNKNOWN, 0, self.expiration_s, 0)
        octets = header_and_body_of(header, Failure(message).to_wire())
        request_id = REQUEST_ID_UNKNOWN if envelope is None else envelope.request_id
        return frame_of(Envelope(UNKNOWN_PEER, OWN, 0, 0, request_id, 0, 0), octets)

    def try_stream(self, asked: Message) -> Frame:
        """The small answer that makes a client ask again over TCP at once."""
        version = asked.envelope.answered_in()
        flags = answer_flags(asked.header.flags, is_primary=self._site.is_primary)
        flags &= ~(OpFlag.CERTIFIED | OpFlag.REQUEST_DIGEST | OpFlag.ENCRYPTION).value
        header = Header(asked.header.op_code, ResponseCode.ERROR, flags, self._site.serial, 0, self.expiration_s, 0)
        octets = header_and_body_of(header, Failure().to_wire())
        return frame_of(Envelope(version, OWN, 0, 0, asked.envelope.request_id, 0, 0), octets)
