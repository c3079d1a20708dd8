"""Rows sealed or unsealed together are those of one by one, whatever is wrong with some of them."""

import random

import pytest

from storage.errors import RowCorrupt
from storage.tables import FORMAT_VERSION, MARK, Table, seal, seal_many, unseal, unseal_many


def one_by_one(keys, rows):
    bodies = []
    for key, row in zip(keys, rows, strict=True):
        try:
            bodies.append(None if not row or row[0] & 0xF0 else unseal(Table.RECORDS, key, row))
        except RowCorrupt:
            bodies.append(None)
    return bodies


def some(count):
    keys = [b"88.1/%d" % number for number in range(count)]
    return keys, [seal(key, b"body of " * (number % 7) + key) for number, key in enumerate(keys)]


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_sound_rows_give_all_bodies(count):
    keys, rows = some(count)
    assert unseal_many(keys, rows) == one_by_one(keys, rows)
    assert None not in unseal_many(keys, rows)


def test_every_kind_of_odd_row_is_none_and_costs_no_other():
    keys, rows = some(12)
    rows[1] = None
    rows[3] = seal(keys[3], b"marked", MARK)
    rows[5] = b""
    rows[7] = rows[7][:4]
    bodies = unseal_many(keys, rows)
    assert bodies == one_by_one(keys, rows)
    assert [place for place, body in enumerate(bodies) if body is None] == [1, 3, 5, 7]


def test_short_rows_that_make_up_for_each_other_are_found():
    keys = [b"a", b"b"]
    rows = [bytes([FORMAT_VERSION]), bytes([FORMAT_VERSION]) * 9]
    assert unseal_many(keys, rows) == [None, None]


def test_any_flipped_bit_makes_its_row_none_and_no_other():
    keys, rows = some(40)
    source = random.Random(7)
    for _ in range(300):
        place = source.randrange(len(rows))
        bit = source.randrange(8 * len(rows[place]))
        damaged = bytearray(rows[place])
        damaged[bit // 8] ^= 1 << bit % 8
        tried = [*rows[:place], bytes(damaged), *rows[place + 1 :]]
        bodies = unseal_many(keys, tried)
        assert bodies[place] is None
        assert [body for number, body in enumerate(bodies) if number != place] == [
            body for number, body in enumerate(one_by_one(keys, rows)) if number != place
        ]


def test_a_row_under_the_wrong_key_is_none():
    keys, rows = some(3)
    assert unseal_many(keys, [rows[1], rows[1], rows[2]])[0] is None


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_rows_sealed_together_are_those_sealed_one_by_one(count):
    keys, rows = some(count)
    bodies = [unseal(Table.RECORDS, key, row) for key, row in zip(keys, rows, strict=True)]
    assert seal_many(keys, bodies) == list(zip(keys, rows, strict=True))
