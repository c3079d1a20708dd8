"""Requests as octets: what is kept of them and what is not."""

import pytest

from resolver import methods
from resolver.errors import MalformedMessage, MessageTooLarge, TooManyItems
from resolver.methods import CREATE_HANDLE, RESOLVE
from resolver.transport import item_counts
from resolver.transport.requests import parse
from resolver.v1 import registration_pb2, resolution_pb2
from tests.support.builders import value

UNKNOWN = b"\xfa\x7f\x03abc"
"""Field 2047 with three octets: no version has it."""


def test_unknown_fields_of_writes_are_dropped_at_every_depth():
    """Fuzzing found them in stored records."""
    inner = value(1).SerializeToString() + UNKNOWN
    octets = b"\x0a\x0b88.300.10/A\x12" + bytes([len(inner)]) + inner + UNKNOWN
    request = parse(CREATE_HANDLE, octets)
    assert request == registration_pb2.CreateHandleRequest(name="88.300.10/A", values=[value(1)])
    assert b"abc" not in request.SerializeToString()


def test_unknown_fields_of_questions_do_no_harm():
    question = resolution_pb2.ResolveRequest(name="88.300.10/A")
    assert parse(RESOLVE, question.SerializeToString() + UNKNOWN).name == question.name


def test_what_is_no_message_is_refused():
    with pytest.raises(MalformedMessage, match="ResolveRequest"):
        parse(RESOLVE, b"\x0a\x02\xff\xfe")
    with pytest.raises(MessageTooLarge, match="at most"):
        parse(RESOLVE, bytes(RESOLVE.octets_max + 1))


def test_items_of_every_message_that_may_be_large_are_counted():
    large = {path for path, method in methods.METHODS.items() if method.octets_max > item_counts.UNCOUNTED_OCTETS_MAX}
    assert set(item_counts.BOUNDS) == large
    for path, places in item_counts.BOUNDS.items():
        for place in places:
            kind, names = methods.METHODS[path].request.DESCRIPTOR, []
            for number in place.fields:
                field = kind.fields_by_number[number]
                kind = field.message_type
                names.append(field.name)
            assert field.is_repeated
            assert ".".join(names) == place.name


def varint(number):
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def nested(fields, count, tail=b"", *, wide=False):
    """So many empty items at a place; ``wide`` writes their tags in two octets."""
    *outer, last = fields
    tag = last << 3 | 2
    octets = (bytes([tag | 0x80, 0, 0]) if wide else bytes([tag, 0])) * count + tail
    for number in reversed(outer):
        octets = bytes([number << 3 | 2]) + varint(len(octets)) + octets
    return octets


PLACES = [(methods.METHODS[path], place) for path, places in item_counts.BOUNDS.items() for place in places]


@pytest.mark.parametrize(("method", "place"), PLACES, ids=[f"{each[0].name} {each[1].name}" for each in PLACES])
@pytest.mark.parametrize("wide", [False, True])
def test_too_many_items_are_refused_before_anything_is_made_of_them(method, place, wide, monkeypatch):
    """Four megabytes of nothing took a hundred and thirty, from anybody."""
    monkeypatch.setattr(item_counts, "UNCOUNTED_OCTETS_MAX", 0)
    most = place.items_max
    few = nested(place.fields, most, wide=wide)
    item_counts.require_few(method, few)
    for tail in (b"", b"\x0a", b"\xff" * 11, b"\x0a\xff\xff\xff\x0f"):
        with pytest.raises(TooManyItems, match=f"more than {most} items in {place.name}"):
            item_counts.require_few(method, nested(place.fields, most + 1, tail, wide=wide))


def test_other_fields_are_stepped_over(monkeypatch):
    monkeypatch.setattr(item_counts, "UNCOUNTED_OCTETS_MAX", 0)
    most = 4 * 2_048
    others = b"\x22\x03abc" + b"\x28\x96\x01" + b"\x31" + bytes(8) + b"\x3d" + bytes(4) + b"\xa2\x7f\x02hi"
    octets = others + nested((2,), most) + others
    assert len(CREATE_HANDLE.request.FromString(octets).values) == most
    item_counts.require_few(CREATE_HANDLE, octets)
    with pytest.raises(TooManyItems):
        item_counts.require_few(CREATE_HANDLE, octets + b"\x12\x00")
    data = value(1, b"\x12" * 60_000).SerializeToString()
    item_counts.require_few(CREATE_HANDLE, b"\x12" + varint(len(data)) + data)  # items are what is not inside of data
    for cut in (b"\x12", b"\x12\xff", b"\x80", b"\x08"):
        item_counts.require_few(CREATE_HANDLE, b"\x22\x80\xff\x01" + b"\x12" * 32_640 + cut)


@pytest.mark.parametrize(("method", "place"), PLACES, ids=[f"{each[0].name} {each[1].name}" for each in PLACES])
def test_fields_that_are_no_items_are_not_looked_at_for_long(method, place, monkeypatch):
    """Two million numbers that look like tags of items took the loop half a second, from anybody."""
    monkeypatch.setattr(item_counts, "UNCOUNTED_OCTETS_MAX", 0)
    number = bytes([0x78, place.fields[-1] << 3 | 2])  # field 15, which is none
    few, many = (number * count for count in (place.items_max, 2 * place.items_max))
    for outer in reversed(place.fields[:-1]):
        few, many = (bytes([outer << 3 | 2]) + varint(len(each)) + each for each in (few, many))
    item_counts.require_few(method, few)
    with pytest.raises(TooManyItems, match="or beside it"):
        item_counts.require_few(method, many)
