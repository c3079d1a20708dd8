"""Who may administer a handle, by its HS_ADMIN values, and which bits an operation needs (RFC 3651 section 3.2.1).

An HS_ADMIN names a value of a handle: a key, or an HS_VLIST whose members are keys or further lists. All bits an
operation needs must stand in one HS_ADMIN that leads to the identity. This limits what the policy of
``authorize`` grants; it never grants more. Values come through a lookup, so the same code judges what a reader sees
and what a write transaction is about to change.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.errors import InvalidName, WireError
from resolver.handle.codes import ResponseCode
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold, whole_name
from resolver.handle.value import Permission
from resolver.node.hdl_declined import Declined, not_an_administrator
from resolver.node.record_octets import StoredRecord
from resolver.node.values import content
from resolver.wire.predefined.hs_admin import AdminPermission, HsAdmin
from resolver.wire.predefined.hs_vlist import HsVlist
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from resolver.handle.value import Reference
    from resolver.node.authorize import Caller
    from resolver.node.ledger import Ledger
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

    Lookup = Callable[[str], list[pb.HandleValue]]

LOOKUPS_MAX = 64
"""Lists read to find an identity in nested HS_VLISTs: work that a stranger's records can cause is bounded."""

MEMBERS_MAX = 16_384
"""Members of those lists that are compared, twenty milliseconds: four lists of the largest size."""

_NONE = AdminPermission(0)


@dataclass(frozen=True, slots=True)
class Identity:
    """Someone who has proven to hold the key ``index:handle``; the handle is written out, never a bare prefix.

    ``caller`` is what the policy knows of it; ``is_server_admin`` says that it administers the whole server, by
    configuration, and is not limited by HS_ADMIN values. ``is_idis_login`` says that it logged in on a connection,
    as IDIS clients do, and was not challenged for the request. ``key`` is the digest of the key, b"" for one that lives
    in another node.
    """

    handle: str
    index: int
    caller: Caller
    is_server_admin: bool = False
    is_idis_login: bool = False
    key: bytes = b""

    @property
    def text(self) -> str:
        """``INDEX:HANDLE``."""
        return f"{self.index}:{self.handle}"

    def is_named_by(self, reference: Reference) -> bool:
        """Whether a reference means this identity; index 0 means every key of the handle."""
        return reference.index in {0, self.index} and fold(whole_name(reference.name)) == fold(self.handle)


def values_of(reader: Reader, name: str) -> list[pb.HandleValue]:
    """All values of a handle, restricted ones too; empty when it is not registered here."""
    try:
        key = Handle.from_text(name).key
    except InvalidName:
        return []
    public = reader.get(Table.RECORDS, key)
    if public is None:
        return []
    return StoredRecord(public, reader.get(Table.RESTRICTED, key) or b"").all_values()


def is_registered(reader: Reader, name: str) -> bool:
    """Whether a handle is registered here, with values or without."""
    try:
        return reader.get(Table.RECORDS, Handle.from_text(name).key) is not None
    except InvalidName:
        return False


def values_in(ledger: Ledger, name: str) -> list[pb.HandleValue]:
    """All values of a handle as a write transaction sees it."""
    try:
        record = ledger.find(Handle.from_text(name).key)
    except InvalidName:
        return []
    return [] if record is None else record.all_values()


def may(identity: Identity, values: Iterable[pb.HandleValue], lookup: Lookup, *alternatives: AdminPermission) -> bool:
    """Whether one HS_ADMIN among the values leads to the identity and has all bits of one alternative."""
    if identity.is_server_admin:
        return True
    budget = _Budget()
    for value in values:
        if fold(value.type) != "HS_ADMIN":
            continue
        try:
            admin = HsAdmin.from_wire(value.data)
        except WireError:
            continue
        if not any(bits & admin.permissions == bits for bits in alternatives):
            continue
        if _leads_to(admin.admin, identity, lookup, budget):
            return True
    return False


def require(
    identity: Identity, values: Iterable[pb.HandleValue], lookup: Lookup, *alternatives: AdminPermission
) -> None:
    """Raise Declined (400) unless ``may``."""
    if not may(identity, values, lookup, *alternatives):
        raise not_an_administrator()


@dataclass(slots=True)
class _Budget:
    """What is left of the work for one question."""

    lookups: int = LOOKUPS_MAX
    members: int = MEMBERS_MAX


def _leads_to(start: Reference, identity: Identity, lookup: Lookup, budget: _Budget) -> bool:
    """Whether a reference is the identity or a list that leads to it, breadth first."""
    waiting = deque([start])
    seen: set[tuple[str, int]] = set()
    while waiting:
        reference = waiting.popleft()
        if identity.is_named_by(reference):
            return True
        place = (fold(whole_name(reference.name)), reference.index)
        if reference.index == 0 or place in seen or budget.lookups <= 0:
            continue
        seen.add(place)
        budget.lookups -= 1
        members = _members(lookup(reference.name), reference.index)[: budget.members]
        budget.members -= len(members)
        waiting.extend(members)
    return False


def _members(values: Iterable[pb.HandleValue], index: int) -> tuple[Reference, ...]:
    for value in values:
        if value.index == index and fold(value.type) == "HS_VLIST":
            try:
                return HsVlist.from_wire(value.data).references
            except WireError:
                return ()
    return ()


def judges(identity: Identity, name: str, values: list[pb.HandleValue], lookup: Lookup) -> list[pb.HandleValue]:
    """The values whose HS_ADMINs judge a handle: its own; for an IDIS login its prefix handle's when it has none.

    Handles that the ID-SDK makes name no administrator, and it goes on to change them: there, who may create may
    change. To clients of the Handle System such a handle is closed, as at the reference server.
    """
    if not identity.is_idis_login or any(_is_admin(value) for value in values):
        return values
    try:
        return lookup(Handle.from_text(name).prefix_handle)
    except InvalidName:
        return values


def to_create(name: str) -> tuple[str, AdminPermission]:
    """The handle whose HS_ADMIN values decide who may create a handle, and the bit they need.

    The handle of a derived prefix needs the right to add those, on the handle of the prefix above it.
    """
    handle = Handle.from_text(name)
    parent, dot, _ = handle.suffix.rpartition(".")
    if handle.prefix_folded == PREFIX_OF_PREFIXES and dot:
        return f"{PREFIX_OF_PREFIXES}/{parent}", AdminPermission.ADD_DERIVED_PREFIX
    return handle.prefix_handle, AdminPermission.ADD_HANDLE


def _is_admin(value: pb.HandleValue) -> bool:
    return fold(value.type) == "HS_ADMIN"


def to_add(added: Iterable[pb.HandleValue]) -> AdminPermission:
    """The bits that adding values needs."""
    bits = _NONE
    for value in added:
        bits |= AdminPermission.ADD_ADMIN if _is_admin(value) else AdminPermission.ADD_VALUE
    return bits


def to_remove(removed: Iterable[pb.HandleValue]) -> AdminPermission:
    """The bits that removing values needs."""
    bits = _NONE
    for value in removed:
        bits |= AdminPermission.REMOVE_ADMIN if _is_admin(value) else AdminPermission.REMOVE_VALUE
    return bits


_MODIFY = {
    (False, False): AdminPermission.MODIFY_VALUE,
    (True, True): AdminPermission.MODIFY_ADMIN,
    (True, False): AdminPermission.REMOVE_ADMIN | AdminPermission.MODIFY_VALUE,
    (False, True): AdminPermission.MODIFY_VALUE | AdminPermission.ADD_ADMIN,
}
"""Bits by whether a value was and will be an HS_ADMIN."""


def to_modify(pairs: Iterable[tuple[pb.HandleValue, pb.HandleValue]]) -> AdminPermission:
    """The bits that putting new values in place of old ones needs."""
    bits = _NONE
    for before, after in pairs:
        bits |= _MODIFY[_is_admin(before), _is_admin(after)]
    return bits


def changed(pairs: Iterable[tuple[pb.HandleValue, pb.HandleValue]]) -> list[tuple[pb.HandleValue, pb.HandleValue]]:
    """The pairs whose new value says something else than the old one: to repeat a value takes no right."""
    return [(before, after) for before, after in pairs if content(before) != content(after)]


def to_overwrite(before: Sequence[pb.HandleValue], after: Sequence[pb.HandleValue]) -> AdminPermission:
    """The bits that turning one set of values into another needs, value by value."""
    old = {value.index: value for value in before}
    new = {value.index: value for value in after}
    return (
        to_add(value for index, value in new.items() if index not in old)
        | to_remove(value for index, value in old.items() if index not in new)
        | to_modify(changed((old[index], value) for index, value in new.items() if index in old))
    )


def require_writable(values: Iterable[pb.HandleValue]) -> None:
    """Raise Declined (401) when a value to be modified does not let its administrators write it.

    It can be removed, and overwritten by an addition, as at the reference server.
    """
    indexes = [value.index for value in values if not value.permissions & Permission.ADMIN_WRITE]
    if indexes:
        raise Declined(
            ResponseCode.INSUFFICIENT_PERMISSIONS,
            f"values {', '.join(map(str, indexes[:20]))} may not be changed by administrators",
            indexes=indexes,
        )
