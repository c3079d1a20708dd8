"""Minted suffixes: unique, ascending, spelled so that people can read them out."""

from resolver.node.mint import ALPHABET, Mint
from tests.support.clock import FakeClock, seeded_randomness


def test_suffixes_ascend_whatever_the_clock_does():
    clock = FakeClock()
    mint = Mint(clock, seeded_randomness())
    made = []
    for step in range(3_000):
        made.append(mint.suffix())
        if step % 7 == 0:
            clock.advance(0.001)
        if step % 500 == 499:
            clock.set_back(3_600)
    assert made == sorted(set(made))
    assert {len(suffix) for suffix in made} == {26}
    assert set("".join(made)) <= set(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)


def test_time_is_in_the_first_ten_letters():
    clock = FakeClock()
    mint = Mint(clock, seeded_randomness())
    number = 0
    for letter in mint.suffix():
        number = number * 32 + ALPHABET.index(letter)
    assert number >> 80 == clock.now_us() // 1_000


def test_two_mints_in_the_same_millisecond_differ():
    clock = FakeClock()
    first, second = Mint(clock, seeded_randomness(1)), Mint(clock, seeded_randomness(2))
    assert {first.suffix() for _ in range(100)}.isdisjoint(second.suffix() for _ in range(100))
