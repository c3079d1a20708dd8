"""Changes that come over the Handle protocol, as jobs of the write lane.

Each operation has two halves. ``before_...`` says what can be said without knowing who asks: the reference server
looks at existence and indexes before it challenges, and clients rely on it. The job then judges identity, policy and
existence again, inside the transaction that makes the change.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from resolver.errors import (
    HandleAlreadyExists,
    HandleNotFound,
    InvalidPrefix,
    InvalidValue,
    PrefixElsewhere,
    PrefixNotServed,
    ValueAlreadyExists,
    ValuesNotFound,
)
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, Prefix, fold
from resolver.node import administer, handle_admin, prefixes, values
from resolver.node.administer import Target
from resolver.node.authorize import Action
from resolver.node.authorize import require as require_policy
from resolver.registry import prefix_handles
from resolver.registry import prefixes as registry_prefixes
from resolver.registry.undo import whole_or_nothing
from resolver.telemetry.calls import HDL_TCP
from resolver.v1 import registration_pb2 as registration
from resolver.v1 import registry_pb2 as registry
from resolver.wire.predefined.hs_admin import AdminPermission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resolver.handle.value import HandleValue
    from resolver.node.handle_admin import Identity, Lookup
    from resolver.node.ledger import Ledger
    from resolver.service.core import Core
    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

T = TypeVar("T")

_INDEX_END = 1 << 31


@dataclass
class Decision(Generic[T]):
    """A job of the write lane made of one function."""

    decide: Callable[[Ledger], T]
    frees_space: bool = False
    cost: int = 1
    door: str = HDL_TCP

    def prepare(self) -> None:
        """Everything was prepared before the job was made."""

    def apply(self, ledger: Ledger) -> T:
        """Decide and tell the ledger."""
        return self.decide(ledger)


def _messages(given: Sequence[HandleValue]) -> list[pb.HandleValue]:
    """Values as they are stored. Raises InvalidValue for a type or a reference that is no text."""
    try:
        return [values.to_pb(value) for value in given]
    except UnicodeEncodeError:
        raise InvalidValue("a value has a type or a reference that is not valid UTF-8", field="values") from None


def check_indexes(given: Sequence[HandleValue]) -> None:
    """Raise InvalidValue for an index that is not positive and ValueAlreadyExists for one that occurs twice.

    Clients in Java read an index from 2^31 on as negative, and the reference server refuses it as such.
    """
    seen: set[int] = set()
    for value in given:
        if not 0 < value.index < _INDEX_END:
            raise InvalidValue("Value indexes must be positive", field="values")
        if value.index in seen:
            raise ValueAlreadyExists(f"Index conflict for {value.index}", field="values")
        seen.add(value.index)


def _require_overwriting(
    identity: Identity, name: str, judges: Sequence[pb.HandleValue], lookup: Lookup, bits: AdminPermission
) -> None:
    """Raise Declined unless an identity may put other values in place of all a handle has.

    It may when it may do so value by value, when it may make itself an administrator who does, and when it may delete
    the handle and create it.
    """
    if handle_admin.may(identity, judges, lookup, bits, AdminPermission.ADD_ADMIN):
        return
    handle_admin.require(identity, judges, lookup, AdminPermission.DELETE_HANDLE)
    place, bit = handle_admin.to_create(name)
    handle_admin.require(identity, lookup(place), lookup, bit)


class HandleChanges:
    """The changing operations of one worker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def _submit(self, decide: Callable[[Ledger], T], door: str, *, frees_space: bool = False) -> T:
        def whole(ledger: Ledger) -> T:
            with whole_or_nothing(ledger):
                return decide(ledger)

        return await self._core.lane.submit(Decision(whole, frees_space, door=door))

    def _now_s(self) -> int:
        return self._core.clock.now_us() // 1_000_000

    def _is_allottable(self, reader: Reader, handle: Handle) -> Prefix | None:
        """The prefix that creating a prefix handle allots: one under the node's that has no row yet."""
        if handle.prefix_folded != PREFIX_OF_PREFIXES or prefixes.prefix_row(reader, fold(handle.suffix)) is not None:
            return None
        try:
            prefix = Prefix.from_text(handle.suffix)
        except InvalidPrefix:
            return None
        return prefix if prefix.is_derived_from(registry_prefixes.node_prefix(reader)) else None

    def _require_here(self, reader: Reader, handle: Handle, *, is_whole: bool = True) -> None:
        """Raise why a handle cannot be changed here: its prefix lives elsewhere, or it is another server's."""
        if handle.prefix_folded == PREFIX_OF_PREFIXES:
            self._core.require_registry()
            return
        self._core.served.require(reader, handle.prefix)
        if is_whole:
            self._core.served.require_own(handle.text)

    def _minted(self, start: str) -> str:
        """A name with a suffix of its own, one of this server's."""
        share = self._core.served.share

        def mint() -> str:
            return start + str(uuid.UUID(bytes=self._core.randomness(16), version=4))

        return mint() if share is None else share.first_held(mint)

    def before_create(self, name: str, given: Sequence[HandleValue], *, overwrites: bool, mints: bool) -> None:
        """Raise what is wrong with a creation, whoever asks."""
        handle = Handle.from_text(name + "x" if mints else name)
        with self._core.reading() as reader:
            self._require_here(reader, handle, is_whole=not mints)
            check_indexes(given)
            if not overwrites and not mints and handle_admin.is_registered(reader, name):
                raise HandleAlreadyExists("")

    async def create(
        self,
        identity: Identity,
        name: str,
        given: Sequence[HandleValue],
        *,
        overwrites: bool,
        mints: bool,
        door: str = HDL_TCP,
    ) -> tuple[str, bool]:
        """Create a handle; its name, and whether one was overwritten."""
        if mints:
            name = self._minted(name)
        most = self._core.options.record_octets_max
        draft = administer.prepare(name, _messages(given), "", self._now_s(), most, may_be_empty=True)

        def decide(ledger: Ledger) -> bool:
            def lookup(other: str) -> list[pb.HandleValue]:
                return handle_admin.values_in(ledger, other)

            record = ledger.find(draft.key)
            before = [] if record is None else record.all_values()
            if record is not None:
                if not overwrites:
                    raise HandleAlreadyExists("")
                judges = handle_admin.judges(identity, name, before, lookup)
                _require_overwriting(identity, name, judges, lookup, handle_admin.to_overwrite(before, draft.values()))
            else:
                place, bit = handle_admin.to_create(name)
                handle_admin.require(identity, lookup(place), lookup, bit)
                self._allot(ledger, identity, draft.handle)
            on_existing = registration.ON_EXISTING_REPLACE if overwrites else registration.ON_EXISTING_FAIL
            administer.create(ledger, identity.caller, draft, on_existing)
            return record is not None

        replaced = await self._submit(decide, door)
        if draft.handle.prefix_folded == PREFIX_OF_PREFIXES:
            self._core.poll()
        return name, replaced

    def _allot(self, ledger: Ledger, identity: Identity, handle: Handle) -> None:
        """Allot the prefix whose handle is created, as the creation of a prefix handle means in this protocol."""
        prefix = self._is_allottable(ledger.writer, handle)
        if prefix is not None:
            row = registry.Prefix(prefix=prefix.text, description="allotted by its prefix handle")
            prefix_handles.create(ledger, identity.caller, row, with_handle=False)

    async def delete(self, identity: Identity, name: str, *, door: str = HDL_TCP) -> None:
        """Delete a handle."""
        target = Target.of(name, None)

        def decide(ledger: Ledger) -> None:
            self._require(ledger, identity, target, self._found(ledger, target), AdminPermission.DELETE_HANDLE)
            administer.delete(ledger, identity.caller, target)

        await self._submit(decide, door, frees_space=True)

    def before_change(self, name: str) -> None:
        """Raise what is wrong with a change of a handle, whoever asks."""
        with self._core.reading() as reader:
            self._require_here(reader, Handle.from_text(name))

    def before_delete(self, name: str) -> None:
        """Raise what is wrong with a deletion, whoever asks.

        What lies here by mistake can be deleted, so who asks is told that the prefix lives elsewhere only afterwards.
        """
        with suppress(PrefixNotServed, PrefixElsewhere):
            self.before_change(name)

    def before_add(self, name: str, given: Sequence[HandleValue]) -> None:
        """Raise what is wrong with an addition, whoever asks."""
        self.before_change(name)
        if not given:
            raise InvalidValue("no value is given: give those to add", field="values")
        check_indexes(given)

    def before_modify(self, name: str, given: Sequence[HandleValue]) -> None:
        """Raise what is wrong with a modification, whoever asks: a value is missing, or may not be written."""
        self.before_change(name)
        with self._core.reading() as reader:
            if not handle_admin.is_registered(reader, name):
                raise HandleNotFound("")
            present = {value.index: value for value in handle_admin.values_of(reader, name)}
        for value in given:
            if value.index not in present:
                raise ValuesNotFound("")
            handle_admin.require_writable([present[value.index]])

    async def put(
        self,
        identity: Identity,
        name: str,
        given: Sequence[HandleValue],
        *,
        modifies: bool,
        overwrites: bool,
        door: str = HDL_TCP,
    ) -> bool:
        """Add or modify values of a handle; whether an added one took the place of another.

        Of a value that is modified twice the last form counts; one that is added stands in the order of the indexes.
        """
        target = Target.of(name, None)
        given = list({value.index: value for value in given}.values()) if modifies else given
        complete = values.complete(_messages(given), self._now_s())
        most = self._core.options.record_octets_max

        def decide(ledger: Ledger) -> bool:
            found = self._found(ledger, target)
            old = {value.index: value for value in found}
            pairs = [(old[value.index], value) for value in complete if value.index in old]
            added = [value for value in complete if value.index not in old]
            if pairs and not (modifies or overwrites):
                raise ValueAlreadyExists(f"Index conflict for {min(before.index for before, _ in pairs)}")
            if added and modifies:
                raise ValuesNotFound("")
            if modifies:
                handle_admin.require_writable(before for before, _ in pairs)
            changed = pairs if modifies else handle_admin.changed(pairs)
            bits = handle_admin.to_modify(changed) | handle_admin.to_add(added)
            self._require(ledger, identity, target, found, bits)
            mode = registration.PUT_MODE_UNSPECIFIED
            administer.put_values(ledger, identity.caller, target, complete, mode, most, sorts=not modifies)
            return bool(pairs) and not modifies

        return await self._submit(decide, door)

    async def remove(self, identity: Identity, name: str, indexes: Sequence[int], *, door: str = HDL_TCP) -> None:
        """Remove values of a handle."""
        target = Target.of(name, None)
        most = self._core.options.record_octets_max

        def decide(ledger: Ledger) -> None:
            found = self._found(ledger, target)
            removed = [value for value in found if value.index in set(indexes)]
            if len(removed) < len(set(indexes)):
                raise ValuesNotFound("")
            bits = handle_admin.to_remove(removed) if removed else AdminPermission.REMOVE_VALUE
            self._require(ledger, identity, target, found, bits)
            administer.remove_values(ledger, identity.caller, target, sorted(set(indexes)), most, may_be_empty=True)

        await self._submit(decide, door, frees_space=True)

    @staticmethod
    def _found(ledger: Ledger, target: Target) -> list[pb.HandleValue]:
        record = ledger.find(target.key)
        if record is None:
            raise HandleNotFound("")
        return record.all_values()

    @staticmethod
    def _require(
        ledger: Ledger, identity: Identity, target: Target, found: list[pb.HandleValue], bits: AdminPermission
    ) -> None:
        def lookup(other: str) -> list[pb.HandleValue]:
            return handle_admin.values_in(ledger, other)

        handle_admin.require(identity, handle_admin.judges(identity, target.handle.text, found, lookup), lookup, bits)

    async def home(self, identity: Identity, prefix: Prefix, *, homed: bool, door: str = HDL_TCP) -> None:
        """Home a prefix in this node, or end that; a prefix under the node's that is new is allotted to the node."""
        self._core.require_registry()

        def decide(ledger: Ledger) -> None:
            require_policy(identity.caller, Action.ADMINISTER, "", f"prefix {prefix.text!r}")
            row = prefixes.prefix_row(ledger.writer, prefix.folded)
            if row is None and not homed:
                return
            if row is None:
                new = registry.Prefix(prefix=prefix.text, description="homed over the Handle protocol")
                prefix_handles.create(ledger, identity.caller, new)
            elif row.homed != homed:
                request = registry.UpdatePrefixRequest(prefix=prefix.text, homed=homed)
                prefix_handles.update(ledger, identity.caller, request)

        await self._submit(decide, door)
        self._core.poll()
