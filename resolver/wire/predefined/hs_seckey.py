"""HS_SECKEY: a password, or the hexadecimal SHA-1 of one, which then is the secret itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.wire.cursor import text_from_wire, text_to_wire
from resolver.wire.digests import sha1


@dataclass(frozen=True, slots=True)
class HsSeckey:
    """The secret that challenges are answered with. It is not shown in ``repr``."""

    TYPES: ClassVar[tuple[str, ...]] = ("HS_SECKEY",)
    FORMAT: ClassVar[str] = "string"

    secret: bytes

    def __repr__(self) -> str:
        return "HsSeckey(...)"

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The secret in the data of a value: all of it."""
        return cls(data)

    @classmethod
    def from_password(cls, password: str) -> Self:
        """The secret that CNRI's tools store when they are told to hash a password."""
        return cls(sha1(text_to_wire(password)).hex().encode())

    def to_wire(self) -> bytes:
        """The data of a value."""
        return self.secret

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The secret in a JSON value. Raises InvalidValue."""
        if not isinstance(value, str):
            raise InvalidValue("a text belongs here", field="data")
        return cls(text_to_wire(value))

    def to_json(self) -> str:
        """The JSON value."""
        return text_from_wire(self.secret)
