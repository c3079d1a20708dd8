"""Lines of text: every encoding we accept, damaged octets, and lines longer than allowed."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.intake.encoding import TextLines, detect
from resolver.intake.rows import IntakeError

TEXT = "name,2000:产品名称\n88.300.1/a,轴承\n\n88.300.1/b,电机\r\nlast"
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff", "gb18030": b"\x84\x31\x95\x33"}


def texts(octets, **options):
    return [line.text for line in TextLines(io.BytesIO(octets), **options)]


@pytest.mark.parametrize("name", MARKS)
def test_a_byte_order_mark_decides(name):
    lines = TextLines(io.BytesIO(MARKS[name] + TEXT.encode(name)))
    assert [line.text for line in lines] == TEXT.split("\n")
    assert lines.encoding == name


@pytest.mark.parametrize("name", ["utf-8", "gb18030"])
def test_without_a_mark_the_text_decides(name):
    lines = TextLines(io.BytesIO(TEXT.encode(name)))
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    assert lines.encoding == name
    assert texts(TEXT.encode(name)) == TEXT.split("\n")


def test_the_first_text_beyond_ascii_decides_even_after_the_first_block():
    lines = TextLines(io.BytesIO(b"plain\n" * 300_000 + "轴承\n".encode("gb18030")))
    assert list(lines)[-1] == (300_001, "轴承", "")
    assert lines.encoding == "gb18030"


def test_one_damaged_line_does_not_turn_utf_8_into_gb18030():
    octets = "轴承\n电机\n".encode() + b"caf\xe9n\n" + "泵\n".encode()
    lines = list(TextLines(io.BytesIO(octets)))
    assert [line.text for line in lines] == ["轴承", "电机", "", "泵"]
    assert lines[2].number == 3
    assert "octet 17 of the file is 0xe9" in lines[2].fault
    assert detect(octets) == "utf-8"


def test_a_damaged_line_of_gb18030_is_named_by_its_octet():
    octets = "轴承\n".encode("gb18030") * 3 + b"\xff\xff\n" + "泵".encode("gb18030")
    lines = list(TextLines(io.BytesIO(octets)))
    assert [bool(line.fault) for line in lines] == [False, False, False, True, False]
    assert "octet 15 of the file is 0xff, which is not GB18030" in lines[3].fault


def test_octets_of_a_fault_count_the_mark_and_all_blocks():
    octets = MARKS["utf-8"] + b"x" * 9 + b"\n" + b"y" * 9 + b"\n\xff\n"
    for block_octets in (4, 7, 1000):
        fault = list(TextLines(io.BytesIO(octets), block_octets=block_octets))[-1].fault
        assert "octet 23 of the file is 0xff" in fault


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be", "gb18030"])
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)))
def test_lines_do_not_depend_on_where_blocks_end(name, lines):
    octets = MARKS[name] + "\n".join(lines).encode(name)
    want = lines[:-1] if lines and not lines[-1] else lines
    for block_octets in (4, 5, 64, 1 << 20):
        assert texts(octets, encoding=name, block_octets=block_octets) == want


@pytest.mark.parametrize("block_octets", [5, 64, 1 << 20])
def test_an_over_long_line_is_a_fault_and_the_next_is_read(block_octets):
    octets = b"first\n" + b"x" * 1000 + b"\nthird\n" + b"y" * 500
    lines = list(TextLines(io.BytesIO(octets), line_octets_max=100, block_octets=block_octets))
    assert [line.text for line in lines] == ["first", "", "third", ""]
    assert [line.number for line in lines] == [1, 2, 3, 4]
    assert "1001 octets; at most 100" in lines[1].fault
    assert "500 octets" in lines[3].fault


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"PK\x03\x04rest", "--format xlsx"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        (b"a\0b\0\n\0", "octet 1 is zero"),
    ],
)
def test_a_file_that_is_no_text_says_so(octets, sentence):
    with pytest.raises(IntakeError, match=sentence):
        texts(octets)


def test_an_unknown_encoding_is_refused():
    with pytest.raises(IntakeError, match="latin-1"):
        texts(b"a", encoding="latin-1")


def test_a_disk_that_fails_stops_with_the_row_reached():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size)

    lines = iter(TextLines(Failing(b"a\nb\n")))
    assert next(lines).text == "a"
    assert next(lines).text == "b"
    with pytest.raises(IntakeError, match="after row 2: Input/output error"):
        next(lines)
