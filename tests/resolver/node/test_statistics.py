"""What is counted for the state: exact while there is room, and with a bound that holds when there is not."""

import random
from collections import Counter

from resolver.node import activity, statistics
from resolver.node.activity import Work
from resolver.node.day_counts import NODE_KEY
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table
from tests.support.builders import PREFIX_A, ledger_on, register

DAY = 20260528


def add_all(store, clock, addresses, sources_max):
    with ledger_on(store, clock) as ledger:
        counts = ledger.day_counts(DAY, PREFIX_A.encode())
        for address, count in addresses:
            statistics.add_source(ledger.writer, counts, DAY, PREFIX_A, address, count, sources_max)


def listed(store):
    with store.read() as reader:
        (day,) = statistics.days(reader, DAY, DAY, [PREFIX_A], sources=True)
    return day


def test_sources_are_exact_while_there_is_room(store, clock):
    add_all(store, clock, [(f"192.0.2.{n % 10}", 3) for n in range(40)], sources_max=5)
    day = listed(store)
    assert {source.address: source.resolutions for source in day.sources} == {f"192.0.2.{n}": 12 for n in range(10)}
    assert not any(source.error for source in day.sources)
    assert day.sources_error == 0


def test_bounds_of_sources_hold_for_any_order(store, clock):
    chance = random.Random(5)
    truth = Counter()
    for _ in range(30):
        addresses = []
        for _ in range(20):
            number = min(int(chance.paretovariate(0.7)), 400)
            count = chance.randrange(1, 9)
            truth[f"2001:db8::{number}"] += count
            addresses.append((f"2001:db8::{number}", count))
        add_all(store, clock, addresses, sources_max=20)
    day = listed(store)
    assert len(truth) > 60, "nothing was given up"
    assert len(day.sources) <= 40
    assert day.sources_error > 0
    for source in day.sources:
        assert source.resolutions <= truth[source.address] <= source.resolutions + source.error
    left_out = set(truth) - {source.address for source in day.sources}
    assert max(truth[address] for address in left_out) <= day.sources_error
    heaviest = [address for address, count in truth.most_common(5) if count > day.sources_error]
    assert heaviest
    assert set(heaviest) <= {source.address for source in day.sources}


def work(times=(), seconds=()):
    done = Work()
    for took_us, when_us in times:
        done.add_times(1, took_us, (took_us, when_us), (took_us, when_us))
    for second, items in seconds:
        done.add_items(second, items, items - 1)
    return done


def test_two_workers_share_a_busiest_second(store, clock):
    with store.write() as writer:
        activity.record(writer, DAY, "resolution", {"grpc": work([(5, 1), (900, 2)], [(100, 7), (101, 9)])})
    with store.write() as writer:
        done = {"grpc": work([(3, 3)], [(100, 7)]), "hdl_udp": work([(70, 4)], [(101, 2)])}
        activity.record(writer, DAY, "resolution", done)
    with store.read() as reader:
        rows = {(row.kind, row.protocol): row for row in activity.days(reader, DAY, DAY)}
        assert list(activity.days(reader, DAY + 1, DAY + 2)) == []
    grpc, everything = rows["resolution", "grpc"], rows["resolution", ""]
    assert (grpc.peak_per_s, grpc.peak_time_s, grpc.items, grpc.items_ok) == (14, 100, 23, 20)
    assert (grpc.calls, grpc.average_us) == (3, 302)
    assert (grpc.least_us, grpc.least_time_us, grpc.most_us, grpc.most_time_us) == (3, 3, 900, 2)
    assert (everything.peak_per_s, everything.items, everything.calls) == (14, 25, 4)
    assert rows["resolution", "hdl_udp"].peak_per_s == 2


def test_seconds_stay_few(store):
    done = work(seconds=[(second, 50 if second == 17 else 1) for second in range(10_000)])
    assert len(done.seconds) <= 2 * activity.SECONDS_KEPT
    with store.write() as writer:
        activity.record(writer, DAY, "resolution", {"grpc": done})
        for second in range(20_000, 20_500):
            activity.record(writer, DAY, "resolution", {"grpc": work(seconds=[(second, 2)])})
    with store.read() as reader:
        for _, body in reader.scan(Table.ACTIVITY):
            assert len(body) < 1_000
        row = next(iter(activity.days(reader, DAY, DAY)))
    assert (row.peak_per_s, row.peak_time_s, row.items) == (50, 17, 10_049 + 1_000)


def test_the_newest_second_grows_like_those_before_it(store):
    chance, counts, now = random.Random(5), Counter(), 100
    for _ in range(300):
        now += chance.choice([0, 0, 0, 1])
        seconds = [
            (max(100, now - chance.choice([0, 0, 0, 1, 3])), chance.randrange(1, 9))
            for _ in range(chance.choice([1, 1, 2]))
        ]
        counts.update(dict(work(seconds=seconds).seconds))
        with store.write() as writer:
            activity.record(writer, DAY, "resolution", {"grpc": work(seconds=seconds)})
    with store.read() as reader:
        row = next(row for row in activity.days(reader, DAY, DAY) if row.protocol == "grpc")
        bodies = [stored.StoredActivity.FromString(body) for _, body in reader.scan(Table.ACTIVITY)]
    assert (row.peak_per_s, row.items) == (max(counts.values()), counts.total())
    assert counts[row.peak_time_s] == row.peak_per_s
    for body in bodies:
        assert [(each.time_s, each.items) for each in body.recent] == sorted(counts.items())[-activity.SECONDS_KEPT :]


def test_registrations_are_counted_in_their_transaction(store, clock):
    for number in range(3):
        register(store, clock, f"{PREFIX_A}/{number}")
    register(store, clock, f"{PREFIX_A}/0", on_existing=3)
    with store.read() as reader:
        node = statistics.day_row(reader, DAY, NODE_KEY.decode())
        prefix = statistics.day_row(reader, DAY, PREFIX_A)
        rows = {row.protocol: row for row in activity.days(reader, DAY, DAY)}
    assert (node.creates, node.handle_count, prefix.creates, prefix.handle_count) == (3, 3, 3, 3)
    assert (rows[""].items, rows[""].items_ok, rows["internal"].items_ok) == (node.creates + node.modifies, 3, 3)
    assert rows[""].peak_per_s == rows[""].items


def test_total_of_a_day_without_registrations_is_that_of_before(store, clock):
    register(store, clock, f"{PREFIX_A}/x")
    with ledger_on(store, clock) as ledger:
        ledger.day_counts(DAY + 1, PREFIX_A.encode()).resolutions += 1
        ledger.day_counts(DAY + 1, NODE_KEY).resolutions += 1
        ledger.day_counts(DAY + 1, b"").resolutions += 1
    with store.read() as reader:
        found = {
            row.prefix: row
            for row in statistics.days(reader, DAY + 1, DAY + 1, [PREFIX_A, "", "\x01"], sources=False)
            if not row.whole_node
        }
        node = statistics.day_row(reader, DAY + 1, "\x01")
    assert (found[PREFIX_A].handle_count, found[""].handle_count, node.handle_count) == (1, 0, 1)


def test_old_days_are_forgotten_in_bounded_steps(store):
    with store.write() as writer:
        for number in range(2_500):
            writer.put(Table.SOURCES, (20250101 + number).to_bytes(4, "big") + b"p\0a", b"")
        assert statistics.forget_before(writer, Table.SOURCES, 20250101 + 2_400)
        assert not statistics.forget_before(writer, Table.SOURCES, 20250101 + 2_400)
        assert not statistics.forget_before(writer, Table.SOURCES, 0)
        assert writer.count(Table.SOURCES) == 100
