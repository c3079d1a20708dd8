"""Whether values follow a metadata template (元数据模版): required items, types, lengths, numbers, dates."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from resolver.errors import NotFound, TemplateNotFollowed
from resolver.handle.name import fold
from resolver.v1 import registry_pb2 as registry
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.v1 import handle_pb2 as pb
    from storage.engine import Reader

ITEM_INDEX_MIN = 2_000
"""Least index of a template item: lower ones are left to the Handle System and the template's own values."""

_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")


def template_row(reader: Reader, template_id: str) -> registry.Template:
    """The template with an id. Raises NotFound."""
    body = reader.get(Table.TEMPLATES, template_id.encode()) if template_id else None
    if body is None:
        raise NotFound(
            f"template {template_id[:128]!r} does not exist: create it, or leave the template out",
            field="template_id",
        )
    return registry.Template.FromString(body)


def check_follows(template: registry.Template, values: Sequence[pb.HandleValue], *, new: bool) -> None:
    """Raise TemplateNotFollowed, naming the item, unless the values follow the template.

    Values with indexes below 2000 are free. A withdrawn template takes no ``new`` handles.
    """
    if new and template.withdrawn:
        raise TemplateNotFollowed(
            f"template {template.template_id!r} is withdrawn: it takes no new handles", field="template_id"
        )
    items = {item.index: item for item in template.items}
    by_index = {value.index: value for value in values}
    for index, value in by_index.items():
        if index < ITEM_INDEX_MIN:
            continue
        item = items.get(index)
        if item is None:
            raise TemplateNotFollowed(
                f"index {index} is not in template {template.template_id!r}: remove the value or add the item",
                field="values",
            )
        _check_item(item, value, new=new)
    for item in template.items:
        if item.required and not item.disabled and item.index not in by_index:
            raise TemplateNotFollowed(
                f"template {template.template_id!r} requires index {item.index} ({item.type} {item.name}): add it",
                field="values",
            )


def _check_item(item: registry.TemplateItem, value: pb.HandleValue, *, new: bool) -> None:
    label = f"index {item.index} ({item.type} {item.name})"
    if fold(value.type) != fold(item.type):
        raise TemplateNotFollowed(f"{label} has type {value.type!r}: the template says {item.type!r}", field="values")
    if item.disabled and new:
        raise TemplateNotFollowed(f"{label} is disabled in the template: leave it out", field="values")
    try:
        text = value.data.decode()
    except UnicodeDecodeError:
        raise TemplateNotFollowed(f"{label} is not UTF-8 text", field="values") from None
    if item.kind == registry.ITEM_KIND_DATE:
        if not any(_is_date(text, form) for form in _DATE_FORMS):
            raise TemplateNotFollowed(
                f"{label} is {text[:40]!r}: write a date as yyyy-MM-dd or yyyy-MM-dd HH:mm:ss", field="values"
            )
        return
    measure: Decimal | int = len(text)
    if item.kind == registry.ITEM_KIND_NUMBER:
        try:
            measure = Decimal(text)
        except InvalidOperation:
            raise TemplateNotFollowed(f"{label} is {text[:40]!r}: write a decimal number", field="values") from None
        if not measure.is_finite():
            raise TemplateNotFollowed(f"{label} is {text[:40]!r}: write a finite number", field="values")
    what = "value" if item.kind == registry.ITEM_KIND_NUMBER else "length"
    if item.minimum and measure < item.minimum:
        raise TemplateNotFollowed(f"{label} has {what} {measure}: at least {item.minimum} is needed", field="values")
    if item.maximum and measure > item.maximum:
        raise TemplateNotFollowed(f"{label} has {what} {measure}: at most {item.maximum} is allowed", field="values")


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - a calendar date of the enterprise, no moment in time
    except ValueError:
        return False
    return True
