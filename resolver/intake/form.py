"""An empty form for registrations that follow a template: a workbook or a CSV file that ``idis import`` takes as it is.

The first row names the handle and the items; required ones stand first. A workbook also checks what is typed where
Excel can (options, numbers, dates, lengths), and explains each column on a second sheet. The node checks everything
again: the form only saves a round.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from resolver.intake.mapping import is_name_column
from resolver.intake.rows import IntakeError
from resolver.v1 import template_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

NAME_COLUMN = "标识"
"""Title of the column of handles."""

FORM_ROWS = 2_000
"""Rows of a workbook that are checked while typing: one batch."""

OPTIONS_CHARACTERS_MAX = 255
"""Characters of options that Excel takes in one rule; longer lists are on the second sheet only."""

_KINDS = {
    pb.ITEM_KIND_UNSPECIFIED: "文本",
    pb.ITEM_KIND_TEXT: "文本",
    pb.ITEM_KIND_NUMBER: "数字",
    pb.ITEM_KIND_DATE: "日期 yyyy-MM-dd 或 yyyy-MM-dd HH:mm:ss",
    pb.ITEM_KIND_BOOLEAN: "true 或 false",
    pb.ITEM_KIND_ENUM: "选项",
    pb.ITEM_KIND_URL: "网址",
    pb.ITEM_KIND_LIST: '列表，如 ["a", "b"]',
    pb.ITEM_KIND_HANDLE: "另一个标识",
}
"""What each kind is called on the second sheet."""


def items_of(template: pb.Template) -> list[tuple[str, pb.TemplateItem]]:
    """Title and item of each column, required ones first. Titles are names, where those tell the items apart."""
    usable = [item for item in template.items if not item.disabled]
    words: dict[str, int] = {}
    for item in template.items:
        for word in {str(item.index), item.type.strip().casefold(), item.name.strip().casefold()}:
            words[word] = words.get(word, 0) + 1
    found = []
    for item in sorted(usable, key=lambda item: (not item.required, item.index)):
        title = item.name.strip() or item.type
        if words[title.casefold()] > 1 or is_name_column(title):
            title = f"{item.index}:{item.type}"
        found.append((title, item))
    return found


def write_csv(template: pb.Template, path: Path) -> None:
    """Write the form as CSV in UTF-8 with a mark, so that Excel reads Chinese titles."""
    with path.open("x", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerow([NAME_COLUMN, *(title for title, _ in items_of(template))])


def write_xlsx(template: pb.Template, path: Path) -> None:
    """Write the form as a workbook. Raises IntakeError without openpyxl."""
    try:
        import openpyxl  # noqa: PLC0415 - only who wants workbooks needs the extra
        from openpyxl.styles import Font  # noqa: PLC0415 - as above
        from openpyxl.utils import get_column_letter  # noqa: PLC0415 - as above
    except ImportError as error:
        raise IntakeError(
            "workbooks need openpyxl, which is not installed: run 'pip install idis-node[xlsx]', or write CSV"
        ) from error
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "标识"
    titles = [NAME_COLUMN, *(title for title, _ in items_of(template))]
    for column, title in enumerate(titles, 1):
        cell = _text(sheet.cell(1, column), title)
        cell.font = Font(bold=True)
        letter = get_column_letter(column)
        sheet.column_dimensions[letter].width = max(14, min(40, 2 * len(title) + 4))
        sheet.column_dimensions[letter].number_format = "@"  # leading zeros and long numbers stay as they are typed
        if column > 1:
            rule = _rule(items_of(template)[column - 2][1])
            if rule is not None:
                sheet.add_data_validation(rule)
                rule.add(f"{letter}2:{letter}{FORM_ROWS + 1}")
    sheet.freeze_panes = "B2"
    _explain(book.create_sheet("说明"), template)
    with path.open("xb") as file:
        book.save(file)


def _text(cell: Any, text: str) -> Any:
    """Put a text into a cell, whatever it looks like: titles come from templates and are no formulas."""
    cell.value = text
    cell.data_type = "s"
    return cell


def _rule(item: pb.TemplateItem) -> Any:
    """What Excel checks while somebody types; None where it cannot."""
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415 - called by write_xlsx only

    options = list(item.options) if item.kind == pb.ITEM_KIND_ENUM else ["true", "false"]
    if item.kind in {pb.ITEM_KIND_ENUM, pb.ITEM_KIND_BOOLEAN}:
        joined = ",".join(options)
        if len(joined) > OPTIONS_CHARACTERS_MAX or any(letter in option for option in options for letter in ',"'):
            return None
        return DataValidation("list", formula1=f'"{joined}"', showErrorMessage=True, errorTitle=item.type)
    if item.kind in {pb.ITEM_KIND_UNSPECIFIED, pb.ITEM_KIND_TEXT, pb.ITEM_KIND_URL} and item.HasField("maximum"):
        least = item.minimum if item.HasField("minimum") else 0
        error = f"{item.type}: {least} – {item.maximum}"
        return DataValidation(
            "textLength",
            operator="between",
            formula1=str(max(0, least)),
            formula2=str(item.maximum),
            showErrorMessage=True,
            error=error,
        )
    return None


def _explain(sheet: Any, template: pb.Template) -> None:
    """The second sheet: what each column takes."""
    heads = ("列", "索引", "类型", "必填", "数据", "最小", "最大", "选项", "说明")
    for column, head in enumerate(heads, 1):
        _text(sheet.cell(1, column), head)
    for row, (title, item) in enumerate(items_of(template), 2):
        least = item.lower_bound or (str(item.minimum) if item.HasField("minimum") else "")
        greatest = item.upper_bound or (str(item.maximum) if item.HasField("maximum") else "")
        cells = (
            title,
            str(item.index),
            item.type,
            "是" if item.required else "否",
            _KINDS[item.kind],
            least,
            greatest,
            "、".join(item.options),
            item.definition,
        )
        for column, text in enumerate(cells, 1):
            _text(sheet.cell(row, column), text)
