"""Every input that fuzzing kept, fed again: what was found once stays mended."""

import pytest

from tests.fuzz import room


@pytest.mark.parametrize("name", room.names())
def test_the_kept_inputs_find_nothing(name):
    target = room.load(name)
    assert target.INSTRUMENT, "the search needs branches to follow"
    inputs = [*target.SEEDS, *room.kept(name)]
    watch = room.Watch(target.feed, len(inputs))
    for octets in inputs:
        watch(octets)


def test_a_slow_input_is_a_finding():
    def slow(_):
        total = 0
        for number in range(3_000_000):
            total += number

    with pytest.raises(room.Finding, match="CPU time"):
        room.Watch(slow, 10)(b"x")


def test_memory_that_is_kept_is_a_finding():
    held = []
    watch = room.Watch(lambda octets: held.extend([octets, index] for index in range(1_000)), 100)
    for _ in range(99):
        watch(b"x")
    with pytest.raises(room.Finding, match="memory grows"):
        watch(b"x")
