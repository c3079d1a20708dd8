"""What the predefined types whose data is a text have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.wire.cursor import text_from_wire, text_to_wire


@dataclass(frozen=True, slots=True)
class TextData:
    """Data that is UTF-8 text; octets that are not come back unchanged."""

    TYPES: ClassVar[tuple[str, ...]] = ()
    FORMAT: ClassVar[str] = "string"

    text: str

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The text in the data of a value."""
        return cls(text_from_wire(data))

    def to_wire(self) -> bytes:
        """The data of a value."""
        return text_to_wire(self.text)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The text in a JSON value. Raises InvalidValue."""
        if not isinstance(value, str):
            raise InvalidValue("a text belongs here", field="data")
        return cls(value)

    def to_json(self) -> str:
        """The JSON value."""
        return self.text
