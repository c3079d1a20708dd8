"""Backups come back equal, damage is never opened, and nothing existing is overwritten."""

from __future__ import annotations

import hashlib
import json
import random
import stat
import threading

import pytest
import zstandard

from storage import backup
from storage.backup import back_up, read_manifest, restore, verify
from storage.backup_manifest import MAGIC
from storage.check import check
from storage.errors import BackupUnusable, StoreFailed, StoreUnusable
from storage.lmdb_engine import DATA_FILE, STORE_DIRECTORY, LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import Table, seal

RECORDS, CHANGES = Table.RECORDS, Table.CHANGES
TAKEN_S = 1_764_000_000.0


def fill(engine, count=500):
    with engine.write() as writer:
        writer.put_many(RECORDS, [(b"%06d" % number, b"body %d" % number, 0) for number in range(count)])
        for number in range(1, count + 1):
            writer.append(CHANGES, number.to_bytes(8, "big"), b"change")


def rows_of(engine):
    with engine.read() as reader:
        return {table: list(reader.scan_rows(table)) for table in Table}


def split(octets):
    """Manifest and compressed data of a backup, read by hand as the format says."""
    assert octets[:8] == b"IDISBAK2"
    end = 12 + int.from_bytes(octets[8:12], "big")
    assert octets[end : end + 32] == hashlib.sha256(octets[12:end]).digest()
    assert octets[end + 32 : end + 64] == hashlib.sha256(octets[end + 64 :]).digest()
    return json.loads(octets[12:end]), octets[end + 64 :]


def joined(manifest, packed):
    head = json.dumps(manifest).encode()
    digests = hashlib.sha256(head).digest() + hashlib.sha256(packed).digest()
    return MAGIC + len(head).to_bytes(4, "big") + head + digests + packed


@pytest.fixture(params=["lmdb", "memory"])
def engine(request, tmp_path):
    engine = LmdbEngine(tmp_path / "data" / STORE_DIRECTORY) if request.param == "lmdb" else MemoryEngine()
    fill(engine)
    yield engine
    engine.close()


@pytest.fixture
def made(tmp_path):
    """A backup of an LMDB store that is closed again."""
    engine = LmdbEngine(tmp_path / "data" / STORE_DIRECTORY)
    fill(engine)
    path = tmp_path / "made.idisbak"
    back_up(engine, path, now_s=lambda: TAKEN_S)
    engine.close()
    return path


def left_in(directory):
    return sorted(entry.name for entry in directory.iterdir())


def test_a_backup_comes_back_equal(engine, tmp_path):
    path = tmp_path / "a.idisbak"
    manifest = back_up(engine, path, now_s=lambda: TAKEN_S)
    before = rows_of(engine)
    assert manifest.time == "2025-11-24T16:00:00+00:00"
    assert (manifest.rows["RECORDS"], manifest.rows["CHANGES"], manifest.rows["META"]) == (500, 500, 1)
    assert read_manifest(path) == manifest
    verified = verify(path)
    assert verified.report.ok
    assert verified.pages_walked
    assert verified.manifest == manifest
    assert restore(path, tmp_path / "new").report.ok
    assert left_in(tmp_path / "new") == [STORE_DIRECTORY]
    assert left_in(tmp_path / "new" / STORE_DIRECTORY) == [DATA_FILE]
    restored = LmdbEngine(tmp_path / "new" / STORE_DIRECTORY)
    try:
        assert rows_of(restored) == before
        with restored.write() as writer:
            writer.put(RECORDS, b"new", b"it can be written")
    finally:
        restored.close()


def test_the_file_is_what_the_format_says(made):
    manifest, packed = split(made.read_bytes())
    data = zstandard.ZstdDecompressor().decompress(packed)
    assert len(data) == manifest["data_octets"]
    assert hashlib.sha256(data).hexdigest() == manifest["data_sha256"]
    assert manifest["format_version"] == 1
    assert len(packed) < len(data) / 2


def test_files_are_private_and_nothing_else_is_left(made, tmp_path):
    verify(made)
    restore(made, tmp_path / "new")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    store = tmp_path / "new" / STORE_DIRECTORY
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert stat.S_IMODE((store / DATA_FILE).stat().st_mode) == 0o600
    assert left_in(tmp_path) == ["data", "made.idisbak", "new"]


def test_progress_only_grows_and_reaches_the_end(engine, tmp_path):
    path = tmp_path / "a.idisbak"
    for action in (
        lambda tell: back_up(engine, path, tell),
        lambda tell: verify(path, tell),
        lambda tell: restore(path, tmp_path / "new", tell),
    ):
        steps = []
        action(lambda done, total, steps=steps: steps.append((done, total)))
        assert len({total for _, total in steps}) == 1
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1][0] == steps[-1][1] > 0


def test_an_existing_backup_is_not_overwritten(made):
    before = made.read_bytes()
    with pytest.raises(BackupUnusable, match="exists already"):
        back_up(MemoryEngine(), made)
    assert made.read_bytes() == before


def test_an_existing_store_is_not_overwritten(made, tmp_path):
    file = tmp_path / "data" / STORE_DIRECTORY / DATA_FILE
    before = file.read_bytes()
    with pytest.raises(StoreUnusable, match="holds a store already"):
        restore(made, tmp_path / "data")
    assert file.read_bytes() == before
    assert left_in(tmp_path / "data") == [STORE_DIRECTORY]


def test_an_empty_store_directory_is_filled(made, tmp_path):
    (tmp_path / "new" / STORE_DIRECTORY).mkdir(parents=True)
    restore(made, tmp_path / "new")
    assert check(tmp_path / "new" / STORE_DIRECTORY, still=True).rows["RECORDS"] == 500


def test_a_backup_beside_a_writer_is_one_moment(tmp_path):
    engine = LmdbEngine(tmp_path / "store")
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            with engine.write() as writer:
                writer.append(CHANGES, number.to_bytes(8, "big"), b"change")
                writer.put(RECORDS, b"%d" % number, b"record")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            path = tmp_path / f"{number}.idisbak"
            back_up(engine, path)
            verified = verify(path)
            assert verified.report.ok
            assert verified.manifest.rows["CHANGES"] == verified.manifest.rows["RECORDS"]
            assert verified.report.last_serial == verified.manifest.rows["CHANGES"]
    finally:
        stop.set()
        thread.join(100)
        engine.close()


def test_a_flipped_octet_or_a_cut_is_noticed_and_leaves_nothing(made, tmp_path):
    whole = made.read_bytes()
    begin = 12 + int.from_bytes(whole[8:12], "big") + 64
    chosen = random.Random(7)
    places = [0, 7, 8, 11, begin, len(whole) - 1]
    places += [chosen.randrange(begin) for _ in range(40)] + [chosen.randrange(begin, len(whole)) for _ in range(200)]
    damaged = [
        whole[:place] + bytes([whole[place] ^ 1 << chosen.randrange(8)]) + whole[place + 1 :] for place in places
    ]
    damaged += [whole[:length] for length in (0, 5, 10, begin - 40, begin - 1, begin, begin + 10, len(whole) - 40)]
    damaged += [whole + b"\0", whole + whole[begin:]]
    path = tmp_path / "damaged.idisbak"
    for octets in damaged:
        path.write_bytes(octets)
        with pytest.raises(BackupUnusable):
            verify(path)
        with pytest.raises(BackupUnusable):
            restore(path, tmp_path / "new")
    assert left_in(tmp_path / "new") == []
    assert left_in(tmp_path) == ["damaged.idisbak", "data", "made.idisbak", "new"]


CHANGED_MANIFESTS = [
    ({"format_version": 2}, "has format 2 and this version reads 1"),
    ({"byte_order": "middle"}, "of a middle-endian machine"),
    ({"rows": []}, "manifest of the backup is damaged"),
    ({"data_octets": "many"}, "manifest of the backup is damaged"),
    ({"data_octets": 4096}, "does not fit the digest"),
    ({"data_sha256": "0" * 64}, "does not fit the digest"),
]


@pytest.mark.parametrize(("change", "message"), CHANGED_MANIFESTS)
def test_a_manifest_that_does_not_fit_is_refused(made, change, message):
    manifest, packed = split(made.read_bytes())
    made.write_bytes(joined(manifest | change, packed))
    with pytest.raises(BackupUnusable, match=message):
        verify(made)


def test_a_bomb_is_not_unpacked_beyond_what_the_manifest_says(made, tmp_path):
    manifest, _ = split(made.read_bytes())
    made.write_bytes(joined(manifest, zstandard.ZstdCompressor().compress(bytes(256 << 20))))
    written = []
    with pytest.raises(BackupUnusable, match="does not fit the digest"):
        verify(made, lambda done, total: written.append(done))
    assert len(written) <= 2 + manifest["data_octets"] // backup.CHUNK_OCTETS


def test_a_crafted_data_file_with_a_fitting_digest_is_stopped_by_the_page_walk(made):
    manifest, packed = split(made.read_bytes())
    data = bytearray(zstandard.ZstdDecompressor().decompress(packed))
    page = data.index(b"body 1") // 4096 * 4096
    data[page + 12 : page + 16] = b"\xff\xff\xff\xff"
    manifest["data_sha256"] = hashlib.sha256(data).hexdigest()
    made.write_bytes(joined(manifest, zstandard.ZstdCompressor().compress(bytes(data))))
    with pytest.raises(BackupUnusable, match="damaged structures"):
        verify(made)


def test_another_database_inside_is_refused(made):
    manifest, _ = split(made.read_bytes())
    data = b"something else" * 1000
    manifest |= {"data_octets": len(data), "data_sha256": hashlib.sha256(data).hexdigest()}
    made.write_bytes(joined(manifest, zstandard.ZstdCompressor().compress(data)))
    with pytest.raises(BackupUnusable, match="damaged structures"):
        verify(made)
    with pytest.raises(BackupUnusable, match="is no store"):
        verify(made, walk_pages=False)


def test_rows_damaged_before_the_backup_are_reported_and_restored_only_when_accepted(tmp_path):
    engine = LmdbEngine(tmp_path / "store")
    fill(engine)
    with engine.write() as writer:
        writer.put_rows(RECORDS, [(b"000100", seal(b"other", b"row"))])
    path = tmp_path / "a.idisbak"
    back_up(engine, path)
    engine.close()
    assert [finding.key for finding in verify(path).report.findings] == [b"000100"]
    with pytest.raises(BackupUnusable, match="has 1 findings, first RECORDS b'000100'"):
        restore(path, tmp_path / "new")
    assert left_in(tmp_path / "new") == []
    assert not restore(path, tmp_path / "new", accept_findings=True).report.ok
    assert check(tmp_path / "new" / STORE_DIRECTORY).finding_count == 1


def test_row_counts_are_held_against_the_manifest(made):
    manifest, packed = split(made.read_bytes())
    manifest["rows"]["RECORDS"] = 501
    made.write_bytes(joined(manifest, packed))
    (finding,) = verify(made).report.findings
    assert finding.problem == "has 500 rows where the manifest says 501"


def test_a_missing_backup_and_a_missing_directory_are_named(tmp_path):
    with pytest.raises(StoreFailed, match="No such file"):
        verify(tmp_path / "none.idisbak")
    engine = MemoryEngine()
    with pytest.raises(StoreFailed, match="No such file"):
        back_up(engine, tmp_path / "none" / "a.idisbak")


def test_scratch_names_where_copies_are_made(made, tmp_path):
    scratch = tmp_path / "scratch"
    with pytest.raises(StoreFailed, match="No such file"):
        verify(made, scratch=scratch)
    scratch.mkdir()
    seen = []
    verify(made, lambda done, total: seen.append(bool(left_in(scratch))), scratch=scratch)
    assert any(seen)
    assert left_in(scratch) == []
