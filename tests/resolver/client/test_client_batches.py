"""Cutting into batches, and values on their way into requests."""

from __future__ import annotations

import pytest

from resolver import limits
from resolver.client import batches, chunks_of, new_handle, to_pb
from resolver.handle.value import HandleValue, Permission, Reference, Ttl
from resolver.v1 import handle_pb2
from resolver.v1.resolution_pb2 import BatchResolveRequest


def test_names_are_cut_by_count_and_keep_their_order():
    names = [f"88.300.1/{number}" for number in range(2_001)]
    cut = list(batches.of_names(iter(names)))
    assert [len(batch) for batch in cut] == [1_000, 1_000, 1]
    assert [name for batch in cut for name in batch] == names


def test_long_names_are_cut_by_octets():
    cut = list(batches.of_names(["88.300.1/" + "识" * 2_000] * 1_000))
    assert len(cut) > 1
    assert all(BatchResolveRequest(names=batch).ByteSize() <= limits.MESSAGE_OCTETS_MAX for batch in cut)


def test_nothing_gives_no_batch():
    assert list(batches.of_names([])) == []


def test_large_handles_are_cut_by_octets_and_a_giant_stands_alone():
    small = new_handle("88.300.1/s", [HandleValue(1, "URL", b"x")])
    large = new_handle("88.300.1/l", [HandleValue(1, "DATA", bytes(3 << 20))])
    assert [len(batch) for batch in batches.of_handles([small, large, large, small, small])] == [2, 3]


def test_chunks_are_numbered_from_one_and_the_same_every_time():
    handles = [new_handle(f"88.300.1/{number}", []) for number in range(5)]
    chunks = list(chunks_of(handles, rows_max=2))
    assert [(sequence, len(rows)) for sequence, rows in chunks] == [(1, 2), (2, 2), (3, 1)]
    assert chunks == list(chunks_of(iter(handles), rows_max=2))
    with pytest.raises(ValueError, match="1 to 2000"):
        chunks_of(handles, rows_max=2_001)


def test_a_value_becomes_its_message():
    value = HandleValue(
        7,
        "HS_VLIST",
        b"\x00\xff",
        Ttl(60),
        Permission.ADMIN_READ | Permission.PUBLIC_READ,
        timestamp_s=5,
        references=(Reference("0.NA/88.300", 3),),
    )
    assert to_pb(value) == handle_pb2.HandleValue(
        index=7,
        type="HS_VLIST",
        data=b"\x00\xff",
        ttl_s=60,
        permissions=10,
        references=[handle_pb2.Reference(name="0.NA/88.300", index=3)],
    )


def test_an_absolute_ttl_and_no_permission_are_kept():
    message = to_pb(HandleValue(1, "URL", b"", Ttl(1_900_000_000, absolute=True), Permission(0)))
    assert message.WhichOneof("ttl") == "ttl_until_s"
    assert message.HasField("permissions")
    assert message.permissions == 0


def test_a_message_is_given_as_it_is():
    message = handle_pb2.HandleValue(index=1)
    assert to_pb(message) is message
