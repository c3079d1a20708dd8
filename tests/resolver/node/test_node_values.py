"""What may be stored as values: defaults, every refusal, and the two halves."""

from itertools import product

import pytest

from resolver import limits
from resolver.errors import InvalidValue, RecordTooLarge, TooManyItems
from resolver.node import record_octets, values
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from tests.support.builders import HIDDEN, NOBODY, PUBLIC, value

NOW_S = 1_780_000_000


def test_defaults_are_filled_in():
    (done,) = values.complete([value(7)], NOW_S)
    assert (done.ttl_s, done.permissions, done.timestamp_s) == (86_400, 14, NOW_S)


def test_what_is_given_stays():
    given = value(7, ttl_until_s=0, permissions=0, timestamp_s=5)
    (done,) = values.complete([given], NOW_S)
    assert done.WhichOneof("ttl") == "ttl_until_s"
    assert (done.permissions, done.timestamp_s) == (0, NOW_S)


def test_values_come_back_in_the_order_given():
    done = values.complete([value(3), value(1), value(2**32 - 1), value(2)], NOW_S)
    assert [one.index for one in done] == [3, 1, 2**32 - 1, 2]


@pytest.mark.parametrize("permissions", list(product([PUBLIC, HIDDEN, NOBODY], repeat=4)))
def test_the_halves_are_joined_in_the_order_given(permissions):
    given = [value(index, permissions=each) for index, each in zip([3, 1, 9, 2], permissions, strict=True)]
    public, restricted = values.split(given)
    assert values.joined(public, record_octets.restricted_octets(restricted)) == given


def test_restricted_values_without_places_come_last():
    hidden = stored.StoredRestricted(values=[value(1, permissions=HIDDEN), value(4, permissions=HIDDEN)])
    assert [one.index for one in values.joined([value(3)], hidden.SerializeToString())] == [3, 1, 4]


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ([], InvalidValue, "values"),
        ([value(0)], InvalidValue, "values[0].index"),
        ([value(1), value(2), value(1)], InvalidValue, "values[2].index"),
        ([value(1), value(1)], InvalidValue, "values[1].index"),
        ([value(1, type_="")], InvalidValue, "values[0].type"),
        ([value(1), value(2, type_="T" * 256)], InvalidValue, "values[1].type"),
        ([value(1, type_="标" * 86)], InvalidValue, "values[0].type"),
        ([value(1, permissions=16)], InvalidValue, "values[0].permissions"),
        ([value(1, ttl_s=2**31)], InvalidValue, "values[0].ttl_s"),
        ([value(1, references=[pb.Reference(name="1/x")] * 65)], InvalidValue, "values[0].references"),
        ([value(1), value(2, references=[pb.Reference(name="1/" + "标" * 683)])], InvalidValue, "values[1].references"),
        ([value(index) for index in range(1, limits.VALUES_MAX + 2)], TooManyItems, "values"),
    ],
)
def test_refusals_name_the_value(given, error, field):
    with pytest.raises(error) as refusal:
        values.complete(given, NOW_S)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        [value(2**32 - 1, type_="T" * 255, ttl_s=2**31 - 1, permissions=15)],
        [value(1, type_="标" * 85, references=[pb.Reference(name="1/" + "标" * 682)] * 64)],
        [value(index) for index in range(1, limits.VALUES_MAX + 1)],
    ],
)
def test_limits_themselves_are_allowed(given):
    assert len(values.complete(given, NOW_S)) == len(given)


def test_halves_and_who_reads_the_hidden_one():
    public, hidden = values.split([value(1, permissions=PUBLIC), value(2, permissions=HIDDEN), value(3, permissions=0)])
    assert [one.index for one in public] == [1]
    assert [one.index for one in hidden.values] == [2, 3]
    assert values.readable_by_admin(value(2, permissions=HIDDEN))
    assert not values.readable_by_admin(value(3, permissions=NOBODY))


def test_record_octets_are_bounded():
    values.check_record_octets(100, 100)
    with pytest.raises(RecordTooLarge, match="101 octets"):
        values.check_record_octets(101, 100)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (value(1, "a"), value(1, "b")),
        (value(1, "a"), value(1, "a", type_="EMAIL")),
        (value(1, ttl_s=60), value(1, ttl_s=61)),
        (value(1, ttl_s=0), value(1, ttl_until_s=0)),
        (value(1, permissions=14), value(1, permissions=12)),
        (value(1), value(1, references=[pb.Reference(name="1/x", index=1)])),
    ],
)
def test_any_difference_is_a_difference(before, after):
    (old,), (new,) = values.complete([before], 1), values.complete([after], 2)
    assert not values.keep_timestamps([new], [old])
    assert new.timestamp_s == 2


def test_same_values_keep_their_timestamps():
    old = values.complete([value(1, "a"), value(2, "b")], 1)
    new = values.complete([value(2, "b"), value(1, "a")], 2)
    assert values.keep_timestamps(new, old)
    assert [one.timestamp_s for one in new] == [1, 1]
    assert not values.keep_timestamps(new[:1], old), "a value is missing"
    assert not values.keep_timestamps(new, old[:1]), "a value is new"


def test_messages_and_nouns_turn_into_each_other():
    for given in (value(1, ttl_until_s=9, permissions=5), value(2, b"\xff", references=[pb.Reference(name="1/x")])):
        (done,) = values.complete([given], NOW_S)
        assert values.to_pb(values.from_pb(done)) == done
