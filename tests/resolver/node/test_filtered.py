"""Values picked from stored octets are those that a filter takes one by one, encoded anew: octet for octet."""

import random
import sys

import pytest

from resolver.errors import ValuesNotFound
from resolver.handle.name import WantedTypes
from resolver.node import hdl_resolve, record_octets
from resolver.node.prefixes import ServedPrefixes
from resolver.node.resolve import Filter, resolve
from resolver.service.foreign import select
from resolver.v1 import handle_pb2
from tests.support.builders import ADMIN, HIDDEN, PREFIX_A, PUBLIC, register, value

TYPES = ["URL", "url", "URL.CN", "URL.CN.88", "EMAIL", "产品名称", "产品名称.型号", "é", "É", "10320/loc", "X" * 255]
NAME = f"{PREFIX_A}/轴承"


def some_value(chance, index):
    made = value(
        index,
        chance.randbytes(chance.choice([0, 1, 127, 128, 300, 20_000])),
        chance.choice(TYPES),
        permissions=chance.choice([PUBLIC, PUBLIC, 2, HIDDEN]),
    )
    if chance.random() < 0.3:
        made.ttl_until_s = chance.choice([0, 2_000_000_000])
    else:
        made.ttl_s = chance.choice([0, 1, 86_400])
    made.references.extend(
        handle_pb2.Reference(name="88.300.1/管理员", index=chance.choice([0, 7]))
        for _ in range(chance.choice([0, 0, 3]))
    )
    return made


def some_filter(chance, indexes):
    types = chance.sample([*TYPES, "URL.", "产品名称.", "none", ""], chance.choice([0, 1, 1, 4]))
    numbers = chance.sample([*indexes, 4_000_000_000], chance.randrange(min(4, len(indexes) + 2)))
    return types, numbers, chance.random() < 0.3


def plainly(values, types, indexes):
    """The values that are asked for, each looked at by itself."""
    if not types and not indexes:
        return list(values)
    return [each for each in values if each.index in indexes or each.type in WantedTypes(types)]


def rebuilt(whole, chosen):
    record = handle_pb2.HandleRecord()
    record.CopyFrom(whole)
    del record.values[:]
    record.values.extend(chosen)
    return record_octets.frame(record.SerializeToString(deterministic=True)) if chosen else None


def answer_or_none(answer):
    try:
        return answer()
    except ValuesNotFound:
        return None


@pytest.mark.parametrize("seed", range(30))
def test_a_filtered_answer_is_the_record_rebuilt_of_its_values(store, clock, seed):
    chance = random.Random(seed)
    given = [some_value(chance, index) for index in chance.sample([*range(1, 400), 2**32 - 1], chance.randrange(1, 30))]
    register(store, clock, NAME, given)
    with store.read() as reader:
        served = ServedPrefixes()
        whole = answer_or_none(lambda: resolve(reader, served, ADMIN, NAME, None))
        stored = handle_pb2.HandleRecord() if whole is None else record_octets.parse(whole)
        everything = Filter.of([], [], include_restricted=True)
        all_stored = record_octets.parse(resolve(reader, served, ADMIN, NAME, everything))
        assert [each.index for each in all_stored.values] == [each.index for each in given]
        for _ in range(60):
            types, indexes, restricted = some_filter(chance, [each.index for each in given])
            wanted = Filter.of(types, indexes, include_restricted=restricted)
            shown = all_stored.values if restricted else stored.values
            expected = rebuilt(all_stored, plainly(shown, types, indexes))
            assert answer_or_none(lambda: resolve(reader, served, ADMIN, NAME, wanted)) == expected  # noqa: B023
            assert list(hdl_resolve.wanted(shown, indexes, types)) == plainly(shown, types, indexes)
            if whole is not None and not restricted:
                assert answer_or_none(lambda: select(Looked(whole), wanted, NAME)) == expected  # noqa: B023


class Looked:
    """What a search has found."""

    def __init__(self, body):
        self.body = body


def test_a_type_that_comes_again_is_judged_once_and_no_value_is_made_anew(store, clock):
    """A question of fifty octets about the largest record took 2.7 ms from everybody."""
    register(store, clock, NAME, [value(number, "x" * 400, f"T{number % 5}") for number in range(1, 2_001)])
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event in {"call", "c_call"}

    with store.read() as reader:
        for types, indexes in ((["T1"], []), ([], [7]), (["T0", "T1", "T2", "T3", "T4"], []), (["T1."], [9])):
            wanted = Filter.of(types, indexes, include_restricted=False)
            sys.setprofile(count)
            try:
                resolve(reader, ServedPrefixes(), ADMIN, NAME, wanted)
            finally:
                sys.setprofile(None)
    assert calls < 1_000
