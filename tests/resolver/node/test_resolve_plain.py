"""What is found for many plain names together is what ``resolve`` says of each of them alone."""

import pytest

from resolver import limits
from resolver.node.prefixes import ServedPrefixes
from resolver.node.resolve_plain import find_plain, keys_of
from resolver.v1 import registry_pb2 as registry
from storage.memory_engine import MemoryEngine
from storage.tables import MARK, SEAL_OCTETS, Table

SERVED = ("88.300.1", "88.300.2", "88.阀门")


def store(*names, marked=()):
    engine = MemoryEngine()
    with engine.write() as writer:
        for prefix in (*SERVED, "88.300.9"):
            status = registry.PREFIX_STATUS_ENABLED if prefix in SERVED else registry.PREFIX_STATUS_DISABLED
            row = registry.Prefix(prefix=prefix, status=status, homed=True, hosting=registry.HOSTING_HERE)
            writer.put(Table.PREFIXES, prefix.encode(), row.SerializeToString())
        for name in names:
            key = name.encode().upper()
            writer.put(Table.RECORDS, key, b"body of " + key, marks=MARK if name in marked else 0)
    return engine


def found(engine, *names):
    with engine.read() as reader:
        return find_plain(reader, ServedPrefixes(), keys_of(names))


def test_names_of_one_prefix_in_any_spelling_are_found_and_counted():
    bodies, counts = found(store("88.300.1/a", "88.300.1/B"), "88.300.1/A", "88.300.1/b", "88.300.1/a")
    assert bodies == [b"body of 88.300.1/A", b"body of 88.300.1/B", b"body of 88.300.1/A"]
    assert counts == {"88.300.1": 3}


def test_a_prefix_that_starts_another_one_is_not_that_one():
    engine = store("88.300.1/a", "88.300.2/a")
    assert found(engine, "88.300.1/a", "88.300.2/a")[1] == {"88.300.1": 1, "88.300.2": 1}


def test_chinese_names_are_plain_too():
    bodies, counts = found(store("88.阀门/球阀é", "88.阀门/x"), "88.阀门/球阀é", "88.阀门/X")
    assert bodies == ["body of 88.阀门/球阀é".encode(), "body of 88.阀门/X".encode()]
    assert counts == {"88.阀门": 2}
    assert found(store("88.阀门/é"), "88.阀门/É")[0] == [None], "only ASCII letters are folded"


def test_prefixes_out_of_service_are_left_to_the_usual_way():
    engine = store("88.300.1/a", "88.300.9/a", "88.300.9/b")
    bodies, counts = found(engine, "88.300.9/a", "88.300.1/a", "88.300.9/b")
    assert bodies == [None, b"body of 88.300.1/A", None]
    assert counts == {"88.300.1": 1}


def test_names_that_are_odd_or_absent_or_restricted_cost_no_other():
    engine = store("88.300.1/a", "88.300.1/r", marked=["88.300.1/r"])
    odd = ["", "/", "88.300.1", "88.300.1/", "88.300.1/none", "88.300.1/r", "88.300.1/" + "x" * 500, "88.300.1/a\nb"]
    bodies, counts = found(engine, *odd, "88.300.1/a")
    assert bodies == [None] * len(odd) + [b"body of 88.300.1/A"]
    assert counts == {"88.300.1": 1}
    assert found(engine, *odd) == ([None] * len(odd), {})
    assert found(engine) == ([], {})


class Weighing:
    """A reader that notes how many octets of rows it has given."""

    def __init__(self, reader):
        self._reader, self.octets = reader, 0

    def get_rows(self, table, keys):
        rows = self._reader.get_rows(table, keys)
        self.octets += sum(map(len, filter(None, rows)))
        return rows

    def __getattr__(self, name):
        return getattr(self._reader, name)


@pytest.mark.parametrize("asked", [100, 300])
@pytest.mark.parametrize("octets", [1_000, 20_000, 100_000])
@pytest.mark.parametrize("octets_max", [500_000, 2_000_000, None])
def test_of_long_rows_no_more_are_read_than_there_is_room_for(asked, octets, octets_max):
    """All rows of a burst were read before anybody looked how long they are: a hundred mebibytes for one answer."""
    engine, names = store(), ["88.300.1/long"] * asked
    with engine.write() as writer:
        writer.put(Table.RECORDS, b"88.300.1/LONG", b"x" * octets)
    room = octets_max or limits.ANSWER_OCTETS_MAX
    with engine.read() as reader:
        weighing = Weighing(reader)
        bodies, counts = find_plain(weighing, ServedPrefixes(), keys_of(names), octets_max)
    fit = (octets + SEAL_OCTETS) * len(names) <= room
    assert bodies == [b"x" * octets if fit else None] * len(names)
    assert counts == ({"88.300.1": len(names)} if fit else {})
    assert weighing.octets <= room + (octets + SEAL_OCTETS) or weighing.octets == 8 * (octets + SEAL_OCTETS)


def test_rows_that_are_longer_than_those_before_are_found_like_these():
    engine, names = store(*(f"88.300.1/{number}" for number in range(40))), []
    with engine.write() as writer:
        for number in range(40):
            writer.put(Table.RECORDS, b"88.300.1/%d" % number, b"x" * number * 1_000)
            names += [f"88.300.1/{number}"] * 3
    bodies, counts = found(engine, *names, "88.300.1/none")
    assert bodies == [b"x" * (place // 3) * 1_000 for place in range(120)] + [None]
    assert counts == {"88.300.1": 120}
