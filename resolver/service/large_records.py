"""Who asks for a large record waits for a turn of the loop, and holds nothing of the record meanwhile.

What an answer costs is known from the octets of the row, before anything is read from them. Small records are answered
whatever the time is: they cost one comparison more. Records of other nodes that are kept count as well.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from resolver.errors import ResolverError
from resolver.handle.name import PREFIX_OF_PREFIXES, key_of_octets
from resolver.service.hdl_peer import network_of
from resolver.wire.cursor import text_to_wire
from storage.tables import MARK, Table, marks_of

if TYPE_CHECKING:
    from resolver.service.core import Core

LARGE_OCTETS = 4_096
"""Octets of a row above which its answer waits: a hundred usual values, or some hundred of the smallest, which cost
half a millisecond."""

_SYSTEM = PREFIX_OF_PREFIXES.encode() + b"/"


def must_wait(core: Core, octets: int) -> bool:
    """Whether a record of so many octets is large and this turn of the loop is used up."""
    return octets > LARGE_OCTETS and not core.turns.has_room()


async def turn_for(core: Core, name: str, source: str) -> bool:
    """Wait for a turn of the loop when the record of a name is large; whether that was necessary. Raises TurnsFull."""
    octets = text_to_wire(name)
    key = key_of_octets(octets if b"/" in octets else _SYSTEM + octets)
    if core.residency.cold and (absent := core.residency.absent([key])):
        await core.residency.touch(absent)
    if not must_wait(core, _octets_at(core, key, name)):
        return False
    await core.turns.take(network_of(source))
    return True


def _octets_at(core: Core, key: bytes, name: str) -> int:
    """Octets of what is kept of a name."""
    with core.reading() as reader:
        row = reader.get_row(Table.RECORDS, key)
        if row is not None:
            hidden = reader.get_row(Table.RESTRICTED, key) if marks_of(row) & MARK else None
            return len(row) + len(hidden or b"")
    if core.elsewhere is not None:
        with suppress(ResolverError):
            found = core.elsewhere.recall(name)
            return 0 if found is None else len(found.body)
    return 0
