"""Handle records: a handle with its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.handle.name import WantedTypes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.handle.name import Handle
    from resolver.handle.value import HandleValue


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """A handle and its values in ascending order of index.

    ``version`` counts the changes of the handle from 1; ``serial`` is the journal entry that made it.
    """

    handle: Handle
    values: tuple[HandleValue, ...]
    version: int = 0
    serial: int = 0

    def select(self, types: Iterable[str] = (), indexes: Iterable[int] = ()) -> tuple[HandleValue, ...]:
        """The values that match a type or an index; all when neither is given (RFC 3652 section 3.2)."""
        types, wanted = tuple(types), frozenset(indexes)
        if not types and not wanted:
            return self.values
        kinds = WantedTypes(types)
        return tuple(value for value in self.values if value.index in wanted or value.type in kinds)
