"""Forms of templates: what is written is what an import of the same template takes."""

import csv

import openpyxl
import pytest

from resolver.intake import form
from resolver.intake.mapping import mapping_from_template
from resolver.v1 import template_pb2 as pb

TEMPLATE = pb.Template(
    template_id="bearing",
    items=[
        pb.TemplateItem(index=2000, type="NAME", name="产品名称", required=True, minimum=1, maximum=64),
        pb.TemplateItem(index=2001, type="GRADE", name="等级", kind="ITEM_KIND_ENUM", options=["P0", "P6"]),
        pb.TemplateItem(index=2002, type="OLD", name="旧码", disabled=True),
        pb.TemplateItem(index=2003, type="HANDLE", name="标识"),
        pb.TemplateItem(index=2004, type="A", name="重量"),
        pb.TemplateItem(index=2005, type="B", name="重量", required=True),
        pb.TemplateItem(index=2006, type="FORMULA", name="=1+1", kind="ITEM_KIND_BOOLEAN"),
        pb.TemplateItem(index=2007, type="SIZE", kind="ITEM_KIND_NUMBER", upper_bound="9.5"),
    ],
)
TITLES = ["标识", "产品名称", "2005:B", "等级", "2003:HANDLE", "2004:A", "=1+1", "SIZE"]


def judge(titles):
    assert titles == TITLES
    mapped = mapping_from_template(TEMPLATE, titles)
    assert {value.index for value in mapped.values} == {item.index for item in TEMPLATE.items if not item.disabled}


def test_csv_opens_in_excel_and_imports(tmp_path):
    path = tmp_path / "form.csv"
    form.write_csv(TEMPLATE, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        judge(next(csv.reader(file)))


def test_a_workbook_checks_and_explains(tmp_path):
    path = tmp_path / "form.xlsx"
    form.write_xlsx(TEMPLATE, path)
    book = openpyxl.load_workbook(path)
    sheet, explained = book["标识"], book["说明"]
    assert book.sheetnames[0] == "标识"
    judge([cell.value for cell in sheet[1]])
    assert {cell.data_type for cell in sheet[1]} == {"s"}, "a title is no formula"
    rules = {str(rule.sqref): (rule.type, rule.formula1) for rule in sheet.data_validations.dataValidation}
    assert rules == {
        "B2:B2001": ("textLength", "1"),
        "D2:D2001": ("list", '"P0,P6"'),
        "G2:G2001": ("list", '"true,false"'),
    }
    assert sheet.column_dimensions["B"].number_format == "@"
    rows = [[cell.value for cell in row] for row in explained.iter_rows(min_row=2)]
    assert [row[0] for row in rows] == TITLES[1:]
    assert rows[0][1:7] == ["2000", "NAME", "是", "文本", "1", "64"]
    assert rows[2][7] == "P0、P6"


def test_no_file_is_overwritten(tmp_path):
    path = tmp_path / "form.csv"
    path.write_text("mine")
    for write in (form.write_csv, form.write_xlsx):
        with pytest.raises(FileExistsError):
            write(TEMPLATE, path)
    assert path.read_text() == "mine"


def test_every_kind_has_a_word():
    assert set(form._KINDS) == set(pb.ItemKind.values())
