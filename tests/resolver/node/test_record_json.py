"""The JSON of stored values: the short way says what the long way says, for every kind of value."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.node import record_json, record_octets
from resolver.node.values import from_pb, to_pb
from resolver.v1 import handle_pb2 as pb
from resolver.wire.value_json import value_from_json, value_to_json
from tests.resolver.wire.vectors import load

VALUES = st.builds(
    pb.HandleValue,
    index=st.integers(1, 2**32 - 1),
    type=st.sampled_from(["URL", "产品", "HS_ADMIN", "HS_ALIAS", "10320/loc", "A.b", "HS_SITE", 'q"u\\o']),
    data=st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    ttl_s=st.integers(0, 2**31 - 1),
    permissions=st.integers(0, 15),
    timestamp_s=st.integers(0, 2**32 - 1),
    references=st.lists(st.builds(pb.Reference, name=st.text(max_size=5), index=st.integers(0, 9)), max_size=2),
)


def body_of(*values):
    return record_octets.frame(record_octets.head("88.1/x", values))


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, max_size=4))
def test_the_short_way_says_what_the_long_way_says(values):
    shown = [json.loads(octets) for octets in record_json.values_of(body_of(*values))]
    assert shown == [value_to_json(from_pb(value)) for value in values]


def test_recorded_values_are_shown_as_recorded():
    for vector in load("handle_values"):
        if "json" in vector and "hex" in vector:
            value = to_pb(value_from_json(vector["json"], timestamp_s=0))
            assert json.loads(record_json.values_of(body_of(value))[0]) == value_to_json(from_pb(value))


def test_what_a_value_leaves_out_is_shown_the_same_by_both():
    value = pb.HandleValue(index=1, type="URL", data=b"x")
    (shown,) = record_json.values_of(body_of(value))
    assert json.loads(shown) == value_to_json(from_pb(value))


def test_an_absolute_ttl_is_a_time():
    value = pb.HandleValue(index=1, type="URL", data=b"x", ttl_until_s=1_900_000_000, permissions=14)
    (shown,) = record_json.values_of(body_of(value))
    assert json.loads(shown)["ttl"] == "2030-03-17T17:46:40Z"


@pytest.mark.parametrize("data", [b"\xff", b"\x00", b"a\x7f", "\ud7ff".encode()])
def test_octets_that_are_no_text_are_base64_or_text_as_the_reference_shows_them(data):
    value = pb.HandleValue(index=1, type="T", data=data, ttl_s=1, permissions=14)
    (shown,) = record_json.values_of(body_of(value))
    assert json.loads(shown) == value_to_json(from_pb(value))
