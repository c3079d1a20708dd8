"""Many wanted types of many values: the same answer as one by one, without asking for each pair."""

import random
import sys

from resolver.handle.name import WantedTypes, fold
from resolver.node import hdl_resolve
from resolver.v1 import handle_pb2

PARTS = ["URL", "url", "u", ".", "..", "é", "É", "A", "b", "10320/loc", ""]


def matches(wanted, actual):
    wanted, actual = fold(wanted), fold(actual)
    if wanted.endswith("."):
        return actual == wanted[:-1] or actual.startswith(wanted)
    return actual == wanted


def test_they_are_the_types_that_match_one_by_one():
    chance = random.Random(7)
    types = [""] + ["".join(chance.choices(PARTS, k=chance.randrange(5))) for _ in range(400)]
    for _ in range(2_000):
        wanted = chance.sample(types, chance.randrange(4))
        actual = chance.choice(types)
        assert (actual in WantedTypes(wanted)) is any(matches(each, actual) for each in wanted), (wanted, actual)
        assert bool(WantedTypes(wanted)) is bool(wanted)


def test_not_every_pair_is_looked_at():
    values = [handle_pb2.HandleValue(index=number, type=f"A.B.{number}") for number in range(1, 1_001)]
    wanted = [f"x{number}." for number in range(1_000)] + ["A.B.7", "a.b.8."]
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        found = hdl_resolve.wanted(values, (), wanted)
    finally:
        sys.setprofile(None)
    assert [value.index for value in found] == [7, 8]
    assert calls < 10 * (len(values) + len(wanted))
