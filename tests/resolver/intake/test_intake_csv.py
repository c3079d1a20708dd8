"""CSV: what spreadsheets write, mappings, and each way a row or a header can be wrong."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.intake import csv_rows
from resolver.intake.mapping import mapping_from_toml
from resolver.intake.rows import IntakeError

HEADER = "name,1:URL,2000:产品名称"


def read(text, mapping=None, encoding="utf-8"):
    return list(csv_rows.rows(io.BytesIO(text.encode(encoding)), mapping))


def contents(row):
    return row.handle.name, {value.index: (value.type, value.data.decode()) for value in row.handle.values}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_spreadsheets_write(encoding, delimiter, newline):
    text = newline.join([HEADER, '88.300.1/A,https://x.cn/,"轴承""大"""', ""]).replace(",", delimiter)
    (row,) = read(text, encoding=encoding)
    assert row.number == 2
    assert contents(row) == ("88.300.1/A", {1: ("URL", "https://x.cn/"), 2000: ("产品名称", '轴承"大"')})


def test_the_separator_line_of_excel_is_believed():
    (row,) = read("sep=;\nname;1:A,B\n88.300.1/A;x\n")
    assert contents(row) == ("88.300.1/A", {1: ("A,B", "x")})


@pytest.mark.parametrize("column", ["name", "Handle", "标识", " 标识编码 "])
def test_columns_that_hold_the_handle(column):
    (row,) = read(f"1:URL,{column}\nx, 88.300.1/A \n")
    assert row.handle.name == "88.300.1/A"


def test_rows_over_several_lines_have_the_number_of_the_first():
    rows = read(HEADER + '\n88.300.1/A,"a\nb",x\n\n88.300.1/B,c,y\n')
    assert [row.number for row in rows] == [2, 5]
    assert contents(rows[0])[1][1] == ("URL", "a\nb")


def test_empty_cells_give_no_value():
    (row,) = read(HEADER + "\n88.300.1/A,, \n")
    assert contents(row) == ("88.300.1/A", {})


@pytest.mark.parametrize(
    ("line", "reason", "sentence"),
    [
        ("88.300.1/B,x", "ROW_INCOMPLETE", "has 2 cells and the header 3"),
        ("88.300.1/B,x,y,z", "ROW_INCOMPLETE", "has 4 cells"),
        (",,,,", "ROW_INCOMPLETE", "no content"),
        (",x,y", "INVALID_NAME", "fill column name"),
        ("B,x,y", "INVALID_NAME", "no '/'"),
        ('88.300.1/B,"x"y,z', "MALFORMED_ROW", "no CSV"),
        ("88.300.1/" + "x" * 2040 + ",x,y", "INVALID_NAME", "2049 octets"),
    ],
)
def test_a_wrong_row_is_an_error_and_its_neighbours_are_read(line, reason, sentence):
    before, row, after = read(f"{HEADER}\n88.300.1/A,x,y\n{line}\n88.300.1/C,x,y\n")
    assert (before.handle.name, after.handle.name) == ("88.300.1/A", "88.300.1/C")
    assert (row.number, row.error.reason, row.error.code) == (3, reason, 3)
    assert sentence in row.error.message


def test_trailing_empty_cells_of_spreadsheets_are_no_content():
    (row,) = read("name,1:URL,,\n88.300.1/A,x,,\n")
    assert contents(row) == ("88.300.1/A", {1: ("URL", "x")})


def test_a_quote_never_closed_is_an_error_of_the_row_that_opened_it():
    good, bad = read(f'{HEADER}\n88.300.1/A,x,y\n88.300.1/B,"x,y\n88.300.1/C,x,y\n')
    assert good.handle.name == "88.300.1/A"
    assert (bad.number, bad.error.reason) == (3, "ROW_INCOMPLETE")
    assert "before line 4" in bad.error.message


def test_a_quote_never_closed_takes_no_more_than_a_record():
    swallowed = "88.300.1/C,x,y\n" * 80_000
    rows = read(f'{HEADER}\n88.300.1/A,x,y\n88.300.1/B,"x,y\n{swallowed}')
    assert rows[0].handle.name == "88.300.1/A"
    assert (rows[1].number, rows[1].error.reason) == (3, "ROW_INCOMPLETE")
    assert len(rows) > 1_000
    assert all(row.handle.name == "88.300.1/C" for row in rows[2:])


def test_octets_that_are_no_text_are_an_error_of_their_row():
    octets = f"{HEADER}\n88.300.1/A,x,轴承\n".encode() + b"88.300.1/B,\xff,y\n88.300.1/C,x,y\n"
    rows = list(csv_rows.rows(io.BytesIO(octets)))
    assert [row.error and row.error.reason for row in rows] == [None, "INVALID_ENCODING", None]
    assert f"octet {octets.index(0xFF)} of the file is 0xff" in rows[1].error.message


def test_large_cells_are_read():
    (row,) = read(f"name,1:URL\n88.300.1/A,{'x' * 900_000}\n")
    assert len(row.handle.values[0].data) == 900_000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("nme,1:URL\n", "unknown column 'nme'; the nearest known is 'name'"),
        ("name,产品名称\n", "unknown column '产品名称': call it INDEX:TYPE"),
        ("1:URL,2:EMAIL\n", "no column holds the handle"),
        ("name,handle\n", "both hold the handle"),
        ("name,1:URL,1:URL\n", "stands twice"),
        ("name,1:URL,1:EMAIL\n", "index 1 is given twice"),
        ("name,0:URL\n", "index 0"),
        ("name,,1:URL\n", "column 2 of the header has no name"),
        ("name,4294967296:URL\n", "index 4294967296"),
        (",,\n", "no header row"),
        ('name,"1:URL\n', "header row is no CSV"),
    ],
)
def test_a_wrong_header_is_an_error_of_the_file(text, sentence):
    with pytest.raises(IntakeError) as caught:
        read(text)
    assert sentence in caught.value.message


def test_a_header_that_is_no_text_is_an_error_of_the_file():
    with pytest.raises(IntakeError, match="the header cannot be read: octet 5"):
        list(csv_rows.rows(io.BytesIO(b"name,\xff\n")))


def test_a_mapping_makes_values_of_columns():
    mapping = mapping_from_toml("""
name = "88.300.1/{sn}-{ 批次 }"
template = "t1"
[[values]]
index = 1
type = "URL"
text = "https://x.cn/{{{sn}}}?a"
ttl = 60
permissions = "1100"
[[values]]
index = 2000
type = "NAME"
column = "品名"
required = true
[[values]]
index = 2001
type = "NOTE"
text = "{备注}!"
""")
    good, no_name, no_value = read("备注,sn,批次,品名,more\n,7,b1,轴承,z\n,,b1,轴承,z\nx,8,b1,,z\n", mapping)
    assert contents(good) == ("88.300.1/7-b1", {1: ("URL", "https://x.cn/{7}?a"), 2000: ("NAME", "轴承")})
    assert (good.handle.template_id, good.handle.values[0].ttl_s, good.handle.values[0].permissions) == ("t1", 60, 12)
    assert "fill column sn and 批次" in no_name.error.message
    assert "column 品名 is empty and index 2000 (NAME) is required" in no_value.error.message
    assert no_value.name == "88.300.1/8-b1"


def test_a_mapping_that_names_a_missing_column_is_an_error_of_the_file():
    mapping = mapping_from_toml('name = "88.300.1/{serial}"')
    with pytest.raises(IntakeError, match="'serial', which the table does not have; the nearest known is 'serials'"):
        read("serials,x\n", mapping)


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10) | st.sampled_from(['"', "a\nb", "x,;\ty"])
SUFFIXES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=10)


@given(rows=st.lists(st.tuples(SUFFIXES, CELLS, CELLS), max_size=6), encoding=st.sampled_from(["utf-8-sig", "utf-16"]))
def test_what_the_csv_module_writes_reads_back(rows, encoding):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "1:A", "2000:产品"])
    writer.writerows((f"88.300.1/{suffix}", first, second) for suffix, first, second in rows)
    got = [contents(row) for row in read(text.getvalue(), encoding=encoding)]
    want = []
    for suffix, first, second in rows:
        cells = {1: ("A", first), 2000: ("产品", second)}
        want.append((f"88.300.1/{suffix}", {index: cell for index, cell in cells.items() if cell[1].strip()}))
    assert got == want


@given(st.binary(max_size=120))
def test_any_octets_after_a_header_give_rows_or_an_intake_error(octets):
    try:
        rows = list(csv_rows.rows(io.BytesIO(b"name,1:URL\n" + octets)))
    except IntakeError:
        return
    assert all((row.handle is None) != (row.error is None) for row in rows)
