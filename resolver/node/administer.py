"""Creating, changing and deleting handles: first everything is checked, then the ledger is told.

``draft.prepare`` checks what needs no store and may run before the transaction; these functions run inside it. The
policy is asked inside the transaction, against the prefix row the change will stand beside; a transaction remembers
what it has permitted to whom until a prefix changes in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from resolver.errors import (
    HandleAlreadyExists,
    HandleNotFound,
    InvalidField,
    PrefixNotServed,
    ResolverError,
    ValueAlreadyExists,
    ValuesNotFound,
    VersionMismatch,
)
from resolver.handle.name import PREFIX_OF_PREFIXES, Handle, fold
from resolver.node import record_octets, templates, values
from resolver.node.authorize import Action, Caller, Permit, require
from resolver.node.draft import Draft, of_values, prepare
from resolver.node.prefixes import prefix_row, why_not_written
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.node.ledger import Entry, Ledger
    from resolver.node.record_octets import StoredRecord
    from resolver.node.shares import Share
    from resolver.v1 import registry_pb2 as registry

__all__ = ("Draft", "prepare")

CREATED, UPDATED, UNCHANGED, DELETED = "CREATED", "UPDATED", "UNCHANGED", "DELETED"
"""Reasons of good rows."""

_ROOT_KEY = PREFIX_OF_PREFIXES.encode()


class Outcome(NamedTuple):
    """What became of a handle. ``serial`` is 0 when nothing changed."""

    name: str
    reason: str
    version: int
    serial: int
    time_us: int


def authorize(ledger: Ledger, caller: Caller, handle: Handle) -> bytes:
    """Check that the caller may change the handle here and return the key of its prefix.

    A prefix the node does not know belongs to nobody: then only the role is judged. Handles of 0.NA describe
    prefixes: only administrators may change them, for prefixes the node knows, where the registry is changed.
    """
    folded = handle.prefix_folded
    if folded == PREFIX_OF_PREFIXES:
        require(caller, Action.ADMINISTER, "", f"handle {handle.text[:200]!r}")
        if ledger.share is not None and (elsewhere := ledger.share.registry_refusal()) is not None:
            raise elsewhere
        if _prefix(ledger, fold(handle.suffix)) is None:
            raise PrefixNotServed(
                f"prefix {handle.suffix[:80]!r} is not known to this node: create the prefix first", field="name"
            )
        return folded.encode()
    row = _prefix(ledger, folded)
    owner = caller.enterprise_id if row is None else row.enterprise_id
    require(caller, Action.REGISTER, owner, f"prefix {handle.prefix[:80]!r}")
    refusal = why_not_written(row, handle.prefix)
    if refusal is not None:
        refusal.field = "name"
        raise refusal
    return folded.encode()


def _require_share(share: Share, name: str) -> None:
    """Raise NotThisServer for a handle that another server of the site has."""
    refusal = share.refusal(name)
    if refusal is not None:
        raise refusal


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
    *,
    is_dated: bool = False,
) -> Outcome:
    """Register a handle, or do with the one that exists what ``on_existing`` says.

    ``is_dated`` says that the timestamps of the values are part of what is registered, as in a migration.
    """
    permit = ledger.permits.get((draft.prefix_key, id(caller))) or _permit(ledger, caller, draft)
    if ledger.share is not None:
        _require_share(ledger.share, draft.name)
    before = ledger.find(draft.key)
    if before is not None:
        return _create_over(ledger, caller, draft, before, on_existing, is_dated=is_dated)
    if draft.template_id:
        _check_template(ledger, draft, draft.values(), new=True)
    ledger.meter.charge(caller, permit.row, creates=1)
    version, serial, time_us = ledger.create(draft, caller.principal_id)
    return Outcome(draft.name, CREATED, version, serial, time_us)


def create_all(ledger: Ledger, caller: Caller, drafts: Sequence[Draft]) -> list[bytes] | None:
    """Register handles of one prefix that are new and have neither restricted values nor a template.

    The octets of their receipts. None when that is not so or one of them is to be refused: then nothing is done, and
    ``create`` has to say so of each.
    """
    prefix_key = drafts[0].prefix_key
    _, keys, prefix_keys, _, restricted, template_ids = zip(*drafts, strict=True)
    is_one = prefix_keys.count(prefix_key) == len(drafts)
    if prefix_key == _ROOT_KEY or not is_one or any(restricted) or any(template_ids):
        return None
    share = ledger.share
    if share is not None and any(share.refusal(draft.name) is not None for draft in drafts):
        return None
    try:
        permit = ledger.permits.get((prefix_key, id(caller))) or _permit(ledger, caller, drafts[0])
    except ResolverError:
        return None
    if not ledger.are_new(keys):
        return None
    if not ledger.meter.charge_all(caller, permit.row, len(drafts)):
        return None
    return ledger.create_all(drafts, caller.principal_id)


def _permit(ledger: Ledger, caller: Caller, draft: Draft) -> Permit:
    """That the caller may register under a draft's prefix, remembered. Raises what ``authorize`` raises."""
    authorize(ledger, caller, draft.handle)
    permit = Permit(caller, _prefix(ledger, draft.prefix_key.decode()))
    if draft.prefix_key != _ROOT_KEY:  # there every handle is judged by its own suffix
        ledger.permits[draft.prefix_key, id(caller)] = permit
    return permit


def _create_over(
    ledger: Ledger,
    caller: Caller,
    draft: Draft,
    before: StoredRecord,
    on_existing: registration.OnExisting,
    *,
    is_dated: bool,
) -> Outcome:
    record = before.record()
    if on_existing in {registration.ON_EXISTING_KEEP, registration.ON_EXISTING_REPLACE}:
        wanted = draft.values()
        old = before.all_values()
        same = wanted == old if is_dated else values.keep_timestamps(wanted, old)
        if same and draft.template_id == record.template_id:
            return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
        if on_existing == registration.ON_EXISTING_REPLACE:
            return _replace(ledger, caller, draft, wanted, before)
    differs = " with other values" if on_existing == registration.ON_EXISTING_KEEP else ""
    raise HandleAlreadyExists(
        f"handle {record.name[:200]!r} is registered already{differs}, version {record.version}: choose another name, "
        "or update it",
        field="name",
        details={"version": str(record.version)},
    )


def _replace(
    ledger: Ledger, caller: Caller, draft: Draft, wanted: list[pb.HandleValue], before: StoredRecord
) -> Outcome:
    """Put values in place of a record's, with the record's spelling of the name."""
    record = before.record()
    if draft.template_id:
        _check_template(ledger, draft, wanted, new=draft.template_id != record.template_id)
    public, restricted = values.split(wanted)
    change = draft._replace(
        name=record.name,
        head=record_octets.head(record.name, public),
        restricted=record_octets.restricted_octets(restricted),
    )
    ledger.meter.charge(caller, _prefix(ledger, draft.prefix_key.decode()))
    return _outcome(record.name, UPDATED, ledger.replace(change, caller.principal_id, before))


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
    """The key of the prefix and the record to change, in the version expected."""
    prefix_key = authorize(ledger, caller, target.handle)
    if ledger.share is not None:
        _require_share(ledger.share, target.handle.text)
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
    before = _found(ledger, caller, target)[1]
    record = before.record()
    template_id = record.template_id if keep_template else draft.template_id
    wanted = draft.values()
    same = values.keep_timestamps(wanted, before.all_values())
    if same and template_id == record.template_id:
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    return _replace(ledger, caller, draft._replace(template_id=template_id), wanted, before)


def update_template_values(
    ledger: Ledger, caller: Caller, target: Target, draft: Draft, record_octets_max: int, *, keep_template: bool
) -> Outcome:
    """Replace the values of template items; values below them stay unless the draft has one of the same index."""
    before = _found(ledger, caller, target)[1]
    record, old = before.record(), before.all_values()
    merged = {value.index: value for value in old if value.index < templates.ITEM_INDEX_MIN}
    merged |= {value.index: value for value in draft.values()}
    ordered = list(merged.values())
    values.check_count(ordered)
    template_id = record.template_id if keep_template else draft.template_id
    if values.keep_timestamps(ordered, old) and template_id == record.template_id:
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    whole = of_values(target.handle, ordered, template_id, record_octets_max)
    return _replace(ledger, caller, whole, ordered, before)


def put_values(
    ledger: Ledger,
    caller: Caller,
    target: Target,
    given: Sequence[pb.HandleValue],
    mode: registration.PutMode,
    record_octets_max: int,
    *,
    sorts: bool = False,
) -> Outcome:
    """Add values, or put them in place of those with the same index; ``given`` is complete.

    New values come last, or ``sorts`` puts all in the order of their indexes.
    """
    before = _found(ledger, caller, target)[1]
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
    if sorts:
        merged = dict(sorted(merged.items()))
    return _store_merged(ledger, caller, target, before, merged, record_octets_max)


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
    before = _found(ledger, caller, target)[1]
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
    return _store_merged(ledger, caller, target, before, merged, record_octets_max)


def _store_merged(
    ledger: Ledger,
    caller: Caller,
    target: Target,
    before: StoredRecord,
    merged: dict[int, pb.HandleValue],
    record_octets_max: int,
) -> Outcome:
    record = before.record()
    ordered = list(merged.values())
    values.check_count(ordered)
    if values.keep_timestamps(ordered, before.all_values()):
        return Outcome(record.name, UNCHANGED, record.version, 0, ledger.now_us)
    draft = of_values(target.handle, ordered, record.template_id, record_octets_max)
    return _replace(ledger, caller, draft, ordered, before)


def delete(ledger: Ledger, caller: Caller, target: Target) -> Outcome:
    """Delete a handle with all its values."""
    prefix_key, before = _found(ledger, caller, target)
    record = before.record()
    change = Draft(record.name, target.key, prefix_key, b"", b"", record.template_id)
    ledger.meter.charge(caller, _prefix(ledger, target.handle.prefix_folded), creates=-1)
    return _outcome(record.name, DELETED, ledger.remove(change, caller.principal_id, before))


def _check_template(ledger: Ledger, draft: Draft, given: Sequence[pb.HandleValue], *, new: bool) -> None:
    template_id = draft.template_id
    rules = ledger.templates.get(template_id)
    if rules is None:
        rules = ledger.templates[template_id] = templates.Rules(templates.template_row(ledger.writer, template_id))
    rules.check(draft.prefix_key.decode(), given, new=new)


def _outcome(name: str, reason: str, entry: Entry) -> Outcome:
    return Outcome(name, reason, entry.version, entry.serial, entry.time_us)
