"""HS_VLIST: a group, as references to values that are administrators or further groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.handle.value import Reference
from resolver.wire import bounds
from resolver.wire.cursor import Cursor, counted, reference_to_wire
from resolver.wire.json_members import handle_to_json, member_handle, member_index


@dataclass(frozen=True, slots=True)
class HsVlist:
    """The members of a group in the order of the record."""

    TYPES: ClassVar[tuple[str, ...]] = ("HS_VLIST",)
    FORMAT: ClassVar[str] = "vlist"

    references: tuple[Reference, ...]

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The group in the data of a value. Raises MalformedMessage."""
        return cls(Cursor(data).take_references("references", bounds.ADMINISTRATORS_MAX))

    def to_wire(self) -> bytes:
        """The data of a value."""
        return counted(map(reference_to_wire, self.references))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The group in a JSON value: a list of objects with handle and index. Raises InvalidValue."""
        if not isinstance(value, list):
            raise InvalidValue("a vlist is a list of objects with handle and index", field="data")
        if len(value) > bounds.ADMINISTRATORS_MAX:
            words = f"the vlist has {len(value)} members; at most {bounds.ADMINISTRATORS_MAX} are allowed"
            raise InvalidValue(words, field="data")
        return cls(tuple(Reference(member_handle(item), member_index(item, "index")) for item in value))

    def to_json(self) -> list[dict[str, Any]]:
        """The JSON value. Raises InvalidValue when a member's name is no UTF-8."""
        return [{"handle": handle_to_json(reference.name), "index": reference.index} for reference in self.references]
