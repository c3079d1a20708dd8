"""A handle as somebody wants it registered: checked and completed, ready to be compared with what is stored.

Everything that needs no store has been decided: the key, the prefix, the octets of the public values as they will be
stored and sent. Most drafts become records without being looked into again, so the values are kept as octets only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import InvalidField
from resolver.handle.name import Handle
from resolver.node import record_octets, values
from resolver.v1 import handle_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATE_ID_OCTETS_MAX = 128
"""Octets of a template id: its row's key in the store."""


class Draft(NamedTuple):
    """What is to be written for one handle."""

    name: str
    """The handle as it is spelled."""
    key: bytes
    prefix_key: bytes
    """Key of the row of its prefix."""
    head: bytes
    """Name and public values, serialised; see ``record_octets.head``."""
    restricted: bytes
    """Body of the row of RESTRICTED; b"" when there is none."""
    template_id: str

    @property
    def handle(self) -> Handle:
        """The handle."""
        return Handle.from_text(self.name)

    def values(self) -> list[pb.HandleValue]:
        """All values in their order."""
        return values.joined(pb.HandleRecord.FromString(self.head).values, self.restricted)


def prepare(
    name: str,
    given: Sequence[pb.HandleValue],
    template_id: str,
    now_s: int,
    record_octets_max: int,
    *,
    may_be_empty: bool = False,
) -> Draft:
    """Check a handle and all its values. Raises WireError leaves."""
    handle = Handle.from_text(name)
    if not handle.text.isprintable():
        handle.check_registrable()
    if len(template_id.encode()) > TEMPLATE_ID_OCTETS_MAX:
        raise InvalidField(
            f"the template id has more than {TEMPLATE_ID_OCTETS_MAX} octets: check it", field="template_id"
        )
    return of_values(handle, values.complete(given, now_s, may_be_empty=may_be_empty), template_id, record_octets_max)


def of_values(handle: Handle, complete: list[pb.HandleValue], template_id: str, record_octets_max: int) -> Draft:
    """The draft of a handle with complete values. Raises RecordTooLarge."""
    public, restricted = values.split(complete)
    head = record_octets.head(handle.text, public)
    hidden = record_octets.restricted_octets(restricted)
    values.check_record_octets(len(head) + len(hidden), record_octets_max)
    return Draft(handle.text, handle.key, handle.prefix_folded.encode(), head, hidden, template_id)
