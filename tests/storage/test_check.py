"""The scrub finds every damage that seals, serials and counts can show, and works beside writers."""

from __future__ import annotations

import itertools
import multiprocessing
import signal

import pytest

from storage.check import BITE_ROWS, FINDINGS_MAX, check
from storage.errors import StoreUnusable
from storage.lmdb_engine import DATA_FILE, LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import FORMAT_KEY, Table, seal

RECORDS, CHANGES = Table.RECORDS, Table.CHANGES
DAMAGED = seal(b"another key", b"body")


def serial(number):
    return number.to_bytes(8, "big")


def fill(engine, count):
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"%06d" % number, b"body %d" % number, 0) for number in range(count)])
        for number in range(1, count + 1):
            writer.append(CHANGES, serial(number), b"change")


def store_rows(engine, table, rows):
    if isinstance(engine, LmdbEngine):
        with engine.write() as writer:
            writer.put_rows(table, rows)
        return
    held = engine._tables[table]
    held.by_key.update(rows)
    held.keys[:] = sorted(held.by_key)


@pytest.fixture(params=["lmdb", "memory"])
def engine(request, tmp_path):
    engine = LmdbEngine(tmp_path / "store") if request.param == "lmdb" else MemoryEngine()
    yield engine
    engine.close()


def test_a_sound_store_is_ok_and_counted(engine):
    fill(engine, 2 * BITE_ROWS + 1)
    steps = []
    ticks = itertools.count()
    report = check(
        engine, lambda done, total: steps.append((done, total)), still=True, monotonic_s=lambda: float(next(ticks))
    )
    assert report.ok
    assert report.rows == {table.name: 0 for table in Table} | {"META": 1, "RECORDS": 4001, "CHANGES": 4001}
    assert report.last_serial == 4001
    assert (report.elapsed_s, report.rows_per_s) == (1.0, 8003.0)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (8003, 8003)
    assert len(steps) == 1 + 3 + 3


def test_an_empty_store_is_ok(engine):
    report = check(engine)
    assert (report.ok, report.row_count, report.last_serial) == (True, 1, 0)


def test_every_damaged_row_is_counted_and_the_first_hundred_are_named(engine):
    fill(engine, 300)
    store_rows(engine, RECORDS, [(b"%06d" % number, DAMAGED) for number in range(50, 250)])
    visited = []
    report = check(engine, visit=lambda table, key, body: visited.append((table, key, body)))
    assert not report.ok
    assert report.finding_count == 200
    assert len(report.findings) == FINDINGS_MAX
    assert report.findings[0].to_json() == {
        "table": "RECORDS",
        "key_hex": b"000050".hex(),
        "key_text": "000050",
        "problem": "does not fit its checksum: restore it from a backup or a mirror",
    }
    assert report.rows["RECORDS"] == 300
    records = [key for table, key, _ in visited if table is RECORDS]
    assert records == [b"%06d" % number for number in range(300) if not 50 <= number < 250]
    assert (RECORDS, b"000049", b"body 49") in visited
    assert (Table.META, FORMAT_KEY, b"\0\0\0\1") in visited


def test_only_the_tables_asked_for_are_read(engine):
    fill(engine, 3)
    report = check(engine, tables=[CHANGES])
    assert report.rows == {"CHANGES": 3}


@pytest.mark.parametrize(
    ("serials", "problems"),
    [
        ([1, 2, 3], []),
        ([2, 3], ["follows a gap: the journal lacks serial 1"]),
        (
            [1, 2, 5, 6, 9],
            ["follows a gap: the journal lacks serial 3 to 4", "follows a gap: the journal lacks serial 7 to 8"],
        ),
        ([0, 1], ["is serial 0: serials count from 1"]),
        ([1, 256, 257], ["follows a gap: the journal lacks serial 2 to 255"]),
    ],
)
def test_gaps_of_the_journal_are_named(engine, serials, problems):
    with engine.write() as writer:
        for number in serials:
            writer.append(CHANGES, serial(number), b"")
    report = check(engine)
    assert [finding.problem for finding in report.findings] == problems
    assert report.last_serial == serials[-1]


def test_a_key_of_the_journal_that_is_no_serial_is_named(engine):
    with engine.write() as writer:
        writer.append(CHANGES, serial(1), b"")
        writer.append(CHANGES, serial(1) + b"\0", b"")
        writer.append(CHANGES, serial(2), b"")
    (finding,) = check(engine).findings
    assert finding.problem == "is no serial: its key has 9 octets, not 8"


def test_rows_written_and_deleted_meanwhile_do_not_disturb(engine):
    fill(engine, 3 * BITE_ROWS)
    last = f"{3 * BITE_ROWS:06d}".encode()

    def meddle(done, total):
        with engine.write() as writer:
            following = writer.last_key(CHANGES)
            writer.append(CHANGES, serial(int.from_bytes(following, "big") + 1), b"")
            writer.put(RECORDS, last + b"%d" % done, b"new")
            for number in range(done, done + 500, 7):
                writer.delete(RECORDS, b"%06d" % number)

    report = check(engine, meddle)
    assert report.ok
    assert report.last_serial > 3 * BITE_ROWS


def test_keys_of_the_greatest_length_do_not_stop_the_scrub(engine):
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"k" * 509 + number.to_bytes(2, "big"), b"", 0) for number in range(BITE_ROWS + 5)])
    assert check(engine).rows["RECORDS"] == BITE_ROWS + 5


def test_large_rows_end_a_bite_early(engine):
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"%d" % number, b"x" * (1 << 20), 0) for number in range(20)])
    steps = []
    check(engine, lambda done, total: steps.append(done), tables=[RECORDS])
    assert steps == [8, 16, 20]


def test_a_path_is_opened_read_only_and_closed(tmp_path):
    engine = LmdbEngine(tmp_path / "store")
    fill(engine, 10)
    engine.close()
    for _ in range(2):
        assert check(tmp_path / "store", still=True).rows["RECORDS"] == 10
    with pytest.raises(StoreUnusable, match="holds no store"):
        check(tmp_path / "none")


def test_one_changed_octet_of_the_file_is_found(tmp_path):
    engine = LmdbEngine(tmp_path / "store")
    fill(engine, 1000)
    engine.copy_to(tmp_path / "copy")
    engine.close()
    file = tmp_path / "copy" / DATA_FILE
    octets = bytearray(file.read_bytes())
    octets[octets.index(b"body 777")] ^= 1
    file.write_bytes(octets)
    (finding,) = check(tmp_path / "copy", still=True).findings
    assert (finding.table, finding.key) == ("RECORDS", b"000777")


def check_in_child(path):
    raise SystemExit(0 if check(path, still=True).ok else 1)


@pytest.mark.parametrize(("damage", "exits"), [("none", {0}), ("swap", {1}), ("zero", {1, -signal.SIGABRT})])
def test_damaged_pages_are_found_or_stop_the_process(tmp_path, damage, exits):
    engine = LmdbEngine(tmp_path / "store")
    fill(engine, 5000)
    engine.copy_to(tmp_path / "copy")
    engine.close()
    file = tmp_path / "copy" / DATA_FILE
    octets = bytearray(file.read_bytes())
    one, two = (octets.index(body) // 4096 * 4096 for body in (b"body 1000", b"body 4000"))
    first, second = octets[one : one + 4096], octets[two : two + 4096]
    if damage == "zero":
        octets[one : one + 4096] = bytes(4096)
    if damage == "swap":
        octets[one : one + 4096], octets[two : two + 4096] = second, first
    file.write_bytes(octets)
    child = multiprocessing.get_context("spawn").Process(target=check_in_child, args=(tmp_path / "copy",))
    child.start()
    child.join(100)
    assert child.exitcode in exits
