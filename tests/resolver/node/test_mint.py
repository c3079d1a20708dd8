"""Minted suffixes: unique, ascending, spelled so that people can read them out."""

import random

from resolver.node import administer
from resolver.node.mint import ALPHABET, Mint
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.support.builders import ADMIN, PREFIX_A, PREFIX_B, add_prefix, ledger_on, register, value
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


def leaves_of(engine, names):
    """Leaf pages of RECORDS, and what they would be if none had room left, after registering names 100 at a time."""
    with engine.write() as writer:
        add_prefix(writer, PREFIX_A, "ent-a")
        add_prefix(writer, PREFIX_B, "ent-b")
    clock = FakeClock()
    register(engine, clock, f"{PREFIX_A}/first")
    for start in range(0, len(names), 100):
        with ledger_on(engine, clock) as ledger:
            for name in names[start : start + 100]:
                administer.create(ledger, ADMIN, administer.prepare(name, [value(1, b"x" * 200)], "", 1, 1 << 20))
    with engine._env.begin() as txn:
        stat = txn.stat(engine._dbs[Table.RECORDS])
        octets = sum(len(key) + len(row) + 10 for key, row in txn.cursor(engine._dbs[Table.RECORDS]))
    return stat["leaf_pages"], octets / (stat["psize"] - 16)


def test_minted_names_under_the_last_prefix_are_appended(lmdb_engine, tmp_path):
    """Appended rows fill their pages; the same rows in random order leave a third of each empty."""
    mint = Mint(FakeClock(), seeded_randomness())
    minted = [f"{PREFIX_B}/{mint.suffix()}" for _ in range(3_000)]
    leaves, least = leaves_of(lmdb_engine, minted)
    assert leaves < 1.1 * least
    scattered = list(minted)
    random.Random(1).shuffle(scattered)
    other = LmdbEngine(tmp_path / "scattered")
    leaves, least = leaves_of(other, scattered)
    other.close()
    assert leaves > 1.25 * least, "the test cannot tell: random names fill pages as well"
