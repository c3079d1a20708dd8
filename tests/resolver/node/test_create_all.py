"""Many registrations at once leave the store as the same ones do one by one, or are left to be decided one by one."""

import random

import pytest

from resolver.node import administer
from resolver.node.ledger import Ledger
from resolver.node.quotas import Quota
from resolver.v1 import registration_pb2
from resolver.v1 import stored_pb2 as stored
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.support.builders import (
    ADMIN,
    HIDDEN,
    PREFIX_A,
    PREFIX_B,
    USER_A,
    add_prefix,
    dump,
    recount,
    register,
    tallies,
    value,
)

NOW_US = 1_790_000_000_000_000
MOST = 1 << 20


def drafts(chance, count, *, name="N", size=300):
    """Drafts with short and long names and values, in no order."""
    names = {
        f"{PREFIX_A}/{name}{chance.randrange(10**9)}" + "件" * chance.choice([0, 5, 60, 300]) for _ in range(count)
    }
    return [
        administer.prepare(each, [value(1, chance.randbytes(chance.randrange(1, size)))], "", 1, MOST) for each in names
    ]


def prepared():
    engine = MemoryEngine()
    with engine.write() as writer:
        add_prefix(writer, PREFIX_A, "ent-a")
        add_prefix(writer, PREFIX_B, "ent-b")
    return engine


def one_by_one(ledger, caller, wanted):
    outcomes = [administer.create(ledger, caller, draft) for draft in wanted]
    return [ledger.moment.receipt(outcome.name, outcome.version, outcome.serial) for outcome in outcomes]


@pytest.mark.parametrize("before", [0, 1, 120, 16_380])
def test_every_row_and_receipt_is_the_same(before):
    chance = random.Random(before)
    wanted = drafts(chance, 200)
    stores = []
    for way in (administer.create_all, one_by_one):
        engine = prepared()
        with engine.write() as writer:
            ledger = Ledger(writer, NOW_US)
            ledger.door = "grpc"
            for draft in drafts(random.Random(9), before, name="before", size=2):
                ledger.create(draft, "administrator")
            half = len(wanted) // 2
            receipts = way(ledger, USER_A, wanted[:half]) + way(ledger, ADMIN, wanted[half:])
            changed, serial = ledger.changed, ledger.serial
            ledger.close()
        stores.append((receipts, changed, serial, dump(engine)))
        assert tallies(engine) == recount(engine)
        receipt = registration_pb2.CreateHandleResponse.FromString(receipts[-1]).receipt
        assert (receipt.name, receipt.version, receipt.serial) == (wanted[-1].name, 1, serial)
    assert stores[0] == stores[1]


def left_alone(engine, caller, wanted, quota=Quota()):  # noqa: B008 - it has no state
    """Whether nothing is done for drafts, and one by one they are decided as if nobody had tried."""
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US, quota)
        serial = ledger.serial
        assert administer.create_all(ledger, caller, wanted) is None
        assert ledger.serial == serial
        assert not ledger.changed
        ledger.close()
    return True


def test_one_that_exists_leaves_all_to_be_decided_one_by_one(clock):
    engine = prepared()
    wanted = drafts(random.Random(1), 20)
    register(engine, clock, wanted[7].name, caller=USER_A)
    assert left_alone(engine, USER_A, wanted)


def test_so_does_one_that_was_deleted_or_comes_twice(clock):
    engine = prepared()
    wanted = drafts(random.Random(1), 20)
    register(engine, clock, wanted[7].name, caller=USER_A)
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US)
        administer.delete(ledger, USER_A, administer.Target.of(wanted[7].name, None))
        ledger.close()
    assert left_alone(engine, USER_A, wanted)
    assert left_alone(engine, USER_A, [wanted[0], wanted[1], wanted[0]])


def test_what_the_transaction_has_decided_already_counts():
    engine = prepared()
    wanted = drafts(random.Random(1), 20)
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US)
        administer.create(ledger, USER_A, wanted[3])
        assert administer.create_all(ledger, USER_A, wanted) is None
        assert administer.create_all(ledger, USER_A, wanted[4:]) is not None
        assert administer.create_all(ledger, USER_A, wanted[4:]) is None
        with pytest.raises(administer.HandleAlreadyExists):
            administer.create(ledger, USER_A, wanted[5])
        ledger.close()
    assert tallies(engine) == recount(engine)


def test_hidden_values_templates_foreign_prefixes_and_prefix_handles_are_left():
    engine = prepared()
    plain = drafts(random.Random(1), 3)
    hidden = administer.prepare(f"{PREFIX_A}/hidden", [value(1), value(2, permissions=HIDDEN)], "", 1, MOST)
    templated = administer.prepare(f"{PREFIX_A}/templated", [value(1)], "template", 1, MOST)
    assert left_alone(engine, USER_A, [*plain, hidden])
    assert left_alone(engine, USER_A, [templated, *plain])
    foreign = administer.prepare(f"{PREFIX_B}/foreign", [value(1)], "", 1, MOST)
    assert left_alone(engine, USER_A, [foreign])
    assert left_alone(engine, ADMIN, [*plain, foreign])
    assert left_alone(engine, ADMIN, [administer.prepare(f"0.NA/{PREFIX_A}", [value(1)], "", 1, MOST)])


@pytest.mark.parametrize("quota", [Quota(handles_max=7), Quota(writes_per_s=7), Quota(writes_per_day=7)])
def test_a_quota_lets_as_many_pass_as_one_by_one(quota):
    engine = prepared()
    wanted = drafts(random.Random(1), 8)
    assert left_alone(engine, USER_A, wanted, quota)
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US, quota)
        assert len(administer.create_all(ledger, USER_A, wanted[:4])) == 4
        assert len(administer.create_all(ledger, USER_A, wanted[4:7])) == 3
        assert administer.create_all(ledger, USER_A, wanted[7:]) is None
        assert len(administer.create_all(ledger, ADMIN, wanted[7:])) == 1
        ledger.close()
    with engine.read() as reader:
        rate = stored.StoredRate.FromString(reader.get(Table.RATES, b"ent-a") or b"")
    assert rate.writes == (8 if quota.writes_per_s else 0)
