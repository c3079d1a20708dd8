"""Many wanted types of many values: the same answer as one by one, without asking for each pair."""

import random
import sys

from resolver.handle.name import WantedTypes, fold
from resolver.node import hdl_resolve
from resolver.v1 import handle_pb2
from resolver.wire.predefined.catalog import class_of

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


def counted(asked):
    """What is answered, and how many functions were called for it: Python's own ones first, then all."""
    calls = {"call": 0, "c_call": 0}

    def count(_frame, event, _argument):
        if event in calls:
            calls[event] += 1

    sys.setprofile(count)
    try:
        found = asked()
    finally:
        sys.setprofile(None)
    return found, calls["call"], sum(calls.values())


def test_not_every_pair_is_looked_at():
    values = [handle_pb2.HandleValue(index=number, type=f"A.B.{number}") for number in range(1, 1_001)]
    wanted = [f"x{number}." for number in range(1_000)] + ["A.B.7", "a.b.8."]
    found, calls, _ = counted(lambda: hdl_resolve.wanted(values, (), wanted))
    assert [value.index for value in found] == [7, 8]
    assert calls < 10 * (len(values) + len(wanted))


def test_a_type_of_many_dots_is_not_looked_at_dot_by_dot():
    """Another node may answer with one: each look took longer than the last, minutes for a megabyte."""
    many = "." * 20_000
    for asked in (lambda: many in WantedTypes(["URL.", "A.B."]), lambda: class_of(many) is not None):
        found, _, calls = counted(asked)
        assert not found
        assert calls < 50
    assert "HS_SITE.PREFIX" + many in WantedTypes(["x.", "hs_site."])
    assert class_of("HS_SITE.PREFIX" + many) is class_of("HS_SITE")
