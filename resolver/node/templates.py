"""Whether values follow a metadata template (元数据模板): required items, types, kinds, lengths, ranges.

Every write of a handle that names a template asks here, whichever door it came through. ``Rules`` is a template made
ready to check many handles in one transaction. A handle follows the template as it is now: items that were added or
made stricter count from its next change on.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import NotFound, TemplateNotFollowed
from resolver.handle.name import fold
from resolver.node.item_kinds import CHECKS, Fault
from resolver.v1 import template_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.v1 import handle_pb2
    from storage.engine import Reader

ITEM_INDEX_MIN = 2_000
"""Least index of a template item: lower ones are left to the Handle System and the template's own values."""

REFERENCE_INDEX = 1_001
"""Index of the value that says which template a handle follows, when there is such a value: label or id."""


def template_row(reader: Reader, template_id: str) -> pb.Template:
    """The template with an id. Raises NotFound."""
    body = reader.get(Table.TEMPLATES, template_id.encode()) if template_id else None
    if body is None:
        raise NotFound(
            f"template {template_id[:128]!r} does not exist: create it, or leave the template out",
            field="template_id",
        )
    return pb.Template.FromString(body)


def labels_of(prefix: str) -> bytes:
    """What the keys of TEMPLATE_LABELS begin with for the templates of a prefix."""
    return fold(prefix).encode()[: limits.PREFIX_OCTETS_MAX] + b"\0"


def label_key(prefix: str, label: str) -> bytes:
    """Key of a row of TEMPLATE_LABELS; a label can be longer than a key may be, so its digest stands there."""
    return labels_of(prefix) + hashlib.sha256(label.encode()).digest()


def id_of_label(reader: Reader, prefix: str, label: str) -> str | None:
    """The id of the template with a label in a prefix, or else in the whole node; None when there is none."""
    for place in (prefix, "") if prefix else ("",):
        found = reader.get(Table.TEMPLATE_LABELS, label_key(place, label))
        if found is not None:
            return found.decode()
    return None


class Rules:
    """A template made ready to check handles."""

    __slots__ = ("_folded_prefix", "_items", "_reference", "_required", "template")

    def __init__(self, template: pb.Template) -> None:
        self.template = template
        self._folded_prefix = fold(template.prefix)
        self._items = {item.index: (item.type, fold(item.type), CHECKS[item.kind], item) for item in template.items}
        self._required = [item for item in template.items if item.required and not item.disabled]
        self._reference = (template.label or template.template_id).encode()

    def check(self, folded_prefix: str, values: Sequence[handle_pb2.HandleValue], *, new: bool) -> None:
        """Raise TemplateNotFollowed, naming the item, unless the values follow the template.

        Values with indexes below 2000 are free, but for the reference to the template. A template that is withdrawn
        or deleted takes no ``new`` handles.
        """
        template = self.template
        if self._folded_prefix and folded_prefix != self._folded_prefix:
            raise _not_followed(
                "PREFIX",
                f"template {template.template_id!r} belongs to prefix {template.prefix!r} and handles of other "
                "prefixes cannot name it: create one for this prefix, or for the whole node",
                field="template_id",
            )
        if new and (template.withdrawn or template.deleted):
            state = "deleted" if template.deleted else "withdrawn"
            raise _not_followed(
                "WITHDRAWN", f"template {template.template_id!r} is {state}: it takes no new handles", "template_id"
            )
        items, seen = self._items, set()
        for value in values:
            index = value.index
            if index < ITEM_INDEX_MIN:
                if index == REFERENCE_INDEX and value.data != self._reference:
                    raise _not_followed(
                        "RESERVED",
                        f"index {REFERENCE_INDEX} is reserved for the reference to the template: leave the value out",
                        index=index,
                    )
                continue
            found = items.get(index)
            if found is None:
                raise _not_followed(
                    "UNKNOWN_INDEX",
                    f"index {index} is not in template {template.template_id!r}: remove the value or add the item",
                    index=index,
                )
            type_, folded, check, item = found
            if value.type != type_ and fold(value.type) != folded:
                raise _not_followed(
                    "TYPE", f"{_name(item)} has type {value.type!r}: the template says {type_!r}", index=index
                )
            if item.disabled and new:
                raise _not_followed("DISABLED", f"{_name(item)} is disabled in the template: leave it out", index=index)
            try:
                fault = check(item, value.data.decode())
            except UnicodeDecodeError:
                fault = Fault("KIND", "is not UTF-8 text")
            if fault is not None:
                raise _not_followed(fault.rule, f"{_name(item)} {fault.what}", index=index, item=item)
            seen.add(index)
        for item in self._required:
            if item.index not in seen:
                raise _not_followed(
                    "REQUIRED",
                    f"template {template.template_id!r} requires index {item.index} ({item.type} {item.name}): add it",
                    index=item.index,
                    item=item,
                )


def _name(item: pb.TemplateItem) -> str:
    return f"index {item.index} ({item.type} {item.name})"


def _not_followed(
    rule: str, message: str, field: str = "values", *, index: int = 0, item: pb.TemplateItem | None = None
) -> TemplateNotFollowed:
    """The refusal; its details let a door say it in the words of its own interface."""
    details = {"rule": rule}
    if index:
        details["index"] = str(index)
    if item is not None:
        details |= {"type": item.type, "name": item.name}
        if item.HasField("minimum"):
            details["minimum"] = str(item.minimum)
        if item.HasField("maximum"):
            details["maximum"] = str(item.maximum)
    return TemplateNotFollowed(message, field=field, details=details)
