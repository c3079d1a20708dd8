"""Chunks of an import: numbered without gaps, applied once, forgotten after a month."""

import random

import pytest

from resolver.errors import ImportOutOfSequence, InvalidField
from resolver.node import imports
from storage.errors import RowCorrupt
from storage.tables import Table
from tests.support.clock import DAY_US, START_US
from tests.support.damage import damage


def advance(engine, sequence, import_id="load", principal="p", now_us=START_US):
    with engine.write() as writer:
        imports.advance(writer, principal, import_id, sequence, now_us)


def durable(engine, import_id="load", principal="p"):
    with engine.read() as reader:
        return imports.durable_sequence(reader, principal, import_id)


def test_chunks_follow_each_other(engine):
    assert durable(engine) == 0
    for sequence in (1, 2, 3):
        advance(engine, sequence)
    assert durable(engine) == 3


@pytest.mark.parametrize("sequence", [0, 1, 2, 4, 2**64 - 1])
def test_gaps_and_repetitions(engine, sequence):
    advance(engine, 1)
    advance(engine, 2)
    with pytest.raises(ImportOutOfSequence, match="send chunk 3") as refusal:
        advance(engine, sequence)
    assert refusal.value.details == {"durable_sequence": "2"}
    assert ("no longer kept" in refusal.value.message) == (sequence <= 2)
    assert durable(engine) == 2


def test_imports_of_others_stand_elsewhere(engine):
    advance(engine, 1)
    assert durable(engine, principal="q") == 0
    assert durable(engine, "load2") == 0


def test_old_imports_are_forgotten(engine):
    advance(engine, 1, "old")
    advance(engine, 1, "old", principal="p2")
    advance(engine, 1, "new", now_us=START_US + 31 * DAY_US)
    assert (durable(engine, "old"), durable(engine, "new")) == (0, 1)
    assert durable(engine, "old", "p2") == 1
    with engine.read() as reader:
        assert reader.count(Table.IMPORTS) == 2


def test_old_imports_are_forgotten_wherever_they_stand(engine):
    """A principal that imports every day always has some recent ones at the beginning of the list."""
    chance = random.Random(7)
    for day in range(400):
        for _ in range(5):
            advance(engine, 1, chance.randbytes(16).hex(), now_us=START_US + day * DAY_US)
    with engine.read() as reader:
        assert reader.count(Table.IMPORTS) < 2 * 31 * 5


def test_a_damaged_row_does_not_end_the_imports_of_a_principal(lmdb_engine):
    advance(lmdb_engine, 1, "a")
    damage(lmdb_engine, Table.IMPORTS, b"p\0a")
    advance(lmdb_engine, 1, "b")
    assert durable(lmdb_engine, "b") == 1
    with pytest.raises(RowCorrupt):
        durable(lmdb_engine, "a")


@pytest.mark.parametrize("import_id", ["", "x" * 49, "a\0b", "标" * 17])
def test_ids_that_are_none(import_id):
    with pytest.raises(InvalidField):
        imports.check_import_id(import_id)
    imports.check_import_id("标" * 16)
