"""A table has none of many keys, or has some, whatever lies between them."""

import random

import pytest

from resolver.node.vacancy import is_vacant
from storage.tables import Table


@pytest.mark.parametrize("asked", [1, 7, 40])
def test_it_is_what_looking_for_each_key_says(engine, asked):
    chance = random.Random(asked)
    verdicts = []
    for _ in range(200):
        numbers = chance.sample(range(400), asked + chance.choice([0, 3, 40]))
        keys = sorted(b"%03d" % number for number in numbers[:asked])
        there = {b"%03d" % number for number in numbers[asked:]}
        if chance.random() < 0.3:
            there.add(chance.choice(keys))
        with engine.write() as writer:
            for key, _ in list(writer.scan_rows(Table.RECORDS)):
                writer.delete(Table.RECORDS, key)
            for key in there:
                writer.put(Table.RECORDS, key, b"")
            verdicts.append(is_vacant(writer, Table.RECORDS, keys))
            assert verdicts[-1] == there.isdisjoint(keys)
    assert {True, False} == set(verdicts)


class _Counting:
    """Counts the looks at a table."""

    def __init__(self, reader):
        self.reader, self.scans, self.gets = reader, 0, 0

    def scan_rows(self, *place):
        self.scans += 1
        return self.reader.scan_rows(*place)

    def get_rows(self, table, keys):
        self.gets += len(keys)
        return self.reader.get_rows(table, keys)


def test_ascending_keys_cost_a_look_for_each_stretch(engine):
    with engine.write() as writer:
        for number in (b"200", b"500"):
            writer.put(Table.RECORDS, number, b"")
        counting = _Counting(writer)
        assert is_vacant(counting, Table.RECORDS, [b"%03d" % number for number in range(100, 600, 3)])
        assert (counting.scans, counting.gets) == (3, 0)


def test_scattered_keys_cost_little_more_than_a_get_each(engine):
    with engine.write() as writer:
        for number in range(0, 800, 2):
            writer.put(Table.RECORDS, b"%03d" % number, b"")
        counting = _Counting(writer)
        assert is_vacant(counting, Table.RECORDS, [b"%03d" % number for number in range(1, 800, 2)])
        assert counting.scans <= 400 // 8 + 1
        assert counting.gets <= 400
