"""A mapping bound to the columns of one table: cells in, registration out.

The plan is made once from the header and then run for every row, so all that can be decided from
the header is decided here: where columns stand, whether they exist, whether indexes and types are
allowed. What is left for a row is its cells. CSV and workbooks share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from resolver.errors import InvalidName, InvalidValue
from resolver.intake.mapping import (
    NAME_COLUMNS,
    Mapping,
    Pattern,
    is_name_column,
    mapping_from_columns,
    mapping_from_template,
)
from resolver.intake.registration import check_name
from resolver.intake.rows import IntakeError, nearest
from resolver.v1 import registration_pb2, template_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

TableMapping = Mapping | template_pb2.Template | None
"""How columns become values: a mapping, a template to match them with, or None for what the columns say."""


class _Step(NamedTuple):
    """One value of the plan: the cell at ``position``, or when that is negative the ``places`` of a text."""

    position: int
    places: tuple[tuple[str, int], ...]
    tail: str
    fields: dict[str, Any]
    required: bool
    columns: tuple[str, ...]


class Plan:
    """How the rows of one table become registrations. Making one raises IntakeError for an unknown column."""

    def __init__(self, header: Sequence[str], mapping: TableMapping) -> None:
        columns = [column.strip() for column in header]
        while columns and not columns[-1]:
            columns.pop()
        if not columns:
            raise IntakeError("the table has no header row: the first row must name the columns, such as name,1:URL")
        self.width = len(columns)
        """Columns of the table; trailing columns without a name are not counted."""
        self._positions = _positions(columns)
        if mapping is None:
            mapping = mapping_from_columns(columns)
        elif not isinstance(mapping, Mapping):
            mapping = mapping_from_template(mapping, columns)
        self._template_id = mapping.template_id
        self._name = self._step(mapping.name or _name_pattern(columns), {}, required=True)
        self._steps = []
        for value in mapping.values:
            fields: dict[str, Any] = {"index": value.index, "type": value.type}
            if value.ttl is not None:
                fields["ttl_s"] = value.ttl.seconds
            if value.permissions is not None:
                fields["permissions"] = value.permissions
            self._steps.append(self._step(value.source, fields, required=value.required))

    def name(self, cells: Sequence[str]) -> str:
        """The handle of a row, without spaces around it; empty when a column it needs is empty."""
        return _content(self._name, cells).strip()

    def new_handle(self, cells: Sequence[str]) -> registration_pb2.NewHandle:
        """The registration of a row of ``width`` cells. Raises InvalidName and InvalidValue."""
        name = self.name(cells)
        if not name:
            raise InvalidName(
                f"the handle is missing: fill column {' and '.join(self._name.columns) or 'name'}", field="name"
            )
        check_name(name)
        handle = registration_pb2.NewHandle(name=name, template_id=self._template_id)
        add = handle.values.add
        for step in self._steps:
            position = step.position
            data = cells[position] if position >= 0 else _content(step, cells)
            if data and not data.isspace():
                add(data=data.encode(), **step.fields)
            elif step.required:
                raise InvalidValue(
                    f"column {' and '.join(step.columns)} is empty and index {step.fields['index']} "
                    f"({step.fields['type']}) is required: fill it",
                    field="values",
                )
        return handle

    def _step(self, pattern: Pattern, fields: dict[str, Any], *, required: bool) -> _Step:
        places = []
        for literal, column in pattern.parts:
            position = self._positions.get(column.strip())
            if position is None:
                raise IntakeError(
                    f"the mapping uses column {column!r}, which the table does not have"
                    f"{nearest(column, self._positions)}: correct the mapping or the header"
                )
            places.append((literal, position))
        whole_cell = len(places) == 1 and not places[0][0] and not pattern.tail
        position = places[0][1] if whole_cell else -1
        return _Step(position, tuple(places), pattern.tail, fields, required, pattern.columns)


def _content(step: _Step, cells: Sequence[str]) -> str:
    """The text of a step; empty when a column it uses is empty."""
    if step.position >= 0:
        return cells[step.position]
    pieces = []
    for literal, position in step.places:
        cell = cells[position].strip()
        if not cell:
            return ""
        pieces.append(literal)
        pieces.append(cell)
    pieces.append(step.tail)
    return "".join(pieces)


def _positions(columns: Sequence[str]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, column in enumerate(columns):
        if not column:
            raise IntakeError(f"column {position + 1} of the header has no name: give it one or remove it")
        if column in positions:
            raise IntakeError(
                f"column {column!r} stands twice, as number {positions[column] + 1} and {position + 1}: rename one"
            )
        positions[column] = position
    return positions


def _name_pattern(columns: Sequence[str]) -> Pattern:
    found = [column for column in columns if is_name_column(column)]
    if not found:
        raise IntakeError(
            f"no column holds the handle: call one {', '.join(NAME_COLUMNS[:-1])} or {NAME_COLUMNS[-1]}, or give a "
            "mapping with name"
        )
    if len(found) > 1:
        raise IntakeError(f"the columns {' and '.join(found)} both hold the handle: keep one")
    return Pattern.of_column(found[0])
