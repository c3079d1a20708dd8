"""What an import needs around the readers: one door, chunks that repeat, fingerprints and results."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.errors import MEANINGS
from resolver.intake import rows as rows_module
from resolver.intake.chunks import chunks
from resolver.intake.files import FORMATS, format_of, open_rows, read_mapping
from resolver.intake.fingerprint import Fingerprint, check_unchanged, fingerprint, guarded
from resolver.intake.mapping import Mapping
from resolver.intake.results import CODE_NAMES, ResultRow, ResultWriter, code_name
from resolver.intake.rows import IntakeError, Row, RowError, bad_row
from resolver.v1 import handle_pb2, registration_pb2


def good(number, octets=10):
    value = handle_pb2.HandleValue(index=1, type="A", data=b"x" * octets)
    return Row(number, registration_pb2.NewHandle(name=f"88.300.1/{number}", values=[value]))


def bad(number):
    return bad_row(number, "MALFORMED_ROW", "no")


ROWS = st.lists(st.none() | st.integers(0, 400), max_size=40).map(
    lambda sizes: [bad(n) if size is None else good(n, size) for n, size in enumerate(sizes, 1)]
)


@given(rows=ROWS, rows_max=st.integers(1, 7), octets_max=st.integers(80, 1000))
def test_chunks_keep_every_row_in_order_within_their_limits(rows, rows_max, octets_max):
    made = list(chunks(rows, rows_max, octets_max))
    assert made == list(chunks(iter(rows), rows_max, octets_max))
    out = [row for chunk in made for row in chunk.rows]
    assert [row.number for row in out] == [row.number for row in rows]
    sequences = [chunk.sequence for chunk in made if chunk.handles]
    assert sequences == list(range(1, len(sequences) + 1))
    assert all(chunk.sequence == 0 for chunk in made if not chunk.handles)
    for chunk in made:
        assert 1 <= len(chunk.rows) <= rows_max
        request = registration_pb2.ImportHandlesRequest(handles=chunk.handles)
        assert request.ByteSize() == chunk.octets <= octets_max
    for before, after in zip(rows, out, strict=True):
        assert after == before or after.error.reason == "RECORD_TOO_LARGE"
        if before.handle is not None:
            alone = registration_pb2.ImportHandlesRequest(handles=[before.handle]).ByteSize()
            assert (after.handle is not None) or alone >= octets_max - 3


def test_chunks_are_as_full_as_allowed():
    assert [len(chunk.rows) for chunk in chunks((good(n) for n in range(1, 8)), rows_max=3)] == [3, 3, 1]


def test_a_registration_too_large_is_an_error_of_its_row():
    (chunk,) = chunks([good(1), good(2, 5000), good(3)], record_octets_max=4000)
    assert [row.error and row.error.reason for row in chunk.rows] == [None, "RECORD_TOO_LARGE", None]
    assert chunk.rows[1].name == "88.300.1/2"
    assert len(chunk.handles) == 2


def test_rows_before_a_broken_end_are_still_a_chunk():
    def breaking():
        yield good(1)
        yield bad(2)
        raise IntakeError("torn", number=3)

    made = chunks(breaking())
    assert [row.number for row in next(made).rows] == [1, 2]
    with pytest.raises(IntakeError, match="torn"):
        next(made)


def test_a_fingerprint_tells_a_changed_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * (3 << 20))
    before = fingerprint(path)
    assert before.size == 3 << 20
    assert Fingerprint.from_text(before.to_text()) == before
    check_unchanged(path, before)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"y")
    os.utime(path, ns=(0, before.mtime_ns))
    assert fingerprint(path).sha256 != before.sha256
    path.write_bytes(b"x" * 5)
    with pytest.raises(IntakeError, match="changed while it was read"):
        check_unchanged(path, before)
    path.unlink()
    with pytest.raises(IntakeError, match="is gone"):
        check_unchanged(path, before)
    with pytest.raises(IntakeError, match="cannot be read"):
        fingerprint(path)


@pytest.mark.parametrize("text", ["", "1-2", "1-2-3", "x-2-" + "0" * 64])
def test_a_text_that_is_no_fingerprint_is_refused(text):
    with pytest.raises(IntakeError, match="no fingerprint"):
        Fingerprint.from_text(text)


def test_a_file_that_changes_under_us_is_told_after_the_rows_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name\n88.300.1/A\n")
    rows = guarded(open_rows(path), path, fingerprint(path))
    assert next(rows).handle.name == "88.300.1/A"
    with path.open("a") as stream:
        stream.write("88.300.1/B\n")
    got = []
    with pytest.raises(IntakeError, match="changed while it was read"):
        got.extend(rows)


RESULTS = [
    ResultRow(2, "88.300.1/A", 0, "CREATED", 1, 7),
    ResultRow(3, '标识"x', 6, "ALREADY_EXISTS", message="a, b\nc"),
    ResultRow(4, "", 99, "ODD"),
]


def test_results_as_csv(tmp_path):
    path = tmp_path / "out.csv"
    with ResultWriter.create(path) as writer:
        writer.append(RESULTS)
        writer.sync()
    assert path.read_text("utf-8").count("\n") == 4
    assert list(csv.reader(io.StringIO(path.read_text("utf-8")))) == [
        ["row", "name", "code", "reason", "version", "serial", "message"],
        ["2", "88.300.1/A", "OK", "CREATED", "1", "7", ""],
        ["3", '标识"x', "ALREADY_EXISTS", "ALREADY_EXISTS", "0", "0", "a, b\\nc"],
        ["4", "", "UNKNOWN", "ODD", "0", "0", ""],
    ]


def test_results_as_json_lines(tmp_path):
    path = tmp_path / "out.JSONL"
    with ResultWriter.create(path) as writer:
        writer.append(RESULTS)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines[1] == {
        "row": 3,
        "name": '标识"x',
        "code": "ALREADY_EXISTS",
        "reason": "ALREADY_EXISTS",
        "version": 0,
        "serial": 0,
        "message": "a, b\nc",
    }


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_resuming_cuts_a_torn_tail_and_goes_on(tmp_path, name):
    whole, torn = tmp_path / f"whole-{name}", tmp_path / f"torn-{name}"
    with ResultWriter.create(whole) as writer:
        writer.append(RESULTS)
    with ResultWriter.create(torn) as writer:
        writer.append(RESULTS[:1])
        place = writer.tell()
        writer.append(RESULTS[1:2])
    torn.write_bytes(torn.read_bytes()[:-4])
    with ResultWriter.resume_at(torn, place) as writer:
        assert writer.tell() == place
        writer.append(RESULTS[1:])
    assert torn.read_bytes() == whole.read_bytes()
    with ResultWriter.resume_at(torn, 0) as writer:
        writer.append(RESULTS)
    assert torn.read_bytes() == whole.read_bytes()
    for octets in (10_000, place - 1):
        with pytest.raises(IntakeError, match="not the one of the earlier run"):
            ResultWriter.resume_at(torn, octets)
    with pytest.raises(IntakeError, match="cannot be opened"):
        ResultWriter.resume_at(tmp_path / "missing", 0)
    with pytest.raises(IntakeError, match="there is no directory"):
        ResultWriter.create(tmp_path / "no" / "out.csv")


def test_a_full_disk_is_told():
    stream = io.FileIO("/dev/full", "w")
    with ResultWriter(stream, Path("/dev/full")) as writer, pytest.raises(IntakeError, match="free space and resume"):
        writer.append(RESULTS)
    assert stream.closed


def test_outcomes_of_rows():
    row = bad_row(5, "MALFORMED_ROW", "no", "88.300.1/A")
    assert ResultRow.of_error(row) == (5, "88.300.1/A", 3, "MALFORMED_ROW", 0, 0, "no")
    result = registration_pb2.RowResult(row=0, code=0, reason="CREATED", version=1, serial=9)
    assert ResultRow.of_result(good(7), result) == (7, "88.300.1/7", 0, "CREATED", 1, 9, "")
    with pytest.raises(ValueError, match="has no error"):
        ResultRow.of_error(good(1))


def test_code_names_are_those_of_grpc():
    import grpc

    assert {code.value[0]: code.name for code in grpc.StatusCode} == CODE_NAMES
    assert [code_name(number) for number in CODE_NAMES] == list(CODE_NAMES.values())
    assert code_name(-1) == code_name(17) == "UNKNOWN"


def test_reasons_do_not_contradict_those_of_the_node():
    shared = set(rows_module.REASONS) & set(MEANINGS)
    assert {reason: rows_module.REASONS[reason] for reason in shared} == {
        reason: MEANINGS[reason].grpc for reason in shared
    }
    assert RowError.of("DUPLICATE_IN_FILE", "x").code == 6


@pytest.mark.parametrize(
    ("path", "format_", "found"),
    [
        ("a.CSV", None, "csv"),
        ("a.ndjson", None, "jsonl"),
        ("a.xlsx", None, "xlsx"),
        ("a.hdl", None, "hdl"),
        ("/usr/share/hwdata/usb.ids", None, "usb-ids"),
        ("a.dat", "csv", "csv"),
        ("-", "jsonl", "jsonl"),
    ],
)
def test_formats(path, format_, found):
    assert format_of(path, format_) == found


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("a.dat",), {}, "does not tell its format"),
        (("-",), {}, "does not tell its format"),
        (("a.csv", "cvs"), {}, "unknown format 'cvs'; the nearest known is 'csv'"),
        (("missing.csv",), {}, "missing.csv cannot be opened: No such file"),
        (("a.jsonl", None, Mapping(None, ())), {}, "a mapping is for tables, not for jsonl"),
        (("a.csv",), {"sheet": "x"}, "a sheet is for workbooks"),
        (("usb.ids",), {}, "needs the prefix of the node"),
        (("missing/usb.ids",), {"node_prefix": "88.300"}, "cannot be opened"),
        (("-", "xlsx"), {"stdin": io.BytesIO()}, "cannot be read from standard input"),
        (("-", "csv"), {}, "cannot be read from standard input"),
    ],
)
def test_what_cannot_be_opened_is_told_at_once(arguments, options, sentence):
    with pytest.raises(IntakeError) as caught:
        open_rows(*arguments, **options)
    assert sentence in caught.value.message


def test_every_format_is_opened(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["name"])
    book.active.append(["88.300.1/A"])
    book.save(tmp_path / "xlsx")
    (tmp_path / "csv").write_text("name\n88.300.1/A\n")
    (tmp_path / "jsonl").write_text('{"name": "88.300.1/A"}\n')
    (tmp_path / "data").write_bytes(b"\x00\xff")
    (tmp_path / "hdl").write_text("CREATE 88.300.1/A\n1 K 86400 1110 FILE data\n")
    (tmp_path / "usb-ids").write_text("0001  V\n\t0002  D\n")
    (tmp_path / "pci-ids").write_text("0001  V\n\t0002  D\n")
    names = {
        format_: [row.handle.name for row in open_rows(tmp_path / format_, format_, node_prefix="88.300")]
        for format_ in FORMATS
    }
    assert names == {
        **{format_: ["88.300.1/A"] for format_ in ("csv", "jsonl", "xlsx", "hdl")},
        "usb-ids": ["88.300.100001/0002"],
        "pci-ids": ["88.300.200001/0002"],
    }


def test_standard_input_is_read():
    (row,) = open_rows("-", "csv", stdin=io.BytesIO(b"name\n88.300.1/A\n"))
    assert row.handle.name == "88.300.1/A"


def test_mappings_are_read_from_files(tmp_path):
    path = tmp_path / "map.toml"
    path.write_bytes(b"\xef\xbb\xbf" + 'name = "88.300.1/{标识}"'.encode())
    assert read_mapping(path).name.columns == ("标识",)
    path.write_bytes(b"\xff")
    with pytest.raises(IntakeError, match="not UTF-8"):
        read_mapping(path)
    with pytest.raises(IntakeError, match="cannot be read"):
        read_mapping(tmp_path / "missing.toml")
