"""The Handle batch format: every operation, every form of data, and what is wrong with a block."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.intake import hdl_batch
from resolver.intake.hdl_batch import Kind
from resolver.intake.rows import IntakeError

BATCH = """\
AUTHENTICATE SECKEY:300:0.NA/88.300
CREATE a secret that looks like an operation

SESSIONSETUP
USESESSION:1
TIMEOUT:24

CREATE 88.300.1/A
1 URL 86400 1110 UTF8 https://例.cn/a b
100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/1234
3 HS_VLIST 60 1100 LIST 300:0.NA/88.300;7:a/b;

DELETE 88.300.1/B
DELETE 88.300.1/C
ADD 88.300.1/D
2 EMAIL 86400 1110 UTF8 a@x.cn

MODIFY 88.300.1/E
2 EMAIL 86400 1110 UTF8 b@x.cn

REMOVE 2,3:88.300.1/F:x

HOME 127.0.0.1:2641:TCP
0.NA/88.300

UNHOME 127.0.0.1:2641:TCP
0.NA/88.300
"""


def operations(text, folder=None):
    octets = text if isinstance(text, bytes) else text.encode()
    return list(hdl_batch.operations(io.BytesIO(octets), folder))


def test_every_operation():
    for text in (BATCH, BATCH.replace("\n", "\r\n"), BATCH.rstrip("\n")):
        found = operations(text)
        assert [(entry.kind.value, entry.name, entry.number) for entry in found] == [
            ("AUTHENTICATE", "", 1),
            ("SESSIONSETUP", "", 4),
            ("CREATE", "88.300.1/A", 8),
            ("DELETE", "88.300.1/B", 13),
            ("DELETE", "88.300.1/C", 14),
            ("ADD", "88.300.1/D", 15),
            ("MODIFY", "88.300.1/E", 18),
            ("REMOVE", "88.300.1/F:x", 21),
            ("HOME", "127.0.0.1:2641:TCP", 23),
            ("UNHOME", "127.0.0.1:2641:TCP", 26),
        ]
        assert [entry.ignored for entry in found] == [True, True] + [False] * 8
        assert found[7].indexes == (2, 3)
        assert found[8].error.reason == "NOT_IMPLEMENTED"
        assert [value.data for value in found[5].values] == [b"a@x.cn"]


def test_forms_of_data():
    url, admin, vlist = operations(BATCH)[2].values
    assert (url.index, url.type, url.ttl_s, url.permissions) == (1, "URL", 86400, 14)
    assert url.data.decode() == "https://例.cn/a b"
    # Two octets of permissions, four of length, the handle, four of index (RFC 3651 section 3.2.1).
    assert admin.data == bytes.fromhex("0fff00000009") + b"0.NA/1234" + bytes.fromhex("0000012c")
    assert vlist.data == bytes.fromhex(
        "000000020000000b" + b"0.NA/88.300".hex() + "0000012c00000003" + b"a/b".hex() + "00000007"
    )
    assert vlist.permissions == 12


@pytest.mark.parametrize(("digits", "octets"), [("100000000000", "0800"), ("000000000001", "0001")])
def test_the_leftmost_digit_is_the_highest_permission(digits, octets):
    (operation,) = operations(f"CREATE a/b\n100 HS_ADMIN 86400 1110 ADMIN 300:{digits}:0.NA/1")
    assert operation.values[0].data[:2].hex() == octets


def test_rows_are_the_blocks_that_register_and_errors_for_the_rest():
    rows = list(hdl_batch.rows(io.BytesIO(BATCH.encode())))
    assert [(row.number, row.error.reason if row.error else "") for row in rows] == [
        (8, ""),
        *((number, "NOT_IMPLEMENTED") for number in (13, 14, 15, 18, 21, 23, 26)),
    ]
    assert rows[0].handle.name == "88.300.1/A"
    assert rows[1].error.code == 12
    assert rows[1].name == "88.300.1/B"


def test_secrets_do_not_come_out():
    assert "secret" not in repr(operations(BATCH))


def test_files_are_read_beside_the_batch_file_only(tmp_path):
    folder = tmp_path / "batch"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "a key.bin").write_bytes(b"\x00\xff")
    (tmp_path / "secret").write_bytes(b"no")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "big").write_bytes(bytes((1 << 20) + 1))

    def read(name):
        return operations("X" * 600 + f"\n\nCREATE a/b\n1 K 86400 1110 FILE {name}", folder)[1]

    assert read("keys/a key.bin").values[0].data == b"\x00\xff"
    for name, sentence in (
        ("../secret", "not in the directory"),
        (str(tmp_path / "secret"), "not in the directory"),
        ("link", "not in the directory"),
        ("", "not in the directory"),
        ("missing", "cannot be read"),
        ("keys", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("big", "more than 1048576 octets"),
    ):
        operation = read(name)
        assert operation.values == ()
        assert sentence in operation.error.message
    refused = operations("CREATE a/b\n1 K 86400 1110 FILE x")[0]
    assert "save the input as a file" in refused.error.message


@pytest.mark.parametrize(
    ("block", "reason", "sentence"),
    [
        ("CRAETE 88.300.1/A\n1 URL 86400 1110 UTF8 x", "MALFORMED_ROW", "'CRAETE' is no operation; the nearest known"),
        ("CREATE", "INVALID_NAME", "empty"),
        ("CREATE noslash", "INVALID_NAME", "no '/'"),
        ("CREATE a/b\n1 URL 86400 1110", "INVALID_VALUE", "line 4: '1 URL 86400 1110' is no value"),
        (
            "CREATE a/b\n1 URL 86400 1110 UFT8 x",
            "INVALID_VALUE",
            "'UFT8' is no form of data; the nearest known is 'UTF8'",
        ),
        ("CREATE a/b\nx URL 86400 1110 UTF8 x", "INVALID_VALUE", "'x' is no index"),
        ("CREATE a/b\n0 URL 86400 1110 UTF8 x", "INVALID_VALUE", "index 0"),
        ("CREATE a/b\n1 URL -1 1110 UTF8 x", "INVALID_VALUE", "'-1' is no TTL"),
        ("CREATE a/b\n1 URL 9999999999 1110 UTF8 x", "INVALID_VALUE", "TTL 9999999999"),
        ("CREATE a/b\n1 URL 86400 11100 UTF8 x", "INVALID_VALUE", "four digits"),
        ("CREATE a/b\n1 HS_ADMIN 86400 1110 ADMIN 300:11:a/b", "INVALID_VALUE", "give 12 digits"),
        ("CREATE a/b\n1 HS_ADMIN 86400 1110 ADMIN 300:a/b", "INVALID_VALUE", "names no administrator"),
        ("CREATE a/b\n1 HS_VLIST 86400 1110 LIST 300", "INVALID_VALUE", "no entry of a list"),
        ("CREATE a/b\n1 A 1 1110 UTF8 x\n1 B 1 1110 UTF8 x", "INVALID_VALUE", "index 1 stands twice"),
        ("DELETE a/b\n1 A 1 1110 UTF8 x", "MALFORMED_ROW", "line 4: DELETE takes no further lines"),
        ("REMOVE a/b", "INVALID_VALUE", "REMOVE needs INDEX"),
        ("REMOVE 0:a/b", "INVALID_VALUE", "index 0"),
        ("REMOVE x:a/b", "INVALID_VALUE", "'x' is no index"),
        ("CREATE a/b\n" + "1 A 1 1110 UTF8 x\n" * 2050, "INVALID_VALUE", "is an empty line missing"),
    ],
)
def test_a_wrong_block_is_an_error_and_its_neighbours_are_read(block, reason, sentence):
    before, bad, after = operations(f"CREATE a/before\n\n{block}\n\nCREATE a/after\n")
    assert (before.name, after.name) == ("a/before", "a/after")
    assert (bad.number, bad.error.reason, bad.values) == (3, reason, ())
    assert sentence in bad.error.message
    assert bad.to_row().error == bad.error


def test_octets_that_are_no_text_spoil_their_block_only():
    text = b"CREATE a/x\n1 A 1 1110 UTF8 \xff\n\nCREATE a/\xff\n\nCREATE a/y\n1 A 1 1110 UTF8 z\n"
    first, second, third = operations(text)
    assert (first.name, first.error.reason) == ("a/x", "INVALID_ENCODING")
    assert (second.kind, second.error.reason) == (Kind.UNKNOWN, "INVALID_ENCODING")
    assert third.error is None


def test_gb18030_is_read():
    (operation,) = operations("CREATE a/b\n1 NAME 1 1110 UTF8 轴承".encode("gb18030"))
    assert operation.values[0].data.decode() == "轴承"


@given(st.binary(max_size=200) | st.text("CREATDLADMOVE 0123:,./\n\t").map(str.encode))
def test_any_octets_give_operations_or_an_intake_error(octets):
    try:
        found = operations(octets)
    except IntakeError:
        return
    for operation in found:
        if not operation.ignored:
            row = operation.to_row()
            assert (row.handle is None) != (row.error is None)
