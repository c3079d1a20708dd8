"""HS_SIGNATURE: a web signature over digests of the other values of the handle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.wire.claims import Claims
from resolver.wire.cursor import text_to_wire
from resolver.wire.jws import Jws


@dataclass(frozen=True, slots=True)
class HsSignature:
    """The signature; ``stored`` are the octets it came in, whose serialization is kept."""

    TYPES: ClassVar[tuple[str, ...]] = ("HS_SIGNATURE",)
    FORMAT: ClassVar[str] = "string"

    jws: Jws
    stored: bytes | None = None

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The signature in the data of a value. Raises WireError."""
        return cls(Jws.from_wire(data), data)

    def to_wire(self) -> bytes:
        """The data of a value: as it came, else the compact serialization."""
        return self.jws.to_compact() if self.stored is None else self.stored

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The signature in a JSON text. Raises WireError."""
        if not isinstance(value, str):
            raise InvalidValue("a text belongs here", field="data")
        return cls.from_wire(text_to_wire(value))

    def to_json(self) -> str:
        """The JSON text."""
        return self.to_wire().decode("ascii")

    @property
    def claims(self) -> Claims:
        """What is claimed, before anything is verified. Raises WireError."""
        return Claims.from_payload(self.jws.payload)
