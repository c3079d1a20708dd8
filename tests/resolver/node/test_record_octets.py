"""The octets of a record: head and tail make the whole, and a frame is read back at every length."""

import random

import pytest

from resolver.node import record_octets
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import resolution_pb2
from resolver.v1 import stored_pb2 as stored
from tests.support.builders import value


def record(seed):
    chance = random.Random(seed)
    return pb.HandleRecord(
        name="88.300.1/" + "x" * chance.randrange(1, 300),
        values=[value(index + 1, chance.randbytes(chance.randrange(200)), ttl_s=1) for index in range(seed % 7)],
        version=chance.choice([0, 1, 300, 2**63]),
        serial=chance.choice([0, 1, 2**40]),
        create_time_us=chance.choice([0, 1_780_000_000_000_000]),
        update_time_us=chance.choice([0, 1_780_000_000_000_001]),
        template_id=chance.choice(["", "tpl"]),
    )


@pytest.mark.parametrize("seed", range(40))
def test_head_and_tail_are_the_canonical_whole(seed):
    whole = record(seed)
    head = record_octets.head(whole.name, whole.values)
    tail = record_octets.tail(
        whole.version, whole.serial, whole.create_time_us, whole.update_time_us, whole.template_id
    )
    assert head + tail == whole.SerializeToString(deterministic=True)
    framed = record_octets.frame(head + tail)
    assert framed == resolution_pb2.ResolveResponse(record=whole).SerializeToString(deterministic=True)
    assert resolution_pb2.BatchResolveResponse.FromString(framed * 3).records == [whole] * 3


def test_frames_of_every_length_are_read_back():
    for octets in [*range(10, 400), 2**14 - 9, 2**14, 2**14 + 9, 2**20, 2**21 + 9]:
        whole = pb.HandleRecord(name="x" * octets)
        framed = record_octets.frame(whole.SerializeToString())
        assert framed == resolution_pb2.ResolveResponse(record=whole).SerializeToString()
        assert record_octets.parse(framed) == whole


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**21 - 1, 2**21, 2**32])
def test_varints_are_those_of_protobuf(number):
    message = pb.HandleRecord(version=number or 1)
    expected = message.SerializeToString()[1:] if number else b"\0"
    assert record_octets.varint(number) == expected


def test_no_restricted_values_make_no_row():
    assert record_octets.restricted_octets(stored.StoredRestricted()) == b""
    assert record_octets.restricted_octets(stored.StoredRestricted(values=[value(1)], places=[0]))


def test_digest_tells_key_and_bodies_apart():
    digests = {
        record_octets.digest(b"ab", b"c", b""),
        record_octets.digest(b"a", b"bc", b""),
        record_octets.digest(b"ab", b"d", b""),
        record_octets.digest(b"ab", b"c", b"e"),
    }
    assert len(digests) == 4
