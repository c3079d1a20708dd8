"""Creating, changing and deleting handles: first everything is checked, then the ledger is told.

``prepare_*`` checks what needs no store and may run before the transaction; ``apply`` functions run inside it. The
policy is asked inside the transaction, against the prefix row the change will stand beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.errors import (
    HandleAlreadyExists,
    HandleNotFound,
    InvalidField,
    PrefixNotServed,
    ValueAlreadyExists,
    ValuesNotFound,
    VersionMismatch,
)
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold
from resolver.node import record_octets, templates, values
from resolver.node.authorize import Action, Caller, require
from resolver.node.ledger import Change, Entry, Ledger, StoredRecord
from resolver.node.prefixes import prefix_row, why_not_served
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.v1 import registry_pb2 as registry

CREATED, UPDATED, UNCHANGED, DELETED = "CREATED", "UPDATED", "UNCHANGED", "DELETED"
"""Reasons of good rows."""

TEMPLATE_ID_OCTETS_MAX = 128
"""Octets of a template id: its row's key in the store."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a handle. ``serial`` is 0 when nothing changed."""

    name: str
    reason: str
    version: int
    serial: int
    time_us: int

    def receipt(self) -> registration.WriteReceipt:
        """The outcome as a message."""
        return registration.WriteReceipt(
            name=self.name,
            version=self.version,
            serial=self.serial,
            commit_time_us=self.time_us,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A handle with checked and completed values, ready to be compared with what is stored."""

    handle: Handle
    key: bytes
    values: list[pb.HandleValue]
    head: bytes
    restricted: bytes
    template_id: str


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
    return _draft(handle, values.complete(given, now_s, may_be_empty=may_be_empty), template_id, record_octets_max)


def _draft(handle: Handle, complete: list[pb.HandleValue], template_id: str, record_octets_max: int) -> Draft:
    public, restricted = values.split(complete)
    head = record_octets.head(handle.text, public)
    hidden = record_octets.restricted_octets(restricted)
    values.check_record_octets(len(head) + len(hidden), record_octets_max)
    return Draft(handle, handle.key, complete, head, hidden, template_id)


def authorize(ledger: Ledger, caller: Caller, handle: Handle) -> bytes:
    """Check that the caller may change the handle here and return the key of its prefix.

    A prefix the node does not know belongs to nobody: then only the role is judged. Handles of 0.NA describe
    prefixes: only administrators may change them, for prefixes the node knows.
    """
    folded = handle.prefix_folded
    if folded == PREFIX_OF_PREFIXES:
        require(caller, Action.ADMINISTER, "", f"handle {handle.text[:200]!r}")
        if _prefix(ledger, fold(handle.suffix)) is None:
            raise PrefixNotServed(
                f"prefix {handle.suffix[:80]!r} is not known to this node: create the prefix first", field="name"
            )
        return folded.encode()
    row = _prefix(ledger, folded)
    owner = caller.enterprise_id if row is None else row.enterprise_id
    require(caller, Action.REGISTER, owner, f"prefix {handle.prefix[:80]!r}")
    refusal = why_not_served(row, handle.prefix)
    if refusal is not None:
        refusal.field = "name"
        raise refusal
    return folded.encode()


def _prefix(ledger: Ledger, folded: str) -> registry.Prefix | None:
    """The row of a folded prefix, read once in a transaction."""
    if folded not in ledger.prefixes:
        ledger.prefixes[folded] = prefix_row(ledger.writer, folded)
    return ledger.prefixes[folded]


def create(
    ledger: Ledger,
    caller: Caller,
    draft: Draft,
    on_existing: registration.OnExisting = registration.ON_EXISTING_FAIL,
) -> Outcome:
    """Register a handle, or do with the one that exists what ``on_existing`` says."""
    prefix_key = authorize(ledger, caller, draft.handle)
    before = ledger.find(draft.key)
    if before is not None:
        return _create_over(ledger, caller, draft, prefix_key, before, on_existing)
    _check_template(ledger, draft, new=True)
    ledger.meter.charge(caller, _prefix(ledger, draft.handle.prefix_folded), creates=1)
    entry = ledger.create(_change(draft, prefix_key, caller))
    return _outcome(draft.handle.text, CREATED, entry)


def _create_over(
    ledger: Ledger,
    caller: Caller,
    draft: Draft,
    prefix_key: bytes,
    before: StoredRecord,
    on_existing: registration.OnExisting,
) -> Outcome:
    record = before.record()
    if on_existing in {registration.ON_EXISTING_KEEP, registration.ON_EXISTING_REPLACE}:
        same = values.keep_timestamps(draft.values, before.all_values())
        if same and draft.template_id == record.template_id:
            return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
        if on_existing == registration.ON_EXISTING_REPLACE:
            return _replace(ledger, caller, draft, prefix_key, before)
    differs = " with other values" if on_existing == registration.ON_EXISTING_KEEP else ""
    raise HandleAlreadyExists(
        f"handle {record.name[:200]!r} is registered already{differs}, version {record.version}: choose another name, "
        "or update it",
        field="name",
        details={"version": str(record.version)},
    )


def _replace(ledger: Ledger, caller: Caller, draft: Draft, prefix_key: bytes, before: StoredRecord) -> Outcome:
    """Put a draft in place of a record, with the record's spelling of the name."""
    record = before.record()
    _check_template(ledger, draft, new=draft.template_id != record.template_id)
    public, restricted = values.split(draft.values)
    change = Change(
        draft.key,
        prefix_key,
        record.name,
        record_octets.head(record.name, public),
        record_octets.restricted_octets(restricted),
        draft.template_id,
        caller.principal_id,
    )
    ledger.meter.charge(caller, _prefix(ledger, draft.handle.prefix_folded))
    return _outcome(record.name, UPDATED, ledger.replace(change, before))


@dataclass(frozen=True, slots=True)
class Target:
    """A change of a handle that exists: which, and in which version."""

    handle: Handle
    key: bytes
    if_version: int | None = None

    @classmethod
    def of(cls, name: str, if_version: int | None) -> Target:
        """The target a request names. Raises InvalidName."""
        handle = Handle.from_text(name)
        return cls(handle, handle.key, if_version)


def _found(ledger: Ledger, caller: Caller, target: Target) -> tuple[bytes, StoredRecord]:
    """The prefix key and the record to change, in the version expected."""
    prefix_key = authorize(ledger, caller, target.handle)
    before = ledger.find(target.key)
    if before is None:
        raise HandleNotFound(
            f"handle {target.handle.text[:200]!r} is not registered: check its spelling, or create it", field="name"
        )
    if target.if_version is not None:
        version = before.record().version
        if version != target.if_version:
            raise VersionMismatch(
                f"handle {target.handle.text[:200]!r} has version {version}, not {target.if_version}: read it again "
                "and decide anew",
                field="if_version",
                details={"version": str(version)},
            )
    return prefix_key, before


def update(ledger: Ledger, caller: Caller, target: Target, draft: Draft, *, keep_template: bool) -> Outcome:
    """Replace all values of a handle."""
    prefix_key, before = _found(ledger, caller, target)
    record = before.record()
    template_id = record.template_id if keep_template else draft.template_id
    draft = Draft(draft.handle, draft.key, draft.values, draft.head, draft.restricted, template_id)
    same = values.keep_timestamps(draft.values, before.all_values())
    if same and template_id == record.template_id:
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    return _replace(ledger, caller, draft, prefix_key, before)


def update_template_values(
    ledger: Ledger, caller: Caller, target: Target, draft: Draft, record_octets_max: int, *, keep_template: bool
) -> Outcome:
    """Replace the values of template items; values below them stay unless the draft has one of the same index."""
    prefix_key, before = _found(ledger, caller, target)
    record, old = before.record(), before.all_values()
    merged = {value.index: value for value in old if value.index < templates.ITEM_INDEX_MIN}
    merged |= {value.index: value for value in draft.values}
    ordered = [merged[index] for index in sorted(merged)]
    values.check_count(ordered)
    template_id = record.template_id if keep_template else draft.template_id
    if values.keep_timestamps(ordered, old) and template_id == record.template_id:
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    whole = _draft(target.handle, ordered, template_id, record_octets_max)
    return _replace(ledger, caller, whole, prefix_key, before)


def put_values(
    ledger: Ledger,
    caller: Caller,
    target: Target,
    given: Sequence[pb.HandleValue],
    mode: registration.PutMode,
    record_octets_max: int,
) -> Outcome:
    """Add values, or put them in place of those with the same index; ``given`` is complete."""
    prefix_key, before = _found(ledger, caller, target)
    merged = {value.index: value for value in before.all_values()}
    for value in given:
        exists = value.index in merged
        if exists and mode == registration.PUT_MODE_ADD:
            raise ValueAlreadyExists(
                f"handle {target.handle.text[:200]!r} has a value with index {value.index} already: choose another "
                "index, or modify it",
                field="values",
            )
        if not exists and mode == registration.PUT_MODE_MODIFY:
            raise ValuesNotFound(
                f"handle {target.handle.text[:200]!r} has no value with index {value.index}: add it instead",
                field="values",
            )
        merged[value.index] = value
    return _store_merged(ledger, caller, target, prefix_key, before, merged, record_octets_max)


def remove_values(
    ledger: Ledger,
    caller: Caller,
    target: Target,
    indexes: Sequence[int],
    record_octets_max: int,
    *,
    may_be_empty: bool = False,
) -> Outcome:
    """Remove values; all must exist and, unless ``may_be_empty``, one must stay."""
    prefix_key, before = _found(ledger, caller, target)
    merged = {value.index: value for value in before.all_values()}
    for index in indexes:
        if merged.pop(index, None) is None:
            raise ValuesNotFound(
                f"handle {target.handle.text[:200]!r} has no value with index {index}: nothing was removed",
                field="indexes",
            )
    if not merged and not may_be_empty:
        raise InvalidField(
            "a handle keeps at least one value: delete the handle instead of its last value", field="indexes"
        )
    return _store_merged(ledger, caller, target, prefix_key, before, merged, record_octets_max)


def _store_merged(
    ledger: Ledger,
    caller: Caller,
    target: Target,
    prefix_key: bytes,
    before: StoredRecord,
    merged: dict[int, pb.HandleValue],
    record_octets_max: int,
) -> Outcome:
    record = before.record()
    ordered = [merged[index] for index in sorted(merged)]
    values.check_count(ordered)
    if values.keep_timestamps(ordered, before.all_values()):
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    draft = _draft(target.handle, ordered, record.template_id, record_octets_max)
    return _replace(ledger, caller, draft, prefix_key, before)


def delete(ledger: Ledger, caller: Caller, target: Target) -> Outcome:
    """Delete a handle with all its values."""
    prefix_key, before = _found(ledger, caller, target)
    record = before.record()
    change = Change(target.key, prefix_key, record.name, b"", b"", record.template_id, caller.principal_id)
    ledger.meter.charge(caller, _prefix(ledger, target.handle.prefix_folded), creates=-1)
    return _outcome(record.name, DELETED, ledger.remove(change, before))


def _check_template(ledger: Ledger, draft: Draft, *, new: bool) -> None:
    template_id = draft.template_id
    if template_id:
        rules = ledger.templates.get(template_id)
        if rules is None:
            rules = ledger.templates[template_id] = templates.Rules(templates.template_row(ledger.writer, template_id))
        rules.check(draft.handle.prefix_folded, draft.values, new=new)


def _change(draft: Draft, prefix_key: bytes, caller: Caller) -> Change:
    return Change(
        draft.key,
        prefix_key,
        draft.handle.text,
        draft.head,
        draft.restricted,
        draft.template_id,
        caller.principal_id,
    )


def _outcome(name: str, reason: str, entry: Entry) -> Outcome:
    return Outcome(name, reason, entry.version, entry.serial, entry.time_us)
