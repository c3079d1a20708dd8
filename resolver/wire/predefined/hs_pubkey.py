"""HS_PUBKEY: a public key, in the protocol's form or, from IDIS tools, as bare PEM text or DER."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.wire.keys import DhPublicKey, PublicKey, public_key_from_jwk, public_key_from_wire


@dataclass(frozen=True, slots=True)
class HsPubkey:
    """A public key. ``stored`` are the octets it came in, so that they go out as they came."""

    TYPES: ClassVar[tuple[str, ...]] = ("HS_PUBKEY",)
    FORMAT: ClassVar[str] = "key"

    key: PublicKey
    stored: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The key in the data of a value. Raises MalformedMessage."""
        return cls(public_key_from_wire(data), data)

    def to_wire(self) -> bytes:
        """The data of a value: as it came, else the protocol's form."""
        return self.key.to_wire() if self.stored is None else self.stored

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The key in a JSON web key. Raises WireError."""
        return cls(public_key_from_jwk(value))

    def to_json(self) -> dict[str, str]:
        """The JSON web key.

        Raises InvalidValue for Diffie-Hellman keys, which have none, and for keys stored as PEM, DER or with other
        octets behind them than usual: their octets are shown instead, since a web key would come back as others.
        """
        if isinstance(self.key, DhPublicKey):
            raise InvalidValue("a Diffie-Hellman key has no JSON form", field="data")
        if self.stored is not None and self.stored != self.key.to_wire():
            raise InvalidValue("a key stored in another form than usual is shown as it is stored", field="data")
        return self.key.to_jwk()
