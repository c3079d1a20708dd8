"""Prefix handles, 0.NA/PREFIX: what the Handle System is told about a prefix, kept in step with the registry.

What such a handle holds follows from the registry alone: ``PARTS`` has one function for each kind of value. When a row
changes, the values that followed from it before give way to those that follow now, in the transaction of the change.
Values that somebody else has put there or has changed since stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver import limits
from resolver.errors import WireError
from resolver.handle.name import PREFIX_OF_PREFIXES, fold
from resolver.handle.value import HandleValue, Permission, Reference
from resolver.node import administer, handle_admin, handle_keys, site_info
from resolver.node.administer import Target
from resolver.node.authorize import Action, Caller, Role, require
from resolver.node.prefixes import prefix_row
from resolver.node.values import to_pb
from resolver.registry import keys as keys_of_principals
from resolver.registry import prefixes, principals
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import registry_pb2 as pb
from resolver.wire.predefined.hs_admin import HsAdmin
from resolver.wire.predefined.hs_vlist import HsVlist

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from resolver.v1 import handle_pb2
    from resolver.v1 import stored_pb2 as stored
    from resolver.wire.predefined.hs_site import HsSite
    from storage.engine import Reader

    Values = dict[int, handle_pb2.HandleValue]

_SECRET = Permission.ADMIN_READ | Permission.ADMIN_WRITE

WITH_HANDLE = {pb.PREFIX_STATUS_ENABLED, pb.PREFIX_STATUS_DISABLED}
"""Prefixes that have a handle: those in service, and those that can be again."""


class Facts(NamedTuple):
    """All that the values of a prefix handle follow from.

    ``site`` is the node's own, None while it has no Handle door; ``keys`` are the keys of the owner's principals that
    are in force, by index.
    """

    row: pb.Prefix
    node_prefix: str
    site: HsSite | None
    keys: tuple[tuple[int, stored.StoredKey], ...]

    @property
    def name(self) -> str:
        """The prefix handle."""
        return f"{PREFIX_OF_PREFIXES}/{fold(self.row.prefix)}"

    @property
    def is_node(self) -> bool:
        """Whether the prefix is the node's own."""
        return fold(self.row.prefix) == fold(self.node_prefix)


def facts_of(reader: Reader, row: pb.Prefix, node_prefix: str) -> Facts:
    """What the registry knows of a prefix now."""
    of_node = fold(row.prefix) == fold(node_prefix)
    found = handle_keys.rows_of(reader, row.enterprise_id) if row.enterprise_id or of_node else ()
    keys = tuple((index, key) for index, key in found if not key.revoked)
    return Facts(row, node_prefix, site_info.stored_site(reader, node_prefix), keys)


def route(facts: Facts) -> list[handle_pb2.HandleValue]:
    """Where the handles of the prefix are answered, and its derived prefixes; nowhere while it is out of service."""
    if facts.row.status != pb.PREFIX_STATUS_ENABLED:
        return []
    if facts.row.hosting == pb.HOSTING_ELSEWHERE:
        routes = facts.row.routes
        return site_info.site_from_routes(routes) + site_info.site_from_routes(routes, of_prefix=True)
    if facts.site is None:
        return []
    return [to_pb(HandleValue(site_info.SITE_INDEX, "HS_SITE", facts.site.to_wire()))]


def administrators(facts: Facts) -> list[handle_pb2.HandleValue]:
    """Who administers the prefix: the members of its group."""
    admin = HsAdmin(Reference(facts.name, site_info.GROUP_INDEX))
    return [to_pb(HandleValue(site_info.ADMIN_INDEX, "HS_ADMIN", admin.to_wire()))]


def group(facts: Facts) -> list[handle_pb2.HandleValue]:
    """The members: key 300 by convention, the other keys of the owner, and whoever administers the node."""
    indexes = [site_info.KEY_INDEX, *(index for index, _ in facts.keys if index != site_info.KEY_INDEX)]
    members = [Reference(facts.name, index) for index in indexes]
    if not facts.is_node:
        members.append(Reference(f"{PREFIX_OF_PREFIXES}/{fold(facts.node_prefix)}", site_info.GROUP_INDEX))
    return [to_pb(HandleValue(site_info.GROUP_INDEX, "HS_VLIST", HsVlist(tuple(members)).to_wire()))]


def keys(facts: Facts) -> list[handle_pb2.HandleValue]:
    """The keys of the owner's principals; secrets are for administrators only."""
    return [
        to_pb(HandleValue(index, "HS_SECKEY", key.handle_data, permissions=_SECRET))
        if key.kind == pb.KEY_KIND_HANDLE_SECRET
        else to_pb(HandleValue(index, "HS_PUBKEY", key.handle_data))
        for index, key in facts.keys
    ]


PARTS: tuple[Callable[[Facts], list[handle_pb2.HandleValue]], ...] = (route, administrators, group, keys)
"""Each gives some values of a prefix handle, under indexes that no other part uses."""


def implied(facts: Facts | None) -> Values:
    """The values that follow from facts, by index; none for a prefix that has no handle."""
    if facts is None or facts.row.status not in WITH_HANDLE:
        return {}
    return {value.index: value for part in PARTS for value in part(facts)}


def follow(ledger: Ledger, principal_id: str, before: Facts | None, after: Facts) -> None:
    """Bring a prefix handle from what followed before to what follows now; with the prefix, its handle goes."""
    caller = Caller(principal_id, Role.NODE_ADMINISTRATOR)  # the node keeps the handle, whoever caused the change
    ledger.prefix_changed(fold(after.row.prefix), after.row)
    name, old, new = after.name, implied(before), implied(after)
    target = Target.of(name, None)
    found = ledger.find(target.key)
    if not new:
        if old and found is not None:
            administer.delete(ledger, caller, target)
        return
    if found is None:
        draft = administer.prepare(name, list(new.values()), "", ledger.now_us // 1_000_000, limits.RECORD_OCTETS_MAX)
        administer.create(ledger, caller, draft)
        return
    wanted = merged({value.index: value for value in found.all_values()}, old, new)
    draft = administer.prepare(name, wanted, "", ledger.now_us // 1_000_000, limits.RECORD_OCTETS_MAX)
    administer.create(ledger, caller, draft, registration.ON_EXISTING_REPLACE)


def merged(current: Values, old: Values, new: Values) -> list[handle_pb2.HandleValue]:
    """What a handle should hold that holds ``current``, when ``new`` follows where ``old`` did."""
    wanted = dict(current)
    for index, value in old.items():
        if index not in new and index in wanted and _same(wanted[index], value):
            del wanted[index]
    for index, value in new.items():
        there = wanted.get(index)
        if there is None:
            if index not in old:  # what followed before and is not there was taken out on purpose
                wanted[index] = value
        elif index in old and _same(there, old[index]):
            wanted[index] = value
        elif fold(there.type) == fold(value.type) == "HS_VLIST":
            wanted[index] = _with_members(there, old.get(index), value)
    return [wanted[index] for index in sorted(wanted)]


def _same(one: handle_pb2.HandleValue, other: handle_pb2.HandleValue) -> bool:
    return fold(one.type) == fold(other.type) and one.data == other.data


def _with_members(
    there: handle_pb2.HandleValue, old: handle_pb2.HandleValue | None, new: handle_pb2.HandleValue
) -> handle_pb2.HandleValue:
    """A list that somebody has changed, without the members that followed before and with those that follow now."""
    try:
        members = list(HsVlist.from_wire(there.data).references)
        gone = HsVlist.from_wire(old.data).references if old is not None else ()
        added = HsVlist.from_wire(new.data).references
    except WireError:
        return there
    kept = [member for member in members if member not in gone or member in added]
    kept += [member for member in added if member not in gone and member not in kept]
    changed = type(there)()
    changed.CopyFrom(there)
    changed.data = HsVlist(tuple(kept)).to_wire()
    return changed


def create(ledger: Ledger, caller: Caller, row: pb.Prefix, *, with_handle: bool = True) -> pb.Prefix:
    """Allot a prefix, or apply for one, and make its handle; ``with_handle`` False leaves that to the caller."""
    ledger.meter.require_prefix(caller, row.enterprise_id)
    made = prefixes.create(ledger.writer, caller, row, ledger.now_us)
    ledger.count_new_prefix()
    ledger.prefix_changed(fold(made.prefix), made)
    if with_handle:
        own = prefixes.node_prefix(ledger.writer).text
        follow(ledger, caller.principal_id, None, facts_of(ledger.writer, made, own))
    return made


def update(ledger: Ledger, caller: Caller, request: pb.UpdatePrefixRequest) -> pb.Prefix:
    """Change a prefix, and its handle with it."""
    own = prefixes.node_prefix(ledger.writer).text
    stored_row = prefix_row(ledger.writer, fold(request.prefix))
    before = None if stored_row is None else facts_of(ledger.writer, stored_row, own)
    changed = prefixes.update(ledger.writer, caller, request)
    follow(ledger, caller.principal_id, before, facts_of(ledger.writer, changed, own))
    return changed


def create_key(
    ledger: Ledger, caller: Caller, request: pb.CreateKeyRequest, randomness: Callable[[int], bytes]
) -> pb.CreateKeyResponse:
    """Give a principal a credential; a key of the Handle System goes into the handles of its prefixes too."""
    if request.kind not in keys_of_principals.HANDLE_KINDS:
        return keys_of_principals.create(ledger.writer, caller, request, ledger.now_us, randomness)
    require(caller, Action.ADMINISTER, "", f"keys of principal {request.principal_id[:64]!r}")
    enterprise_id = principals.load(ledger.writer, request.principal_id).enterprise_id
    before = _with_keys_of(ledger, enterprise_id)
    index = _free_index(ledger, enterprise_id, before)
    made = keys_of_principals.create_handle_key(ledger.writer, request, enterprise_id, index, ledger.now_us, randomness)
    _follow_all(ledger, caller, before)
    made.key.identities.extend(f"{index}:{facts.name}" for facts in before)
    return made


def revoke_key(ledger: Ledger, caller: Caller, key_id: str) -> pb.Key:
    """Revoke a credential; a key of the Handle System leaves the handles of its prefixes."""
    require(caller, Action.ADMINISTER, "", f"key {key_id[:64]!r}")
    place = keys_of_principals.handle_place(ledger.writer, key_id)
    before = [] if place is None else _with_keys_of(ledger, place[0])
    revoked = keys_of_principals.revoke(ledger.writer, caller, key_id)
    _follow_all(ledger, caller, before)
    return revoked


def _with_keys_of(ledger: Ledger, enterprise_id: str) -> list[Facts]:
    """The prefixes in whose handles the keys of an enterprise stand; those of the node "" in that of its prefix."""
    own = prefixes.node_prefix(ledger.writer).text
    if enterprise_id:
        found = prefixes.owned(ledger.writer, enterprise_id)
    else:
        row = prefix_row(ledger.writer, fold(own))
        found = [] if row is None else [row]
    return [facts_of(ledger.writer, row, own) for row in found]


def _follow_all(ledger: Ledger, caller: Caller, before: list[Facts]) -> None:
    for facts in before:
        follow(ledger, caller.principal_id, facts, facts_of(ledger.writer, facts.row, facts.node_prefix))


def _free_index(ledger: Ledger, enterprise_id: str, facts: list[Facts]) -> int:
    """The first index from 300 that no key of the enterprise has had and no handle of its prefixes uses."""
    taken = {index for index, _ in handle_keys.rows_of(ledger.writer, enterprise_id)}
    for one in facts:
        taken |= {value.index for value in handle_admin.values_in(ledger, one.name)}
    index = handle_keys.FIRST_INDEX
    while index in taken:
        index += 1
    return index
