"""One transaction over the records: whatever is done, tallies, journal and day counts agree with them."""

import random

import pytest

from resolver.errors import HandleAlreadyExists, HandleNotFound, PrefixNotEnabled, RecordCorrupt
from resolver.node import administer
from resolver.node.administer import Target
from resolver.node.day_counts import NODE_KEY
from resolver.v1 import changes_pb2, registry_pb2, stored_pb2
from storage.tables import Table
from tests.support.builders import (
    ADMIN,
    HIDDEN,
    PREFIX_A,
    PREFIX_B,
    dump,
    journal,
    ledger_on,
    recount,
    register,
    tallies,
    value,
)
from tests.support.clock import DAY_US


def delete(engine, clock, name):
    with ledger_on(engine, clock) as ledger:
        return administer.delete(ledger, ADMIN, Target.of(name, None))


def put(engine, clock, name, *given):
    with ledger_on(engine, clock) as ledger:
        complete = administer.values.complete(list(given), clock.now_us() // 1_000_000)
        return administer.put_values(ledger, ADMIN, Target.of(name, None), complete, 0, 1 << 20)


def test_random_work_keeps_every_count_true(store, clock):
    chance = random.Random(7)
    done = 0
    for _ in range(40):
        clock.advance(chance.random())
        with ledger_on(store, clock) as ledger:
            for _ in range(chance.randrange(1, 8)):
                name = f"{chance.choice([PREFIX_A, PREFIX_B])}/{chance.randrange(12)}"
                given = [value(1, f"{chance.random()}", permissions=chance.choice([14, HIDDEN]))]
                draft = administer.prepare(name, given, "", 1, 1 << 20)
                try:
                    done += 1
                    if chance.random() < 0.3:
                        administer.delete(ledger, ADMIN, Target.of(name, None))
                    else:
                        administer.create(ledger, ADMIN, draft, chance.choice([1, 3]))
                except (HandleNotFound, HandleAlreadyExists):
                    done -= 1
    assert done > 50
    assert recount(store) == tallies(store)
    entries = journal(store)
    assert [serial for serial, _ in entries] == list(range(1, done + 1))
    assert all(serial == entry.serial for serial, entry in entries)
    times = [entry.time_us for _, entry in entries]
    assert times == sorted(times)
    with store.read() as reader:
        rows = [(key[4:], stored_pb2.StoredDay.FromString(body)) for key, body in reader.scan(Table.STATISTICS)]
    days = [row for key, row in rows if key != NODE_KEY]
    of_node = [row for key, row in rows if key == NODE_KEY]
    for field in ("creates", "modifies", "deletes"):
        assert sum(getattr(row, field) for row in days) == sum(getattr(row, field) for row in of_node)
    assert of_node[-1].handle_count == sum(count for count, _, _ in recount(store).values())
    counts = dict.fromkeys((1, 2, 3), 0)
    for _, entry in entries:
        counts[entry.operation] += 1
    assert sum(day.creates for day in days) == counts[changes_pb2.OPERATION_CREATE]
    assert sum(day.deletes for day in days) == counts[changes_pb2.OPERATION_DELETE]
    assert sum(day.modifies for day in days) == counts[changes_pb2.OPERATION_MODIFY]


def test_versions_go_on_after_a_deletion(store, clock):
    name = f"{PREFIX_A}/x"
    versions = [register(store, clock, name).version, delete(store, clock, name).version]
    versions += [register(store, clock, name).version, delete(store, clock, name).version]
    assert versions == [1, 2, 3, 4]
    with store.read() as reader:
        assert reader.count(Table.TOMBSTONES) == 1
    register(store, clock, name)
    with store.read() as reader:
        assert reader.count(Table.TOMBSTONES) == 0


def test_create_delete_create_in_one_transaction(store, clock):
    name = f"{PREFIX_A}/x"
    draft = administer.prepare(name, [value(1, permissions=HIDDEN)], "", 1, 1 << 20)
    with ledger_on(store, clock) as ledger:
        outcomes = [
            administer.create(ledger, ADMIN, draft),
            administer.delete(ledger, ADMIN, Target.of(name, None)),
            administer.create(ledger, ADMIN, draft),
        ]
    assert [(outcome.version, outcome.serial) for outcome in outcomes] == [(1, 1), (2, 2), (3, 3)]
    assert recount(store) == tallies(store)


def test_hidden_row_goes_when_the_value_becomes_public(store, clock):
    name = f"{PREFIX_A}/x"
    register(store, clock, name, [value(1, permissions=HIDDEN)])
    with store.read() as reader:
        assert reader.count(Table.RESTRICTED) == 1
    put(store, clock, name, value(1, permissions=14))
    with store.read() as reader:
        assert reader.count(Table.RESTRICTED) == 0
    assert recount(store) == tallies(store)


def test_emptied_prefix_has_the_hash_of_nothing(store, clock):
    for number in range(5):
        register(store, clock, f"{PREFIX_A}/{number}")
    assert tallies(store)
    for number in range(5):
        delete(store, clock, f"{PREFIX_A}/{number}")
    assert tallies(store) == {}


def test_time_never_goes_back(store, clock):
    first = register(store, clock, f"{PREFIX_A}/1")
    clock.set_back(86_400)
    second = register(store, clock, f"{PREFIX_A}/2")
    assert second.time_us == first.time_us


def test_days_are_counted_apart(store, clock):
    register(store, clock, f"{PREFIX_A}/1")
    clock.advance(DAY_US / 1_000_000)
    register(store, clock, f"{PREFIX_A}/2")
    with store.read() as reader:
        rows = [(key[4:], stored_pb2.StoredDay.FromString(body)) for key, body in reader.scan(Table.STATISTICS)]
    assert [(key, row.creates, row.handle_count) for key, row in rows] == [
        (NODE_KEY, 1, 1),
        (PREFIX_A.encode(), 1, 1),
        (NODE_KEY, 1, 2),
        (PREFIX_A.encode(), 1, 2),
    ]


def test_failed_transaction_leaves_nothing(store, clock):
    register(store, clock, f"{PREFIX_A}/1")
    before = dump(store)
    draft = administer.prepare(f"{PREFIX_A}/2", [value()], "", 1, 1 << 20)
    with pytest.raises(ZeroDivisionError), ledger_on(store, clock) as ledger:  # noqa: PT012 - the block fails
        administer.create(ledger, ADMIN, draft)
        raise ZeroDivisionError
    assert dump(store) == before


def test_digest_in_the_journal_is_that_of_the_record(store, clock):
    register(store, clock, f"{PREFIX_A}/1")
    assert int.from_bytes(journal(store)[0][1].record_digest, "big") == recount(store)[PREFIX_A.encode()][2]
    delete(store, clock, f"{PREFIX_A}/1")
    entries = [entry for _, entry in journal(store)]
    assert entries[0].record_digest == entries[1].record_digest


def test_damaged_record_is_a_refusal_before_any_change(lmdb_engine, clock):
    """A job that meets one must not take its neighbours with it."""
    from tests.support.builders import add_prefix
    from tests.support.damage import damage

    with lmdb_engine.write() as writer:
        add_prefix(writer, PREFIX_A, "ent-a")
    register(lmdb_engine, clock, f"{PREFIX_A}/1")
    damage(lmdb_engine, Table.RECORDS, f"{PREFIX_A}/1".encode())
    with ledger_on(lmdb_engine, clock) as ledger, pytest.raises(RecordCorrupt):
        ledger.find(f"{PREFIX_A}/1".encode())


def test_a_damaged_tally_is_made_anew_from_its_records(lmdb_engine, clock):
    """It refused every change under its prefix, and a backup would have lost all that came after it."""
    from tests.support.builders import add_prefix
    from tests.support.damage import damage

    with lmdb_engine.write() as writer:
        add_prefix(writer, PREFIX_A, "ent-a")
    for number in range(3):
        register(lmdb_engine, clock, f"{PREFIX_A}/{number}", [value(1), value(2, permissions=HIDDEN)])
    damage(lmdb_engine, Table.TALLIES, PREFIX_A.encode())
    draft = administer.prepare(f"{PREFIX_A}/3", [value()], "", 1, 1 << 20)
    with ledger_on(lmdb_engine, clock) as ledger:
        administer.delete(ledger, ADMIN, Target.of(f"{PREFIX_A}/0", None))
        administer.create(ledger, ADMIN, draft)
    assert recount(lmdb_engine) == tallies(lmdb_engine)


def test_a_prefix_that_changes_in_a_transaction_is_judged_anew(store, clock):
    """What a transaction has permitted is remembered by it, and only until the registry changes in it."""
    drafts = [administer.prepare(f"{PREFIX_A}/{number}", [value()], "", 1, 1 << 20) for number in range(3)]
    with ledger_on(store, clock) as ledger:
        administer.create(ledger, ADMIN, drafts[0])
        row = registry_pb2.Prefix.FromString(ledger.writer.get(Table.PREFIXES, PREFIX_A.encode()))
        row.status = registry_pb2.PREFIX_STATUS_DISABLED
        ledger.writer.put(Table.PREFIXES, PREFIX_A.encode(), row.SerializeToString())
        administer.create(ledger, ADMIN, drafts[1])  # the transaction still has what it has judged
        ledger.forget_registry()
        with pytest.raises(PrefixNotEnabled):
            administer.create(ledger, ADMIN, drafts[2])
    assert recount(store) == tallies(store)


def test_created_deleted_and_created_again_in_one_transaction(store, clock):
    name = f"{PREFIX_A}/again"
    first = administer.prepare(name, [value(1, permissions=HIDDEN)], "", 1, 1 << 20)
    second = administer.prepare(name, [value(2)], "", 1, 1 << 20)
    with ledger_on(store, clock) as ledger:
        administer.create(ledger, ADMIN, first)
        administer.delete(ledger, ADMIN, Target.of(name, None))
        assert administer.create(ledger, ADMIN, second).version == 3
    assert recount(store) == tallies(store)
    assert dump(store, [Table.RESTRICTED]) == []
    with ledger_on(store, clock) as ledger:
        administer.delete(ledger, ADMIN, Target.of(name, None))
        administer.create(ledger, ADMIN, first)
        administer.delete(ledger, ADMIN, Target.of(name, None))
    assert dump(store, [Table.RECORDS]) == []
    assert recount(store) == tallies(store)
