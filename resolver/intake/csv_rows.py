"""CSV files: a header row, then one registration a row, as spreadsheets write them.

Comma, semicolon and tab are told apart by the header; a first line ``sep=;`` is believed. Quotes
and line breaks inside quotes follow RFC 4180. A row with another number of cells than the header,
and a row with broken quotes, is an error of that row. Decoding is ``encoding.TextLines``; what the
columns mean is ``plan.Plan``.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, BinaryIO

from resolver import limits
from resolver.errors import ResolverError
from resolver.intake.encoding import TextLines
from resolver.intake.plan import Plan, TableMapping
from resolver.intake.rows import IntakeError, Row, bad_row, refused_row

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS = (",", ";", "\t")
"""Cell separators that are recognised; the first one wins a draw."""


class _Feed:
    """Lines for the CSV parser that remember where it stands and which of them were no text."""

    def __init__(self, lines: TextLines) -> None:
        self.number = 0
        self.faults: list[str] = []
        self._lines = iter(lines)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        self.number, text, fault = next(self._lines)
        if fault:
            self.faults.append(fault)
        return text + "\n"

    def take_faults(self) -> str:
        """What was wrong with the lines since the last call, as one sentence; empty when nothing was."""
        faults = "; ".join(self.faults[:3])
        self.faults.clear()
        return faults


def rows(stream: BinaryIO, mapping: TableMapping = None, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a CSV file. Raises IntakeError when the header does not fit."""
    feed = _Feed(TextLines(stream, encoding))
    delimiter, first = _first_line(feed)
    # The limit of the parser is one for the process; a cell may hold as much as a record.
    csv.field_size_limit(max(csv.field_size_limit(), limits.RECORD_OCTETS_MAX))
    header = _header(feed, first, delimiter)
    plan = Plan(header, mapping)
    parser = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        number = feed.number + 1
        try:
            cells = next(parser, None)
        except csv.Error as error:
            faults = feed.take_faults()
            yield bad_row(number, "INVALID_ENCODING", faults) if faults else _broken_row(number, feed.number, error)
            continue
        except IntakeError as error:
            raise IntakeError(error.message, number=number) from error
        if cells is None:
            return
        if feed.faults:
            yield bad_row(number, "INVALID_ENCODING", feed.take_faults())
        elif cells:
            yield _row(number, cells, plan)


def _row(number: int, cells: list[str], plan: Plan) -> Row:
    if len(cells) != plan.width:
        if not any(cells):
            return bad_row(number, "ROW_INCOMPLETE", "the row has separators and no content: remove it")
        if len(cells) < plan.width or any(cells[plan.width :]):
            return bad_row(
                number,
                "ROW_INCOMPLETE",
                f"the row has {len(cells)} cells and the header {plan.width}: complete the row, or quote cells that "
                "hold the separator",
            )
    try:
        return Row(number, plan.new_handle(cells))
    except ResolverError as error:
        return refused_row(number, error, plan.name(cells))


def _broken_row(number: int, last: int, error: csv.Error) -> Row:
    if "unexpected end of data" in str(error) or "field larger" in str(error):
        return bad_row(
            number,
            "ROW_INCOMPLETE",
            f"a quote opened in this row is not closed before line {last}, so the lines between belong to it: close "
            "the quote, or double it when it is part of the text",
        )
    return bad_row(number, "MALFORMED_ROW", f"the row is no CSV ({error}): put cells with quotes inside into quotes")


def _first_line(feed: _Feed) -> tuple[str, str]:
    """The separator and the first line of the header."""
    for text in feed:
        if feed.faults:
            raise IntakeError(f"the header cannot be read: {feed.take_faults()}", number=feed.number)
        if text.isspace():
            continue
        if text.strip().casefold() in {f"sep={delimiter}".casefold() for delimiter in DELIMITERS}:
            return text.strip()[4:], next(feed, "")
        return _sniff(text), text
    raise IntakeError("the file is empty: the first row must name the columns, such as name,1:URL")


def _sniff(header: str) -> str:
    unquoted = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=unquoted.count)


def _header(feed: _Feed, first: str, delimiter: str) -> list[str]:
    def lines() -> Iterator[str]:
        yield first
        yield from feed

    try:
        return next(csv.reader(lines(), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise IntakeError(f"the header row is no CSV: {error}", number=feed.number) from None
