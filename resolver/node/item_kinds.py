"""What the data of a template item may be: one checker for each kind, in one table.

A checker gets an item and a text and returns what is wrong with it as the end of a sentence, or None. Data is UTF-8
text whatever the kind, so that every door can carry it; the kind says what the text must spell. Nothing here knows
templates, handles or the store.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from resolver.errors import WireError
from resolver.handle.name import Handle
from resolver.v1 import template_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBER_DIGITS_MAX = 38
"""Digits of a number: what the national IDHub template allows and every decimal type of databases holds."""

OPTIONS_MAX = 500
"""Options of an enumeration: more are a list of their own, not a rule."""

LIST_ELEMENTS_MAX = 1_000
"""Elements of a list: a bound on the work of one check."""

_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_SCHEMES = frozenset({"http", "https", "ftp"})


class Fault(NamedTuple):
    """What is wrong: the rule that is broken, and what to say after the name of the item."""

    rule: str
    """LENGTH_MIN, LENGTH_MAX, VALUE_MIN, VALUE_MAX, COUNT_MIN, COUNT_MAX or KIND."""
    what: str


def _bounds(item: pb.TemplateItem, measure: Decimal | int, noun: str, rule: str) -> Fault | None:
    """Compare with minimum and maximum, where they are given."""
    if item.HasField("minimum") and measure < item.minimum:
        return Fault(f"{rule}_MIN", f"has {noun} {measure}: at least {item.minimum} is needed")
    if item.HasField("maximum") and measure > item.maximum:
        return Fault(f"{rule}_MAX", f"has {noun} {measure}: at most {item.maximum} is allowed")
    return None


def _text(item: pb.TemplateItem, text: str) -> Fault | None:
    return _bounds(item, len(text), "length", "LENGTH")


def decimal_of(text: str) -> Decimal | None:
    """The number a text spells: decimal digits only, no exponent, at most 38 digits; None for any other text."""
    if len(text) > NUMBER_DIGITS_MAX + 2 or not _DECIMAL.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if len(number.as_tuple().digits) <= NUMBER_DIGITS_MAX else None


def _number(item: pb.TemplateItem, text: str) -> Fault | None:
    number = decimal_of(text)
    if number is None:
        return Fault("KIND", f"is {text[:40]!r}: write a decimal number of at most {NUMBER_DIGITS_MAX} digits")
    if item.HasField("decimals") and len(text.partition(".")[2]) > item.decimals:
        return Fault("KIND", f"is {text[:40]!r}: at most {item.decimals} digits may follow the decimal point")
    if item.lower_bound and number < Decimal(item.lower_bound):
        return Fault("VALUE_MIN", f"has value {number}: at least {item.lower_bound} is needed")
    if item.upper_bound and number > Decimal(item.upper_bound):
        return Fault("VALUE_MAX", f"has value {number}: at most {item.upper_bound} is allowed")
    return _bounds(item, number, "value", "VALUE")


def date_of(text: str) -> datetime | None:
    """The moment a text spells; a date alone is its midnight. None for any other text."""
    for form in _DATE_FORMS:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - a calendar date of the enterprise, no moment in time
        except ValueError:
            continue
        if moment.strftime(form) == text:
            return moment
    return None


def _date(item: pb.TemplateItem, text: str) -> Fault | None:
    moment = date_of(text)
    if moment is None:
        return Fault("KIND", f"is {text[:40]!r}: write a date as yyyy-MM-dd or yyyy-MM-dd HH:mm:ss")
    least, greatest = date_of(item.lower_bound), date_of(item.upper_bound)
    if least is not None and moment < least:
        return Fault("VALUE_MIN", f"is {text!r}: {item.lower_bound} is the first date allowed")
    if greatest is not None and moment > greatest:
        return Fault("VALUE_MAX", f"is {text!r}: {item.upper_bound} is the last date allowed")
    return None


def _boolean(_: pb.TemplateItem, text: str) -> Fault | None:
    return None if text in {"true", "false"} else Fault("KIND", f"is {text[:40]!r}: write true or false")


def _enum(item: pb.TemplateItem, text: str) -> Fault | None:
    if text in item.options:
        return None
    return Fault("KIND", f"is {text[:40]!r}: write one of {', '.join(item.options[:12])}")


def _url(item: pb.TemplateItem, text: str) -> Fault | None:
    try:
        parts = urlsplit(text)
        good = parts.scheme.lower() in _SCHEMES and bool(parts.hostname) and text.isprintable() and " " not in text
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        return Fault("KIND", f"is {text[:40]!r}: write a URL such as https://example.com/p")
    return _text(item, text)


def _handle(_: pb.TemplateItem, text: str) -> Fault | None:
    try:
        Handle.from_text(text)
        good = "/" in text  # without it the name is that of a prefix
    except WireError:
        good = False
    return None if good else Fault("KIND", f"is {text[:40]!r}: write the name of a handle, PREFIX/SUFFIX")


def _list(item: pb.TemplateItem, text: str) -> Fault | None:
    try:
        elements = json.loads(text)
    except (ValueError, RecursionError):
        elements = None
    if not isinstance(elements, list) or not all(isinstance(element, str) for element in elements):
        return Fault("KIND", f'is {text[:40]!r}: write a JSON array of texts such as ["a", "b"]')
    if len(elements) > LIST_ELEMENTS_MAX:
        return Fault("COUNT_MAX", f"has {len(elements)} elements: at most {LIST_ELEMENTS_MAX} are allowed")
    check = CHECKS[item.element]
    single = pb.TemplateItem(kind=item.element, options=item.options, lower_bound=item.lower_bound)
    single.upper_bound = item.upper_bound
    if item.HasField("decimals"):
        single.decimals = item.decimals
    for position, element in enumerate(elements):
        fault = check(single, element)
        if fault is not None:
            return Fault(fault.rule, f"has an element {position} that {fault.what}")
    return _bounds(item, len(elements), "element count", "COUNT")


CHECKS: dict[pb.ItemKind, Callable[[pb.TemplateItem, str], Fault | None]] = {
    pb.ITEM_KIND_UNSPECIFIED: _text,
    pb.ITEM_KIND_TEXT: _text,
    pb.ITEM_KIND_NUMBER: _number,
    pb.ITEM_KIND_DATE: _date,
    pb.ITEM_KIND_BOOLEAN: _boolean,
    pb.ITEM_KIND_ENUM: _enum,
    pb.ITEM_KIND_URL: _url,
    pb.ITEM_KIND_LIST: _list,
    pb.ITEM_KIND_HANDLE: _handle,
}
"""The checker of each kind."""
