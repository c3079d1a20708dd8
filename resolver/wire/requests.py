"""Bodies of requests, one frozen class per layout (RFC 3652 section 3).

Every class has ``from_wire(cursor)`` and ``to_wire()``; ``BODIES`` says which operation
has which. Octets behind the last field are ignored, as every server must: SDKs append things. The
files beside this one know envelopes and headers; this one knows neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from resolver import limits
from resolver.handle.codes import OpCode
from resolver.wire import versions
from resolver.wire.cursor import counted, pack_u16, pack_u32, sized, sized_text
from resolver.wire.digests import RequestDigest
from resolver.wire.replication_requests import DumpHandles, RetrieveSince, RetrieveTransactions
from resolver.wire.values import values_from_wire, values_to_wire

if TYPE_CHECKING:
    from resolver.handle.value import HandleValue
    from resolver.wire.cursor import Cursor
    from resolver.wire.versions import Version


class RequestBody(Protocol):
    """What every request body can do."""

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises WireError."""

    def to_wire(self) -> bytes:
        """The octets of the body."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Ask for values of a handle: those with one of the indexes or types, all when neither is given.

    ``identity`` is what an IDIS SDK appends to forward its user's identity; empty for all others.
    """

    handle: str
    indexes: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    identity: bytes = b""

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        handle = cursor.take_handle()
        indexes = cursor.take_indexes()
        count = cursor.take_count("types", 4, limits.VALUES_MAX)
        types = tuple(cursor.take_text("type", limits.NAME_OCTETS_MAX) for _ in range(count))
        return cls(handle, indexes, types, cursor.take_rest())

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return (
            sized_text(self.handle)
            + counted(map(pack_u32, self.indexes))
            + counted(map(sized_text, self.types))
            + self.identity
        )


@dataclass(frozen=True, slots=True)
class OfHandle:
    """A request that names a handle only: delete, list, home and unhome a prefix, site info, backup and the like."""

    handle: str

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_handle())

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized_text(self.handle)


@dataclass(frozen=True, slots=True)
class WithValues:
    """Create a handle with values, or add or modify values of one."""

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
class RemoveValues:
    """Remove the values with these indexes."""

    handle: str
    indexes: tuple[int, ...]

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_handle(), cursor.take_indexes())

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized_text(self.handle) + counted(map(pack_u32, self.indexes))


@dataclass(frozen=True, slots=True)
class ChallengeAnswer:
    """Answer a challenge as the user ``user_index:user_handle``; see ``challenges`` for what is signed."""

    auth_type: str
    user_handle: str
    user_index: int
    signed_response: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(
            cursor.take_text("authentication type", limits.TYPE_OCTETS_MAX),
            cursor.take_handle("user handle"),
            cursor.take_u32("user index"),
            cursor.take_sized("signed response"),
        )

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return (
            sized_text(self.auth_type)
            + sized_text(self.user_handle)
            + pack_u32(self.user_index)
            + sized(self.signed_response)
        )


@dataclass(frozen=True, slots=True)
class VerifyAnswer:
    """Ask the server that holds a secret key whether someone's challenge answer was made with it."""

    user_handle: str
    user_index: int
    nonce: bytes
    request_digest: RequestDigest
    signed_response: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(
            cursor.take_handle("user handle"),
            cursor.take_u32("user index"),
            cursor.take_sized("nonce"),
            RequestDigest.from_wire(cursor),
            cursor.take_sized("signed response"),
        )

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return (
            sized_text(self.user_handle)
            + pack_u32(self.user_index)
            + sized(self.nonce)
            + self.request_digest.to_wire()
            + sized(self.signed_response)
        )


MODE_CLIENT_KEY = 1
MODE_SERVER_KEY = 2
MODE_HANDLE_KEY = 3
MODE_DIFFIE_HELLMAN = 4

_SESSION_SETUP_PADDING = b"\0\0"


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """Ask for a session.

    ``public_key`` belongs to modes 1 and 4, ``key_handle`` and ``key_index`` to mode 3. An anonymous session has
    an empty identity and index 0xFFFFFFFF. Two spare octets follow, as the reference library counts the mode as
    four.
    """

    mode: int
    timeout_s: int
    identity_handle: str
    identity_index: int
    public_key: bytes = b""
    key_handle: str = ""
    key_index: int = 0

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        mode = cursor.take_u16("key exchange mode")
        timeout_s = cursor.take_u32("session timeout")
        identity, index = cursor.take_handle("identity handle"), cursor.take_u32("identity index")
        if mode in {MODE_CLIENT_KEY, MODE_DIFFIE_HELLMAN}:
            return cls(mode, timeout_s, identity, index, public_key=cursor.take_sized("exchange key"))
        if mode == MODE_HANDLE_KEY:
            key_handle, key_index = cursor.take_handle("exchange key handle"), cursor.take_u32("exchange key index")
            return cls(mode, timeout_s, identity, index, key_handle=key_handle, key_index=key_index)
        return cls(mode, timeout_s, identity, index)

    def to_wire(self) -> bytes:
        """The octets of the body with the two spare octets."""
        key = b""
        if self.mode in {MODE_CLIENT_KEY, MODE_DIFFIE_HELLMAN}:
            key = sized(self.public_key)
        elif self.mode == MODE_HANDLE_KEY:
            key = sized_text(self.key_handle) + pack_u32(self.key_index)
        return b"".join(
            (
                pack_u16(self.mode),
                pack_u32(self.timeout_s),
                sized_text(self.identity_handle),
                pack_u32(self.identity_index),
                key,
                _SESSION_SETUP_PADDING,
            )
        )


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """Hand over a session key encrypted with the public key of the server (key exchange mode 2)."""

    encrypted_key: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_sized("encrypted session key"))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized(self.encrypted_key)


@dataclass(frozen=True, slots=True)
class Login:
    """Log in to an IDIS node as ``user_index:user_handle`` for the life of the connection (operation 2001)."""

    user_handle: str
    user_index: int

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """The body at the cursor. Raises MalformedMessage."""
        return cls(cursor.take_handle("user handle"), cursor.take_u32("user index"))

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return sized_text(self.user_handle) + pack_u32(self.user_index)


@dataclass(frozen=True, slots=True)
class Opaque:
    """The body of an operation this codec has no layout for."""

    octets: bytes

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Self:
        """All octets of the body."""
        return cls(cursor.take_rest())

    def to_wire(self) -> bytes:
        """The octets of the body."""
        return self.octets


BODIES: dict[int, type[RequestBody]] = {
    OpCode.RESOLUTION: Resolution,
    OpCode.GET_SITE_INFO: OfHandle,
    OpCode.CREATE_HANDLE: WithValues,
    OpCode.DELETE_HANDLE: OfHandle,
    OpCode.ADD_VALUE: WithValues,
    OpCode.REMOVE_VALUE: RemoveValues,
    OpCode.MODIFY_VALUE: WithValues,
    OpCode.LIST_HANDLES: OfHandle,
    OpCode.LIST_DERIVED_PREFIXES: OfHandle,
    OpCode.CHALLENGE_RESPONSE: ChallengeAnswer,
    OpCode.VERIFY_RESPONSE: VerifyAnswer,
    OpCode.HOME_PREFIX: OfHandle,
    OpCode.UNHOME_PREFIX: OfHandle,
    OpCode.LIST_HOMED_PREFIXES: OfHandle,
    OpCode.SESSION_SETUP: SessionSetup,
    OpCode.SESSION_TERMINATE: OfHandle,
    OpCode.SESSION_EXCHANGE_KEY: ExchangeKey,
    OpCode.GET_NEXT_TRANSACTION_ID: OfHandle,
    OpCode.RETRIEVE_TRANSACTION_LOG: RetrieveTransactions,
    OpCode.DUMP_HANDLES: DumpHandles,
    OpCode.BACKUP_SERVER: OfHandle,
    OpCode.LOGIN_PASSWORD: Resolution,
    OpCode.LOGIN_ID_SYSTEM: Login,
}
"""Which operation has which body; others are ``Opaque``."""


def body_from_wire(op_code: int, cursor: Cursor, version: Version) -> RequestBody:
    """The body of a request. Raises WireError."""
    if op_code == OpCode.RETRIEVE_TRANSACTION_LOG and version < versions.REPLICATION_STATE:
        return RetrieveSince.from_wire(cursor)
    return BODIES.get(op_code, Opaque).from_wire(cursor)
