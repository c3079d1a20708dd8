"""The worked example of storage/FORMAT.md is what the code writes, and the page names every table."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from resolver.handle.name import Handle
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import resolution_pb2 as resolution
from storage import engine as _engine
from storage.backup_manifest import MAGIC
from storage.memory_engine import MemoryEngine
from storage.tables import FORMAT_VERSION, Table, unseal

PAGE = Path(_engine.__file__).with_name("FORMAT.md").read_text(encoding="utf-8")
EXAMPLE = {name: bytes.fromhex(octets) for name, octets in re.findall(r"```hex (\w+)\n(.*?)```", PAGE, re.DOTALL)}
RECORD = pb.HandleRecord(
    name="88.300.1/abc",
    values=[
        pb.HandleValue(
            index=1,
            type="URL",
            data=b"https://a.example/",
            ttl_s=86_400,
            permissions=0b1110,
            timestamp_s=1_764_000_000,
        )
    ],
    version=1,
    serial=7,
    create_time_us=1_764_000_000_000_000,
)


def test_the_example_is_what_the_code_stores():
    assert sorted(EXAMPLE) == ["digest", "key", "row"]
    key = Handle.from_text(RECORD.name).key
    body = resolution.ResolveResponse(record=RECORD).SerializeToString(deterministic=True)
    engine = MemoryEngine()
    with engine.write() as writer:
        writer.put(Table.RECORDS, key, body)
    with engine.read() as reader:
        assert reader.get_row(Table.RECORDS, key) == EXAMPLE["row"]
    assert key == EXAMPLE["key"]
    assert hashlib.sha256(len(key).to_bytes(2, "big") + key + body).digest() == EXAMPLE["digest"]


def test_the_row_of_the_example_reads_back_as_single_and_as_batch_answer():
    body = unseal(Table.RECORDS, EXAMPLE["key"], EXAMPLE["row"])
    assert resolution.ResolveResponse.FromString(body).record == RECORD
    assert list(resolution.BatchResolveResponse.FromString(body * 2).records) == [RECORD, RECORD]


def test_the_lengths_in_the_text_are_those_of_the_octets():
    assert f"Key in RECORDS, {len(EXAMPLE['key'])} octets (`{EXAMPLE['key'].decode()}`)" in PAGE
    assert f"Row, {len(EXAMPLE['row'])} octets" in PAGE
    assert f"check `{EXAMPLE['row'][1:5].hex(' ')}`" in PAGE


def test_the_page_names_every_table_once_in_order():
    assert re.findall(r"^\| ([A-Z_]+) \|", PAGE, re.MULTILINE) == [table.name for table in Table]


def test_the_page_is_of_this_format():
    assert PAGE.startswith(f"# The store on disk, format {FORMAT_VERSION}\n")
    assert f"`{MAGIC.decode()}`" in PAGE
