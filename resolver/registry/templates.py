"""The life cycle of metadata templates (元数据模版): items are added or disabled, never removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidField, InvalidTransition
from resolver.handle.name import Prefix, fold
from resolver.node.authorize import Action, Caller, Role, require
from resolver.node.prefixes import prefix_row
from resolver.node.templates import ITEM_INDEX_MIN, template_row
from resolver.registry import rows
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

_ITEMS_MAX = 500


def _authorize(reader: Reader, caller: Caller, prefix: str) -> None:
    """Templates of a prefix belong to its owner, those of the whole node to the node."""
    if not prefix:
        require(caller, Action.ADMINISTER, "", "templates of the whole node")
        return
    row = prefix_row(reader, Prefix.from_text(prefix).folded)
    owner = None if row is None else row.enterprise_id
    require(caller, Action.REGISTER, owner, f"prefix {prefix[:80]!r}")


def _check(row: pb.Template) -> None:
    rows.check_text(row.template_id, 128, "template.template_id", required=True)
    rows.check_text(row.label, 128, "template.label")
    rows.check_text(row.description, limits.DESCRIPTION_OCTETS_MAX, "template.description")
    if len(row.industry_codes) > 4:
        raise InvalidField("industry_codes has more than four levels (GB/T 4754)", field="template.industry_codes")
    for code in row.industry_codes:
        rows.check_text(code, 8, "template.industry_codes")
    if len(row.items) > _ITEMS_MAX:
        raise InvalidField(f"the template has more than {_ITEMS_MAX} items", field="template.items")
    seen: set[int] = set()
    for position, item in enumerate(row.items):
        field = f"template.items[{position}]"
        if item.index < ITEM_INDEX_MIN:
            raise InvalidField(f"{field} has index {item.index}: items start at {ITEM_INDEX_MIN}", field=field)
        if item.index in seen:
            raise InvalidField(f"{field} repeats index {item.index}", field=field)
        seen.add(item.index)
        rows.check_enum(pb.ItemKind, item.kind, f"{field}.kind")
        rows.check_text(item.type, 128, f"{field}.type", required=True)
        rows.check_text(item.name, 255, f"{field}.name")
        if item.maximum and item.minimum > item.maximum:
            raise InvalidField(f"{field} has a minimum above its maximum", field=field)


def create(
    writer: Writer, caller: Caller, row: pb.Template, now_us: int, randomness: Callable[[int], bytes]
) -> pb.Template:
    """Create a template."""
    _authorize(writer, caller, row.prefix)
    if not row.template_id:
        row.template_id = rows.mint_id("tpl", randomness)
    _check(row)
    thing = f"template {row.template_id!r}"
    rows.insert(writer, Table.TEMPLATES, row.template_id.encode(), row, now_us, thing)
    return row


def get(reader: Reader, caller: Caller, template_id: str) -> pb.Template:
    """A template; whoever may see the registry may see all templates, they describe public values."""
    _require_reader(caller)
    return template_row(reader, template_id)


def _require_reader(caller: Caller) -> None:
    owner = caller.enterprise_id if caller.role is not Role.NODE_ADMINISTRATOR else ""
    require(caller, Action.READ_REGISTRY, owner, "templates")


def page(reader: Reader, caller: Caller, size: int, token: str) -> tuple[list[pb.Template], str]:
    """All templates."""
    _require_reader(caller)
    return rows.page(reader, Table.TEMPLATES, "templates", size, token, pb.Template.FromString, lambda _: True)


def update(writer: Writer, caller: Caller, given: pb.Template, if_version: int | None) -> pb.Template:
    """Change a template: items match by index and type, new ones are added, others stay."""
    require(caller, Action.REGISTER, caller.enterprise_id or None, "templates")
    before = template_row(writer, given.template_id)
    _authorize(writer, caller, before.prefix)
    thing = f"template {given.template_id!r}"
    rows.check_version(before, if_version, thing)
    row = pb.Template()
    row.CopyFrom(given)
    row.prefix = before.prefix
    del row.items[:]
    items = {item.index: item for item in before.items}
    for position, item in enumerate(given.items):
        old = items.get(item.index)
        if old is not None and fold(old.type) != fold(item.type):
            raise InvalidTransition(
                f"index {item.index} of {thing} has type {old.type!r} and cannot become {item.type!r}: disable it "
                "and add one with another index",
                field=f"template.items[{position}].type",
            )
        items[item.index] = item
    row.items.extend(items[index] for index in sorted(items))
    _check(row)
    rows.replace(writer, Table.TEMPLATES, row.template_id.encode(), row, before)
    return row
