"""What is found for many plain names together is what ``resolve`` says of each of them alone."""

from resolver.node.prefixes import ServedPrefixes
from resolver.node.resolve_plain import find_plain, keys_of
from resolver.v1 import registry_pb2 as registry
from storage.memory_engine import MemoryEngine
from storage.tables import MARK, Table

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
