"""Keys of the shortest way: for every name that a door may hand over, registered or not, readable or not."""

import random

import pytest

from resolver import limits
from resolver.handle.name import Handle
from resolver.node.resolve_plain import NO_KEY, keys_in, keys_of
from resolver.v1 import resolution_pb2 as pb


def test_keys_are_those_of_handles():
    names = ["88.300.1/abc", "88.300.1/é", "88.300.1/line\nend", "0.NA/88.300"]
    assert keys_of(names) == [Handle.from_text(name).key for name in names]
    assert keys_of(names[:1]) == [b"88.300.1/ABC"]


@pytest.mark.parametrize("others", [[], ["88.300.1/A"], ["88.300.1/a\nb"]])
def test_a_name_that_is_no_utf8_is_no_defect(others):
    """Fuzzing found it: octets of the Handle door that are no UTF-8 broke the answers to all names beside them."""
    broken, *rest = keys_of(["88.300.1/\udcff\udcfe", *others])
    assert broken.startswith(b"88.300.1/")
    assert rest == [other.upper().encode() for other in others]


def batch(*names, **fields):
    return pb.BatchResolveRequest(names=names, **fields).SerializeToString()


@pytest.mark.parametrize("length", [1, 10, 97, 122, 127])
def test_names_of_one_length_are_cut_out_of_the_octets(length):
    """Among them the lengths that are a letter themselves, or a line end, or nothing."""
    source = random.Random(length)
    names = ["".join(source.choices("aZ/\n\x00z", k=length)) for _ in range(7)]
    assert list(keys_in(batch(*names))) == [name.encode().upper() for name in names]
    assert list(keys_in(batch(*names[:1]))) == [names[0].encode().upper()]


def test_what_is_not_names_of_one_length_alone_is_not_cut():
    other = ["88.300.1/ab", "88.300.1/abc"]
    assert keys_in(batch(*other)) is None
    assert keys_in(batch(*other[::-1])) is None
    assert keys_in(batch("x" * 128, "y" * 128)) is None
    assert keys_in(batch("x" * 130)) is None
    assert keys_in(batch("a", "b", types=["c"])) is None
    assert keys_in(batch("a", "b", indexes=[1])) is None
    assert keys_in(batch("a", include_restricted=True)) is None
    assert keys_in(batch()) is None
    assert keys_in(batch("", "")) is None


def test_names_that_cannot_be_keys_of_short_handles_stand_for_none():
    names = ["88.300.1/a", "", "x" * limits.KEY_WHOLE_OCTETS_MAX, "x" * (limits.KEY_WHOLE_OCTETS_MAX + 1)]
    assert keys_of(names) == [b"88.300.1/A", NO_KEY, b"X" * limits.KEY_WHOLE_OCTETS_MAX, NO_KEY]
    assert keys_of([""]) == [NO_KEY]
    assert keys_of(["", "a\nb"]) == [NO_KEY, b"A\nB"]
    assert keys_of([]) == []


def test_octets_are_cut_as_protobuf_reads_them():
    """Whatever stands in a message: names are cut rightly or not at all."""
    source = random.Random(7)
    cut = 0
    for _ in range(3_000):
        names = ["".join(source.choices("\n\x02\x01ab", k=source.choice((1, 2, 2, 2)))) for _ in range(3)]
        keys = keys_in(batch(*names))
        if keys is not None:
            cut += 1
            assert list(keys) == [name.encode().upper() for name in names]
    assert cut > 500
