"""Workbooks: cells as people see them, the same header rules as CSV, and broken files."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from openpyxl import Workbook

from resolver.intake import xlsx_rows
from resolver.intake.mapping import mapping_from_toml
from resolver.intake.rows import IntakeError


def workbook(*rows, title="Sheet"):
    book = Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    stream.seek(0)
    return stream


def texts(row):
    return [value.data.decode() for value in row.handle.values]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("轴承", "轴承"),
        (12345.0, "12345"),
        (12345, "12345"),
        (-3, "-3"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (999_999_999_999_999, "999999999999999"),
        (True, "TRUE"),
        (False, "FALSE"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.datetime.fromisoformat("2026-01-31T08:05:00"), "2026-01-31 08:05:00"),
        (dt.time(8, 5), "08:05:00"),
        ("007", "007"),
    ],
)
def test_cells_become_the_text_people_see(cell, text):
    (row,) = xlsx_rows.rows(workbook(["标识", "1:X"], ["88.300.1/A", cell]))
    assert texts(row) == [text]


def test_rows_have_their_sheet_numbers_and_short_rows_are_filled():
    book = workbook(["name", "1:X", "2:Y", None], [], ["88.300.1/A", "a"], [None, None], ["88.300.1/B", None, "b"])
    rows = list(xlsx_rows.rows(book))
    assert [row.number for row in rows] == [3, 5]
    assert [texts(row) for row in rows] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("row", "reason", "sentence"),
    [
        (["88.300.1/B", 123456789012345678], "INVALID_VALUE", "more than 15 digits"),
        (["88.300.1/B", 1e300], "INVALID_VALUE", "more than 15 digits"),
        (["88.300.1/B", "#N/A"], "INVALID_VALUE", "holds the error #N/A"),
        (["88.300.1/B", "x", "y"], "ROW_INCOMPLETE", "beyond the 2 columns"),
        (["B", "x"], "INVALID_NAME", "no '/'"),
        ([None, "x"], "INVALID_NAME", "fill column name"),
    ],
)
def test_a_wrong_row_is_an_error_and_its_neighbours_are_read(row, reason, sentence):
    rows = list(xlsx_rows.rows(workbook(["name", "1:X"], ["88.300.1/A", "x"], row, ["88.300.1/C", "x"])))
    assert [entry.error and entry.error.reason for entry in rows] == [None, reason, None]
    assert sentence in rows[1].error.message
    assert rows[1].number == 3


def test_a_sheet_is_chosen_by_name():
    book = Workbook()
    book.create_sheet("产品").append(["name"])
    book["产品"].append(["88.300.1/A"])
    stream = io.BytesIO()
    book.save(stream)
    assert [row.handle.name for row in xlsx_rows.rows(stream, sheet="产品")] == ["88.300.1/A"]
    with pytest.raises(IntakeError, match="no sheet '产口'; it has Sheet, 产品"):
        list(xlsx_rows.rows(stream, sheet="产口"))
    with pytest.raises(IntakeError, match="sheet is empty"):
        list(xlsx_rows.rows(stream))


def test_a_mapping_serves_workbooks():
    mapping = mapping_from_toml('name = "88.300.1/{sn}"\n[[values]]\nindex = 2000\ntype = "NAME"\ncolumn = "品名"')
    (row,) = xlsx_rows.rows(workbook(["sn", "品名"], [42.0, "泵"]), mapping)
    assert row.handle.name == "88.300.1/42"
    assert texts(row) == ["泵"]


def test_a_wrong_header_is_an_error_of_the_file():
    with pytest.raises(IntakeError, match="unknown column 'URL'"):
        list(xlsx_rows.rows(workbook(["name", "URL"])))
    with pytest.raises(IntakeError, match="header in row 1 cannot be read: a cell holds the error"):
        list(xlsx_rows.rows(workbook(["name", "#REF!"])))


def test_a_file_that_is_no_workbook_says_so():
    with pytest.raises(IntakeError, match="no workbook that can be read"):
        list(xlsx_rows.rows(io.BytesIO(b"name,1:URL\n")))
    octets = workbook(["name"], ["88.300.1/A"]).getvalue()
    with pytest.raises(IntakeError, match="no workbook that can be read"):
        list(xlsx_rows.rows(io.BytesIO(octets[: len(octets) // 2])))


def test_without_openpyxl_the_remedy_is_named():
    import subprocess
    import sys

    script = (
        "import io, sys; sys.modules['openpyxl'] = None\n"
        "from resolver.intake import xlsx_rows\n"
        "next(xlsx_rows.rows(io.BytesIO()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "IntakeError: workbooks need openpyxl" in done.stderr
    assert "pip install idis-node[xlsx]" in done.stderr


def test_a_sheet_broken_in_the_middle_keeps_the_rows_before():
    import zipfile

    source = zipfile.ZipFile(workbook(["name"], *[[f"88.300.1/P{i}"] for i in range(2000)]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            target.writestr(member, content[: len(content) // 2] if "sheet1" in member.filename else content)
    got = []
    with pytest.raises(IntakeError, match=r"broken after row \d+"):
        got.extend(row.handle.name for row in xlsx_rows.rows(stream))
    rows = xlsx_rows.rows(stream)
    assert [next(rows).handle.name for _ in range(900)] == [f"88.300.1/P{i}" for i in range(900)]
