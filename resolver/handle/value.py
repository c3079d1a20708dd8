"""Handle values (RFC 3651 section 3.1): index, type, data, TTL, permissions, timestamp, references.

Frozen nouns that the wire codec and the text formats speak. The store and gRPC speak the protobuf
message ``resolver.v1.HandleValue``; ``resolver.node.values`` turns one into the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Self

from resolver import limits
from resolver.errors import InvalidValue


class Permission(IntFlag):
    """The four permission bits of a value; the numbers are those of the wire."""

    PUBLIC_WRITE = 1
    PUBLIC_READ = 2
    ADMIN_WRITE = 4
    ADMIN_READ = 8

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Permissions from four digits 0 or 1: admin read, admin write, public read, public write."""
        if len(text) != 4 or set(text) - {"0", "1"}:
            raise InvalidValue(
                f"{text[:20]!r} are not permissions: give four digits 0 or 1 for admin read, admin write, public "
                "read, public write, such as 1110",
                field="permissions",
            )
        return cls(int(text, 2))

    def to_text(self) -> str:
        """Four digits: admin read, admin write, public read, public write."""
        return f"{self.value:04b}"


PERMISSIONS_DEFAULT = Permission.ADMIN_READ | Permission.ADMIN_WRITE | Permission.PUBLIC_READ
"""Permissions of a value that names none: 1110, as in the reference server."""


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long a cache may keep a value: ``seconds`` from when it was resolved, or until an epoch second.

    Peers in Java write a negative number of seconds as one from 2^31 on: it is read, means none, and is not stored.
    """

    seconds: int = limits.TTL_DEFAULT_S
    absolute: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= limits.INDEX_MAX:
            raise InvalidValue(f"TTL {self.seconds} is outside 0 to {limits.INDEX_MAX} seconds", field="ttl")

    def remaining_s(self, now_s: int) -> int:
        """Seconds that a copy resolved now stays valid; 0 when it has run out."""
        if self.absolute:
            return max(0, self.seconds - now_s)
        return self.seconds if self.seconds <= limits.TTL_RELATIVE_MAX_S else 0


_INDEX_DIGITS_MAX = 10


def _index_of(digits: str) -> int:
    """The number that ASCII digits name. Raises InvalidValue for far too many: no index has them."""
    if len(digits) > _INDEX_DIGITS_MAX:
        raise InvalidValue(f"index {digits[:20]} is outside 0 to {limits.INDEX_MAX}", field="index")
    return int(digits)


@dataclass(frozen=True, slots=True)
class Reference:
    """Names a value of a handle; index 0 means the handle as a whole."""

    name: str
    index: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.index <= limits.INDEX_MAX:
            raise InvalidValue(f"reference index {self.index} is outside 0 to {limits.INDEX_MAX}", field="references")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The reference that ``INDEX:HANDLE`` or a bare handle names. Raises InvalidValue."""
        head, colon, tail = text.partition(":")
        if colon and head.isascii() and head.isdigit():
            return cls(tail, _index_of(head))
        return cls(text)

    def to_text(self) -> str:
        """``INDEX:HANDLE``."""
        return f"{self.index}:{self.name}"


@dataclass(frozen=True, slots=True)
class HandleValue:
    """One typed value of a handle.

    ``timestamp_s`` is the time of the last change in epoch seconds, set by the server that stores the value.
    Index 0 is accepted here because templates and references on the wire use it; a record refuses it.
    """

    index: int
    type: str
    data: bytes
    ttl: Ttl = field(default_factory=Ttl)
    permissions: Permission = PERMISSIONS_DEFAULT
    timestamp_s: int = 0
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.index <= limits.INDEX_MAX:
            raise InvalidValue(f"index {self.index} is outside 0 to {limits.INDEX_MAX}", field="index")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The value that ``INDEX:TYPE:DATA`` names, with default TTL and permissions.

        The data is everything after the second colon, as UTF-8. Raises InvalidValue.
        """
        index, first, rest = text.partition(":")
        type_, second, data = rest.partition(":")
        if not first or not second or not (index.isascii() and index.isdigit()):
            raise InvalidValue(
                f"{text[:80]!r} is not a value: give INDEX:TYPE:DATA, such as 1:URL:https://example.com/", field="value"
            )
        return cls(_index_of(index), type_, data.encode("utf-8", "surrogateescape"))

    @property
    def text(self) -> str | None:
        """The data as text, None when it is not UTF-8."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return None

    @property
    def is_public(self) -> bool:
        """Whether everybody may read the value."""
        return bool(self.permissions & Permission.PUBLIC_READ)
