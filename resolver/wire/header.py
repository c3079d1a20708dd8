"""The 24-octet header of a message and its operation flags (RFC 3652 section 2.2).

The header says what is asked or answered; how the body behind it is laid out is the business of
``requests`` and ``responses``.
"""

from __future__ import annotations

from enum import IntFlag
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resolver.wire.cursor import Cursor

OCTETS = 24
"""Octets of a header."""

SERIAL_UNKNOWN = 0xFFFF
"""Serial number of a site whose record is not known."""

EXPIRATION_S = 43_200
"""Seconds from now that a message says it is valid; clients refuse answers that have expired."""

_LAYOUT = Struct(">IIIHBBII")


class OpFlag(IntFlag):
    """What a request wants and an answer says (RFC 3652 section 2.2.1.4); the last three are IDIS's own."""

    AUTHORITATIVE = 0x8000_0000
    CERTIFIED = 0x4000_0000
    ENCRYPTION = 0x2000_0000
    RECURSIVE = 0x1000_0000
    CACHE_CERTIFY = 0x0800_0000
    CONTINUOUS = 0x0400_0000
    KEEP_ALIVE = 0x0200_0000
    PUBLIC_ONLY = 0x0100_0000
    REQUEST_DIGEST = 0x0080_0000
    OVERWRITE = 0x0040_0000
    MINT_SUFFIX = 0x0020_0000
    DO_NOT_REFER = 0x0010_0000
    RECURSION_IDENTITY = 0x4
    TRUST_ASKED = 0x2
    TRUST_VERIFIED = 0x1


CLIENT_FLAGS = OpFlag.RECURSIVE | OpFlag.CACHE_CERTIFY | OpFlag.PUBLIC_ONLY
"""Flags that the reference client sets by default."""

ECHOED_FLAGS = (
    OpFlag.CERTIFIED
    | OpFlag.CACHE_CERTIFY
    | OpFlag.ENCRYPTION
    | OpFlag.PUBLIC_ONLY
    | OpFlag.DO_NOT_REFER
    | OpFlag.REQUEST_DIGEST
)
"""Flags of a request that its answer repeats."""


def answer_flags(request_flags: int, *, is_primary: bool) -> int:
    """Flags of the answer to a request: the repeated ones, RECURSIVE as the reference server, AUTHORITATIVE if so."""
    flags = (request_flags & ECHOED_FLAGS.value) | OpFlag.RECURSIVE.value
    return flags | OpFlag.AUTHORITATIVE.value if is_primary else flags


class Header(NamedTuple):
    """The header of a message. ``op_code`` and ``response_code`` may be numbers that no table names.

    ``expiration_s`` is an epoch second. ``body_octets`` counts the body behind the header, without the credential.
    """

    op_code: int
    response_code: int
    flags: int
    site_serial: int
    recursion_count: int
    expiration_s: int
    body_octets: int

    @classmethod
    def from_wire(cls, cursor: Cursor) -> Header:
        """The header at the cursor. Raises MalformedMessage when octets are missing."""
        position = cursor.need(OCTETS, "header")
        op, code, flags, serial, recursion, _, expiration, body = _LAYOUT.unpack_from(cursor.octets, position)
        return cls(op, code, flags, serial, recursion, expiration, body)

    def to_wire(self) -> bytes:
        """The 24 octets."""
        return _LAYOUT.pack(
            self.op_code,
            self.response_code,
            self.flags,
            self.site_serial,
            self.recursion_count,
            0,
            self.expiration_s,
            self.body_octets,
        )

    @property
    def is_answer(self) -> bool:
        """Whether this is an answer; an answer must never be answered."""
        return self.response_code != 0

    def has(self, flag: OpFlag) -> bool:
        """Whether the flag is set."""
        return bool(self.flags & flag.value)
