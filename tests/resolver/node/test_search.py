"""The table of reverse look-up: always what the records say, whatever changes them, and found again by patterns."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.errors import InvalidField
from resolver.node import administer, search
from resolver.node.audit import audit
from resolver.node.ledger import Ledger
from resolver.node.search import Pattern
from resolver.v1 import handle_pb2 as pb
from storage.check import CheckReport
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.support.builders import ADMIN
from tests.support.clock import FakeClock, seeded_randomness
from tests.support.node import World

PUBLIC, SECRET = 14, 12


def value(index, type_, data, permissions=PUBLIC):
    return pb.HandleValue(index=index, type=type_, data=data, permissions=permissions)


def register(engine, name, *values, now_us=1_000_000):
    with engine.write() as writer:
        ledger = Ledger(writer, now_us)
        target = administer.Target.of(name, None)
        found = ledger.find(target.key)
        if found is not None:
            administer.delete(ledger, ADMIN, target)
        if values:
            administer.create(ledger, ADMIN, administer.prepare(name, list(values), "", 1, 1 << 20))
        ledger.close()


def found(engine, type_, text, rows_max=3):
    """Names of handles with a fitting value, in slices of a few rows."""
    names, start = [], b""
    while start is not None:
        with engine.read() as reader:
            part = search.search(reader, type_, Pattern.from_text(text), start, rows_max)
        names += [key.decode() for key in part.found]
        start = part.following
    return sorted(names)


def problems(engine):
    report = CheckReport()
    audit(engine, report)
    return [(each.table, each.problem) for each in report.findings]


@pytest.fixture
def store(world):
    search.rebuild(world.engine, search.types_of("url, CHECKSUM"))
    return world.engine


def test_values_are_found_from_the_moment_they_are_written(store):
    register(store, "88.300.10/a", value(1, "URL", b"https://a.example/x"), value(2, "checksum", b"00ff"))
    register(store, "88.300.10/b", value(1, "URL", b"https://b.example/x"), value(2, "EMAIL", b"b@example"))
    assert found(store, "URL", "https://a.example/x") == ["88.300.10/A"]
    assert found(store, "URL", "https://*") == ["88.300.10/A", "88.300.10/B"]
    assert found(store, "URL", "*B.Ex*/x") == ["88.300.10/B"]
    assert found(store, "CHECKSUM", "00ff") == ["88.300.10/A"]
    assert found(store, "EMAIL", "*") == []
    register(store, "88.300.10/a", value(1, "URL", b"https://c.example/"))
    assert found(store, "URL", "https://a*") == []
    register(store, "88.300.10/a")
    assert found(store, "URL", "*c.example*") == []
    assert problems(store) == []


def test_values_that_are_not_public_are_never_found(store):
    register(store, "88.300.10/a", value(1, "URL", b"https://hidden/", SECRET), value(2, "URL", b"https://open/"))
    assert found(store, "URL", "*hidden*") == []
    assert found(store, "URL", "*open*") == ["88.300.10/A"]


def test_long_data_is_left_to_whoever_reads_the_record(store):
    register(store, "88.300.10/a", value(1, "URL", b"x" * 300 + b"end"))
    assert found(store, "URL", "x*end") == ["88.300.10/A"]
    assert found(store, "URL", "y*") == []


def test_a_pattern_has_few_parts():
    assert Pattern.from_text("*" * 5_000) == Pattern.from_text("**") == Pattern.from_text("*")
    assert Pattern.from_text("a**b***c") == Pattern.from_text("a*b*c")
    assert Pattern.from_text("a") == Pattern((b"A",))
    most = "*".join(["x"] * (search.PARTS_MAX + 2))
    assert len(Pattern.from_text(most).parts) == search.PARTS_MAX + 2
    with pytest.raises(InvalidField, match="64 parts"):
        Pattern.from_text(most + "*x")


def test_other_types_build_the_table_anew(store):
    for number in range(12):
        register(store, f"88.300.10/{number}", value(1, "URL", b"u%d" % number), value(2, "NAME", b"n%d" % number))
    told = []
    assert search.rebuild(store, ("NAME",), told.append) == 12
    assert told == [12]
    assert search.rebuild(store, ("NAME",)) == 0
    assert found(store, "URL", "*") == []
    assert len(found(store, "NAME", "n*")) == 12
    assert problems(store) == []
    search.rebuild(store, ())
    with store.read() as reader:
        assert reader.count(Table.SEARCH) == 0
        assert search.chosen_types(reader) == ()
    register(store, "88.300.10/new", value(2, "NAME", b"n"))
    with store.read() as reader:
        assert reader.count(Table.SEARCH) == 0


def test_a_rebuild_that_was_cut_off_begins_again(store):
    register(store, "88.300.10/a", value(1, "URL", b"u"))
    with store.write() as writer:
        writer.put(Table.META, b"search_types", b"\x00URL")
    with store.read() as reader:
        assert search.chosen_types(reader) == ()
    assert search.rebuild(store, ("URL",)) > 0
    assert found(store, "URL", "u") == ["88.300.10/A"]


def test_the_audit_sees_rows_that_are_too_many_or_too_few(store):
    register(store, "88.300.10/a", value(1, "URL", b"u"))
    with store.write() as writer:
        ((key, body),) = list(writer.scan(Table.SEARCH))
        writer.delete(Table.SEARCH, key)
        writer.put(Table.SEARCH, b"URL\0other" + key[-16:], body)
        writer.put(Table.SEARCH, b"URL\0gone" + key[-16:], b"88.300.10/GONE")
    tables = sorted(table for table, _ in problems(store))
    assert tables == ["RECORDS", "SEARCH", "SEARCH"]


@pytest.mark.parametrize("text", ["x" * 65, ",".join(f"t{n}" for n in range(17))])
def test_what_cannot_be_chosen_is_said(text):
    with pytest.raises(InvalidField):
        search.types_of(text)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("ab", max_size=8), st.text("ab*", max_size=6))
def test_patterns_mean_what_fnmatch_means(data, pattern):
    import fnmatch

    assert Pattern.from_text(pattern).fits(data.upper().encode()) == fnmatch.fnmatchcase(data, pattern)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "u1", "u2"])), max_size=12))
def test_whatever_is_written_the_table_says_what_the_records_say(steps):
    engine = World(MemoryEngine(), FakeClock(), seeded_randomness()).engine
    search.rebuild(engine, ("URL",))
    now = {}
    for name, data in steps:
        register(engine, f"88.300.10/{name}", *([value(1, "URL", data.encode())] if data else []))
        now[f"88.300.10/{name.upper()}"] = data
    for data in ("u1", "u2"):
        assert found(engine, "URL", data) == sorted(name for name, held in now.items() if held == data)
