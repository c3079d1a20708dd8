"""JSON lines: both spellings, dumps read back, and each way a line can be wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.intake import jsonl
from resolver.intake.rows import IntakeError
from resolver.v1 import handle_pb2, registration_pb2

NAME = "88.300.1/A"


def read(*objects):
    lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in objects]
    return list(jsonl.rows(io.BytesIO(b"\n".join(lines))))


def one(value):
    return read({"name": NAME, "values": [{"index": 1, "type": "URL", **value}]})[0]


def test_our_spelling():
    row = read(
        {
            "name": NAME,
            "values": [{"index": 1, "type": "URL", "data": "https://例.cn/", "ttl": 60, "permissions": "1100"}],
            "template_id": "t1",
        }
    )[0]
    assert row == (
        1,
        registration_pb2.NewHandle(
            name=NAME,
            values=[
                handle_pb2.HandleValue(index=1, type="URL", data="https://例.cn/".encode(), ttl_s=60, permissions=12)
            ],
            template_id="t1",
        ),
        None,
        "",
    )


def test_the_handle_rest_spelling():
    row = read(
        {
            "responseCode": 1,
            "handle": NAME,
            "values": [
                {
                    "index": 1,
                    "type": "URL",
                    "data": {"format": "string", "value": "x"},
                    "timestamp": "2026-01-01T00:00:00Z",
                },
                {"index": 2, "type": "B", "data": {"format": "base64", "value": "AP8="}},
                {"index": 3, "type": "H", "data": {"format": "hex", "value": "00ff"}, "ttl": "2030-01-01T00:00:00Z"},
                {
                    "index": 100,
                    "type": "HS_ADMIN",
                    "data": {
                        "format": "admin",
                        "value": {"handle": "0.NA/88.300", "index": "300", "permissions": "011111110011"},
                    },
                },
                {"index": 4, "type": "HS_VLIST", "data": {"format": "vlist", "value": [{"handle": "a/b", "index": 7}]}},
            ],
        }
    )[0]
    data = [value.data for value in row.handle.values]
    assert data == [
        b"x",
        b"\x00\xff",
        b"\x00\xff",
        b"\x07\xf3\0\0\0\x0b0.NA/88.300\0\0\x01\x2c",
        b"\0\0\0\x01\0\0\0\x03a/b\0\0\0\x07",
    ]
    assert row.handle.values[2].ttl_until_s == 1_893_456_000
    assert not row.handle.values[0].HasField("permissions")


@pytest.mark.parametrize(
    ("value", "reason", "sentence"),
    [
        (
            {"data": "x", "permision": "1110"},
            "UNKNOWN_KEY",
            r"'permision' at \$.values.*nearest known is 'permissions'",
        ),
        ({"data": "x", "permissions": "111"}, "INVALID_VALUE", "four digits"),
        ({"data": "x", "ttl": -1}, "INVALID_VALUE", "TTL -1"),
        ({"data": "x", "ttl": "soon"}, "INVALID_VALUE", "'soon' is no TTL"),
        ({"data": "x", "index": 0}, "INVALID_VALUE", "index 0 is outside 1"),
        ({"data": "x", "index": 2**32}, "INVALID_VALUE", "index 4294967296"),
        ({"data": "x", "index": 2**70}, "INVALID_VALUE", "is outside 1"),
        ({"data": "x", "type": ""}, "INVALID_VALUE", "no type"),
        ({"data": "x", "type": "长" * 86}, "INVALID_VALUE", "258 octets"),
        ({"data": "x", "type": "A\nB"}, "INVALID_VALUE", "cannot be printed"),
        ({}, "INVALID_VALUE", "has no data"),
        ({"data": "x", "data_base64": "eA=="}, "INVALID_VALUE", "both"),
        ({"data_base64": "e"}, "INVALID_VALUE", "not base64"),
        ({"data": {"format": "hex", "value": "0"}}, "INVALID_VALUE", "not hexadecimal"),
        ({"data": {"format": "site", "value": {}}}, "INVALID_VALUE", "'site'"),
        ({"data": {"format": "string", "value": 5}}, "MALFORMED_ROW", "str"),
        ({"data": 5}, "MALFORMED_ROW", "data"),
        ({"data": "x", "references": [{"handle": "a/b", "index": -1}]}, "INVALID_VALUE", "reference index -1"),
        ({"data": "x", "references": [{"handle": "a/b"}] * 65}, "INVALID_VALUE", "65 references"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_row(value, reason, sentence):
    row = one(value)
    assert row.handle is None
    assert row.error.reason == reason
    assert row.error.code == 3
    assert row.name == NAME
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(row.error.message)


@pytest.mark.parametrize(
    ("line", "reason", "sentence"),
    [
        (b'{"name": "88.300.1/A", "values": [{"index": 1', "ROW_INCOMPLETE", "in the middle"),
        (b'{"name": "88.300.1/A",, }', "MALFORMED_ROW", "no JSON object"),
        (b'"text"', "MALFORMED_ROW", "object"),
        (b'{"name": "88.300.1/\xff"}', "INVALID_ENCODING", "octet 42 of the file is 0xff"),
        (b'{"name": ""}', "INVALID_NAME", "empty"),
        (b'{"name": "no-slash"}', "INVALID_NAME", "no '/'"),
        (b'{"name": "88.300.1/' + b"x" * 2040 + b'"}', "INVALID_NAME", "2049 octets"),
        (b'{"name": "88.300.1/a\\u0007"}', "INVALID_NAME", "U\\+0007"),
        (b'{"name": "88.300.1/\\ud800 and more"}', "MALFORMED_ROW", "no JSON"),
        (b'{"name": "88.300.1/A", "handle": "88.300.1/B"}', "INVALID_VALUE", "two handles"),
        (
            b'{"name": "88.300.1/A", "version": ' + b"[" * 9000 + b"]" * 9000 + b"}",
            "MALFORMED_ROW",
            "nested too deeply",
        ),
        (
            b'{"name": "88.300.1/A", "values": [{"index":1,"type":"A","data":""},{"index":1,"type":"B","data":""}]}',
            "INVALID_VALUE",
            "index 1 stands twice",
        ),
    ],
)
def test_a_wrong_line_is_an_error_and_its_neighbours_are_read(line, reason, sentence):
    before, row, after = read({"name": "88.300.1/X"}, line, {"name": "88.300.1/Y"})
    assert (before.handle.name, after.handle.name) == ("88.300.1/X", "88.300.1/Y")
    assert (row.number, row.error.reason, row.handle) == (2, reason, None)
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(row.error.message)


def test_empty_lines_are_passed_over_and_count():
    assert [row.number for row in read(b"", {"name": NAME}, b"  ", b"\r", {"name": NAME})] == [2, 5]


def test_an_array_is_refused_as_a_file():
    with pytest.raises(IntakeError, match="JSON array"):
        read(b'[{"name": "88.300.1/A"}]')


def test_too_many_values_are_refused():
    row = read({"name": NAME, "values": [{"index": i, "type": "T", "data": ""} for i in range(1, 2050)]})[0]
    assert "2049 values" in row.error.message


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
PRINTABLE = TEXTS.filter(str.isprintable)
VALUES = st.builds(
    lambda index, type_, data, ttl, permissions, stamp, refs: handle_pb2.HandleValue(
        index=index, type=type_, data=data, permissions=permissions, timestamp_s=stamp, references=refs, **ttl
    ),
    st.integers(1, 2**32 - 1),
    PRINTABLE,
    st.binary(max_size=20) | st.text(st.characters(exclude_categories=["Cs"]), max_size=9).map(str.encode),
    st.just({})
    | st.builds(dict, ttl_s=st.integers(0, 2**31 - 1))
    | st.builds(dict, ttl_until_s=st.integers(0, 2**32 - 1)),
    st.none() | st.integers(0, 15),
    st.integers(0, 2**32 - 1),
    st.lists(st.builds(handle_pb2.Reference, name=TEXTS, index=st.integers(0, 2**32 - 1)), max_size=3),
)


@given(
    suffix=PRINTABLE,
    values=st.lists(VALUES, max_size=5, unique_by=lambda value: value.index),
    template_id=st.just("") | PRINTABLE,
    numbers=st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4),
    is_whole=st.booleans(),
)
def test_a_record_reads_back_as_the_same_registration(suffix, values, template_id, numbers, is_whole):
    record = handle_pb2.HandleRecord(
        name=f"88.300.1/{suffix}",
        values=values if is_whole else (),
        version=numbers[0],
        serial=numbers[1],
        create_time_us=numbers[2],
        update_time_us=numbers[3],
        template_id=template_id,
    )
    line = msgspec.json.encode(jsonl.record_to_json(record, None if is_whole else values))
    (row,) = jsonl.rows(io.BytesIO(line))
    for value in values:
        value.ClearField("timestamp_s")
    assert row.error is None
    assert row.handle == registration_pb2.NewHandle(name=record.name, values=values, template_id=template_id)


@given(st.binary(max_size=200))
def test_any_octets_give_rows_or_an_intake_error(octets):
    try:
        rows = list(jsonl.rows(io.BytesIO(octets)))
    except IntakeError:
        return
    assert all((row.handle is None) != (row.error is None) for row in rows)


GROWTH = """
import io, resource, sys
from pathlib import Path
from resolver.intake import jsonl

class Generated(io.RawIOBase):
    made, held = 0, b""
    def read(self, size=-1):
        while len(self.held) < size and self.made < 200_000:
            self.held += b"".join(
                b'{"name":"88.300.1/P%d","values":[{"index":1,"type":"URL","data":"https://x.cn/%d"}]}\\n' % (i, i)
                for i in range(self.made, self.made + 1000)
            )
            self.made += 1000
        taken, self.held = self.held[:size], self.held[size:]
        return taken

def resident_octets():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()

rows, kept, count, growth = jsonl.rows(Generated()), [], 0, 0
for row in rows:
    count += row.handle is not None
    if sys.argv[1] == "keep":
        kept.append(row)
    if count == 20_000:
        before = resident_octets()
    elif count % 10_000 == 0 and count > 20_000:
        growth = max(growth, resident_octets() - before)
print(count, growth)
"""


def growth_octets(mode):
    """How much a process of its own grows while it reads 200,000 rows, of which the first 20,000 do not count."""
    command = [sys.executable, "-c", GROWTH, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    count, growth = map(int, done.stdout.split())
    assert count == 200_000
    return growth


def test_memory_does_not_grow_with_the_file():
    # Resident memory, because the protobuf library allocates where tracemalloc does not look.
    assert growth_octets("stream") < 16 << 20


def test_the_memory_test_would_notice_rows_that_are_kept():
    assert growth_octets("keep") > 64 << 20
