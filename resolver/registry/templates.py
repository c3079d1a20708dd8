"""The life cycle of metadata templates (元数据模板): items are added or disabled, never removed; every version stays.

A template belongs to a prefix, or to the whole node, for good, and has a label that is unique there. Deleting one is a
version like any other: new handles cannot name it any more, those that do are still checked against it, and it can be
created again, with the same items disabled or in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import AlreadyExists, InvalidField, InvalidTransition, NotFound, QuotaExhausted
from resolver.handle.name import Prefix, fold
from resolver.node import templates
from resolver.node.authorize import Action, Caller, Role, require
from resolver.node.listing import page_size, start_of, token_for
from resolver.node.prefixes import prefix_row
from resolver.registry import rows, template_items
from resolver.v1 import template_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

TEMPLATES_MAX = 1_000
"""Templates of one prefix, and of the whole node without a prefix, the deleted ones included."""

VERSIONS_MAX = 1_000
"""Versions of one template: all are kept, so there is an end to them."""

_VERSION_OCTETS = 8


def _authorize(reader: Reader, caller: Caller, prefix: str) -> None:
    """Templates of a prefix belong to its owner, those of the whole node to the node."""
    if not prefix:
        require(caller, Action.ADMINISTER, "", "templates of the whole node")
        return
    row = prefix_row(reader, Prefix.from_text(prefix).folded)
    owner = None if row is None else row.enterprise_id
    require(caller, Action.REGISTER, owner, f"prefix {prefix[:80]!r}")
    if row is None:
        raise NotFound(f"prefix {prefix[:80]!r} does not exist: create it first", field="template.prefix")


def _version_key(template_id: str, version: int) -> bytes:
    return template_id.encode() + b"\0" + version.to_bytes(_VERSION_OCTETS, "big")


def _store(writer: Writer, caller: Caller, row: pb.Template, version: int, now_us: int) -> pb.Template:
    """Write a version of a template, current and historical."""
    if version > VERSIONS_MAX:
        raise QuotaExhausted(
            f"template {row.template_id!r} has {VERSIONS_MAX} versions, and all are kept: create another template",
            field="template",
        )
    template_items.check(row)
    if not row.deleted:
        template_items.require_small(row)
    row.version, row.update_time_us, row.principal_id = version, now_us, caller.principal_id
    body = row.SerializeToString(deterministic=True)
    writer.put(Table.TEMPLATES, row.template_id.encode(), body)
    writer.put(Table.TEMPLATE_VERSIONS, _version_key(row.template_id, version), body)
    rows.touch(writer)
    return row


def create(
    writer: Writer, caller: Caller, row: pb.Template, now_us: int, randomness: Callable[[int], bytes]
) -> pb.Template:
    """Create a template, or create one again that was deleted. Raises AlreadyExists."""
    if not row.ListFields():
        raise InvalidField("template is missing: give one, with a prefix, a label and items", field="template")
    if row.prefix:
        row.prefix = Prefix.from_text(row.prefix).text
    _authorize(writer, caller, row.prefix)
    labelled = writer.get(Table.TEMPLATE_LABELS, templates.label_key(row.prefix, row.label)) if row.label else None
    if not row.template_id:
        row.template_id = labelled.decode() if labelled else rows.mint_id("tpl", randomness)
    row.label = row.label or row.template_id
    row.deleted = False
    template_items.check(row)
    body = writer.get(Table.TEMPLATES, row.template_id.encode())
    before = None if body is None else pb.Template.FromString(body)
    if before is not None and not before.deleted:
        raise AlreadyExists(
            f"template {row.template_id!r} exists already: choose another id or label, or update it", field="template"
        )
    if before is not None:
        return _create_again(writer, caller, row, before, now_us)
    if labelled is not None:
        raise AlreadyExists(
            f"label {row.label!r} belongs to template {labelled.decode()!r} already: choose another label",
            field="template.label",
        )
    start = templates.labels_of(row.prefix)
    if sum(1 for _ in writer.scan(Table.TEMPLATE_LABELS, start, start[:-1] + b"\x01")) >= TEMPLATES_MAX:
        raise QuotaExhausted(f"prefix {row.prefix!r} has {TEMPLATES_MAX} templates: add items to one of them")
    writer.put(Table.TEMPLATE_LABELS, templates.label_key(row.prefix, row.label), row.template_id.encode())
    row.create_time_us = now_us
    return _store(writer, caller, row, 1, now_us)


def _create_again(writer: Writer, caller: Caller, row: pb.Template, before: pb.Template, now_us: int) -> pb.Template:
    """Bring a deleted template back: what it had and the new one has not is disabled."""
    thing = f"template {row.template_id!r}"
    _require_same(row, before, thing)
    for item in before.items:
        item.disabled = True
    merged = template_items.merge(before.items, row.items, thing)
    del row.items[:]
    row.items.extend(merged)
    row.create_time_us = before.create_time_us
    return _store(writer, caller, row, before.version + 1, now_us)


def _require_same(row: pb.Template, before: pb.Template, thing: str) -> None:
    """Prefix and label of a template never change."""
    if fold(row.prefix) != fold(before.prefix) or row.label != before.label:
        raise InvalidTransition(
            f"{thing} has prefix {before.prefix!r} and label {before.label!r} for good: create another template",
            field="template.label",
        )


def _require_reader(caller: Caller) -> None:
    owner = caller.enterprise_id if caller.role is not Role.NODE_ADMINISTRATOR else ""
    require(caller, Action.READ_REGISTRY, owner, "templates")


def get(reader: Reader, caller: Caller, request: pb.GetTemplateRequest) -> pb.Template:
    """A template by id, or by prefix and label, now or in an earlier version; deleted ones by id only.

    Whoever may see the registry may see all templates: they describe public values.
    """
    _require_reader(caller)
    template_id = request.template_id
    if not template_id:
        found = reader.get(Table.TEMPLATE_LABELS, templates.label_key(request.prefix, request.label))
        row = None if found is None else templates.template_row(reader, found.decode())
        if row is None or row.deleted:
            raise NotFound(
                f"prefix {request.prefix[:80]!r} has no template with label {request.label[:128]!r}: check both",
                field="label",
            )
        template_id = row.template_id
    row = templates.template_row(reader, template_id)
    if not request.version:
        return row
    body = reader.get(Table.TEMPLATE_VERSIONS, _version_key(template_id, min(request.version, 2**64 - 1)))
    if body is None:
        raise NotFound(
            f"template {template_id[:128]!r} has no version {request.version}: the newest is {row.version}",
            field="version",
        )
    return pb.Template.FromString(body)


def page(reader: Reader, caller: Caller, request: pb.ListTemplatesRequest) -> tuple[list[pb.Template], str]:
    """All templates by id, or those of one prefix, found by their labels; a page may hold fewer than were asked."""
    _require_reader(caller)
    if request.prefix:
        wanted = Prefix.from_text(request.prefix).folded
        found, token = rows.indexed_page(
            reader,
            Table.TEMPLATE_LABELS,
            wanted,
            f"templates {wanted}",
            request.page_size,
            request.page_token,
            lambda _, template_id: templates.template_row(reader, template_id.decode()),
        )
    else:
        parse = pb.Template.FromString
        found, token = rows.page(reader, Table.TEMPLATES, "templates", request.page_size, request.page_token, parse)
    return [row for row in found if request.include_deleted or not row.deleted], token


def history(reader: Reader, caller: Caller, request: pb.ListTemplateVersionsRequest) -> tuple[list[pb.Template], str]:
    """Every version of a template, newest first."""
    _require_reader(caller)
    template_id = templates.template_row(reader, request.template_id).template_id
    size, listing = page_size(request.page_size), f"versions {template_id}"
    first = _version_key(template_id, 0)
    stop = _version_key(template_id, VERSIONS_MAX + 1)
    if request.page_token:
        stop = start_of(listing, request.page_token, first)[:-1]
    found: list[pb.Template] = []
    last, octets = b"", 0
    for key, body in reader.scan(Table.TEMPLATE_VERSIONS, first, stop, reverse=True):
        if len(found) == size or octets > limits.ANSWER_OCTETS_MAX // 2:
            return found, token_for(listing, last)
        found.append(pb.Template.FromString(body))
        last = key
        octets += len(body)
    return found, ""


def update(writer: Writer, caller: Caller, given: pb.Template, if_version: int | None, now_us: int) -> pb.Template:
    """Change a template: items match by index and type, new ones are added, others stay."""
    before = _to_change(writer, caller, given.template_id, if_version)
    thing = f"template {given.template_id!r}"
    if before.deleted:
        raise NotFound(f"{thing} was deleted: create it again before you change it", field="template.template_id")
    row = pb.Template()
    row.CopyFrom(given)
    row.prefix = given.prefix or before.prefix
    row.label = given.label or before.label
    _require_same(row, before, thing)
    row.prefix, row.create_time_us, row.deleted = before.prefix, before.create_time_us, False
    merged = template_items.merge(before.items, given.items, thing)
    del row.items[:]
    row.items.extend(merged)
    return _store(writer, caller, row, before.version + 1, now_us)


def delete(writer: Writer, caller: Caller, template_id: str, if_version: int | None, now_us: int) -> pb.Template:
    """Delete a template; deleting it again changes nothing."""
    row = _to_change(writer, caller, template_id, if_version)
    if row.deleted:
        return row
    row.deleted = True
    return _store(writer, caller, row, row.version + 1, now_us)


def _to_change(writer: Writer, caller: Caller, template_id: str, if_version: int | None) -> pb.Template:
    """The template as it is, for somebody who may change it, in the version expected."""
    require(caller, Action.REGISTER, caller.enterprise_id or None, "templates")
    before = templates.template_row(writer, template_id)
    _authorize(writer, caller, before.prefix)
    rows.check_version(before, if_version, f"template {template_id!r}")
    return before
