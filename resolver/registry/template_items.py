"""What a template may say: its texts, its items, and what of an item may change once it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidField, InvalidTransition
from resolver.handle.name import fold
from resolver.node.item_kinds import NUMBER_DIGITS_MAX, OPTIONS_MAX, date_of, decimal_of
from resolver.node.templates import ITEM_INDEX_MIN
from resolver.registry import rows
from resolver.v1 import template_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

ITEMS_MAX = 500
"""Items of a template, the disabled ones included."""

LABEL_CHARACTERS_MAX = 128
"""Characters of a label: the length of a template version in the national interface."""

_TEXT, _NUMBER, _DATE = pb.ITEM_KIND_TEXT, pb.ITEM_KIND_NUMBER, pb.ITEM_KIND_DATE
_ENUM, _LIST = pb.ITEM_KIND_ENUM, pb.ITEM_KIND_LIST


def check(row: pb.Template) -> None:
    """Raise InvalidField, naming the field, unless the template can be stored."""
    rows.check_text(row.template_id, 128, "template.template_id", required=True)
    rows.check_text(row.label, 4 * LABEL_CHARACTERS_MAX, "template.label", required=True)
    if len(row.label) > LABEL_CHARACTERS_MAX:
        raise InvalidField(f"the label has more than {LABEL_CHARACTERS_MAX} characters", field="template.label")
    rows.check_text(row.description, limits.DESCRIPTION_OCTETS_MAX, "template.description")
    if len(row.industry_codes) > 4:
        raise InvalidField("industry_codes has more than four levels (GB/T 4754)", field="template.industry_codes")
    for code in row.industry_codes:
        rows.check_text(code, 8, "template.industry_codes")
    require_few(len(row.items))
    seen: set[int] = set()
    for position, item in enumerate(row.items):
        field = f"template.items[{position}]"
        if item.index < ITEM_INDEX_MIN:
            raise InvalidField(f"{field} has index {item.index}: items start at {ITEM_INDEX_MIN}", field=field)
        if item.index in seen:
            raise InvalidField(f"{field} repeats index {item.index}", field=field)
        seen.add(item.index)
        rows.check_text(item.type, 128, f"{field}.type", required=True)
        rows.check_text(item.name, 255, f"{field}.name")
        rows.check_text(item.definition, limits.DESCRIPTION_OCTETS_MAX, f"{field}.definition")
        _check_kind(item, field)


def require_small(row: pb.Template) -> None:
    """Raise InvalidField for a template that changes have made larger than one request is: items are never removed."""
    octets = row.ByteSize()
    if octets > limits.RECORD_OCTETS_MAX:
        raise InvalidField(
            f"the template would have {octets} octets with all its items; at most {limits.RECORD_OCTETS_MAX} are "
            "allowed: shorten options and definitions",
            field="template.items",
        )


def require_few(count: int) -> None:
    """Raise InvalidField for more items than a template may have."""
    if count > ITEMS_MAX:
        raise InvalidField(f"the template has more than {ITEMS_MAX} items", field="template.items")


def _check_kind(item: pb.TemplateItem, field: str) -> None:
    """Check that kind, options and bounds of an item belong together."""
    rows.check_enum(pb.ItemKind, item.kind, f"{field}.kind")
    rows.check_enum(pb.ItemKind, item.element, f"{field}.element")
    if item.element and item.kind != _LIST:
        raise InvalidField(f"{field} names a kind of elements and is no list", field=f"{field}.element")
    if item.element == _LIST:
        raise InvalidField(f"{field} is a list of lists: a list has simple elements", field=f"{field}.element")
    kinds = (item.kind, item.element)
    if bool(item.options) != (_ENUM in kinds):
        told = "is an enumeration without options: give them" if _ENUM in kinds else "has options and is no enumeration"
        raise InvalidField(f"{field} {told}", field=f"{field}.options")
    if len(item.options) > OPTIONS_MAX or len(set(item.options)) != len(item.options):
        raise InvalidField(f"{field} has more than {OPTIONS_MAX} options, or one twice", field=f"{field}.options")
    for option in item.options:
        rows.check_text(option, 255, f"{field}.options", required=True)
    if item.HasField("decimals") and (_NUMBER not in kinds or item.decimals > NUMBER_DIGITS_MAX):
        raise InvalidField(
            f"{field}.decimals is for numbers and at most {NUMBER_DIGITS_MAX}", field=f"{field}.decimals"
        )
    if item.HasField("minimum") and item.HasField("maximum") and item.minimum > item.maximum:
        raise InvalidField(f"{field} has a minimum above its maximum", field=f"{field}.minimum")
    _check_bounds(item, field)


def _check_bounds(item: pb.TemplateItem, field: str) -> None:
    """Check that lower and upper bound are written as values of the kind."""
    given = [text for text in (item.lower_bound, item.upper_bound) if text]
    if not given:
        return
    parse = date_of if _DATE in {item.kind, item.element} else decimal_of
    if _DATE not in {item.kind, item.element} and _NUMBER not in {item.kind, item.element}:
        raise InvalidField(f"{field} has bounds and is neither number nor date", field=f"{field}.lower_bound")
    parsed = [parse(text) for text in given]
    if None in parsed or (len(parsed) == 2 and parsed[0] > parsed[1]):  # type: ignore[operator]  # two of one kind
        raise InvalidField(
            f"{field} has bounds {item.lower_bound!r} to {item.upper_bound!r}: write them as values of its kind, the "
            "lesser one first",
            field=f"{field}.lower_bound",
        )


def merge(before: Iterable[pb.TemplateItem], given: Iterable[pb.TemplateItem], thing: str) -> list[pb.TemplateItem]:
    """The items of a changed template: those given take the place of theirs, new ones are added, others stay.

    Raises InvalidTransition for another type or kind at an index that is taken.
    """
    items = {item.index: item for item in before}
    fresh: set[int] = set()
    for position, item in enumerate(given):
        if item.index in fresh:
            raise InvalidField(
                f"template.items[{position}] repeats index {item.index}", field=f"template.items[{position}].index"
            )
        fresh.add(item.index)
        old = items.get(item.index)
        if old is not None and fold(old.type) != fold(item.type):
            raise InvalidTransition(
                f"index {item.index} of {thing} has type {old.type!r} and cannot become {item.type!r}: disable it "
                "and add one with another index",
                field=f"template.items[{position}].type",
            )
        if old is not None and (_kind(old), old.element) != (_kind(item), item.element):
            raise InvalidTransition(
                f"index {item.index} of {thing} is of kind {_word(old)} and cannot become {_word(item)}: disable it "
                "and add one with another index",
                field=f"template.items[{position}].kind",
            )
        items[item.index] = item
    return [items[index] for index in sorted(items)]


def _kind(item: pb.TemplateItem) -> pb.ItemKind:
    return item.kind or _TEXT


def _word(item: pb.TemplateItem) -> str:
    return pb.ItemKind.Name(_kind(item)).removeprefix("ITEM_KIND_").lower()
