"""Which column of a table becomes which handle value: the mapping, as a TOML file or by a template.

A mapping says how to make the name and each value of a registration from the columns of a row. It
comes from one of three places: a TOML file, a metadata template of the node whose items match the
columns, or the columns themselves when they are called ``name`` and ``INDEX:TYPE``. Texts with
``{column}`` take the content of that column; ``{{`` and ``}}`` are braces.

Every unknown key or column is an error of the file, with the nearest known one. The mapping does
not know where columns stand; ``plan.Plan`` does.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resolver.errors import InvalidValue
from resolver.handle.value import Ttl
from resolver.intake.registration import check_value, permissions_from_text
from resolver.intake.rows import IntakeError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resolver.v1 import template_pb2

NAME_COLUMNS = ("name", "handle", "标识", "标识编码")
"""Columns that hold the handle when nothing else is said; case does not count."""

_INDEX_AND_TYPE = re.compile(r"\s*([0-9]{1,10})\s*[::]\s*(\S.*?)\s*", re.DOTALL)
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_KEYS = ("name", "template", "values")
_VALUE_KEYS = ("index", "type", "column", "text", "ttl", "permissions", "required")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with columns in it: each part is a literal and the column after it; ``tail`` is the last literal."""

    parts: tuple[tuple[str, str], ...]
    tail: str = ""

    @classmethod
    def of_column(cls, column: str) -> Pattern:
        """The content of one column."""
        return cls((("", column),))

    @classmethod
    def from_text(cls, text: str, where: str) -> Pattern:
        """The pattern a text with ``{column}`` spells. Raises IntakeError for a lone brace."""
        parts: list[tuple[str, str]] = []
        literal, start = "", 0
        for found in _BRACES.finditer(text):
            literal += text[start : found.start()]
            start = found.end()
            if found.group() in {"{{", "}}"}:
                literal += found.group()[0]
            elif found.group(1):
                parts.append((literal, found.group(1).strip()))
                literal = ""
            else:
                raise IntakeError(
                    f"{where} {text!r} has a brace without a column at position {found.start()}: write {{column}}, "
                    "or {{ and }} for braces"
                )
        return cls(tuple(parts), literal + text[start:])

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns used."""
        return tuple(column for _, column in self.parts)


@dataclass(frozen=True, slots=True)
class MappedValue:
    """How one handle value is made. A value whose column is empty is left out, or an error when ``required``."""

    index: int
    type: str
    source: Pattern
    ttl: Ttl | None = None
    permissions: int | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a registration is made from a row. ``name`` is None when the name column is one of ``NAME_COLUMNS``."""

    name: Pattern | None
    values: tuple[MappedValue, ...]
    template_id: str = ""


def mapping_from_toml(text: str) -> Mapping:
    """The mapping a TOML text spells. Raises IntakeError that names the key at fault."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise IntakeError(f"the mapping is not TOML: {error}") from None
    _check_keys(content, _KEYS, "the mapping")
    name = content.get("name")
    values = content.get("values", [])
    template_id = content.get("template", "")
    if not isinstance(template_id, str):
        raise IntakeError('template must be a text, such as template = "product-2026"')
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise IntakeError("values must be tables: write [[values]] before each")
    return Mapping(
        None if name is None else _name_from_toml(name),
        _unique(_value_from_toml(value, number) for number, value in enumerate(values, 1)),
        template_id,
    )


def mapping_from_columns(columns: Sequence[str]) -> Mapping:
    """The mapping of a table whose columns are called ``name`` and ``INDEX:TYPE``. Raises IntakeError."""
    values = []
    for column in columns:
        if is_name_column(column):
            continue
        found = _INDEX_AND_TYPE.fullmatch(column)
        if found is None:
            raise IntakeError(
                f"unknown column {column!r}{nearest(column, NAME_COLUMNS)}: call it INDEX:TYPE, such as "
                "2000:产品名称, or give a mapping"
            )
        values.append(_checked(MappedValue(int(found[1]), found[2], Pattern.of_column(column)), f"column {column!r}"))
    return Mapping(None, _unique(values))


def mapping_from_template(template: template_pb2.Template, columns: Sequence[str]) -> Mapping:
    """The mapping of a table whose columns are items of a template, by name, type, index or ``INDEX:TYPE``.

    Raises IntakeError for a column that is no item, an item no longer in use and a required item without a column.
    """
    known: dict[str, template_pb2.TemplateItem] = {}
    for item in template.items:
        for word in (str(item.index), f"{item.index}:{item.type}", item.type, item.name):
            known[word.strip().casefold()] = item
    values = []
    for column in columns:
        if is_name_column(column):
            continue
        found = known.get(column.strip().casefold())
        if found is None:
            words = [item.name or item.type for item in template.items]
            raise IntakeError(
                f"column {column!r} is no item of template {template.template_id!r}{nearest(column, words)}: rename "
                f"or remove it; the items are {', '.join(words)}"
            )
        if found.disabled:
            raise IntakeError(
                f"column {column!r} is an item of template {template.template_id!r} that may no longer be "
                "registered: remove the column"
            )
        source = Pattern.of_column(column)
        values.append(
            _checked(MappedValue(found.index, found.type, source, required=found.required), f"column {column!r}")
        )
    given = {value.index for value in values}
    missing = [
        item.name or item.type
        for item in template.items
        if item.required and not item.disabled and item.index not in given
    ]
    if missing:
        raise IntakeError(f"template {template.template_id!r} requires {', '.join(missing)}: add a column of that name")
    return Mapping(None, _unique(values), template.template_id)


def is_name_column(column: str) -> bool:
    """Whether the column holds the handle by its name."""
    return column.strip().casefold() in NAME_COLUMNS


def _name_from_toml(name: Any) -> Pattern:
    if isinstance(name, str):
        return Pattern.from_text(name, "name")
    if isinstance(name, dict) and set(name) == {"column"} and isinstance(name["column"], str):
        return Pattern.of_column(name["column"])
    raise IntakeError('name must be a text such as "88.300.1/{sn}" or a table such as {column = "标识"}')


def _value_from_toml(value: dict[str, Any], number: int) -> MappedValue:
    where = f"[[values]] number {number}"
    _check_keys(value, _VALUE_KEYS, where)
    for key, kind, example in (
        ("index", int, "2000"),
        ("type", str, '"URL"'),
        ("column", str, '"产品名称"'),
        ("text", str, '"https://example.com/{sn}"'),
        ("ttl", int, "86400"),
        ("permissions", str, '"1110"'),
        ("required", bool, "true"),
    ):
        if key in value and (not isinstance(value[key], kind) or (kind is int and isinstance(value[key], bool))):
            raise IntakeError(f"{where}: {key} is {value[key]!r}: write it as {key} = {example}")
    for key in ("index", "type"):
        if key not in value:
            raise IntakeError(f"{where} has no {key}: add it")
    if ("column" in value) == ("text" in value):
        raise IntakeError(f"{where} needs either column or text: give one of them")
    source = Pattern.of_column(value["column"]) if "column" in value else Pattern.from_text(value["text"], where)
    try:
        ttl = Ttl(value["ttl"]) if "ttl" in value else None
        permissions = permissions_from_text(value["permissions"]) if "permissions" in value else None
    except InvalidValue as error:
        raise IntakeError(f"{where}: {error}") from None
    return _checked(
        MappedValue(value["index"], value["type"], source, ttl, permissions, value.get("required", False)), where
    )


def _check_keys(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise IntakeError(f"{where} has the unknown key {key!r}{nearest(key, known)}; known are {', '.join(known)}")


def _checked(value: MappedValue, where: str) -> MappedValue:
    try:
        check_value(value.index, value.type)
    except InvalidValue as error:
        raise IntakeError(f"{where}: {error}") from None
    return value


def _unique(values: Iterable[MappedValue]) -> tuple[MappedValue, ...]:
    seen: set[int] = set()
    kept = tuple(values)
    for value in kept:
        if value.index in seen:
            raise IntakeError(f"index {value.index} is given twice: each value needs an index of its own")
        seen.add(value.index)
    return kept
