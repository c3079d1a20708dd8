import threading

import pytest

from resolver.node import administer, record_octets
from resolver.node.administer import Target, prepare
from resolver.node.audit import JUDGES, audit
from resolver.node.audit_files import audit_files
from resolver.node.authorize import Caller, Role
from resolver.node.ledger import Ledger, serial_key
from resolver.registry import enterprises, prefixes, principals
from resolver.registry.first_start import first_start
from resolver.v1 import changes_pb2, handle_pb2, registry_pb2, stored_pb2
from storage.check import CheckReport, check
from storage.files import FileStore
from storage.lmdb_engine import DATA_FILE, LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import MARK, Table
from tests.support.overwritten import scramble

ADMIN = Caller("administrator", Role.NODE_ADMINISTRATOR)
NOW_US = 1_800_000_000_000_000
PUBLIC, RESTRICTED = 14, 12
CREDIT_CODE = "91350100M000100Y43"


def value(index, data, permissions=PUBLIC):
    return handle_pb2.HandleValue(index=index, type="T", data=data, permissions=permissions)


def register(engine, *names, data=b"x", restricted=False):
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US)
        for name in names:
            given = [value(1, data)] + ([value(2, b"secret", RESTRICTED)] if restricted else [])
            administer.create(ledger, ADMIN, prepare(name, given, "", 1, 1 << 20))
        ledger.close()


def fill(engine):
    first_start(engine, "88.300", NOW_US, lambda octets: b"r" * octets)
    with engine.write() as writer:
        row = registry_pb2.Enterprise(enterprise_id="acme", name="A", credit_code=CREDIT_CODE)
        enterprises.create(writer, ADMIN, row, NOW_US, lambda octets: b"e" * octets)
        user = registry_pb2.Principal(principal_id="user", role=registry_pb2.ROLE_ENTERPRISE_USER, enterprise_id="acme")
        principals.create(writer, ADMIN, user, NOW_US, lambda octets: b"p" * octets)
        for text in ("88.300.2", "88.300.10"):
            prefixes.create(writer, ADMIN, registry_pb2.Prefix(prefix=text, enterprise_id="acme"), NOW_US)
    register(engine, *(f"88.300.1/P-{number}" for number in range(2_500)))
    register(engine, "88.300.2/a", "88.300.10/b", "88.300.2/" + "long" * 200)
    register(engine, "88.300.2/hidden", restricted=True)
    register(engine, "88.300.2/gone")
    with engine.write() as writer:
        ledger = Ledger(writer, NOW_US)
        administer.delete(ledger, ADMIN, Target.of("88.300.2/gone", None))
        changed = prepare("88.300.2/a", [value(1, b"new")], "", 1, 1 << 20)
        administer.update(ledger, ADMIN, Target.of("88.300.2/a", None), changed, keep_template=True)
        ledger.close()
    return engine


@pytest.fixture(params=["lmdb", "memory"])
def engine(request, tmp_path):
    store = LmdbEngine(tmp_path / "store") if request.param == "lmdb" else MemoryEngine()
    yield fill(store)
    store.close()


def findings(engine):
    report = CheckReport()
    audit(engine, report)
    assert report.finding_count == len(report.findings)
    return [(found.table, found.problem) for found in report.findings]


def test_a_sound_store_has_no_findings(engine):
    assert check(engine, still=True).ok
    assert findings(engine) == []


def test_progress_counts_every_row_that_was_compared(engine):
    told = []
    audit(engine, CheckReport(), told.append)
    with engine.read() as reader:
        rows = reader.count(Table.RECORDS) + sum(reader.count(table) for table in JUDGES)
    assert told == sorted(told)
    assert told[-1] >= rows


def record_of(writer, key):
    return writer.get(Table.RECORDS, key)


def lose_a_record(writer):
    writer.delete(Table.RECORDS, b"88.300.1/P-77")


def lose_a_prefix_of_records(writer):
    writer.delete(Table.RECORDS, b"88.300.10/B")


def add_a_record(writer):
    writer.put(Table.RECORDS, b"88.300.1/P-77X", record_of(writer, b"88.300.1/P-77"))


def add_an_unknown_prefix(writer):
    writer.put(Table.RECORDS, b"99.1/A", record_of(writer, b"88.300.1/P-77"))


def change_a_record(writer):
    record = record_octets.parse(record_of(writer, b"88.300.1/P-77"))
    record.values[0].data = b"y"
    writer.put(Table.RECORDS, b"88.300.1/P-77", record_octets.frame(record.SerializeToString(deterministic=True)))


def bring_back_an_old_record(writer):
    old = record_octets.head("88.300.2/a", [value(1, b"x")]) + record_octets.tail(1, 2_501, NOW_US, 0, "")
    writer.put(Table.RECORDS, b"88.300.2/A", record_octets.frame(old))


def break_a_record(writer):
    writer.put(Table.RECORDS, b"88.300.1/P-77", b"\x0a\xff")


def unmark_a_record(writer):
    writer.put(Table.RECORDS, b"88.300.2/HIDDEN", record_of(writer, b"88.300.2/HIDDEN"))


def mark_a_record(writer):
    writer.put(Table.RECORDS, b"88.300.2/A", record_of(writer, b"88.300.2/A"), marks=MARK)


def lose_restricted_values(writer):
    writer.delete(Table.RESTRICTED, b"88.300.2/HIDDEN")


def leave_restricted_values(writer):
    writer.put(Table.RESTRICTED, b"88.300.2/GONE", writer.get(Table.RESTRICTED, b"88.300.2/HIDDEN"))


def wrong_tally(writer):
    tally = stored_pb2.StoredTally.FromString(writer.get(Table.TALLIES, b"88.300.2"))
    tally.handle_count += 1
    writer.put(Table.TALLIES, b"88.300.2", tally.SerializeToString())


def wrong_octets(writer):
    tally = stored_pb2.StoredTally.FromString(writer.get(Table.TALLIES, b"88.300.2"))
    tally.record_octets -= 1
    writer.put(Table.TALLIES, b"88.300.2", tally.SerializeToString())


def lose_a_tombstone(writer):
    writer.delete(Table.TOMBSTONES, b"88.300.2/GONE")


def tombstone_of_the_living(writer):
    writer.put(Table.TOMBSTONES, b"88.300.2/A", writer.get(Table.TOMBSTONES, b"88.300.2/GONE"))


def rewrite_the_journal(writer):
    entry = changes_pb2.Change.FromString(writer.get(Table.CHANGES, serial_key(78)))
    entry.version = 9
    writer.put(Table.CHANGES, serial_key(78), entry.SerializeToString())


def misplace_a_journal_entry(writer):
    writer.put(Table.CHANGES, serial_key(78), writer.get(Table.CHANGES, serial_key(79)))


def lose_an_owner(writer):
    writer.delete(Table.OWNED, b"acme\x0088.300.2")


def own_what_is_not_there(writer):
    writer.put(Table.OWNED, b"acme\x0088.300.3", b"")


def lose_a_credit_code(writer):
    writer.delete(Table.CREDIT_CODES, CREDIT_CODE.encode())


def a_second_credit_code(writer):
    writer.put(Table.CREDIT_CODES, b"X", b"acme")


def lose_an_enterprise(writer):
    writer.delete(Table.ENTERPRISES, b"acme")


def lose_a_key_id(writer):
    ((key_id, _),) = list(writer.scan(Table.KEY_IDS))
    writer.delete(Table.KEY_IDS, key_id)


def lose_a_key(writer):
    ((digest, _),) = list(writer.scan(Table.KEYS))
    writer.delete(Table.KEYS, digest)


def lose_a_principal(writer):
    writer.delete(Table.PRINCIPALS, b"administrator")


def lose_a_member(writer):
    writer.delete(Table.MEMBERS, b"acme\0user")


def a_member_who_is_not(writer):
    writer.put(Table.MEMBERS, b"acme\0administrator", b"")


def lose_what_is_held(writer):
    ((key, _),) = list(writer.scan(Table.HELD))
    writer.delete(Table.HELD, key)


def hold_what_is_not_there(writer):
    ((key, digest),) = list(writer.scan(Table.HELD))
    writer.put(Table.HELD, key + b"x", digest)


DAMAGE = {
    lose_a_record: [("CHANGES", "neither record nor deletion"), ("TALLIES", "counts 2500 handles where 2499")],
    lose_a_prefix_of_records: [("TALLIES", "counts 1 handles where 0"), ("CHANGES", "neither record")],
    add_a_record: [("RECORDS", "record of another handle"), ("TALLIES", "set hash")],
    add_an_unknown_prefix: [("RECORDS", "record of another handle"), ("TALLIES", "counts 0 handles where 1")],
    change_a_record: [("RECORDS", "differs from what serial"), ("TALLIES", "set hash")],
    bring_back_an_old_record: [("CHANGES", "the change was lost"), ("TALLIES", "set hash")],
    break_a_record: [("RECORDS", "is no record"), ("CHANGES", "cannot be read")],
    unmark_a_record: [("RECORDS", "is not marked")],
    mark_a_record: [("RECORDS", "is marked as having restricted")],
    lose_restricted_values: [("RECORDS", "and has none"), ("TALLIES", "set hash")],
    leave_restricted_values: [("RESTRICTED", "no record")],
    wrong_tally: [("TALLIES", "counts 4 handles where 3")],
    wrong_octets: [("TALLIES", "octets of records")],
    lose_a_tombstone: [("CHANGES", "neither record nor deletion")],
    tombstone_of_the_living: [("TOMBSTONES", "deleted and registered"), ("TOMBSTONES", "not its deletion")],
    rewrite_the_journal: [("RECORDS", "which is version 9"), ("CHANGES", "version 9")],
    misplace_a_journal_entry: [("RECORDS", "in the journal"), ("CHANGES", "says that it is serial 79")],
    lose_an_owner: [("PREFIXES", "not in the list")],
    own_what_is_not_there: [("OWNED", "does not own")],
    lose_a_credit_code: [("ENTERPRISES", "cannot be found by its credit code")],
    a_second_credit_code: [("CREDIT_CODES", "another credit code")],
    lose_an_enterprise: [("PREFIXES", "does not exist"), ("CREDIT_CODES", "does not exist")],
    lose_a_key_id: [("KEYS", "could not be revoked")],
    lose_a_key: [("KEY_IDS", "does not exist")],
    lose_a_member: [("PRINCIPALS", "not in the list of principals")],
    a_member_who_is_not: [("MEMBERS", "does not act for")],
    lose_what_is_held: [("KEYS", "not in the list of credentials")],
    hold_what_is_not_there: [("HELD", "does not have")],
    lose_a_principal: [("KEYS", "does not exist")],
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_each_kind_of_damage_is_found_and_named(tmp_path, damage):
    engine = LmdbEngine(tmp_path / "store")
    try:
        fill(engine)
        with engine.write() as writer:
            damage(writer)
        assert check(engine, still=True).ok, "no checksum tells of it"
        found = findings(engine)
        for table, words in DAMAGE[damage]:
            assert any(table == where and words in problem for where, problem in found)
        assert len(found) <= len(DAMAGE[damage]) + 2, found
    finally:
        engine.close()


def test_a_row_that_does_not_fit_its_checksum_is_left_to_the_scrub(tmp_path):
    engine = MemoryEngine()
    fill(engine)
    with engine.write() as writer:
        rows = writer._tables[Table.CREDIT_CODES]
        rows.by_key[CREDIT_CODE.encode()] = b"\x01aaaa" + b"acme"
    assert not check(engine).ok
    assert all(table != "CREDIT_CODES" for table, _ in findings(engine))


DAMAGED_ROWS = {
    Table.TALLIES: b"88.300.1",
    Table.META: b"search_types",
    Table.FILES: b"a file",
    Table.PREFIXES: b"88.300.1",
    Table.CHANGES: serial_key(1),
}


@pytest.mark.parametrize("table", DAMAGED_ROWS)
def test_a_damaged_row_of_any_table_does_not_end_the_audit(tmp_path, table):
    engine = fill(LmdbEngine(tmp_path / "store"))
    with engine.write() as writer:
        writer.put_rows(table, [(DAMAGED_ROWS[table], b"\x01aaaabody")])
        writer.delete(Table.CREDIT_CODES, CREDIT_CODE.encode())
    report = check(engine)
    audit(engine, report)
    audit_files(engine, FileStore(tmp_path), report)
    engine.close()
    found = [(finding.table, finding.problem) for finding in report.findings]
    assert (table.name, "does not fit its checksum: restore it from a backup or a mirror") in found
    assert any(where == "ENTERPRISES" for where, _ in found), "what comes later is compared"


def test_damaged_pages_end_the_comparison_of_their_table_only(tmp_path):
    """Every other table is compared, and what was found before is told."""
    engine = fill(LmdbEngine(tmp_path / "store"))
    with engine.write() as writer:
        writer.delete(Table.CREDIT_CODES, CREDIT_CODE.encode())
    engine.copy_to(tmp_path / "copy")
    engine.close()
    scramble(tmp_path / "copy" / DATA_FILE, b"88.300.1/P-")
    engine = LmdbEngine(tmp_path / "copy", readonly=True)
    report = check(engine)
    audit(engine, report)
    engine.close()
    found = [(finding.table, finding.problem) for finding in report.findings]
    assert any(where == "RECORDS" and "cannot be compared to its end" in problem for where, problem in found)
    assert any(where == "ENTERPRISES" and "credit code" in problem for where, problem in found)


def test_a_store_that_is_written_without_pause_gives_no_false_alarm(tmp_path):
    engine = fill(LmdbEngine(tmp_path / "store"))
    stop = threading.Event()
    written = 0

    def write():
        nonlocal written
        while not stop.is_set():
            register(engine, f"88.300.1/W-{written}", f"88.300.2/W-{written}", restricted=bool(written % 2))
            with engine.write() as writer:
                ledger = Ledger(writer, NOW_US)
                administer.delete(ledger, ADMIN, Target.of(f"88.300.2/W-{written}", None))
                ledger.close()
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        audits = 0
        while audits < 5 or written <= 5:  # a slow disk may give the writer few turns
            assert findings(engine) == []
            audits += 1
    finally:
        stop.set()
        thread.join()
        engine.close()
