"""Bodies of answers, one frozen class per layout (RFC 3652 section 3).

A body depends on the response code first and on the operation second. In front of it stands the
digest of the request when the header has the REQUEST_DIGEST flag; ``message`` keeps it apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from resolver.errors import MalformedMessage
from resolver.handle.codes import OpCode, ResponseCode
from resolver.wire import bounds, versions
from resolver.wire.cursor import counted, pack_u16, pack_u32, pack_u64, sized, sized_text
from resolver.wire.digests import RequestDigest
from resolver.wire.header import OpFlag
from resolver.wire.predefined.hs_site import HsSite
from resolver.wire.values import values_from_wire, values_to_wire

if TYPE_CHECKING:
    from resolver.handle.value import HandleValue
    from resolver.wire.cursor import Cursor
    from resolver.wire.header import Header
    from resolver.wire.versions import Version


class ResponseBody(Protocol):
    """What every answer body can do."""

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises WireError."""

    def to_wire(self) -> bytes:
        """The octets of the body."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values of a handle; the handle is spelled as the request spelled it."""

    handle: str
    values: tuple[HandleValue, ...]

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises WireError."""
        return cls(cursor.take_handle(), values_from_wire(cursor))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized_text(self.handle) + values_to_wire(self.values)


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The site that the server belongs to; its record fills the body without a length."""

    site: HsSite

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(HsSite.from_wire(cursor.take_rest()))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return self.site.to_wire()


@dataclass(frozen=True, slots=True)
class Created:
    """The handle that was created; None from servers that do not say."""

    handle: str | None

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_handle() if cursor.remaining else None)

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return b"" if self.handle is None else sized_text(self.handle)


@dataclass(frozen=True, slots=True)
class Done:
    """Success with nothing more to say; ``octets`` are what a newer server says all the same."""

    octets: bytes = b""

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body, whatever it holds."""
        return cls(cursor.take_rest())

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return self.octets


@dataclass(frozen=True, slots=True)
class NextTransaction:
    """The id that the next change will have."""

    transaction_id: int

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_u64("transaction id"))

    def to_wire(self) -> bytes:
        """Eight octets."""
        return pack_u64(self.transaction_id)


@dataclass(frozen=True, slots=True)
class Handles:
    """Handles of a prefix or the prefixes homed here; the CONTINUOUS flag says that further messages follow."""

    handles: tuple[str, ...]

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        count = cursor.take_count("handles", 4, bounds.HANDLES_MAX)
        return cls(tuple(cursor.take_handle() for _ in range(count)))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return counted(map(sized_text, self.handles))


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a challenge answer was made with the secret key asked about."""

    is_valid: bool

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(bool(cursor.take_u8("verification result") & 1))

    def to_wire(self) -> bytes:
        """One octet."""
        return bytes((self.is_valid,))


@dataclass(frozen=True, slots=True)
class SessionAccepted:
    """The server's part of a key exchange; the new session's id stands in the envelope."""

    mode: int
    data: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        mode = cursor.take_u16("key exchange mode")
        return cls(mode, cursor.take_sized("exchange data") if cursor.remaining >= 4 else b"")

    def to_wire(self) -> bytes:
        """The octets of the body with two spare octets, as the reference server sends them."""
        return pack_u16(self.mode) + sized(self.data) + b"\0\0"


@dataclass(frozen=True, slots=True)
class StreamFollows:
    """A stream of transactions follows this message on the same connection."""

    keeps_alive: bool

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(bool(cursor.take_u8("keep alive") & 1) if cursor.remaining else False)

    def to_wire(self) -> bytes:
        """One octet."""
        return bytes((self.keeps_alive,))


@dataclass(frozen=True, slots=True)
class Challenge:
    """Prove who you are: sign the nonce and the digest of the request."""

    nonce: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_sized("nonce"))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized(self.nonce)


@dataclass(frozen=True, slots=True)
class Referral:
    """Ask elsewhere: at the service a handle names, or at the sites among the values.

    ``values`` is None when the body ends behind the handle.
    """

    handle: str
    values: tuple[HandleValue, ...] | None = None

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises WireError."""
        handle = cursor.take_handle("referral handle")
        return cls(handle, values_from_wire(cursor) if cursor.remaining else None)

    def to_wire(self) -> bytes:
        """The octets of the body."""
        handle = sized_text(self.handle)
        return handle if self.values is None else handle + values_to_wire(self.values)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words; ``indexes`` name the values at fault for peers that read them.

    The reference client needs the length of the message even when it is 0.
    """

    message: str = ""
    indexes: tuple[int, ...] = ()

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor; a body without a message and foreign octets behind it are forgiven."""
        message = cursor.take_text("message") if cursor.remaining >= 4 else ""
        try:
            return cls(message, cursor.take_indexes("value indexes"))
        except MalformedMessage:
            return cls(message)

    def to_wire(self) -> bytes:
        """The octets of the body."""
        message = sized_text(self.message)
        return message + counted(map(pack_u32, self.indexes)) if self.indexes else message


SUCCESS_BODIES: dict[int, type[ResponseBody]] = {
    OpCode.RESOLUTION: Resolved,
    OpCode.GET_SITE_INFO: SiteInfo,
    OpCode.CREATE_HANDLE: Created,
    OpCode.LIST_HANDLES: Handles,
    OpCode.LIST_DERIVED_PREFIXES: Handles,
    OpCode.LIST_HOMED_PREFIXES: Handles,
    OpCode.VERIFY_RESPONSE: Verified,
    OpCode.SESSION_SETUP: SessionAccepted,
    OpCode.GET_NEXT_TRANSACTION_ID: NextTransaction,
    OpCode.RETRIEVE_TRANSACTION_LOG: StreamFollows,
    OpCode.LOGIN_PASSWORD: Resolved,
}
"""Which operation succeeds with which body; all others with ``Done``."""

_REFERRALS = {ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL}


def body_class(header: Header, version: Version) -> type[ResponseBody]:
    """The class of the body behind a header. Below 2.5, 303 is no referral but a read-only server."""
    code = header.response_code
    if code == ResponseCode.SUCCESS:
        return SUCCESS_BODIES.get(header.op_code, Done)
    if code == ResponseCode.AUTHENTICATION_NEEDED:
        return Challenge
    if code in _REFERRALS and (code == ResponseCode.SERVICE_REFERRAL or version >= versions.PREFIX_REFERRAL):
        return Referral
    return Failure


def body_from_wire(header: Header, cursor: Cursor, version: Version) -> tuple[RequestDigest | None, ResponseBody]:
    """The digest of the request, if the answer has one, and the body. Raises WireError.

    Challenges below 2.1 have their digest behind the nonce.
    """
    class_ = body_class(header, version)
    digest: RequestDigest | None = None
    has_prefix = bool(header.flags & OpFlag.REQUEST_DIGEST.value)
    if class_ is Challenge:
        if version < versions.REQUEST_DIGEST:
            body = Challenge.from_wire(cursor)
            return (RequestDigest.from_wire(cursor) if cursor.remaining else None), body
        has_prefix = True
    if has_prefix:
        digest = RequestDigest.from_wire(cursor)
    return digest, class_.from_wire(cursor)


def body_to_wire(body: ResponseBody, digest: RequestDigest | None, version: Version) -> bytes:
    """The octets of a body with the digest in its place."""
    octets = body.to_wire()
    if digest is None:
        return octets
    if isinstance(body, Challenge) and version < versions.REQUEST_DIGEST:
        return octets + digest.to_wire()
    return digest.to_wire() + octets
