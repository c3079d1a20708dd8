"""Workbooks (XLSX): the same tables as CSV, read row by row from one sheet.

Numbers, dates and truth values become the text people see: 12345.0 is ``12345``, a date is
``2026-01-31``, a date with a time ``2026-01-31 08:00:00``. A whole number of more than 15 digits is
refused, because spreadsheets have already lost its last digits; so is an error such as ``#N/A``.
Of a formula the result that was saved is taken. openpyxl is imported here and in ``form``, where it is needed.
"""

from __future__ import annotations

import datetime as dt
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree.ElementTree import ParseError

from resolver.errors import InvalidValue, ResolverError
from resolver.intake.plan import Plan, TableMapping
from resolver.intake.rows import IntakeError, Row, bad_row, nearest, refused_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WHOLE_NUMBER_LIMIT = 10**15
"""Whole numbers from here on have lost digits: a spreadsheet keeps 15."""

SHARED_TEXT_OCTETS_MAX = 512 << 20
"""Octets of the texts of a workbook, which the reader must hold in memory: a million rows have about 100 MiB."""

_ERRORS = frozenset({"#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"})
_BROKEN = (zipfile.BadZipFile, zlib.error, ParseError, KeyError, ValueError, IndexError, EOFError, OSError)


def rows(stream: BinaryIO, mapping: TableMapping = None, sheet: str | None = None) -> Iterator[Row]:
    """The rows of the first sheet, or of the one named. Raises IntakeError when the workbook is broken."""
    workbook = _open(stream)
    try:
        cells = _sheet_rows(workbook, sheet)
        plan = None
        for number, row in cells:
            if not any(cell is not None for cell in row):
                continue
            if plan is None:
                plan = Plan(_header(number, row), mapping)
            else:
                yield _row(number, row, plan)
        if plan is None:
            raise IntakeError("the sheet is empty: its first row must name the columns, such as name and 1:URL")
    finally:
        workbook.close()


def _open(stream: BinaryIO) -> Any:
    try:
        import openpyxl  # noqa: PLC0415 - only who imports workbooks needs the extra
    except ImportError:
        raise IntakeError(
            "workbooks need openpyxl, which is not installed: run 'pip install idis-node[xlsx]', or save the sheet "
            "as CSV"
        ) from None
    try:
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.filename.endswith("sharedStrings.xml") and member.file_size > SHARED_TEXT_OCTETS_MAX:
                    raise IntakeError(
                        f"the texts of the workbook have {member.file_size} octets, too many to read it row by row: "
                        "save the sheet as CSV"
                    )
        stream.seek(0)
        with warnings.catch_warnings():
            # Notes about styles and charts that do not concern the cells.
            warnings.simplefilter("ignore")
            return openpyxl.load_workbook(stream, read_only=True, data_only=True)
    except _BROKEN as error:
        raise IntakeError(
            f"the file is no workbook that can be read ({error}): save it again as XLSX or CSV"
        ) from error


def _sheet_rows(workbook: Any, sheet: str | None) -> Iterator[tuple[int, Sequence[Any]]]:
    """Number and cells of every row of the sheet."""
    names = [worksheet.title for worksheet in workbook.worksheets]
    if sheet is not None and sheet not in names:
        raise IntakeError(f"the workbook has no sheet {sheet!r}{nearest(sheet, names)}; it has {', '.join(names)}")
    if not names:
        raise IntakeError("the workbook has no sheet with cells: save the table as the first sheet")
    number = 0
    try:
        worksheet = workbook[sheet or names[0]]
        # Other programs write wrong dimensions; without them the rows themselves count.
        worksheet.reset_dimensions()
        for number, row in enumerate(worksheet.iter_rows(values_only=True), 1):
            yield number, row
    except _BROKEN as error:
        raise IntakeError(
            f"the workbook is broken after row {number} ({error}): save it again as XLSX or CSV", number=number
        ) from error


def _header(number: int, row: Sequence[Any]) -> list[str]:
    try:
        return [_text(cell) for cell in row]
    except InvalidValue as error:
        raise IntakeError(f"the header in row {number} cannot be read: {error}", number=number) from None


def _row(number: int, row: Sequence[Any], plan: Plan) -> Row:
    if any(cell is not None for cell in row[plan.width :]):
        return bad_row(
            number,
            "ROW_INCOMPLETE",
            f"the row has content beyond the {plan.width} columns of the header: name the column or remove it",
        )
    name = ""
    try:
        cells = [_text(cell) for cell in row[: plan.width]]
        cells += [""] * (plan.width - len(cells))
        name = plan.name(cells)
        return Row(number, plan.new_handle(cells))
    except ResolverError as error:
        return refused_row(number, error, name)


def _text(cell: Any) -> str:
    """A cell as the text people see. Raises InvalidValue for a number that lost digits and for an error."""
    if isinstance(cell, str):
        if cell in _ERRORS:
            raise InvalidValue(f"a cell holds the error {cell}: correct the formula or clear the cell", field="values")
        return cell
    for kind, to_text in _TEXTS:
        if isinstance(cell, kind):
            return to_text(cell)
    return "" if cell is None else str(cell)


def _moment_text(moment: dt.datetime) -> str:
    if moment.time() == dt.time():
        return moment.date().isoformat()
    return moment.isoformat(" ", "seconds")


def _number_text(number: float) -> str:
    if isinstance(number, float) and not number.is_integer():
        return repr(number)
    if abs(number) >= WHOLE_NUMBER_LIMIT:
        raise InvalidValue(
            f"the number {number} has more than 15 digits, and spreadsheets lose those beyond: format the column as "
            "text and enter it again",
            field="values",
        )
    return str(int(number))


_TEXTS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (bool, lambda cell: "TRUE" if cell else "FALSE"),
    ((int, float), _number_text),
    (dt.datetime, _moment_text),
    (dt.date, dt.date.isoformat),
    (dt.time, lambda cell: cell.isoformat("seconds")),
)
"""Kinds of cells and their text; the first that fits counts (a truth value is an int, a moment is a date)."""
