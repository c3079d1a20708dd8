"""Files beside the store are in a backup and come back with it; what was lost before is said."""

import hashlib
import io
import json
import random

import pytest
import zstandard

from storage import backup_files
from storage.backup import back_up, read_manifest, restore, verify
from storage.errors import BackupUnusable, StoreFailed
from storage.files import FILES_DIRECTORY, FileStore
from storage.lmdb_engine import STORE_DIRECTORY, LmdbEngine
from storage.tables import Table

CONTENTS = [b"", b"one", random.Random(3).randbytes(3 << 20), b"%PDF-" + bytes(100_000)]


class Made:
    """A data directory with files, and a backup of it."""

    def __init__(self, root):
        self.root = root
        self.data = root / "data"
        self.engine = LmdbEngine(self.data / STORE_DIRECTORY)
        with self.engine.write() as writer:
            writer.put_many(Table.RECORDS, [(b"%06d" % number, b"body", 0) for number in range(300)])
        self.files = FileStore(self.data / FILES_DIRECTORY)
        self.digests = [self.files.put(content) for content in CONTENTS]
        self.path = root / "made.idisbak"

    def back_up(self, **options):
        return back_up(self.engine, self.path, files=self.files, **options)

    def path_of(self, digest):
        return self.data / FILES_DIRECTORY / self.files.place_of(digest)


@pytest.fixture
def made(tmp_path):
    made = Made(tmp_path)
    yield made
    made.engine.close()


def whole(files):
    return [files.get(digest) for digest in files.digests()]


def test_files_come_back_with_the_store(made, tmp_path):
    (made.data / FILES_DIRECTORY / "ab" / "0123").parent.mkdir(exist_ok=True)
    (made.data / FILES_DIRECTORY / "ab" / ".unfinished").write_bytes(b"of an upload")
    (made.data / FILES_DIRECTORY / "README").write_bytes(b"of an operator")
    steps = []
    manifest = made.back_up(progress=lambda done, total: steps.append((done, total)))
    assert manifest == read_manifest(made.path)
    assert (manifest.files, manifest.files_damaged) == (len(CONTENTS), 0)
    assert manifest.files_octets == sum(map(len, CONTENTS)) + len(CONTENTS) * backup_files.HEAD_OCTETS
    assert steps[-1][0] == steps[-1][1]
    steps.clear()
    assert verify(made.path, lambda done, total: steps.append((done, total))).report.ok
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    restore(made.path, tmp_path / "new")
    assert sorted(entry.name for entry in (tmp_path / "new").iterdir()) == [FILES_DIRECTORY, STORE_DIRECTORY]
    restored = FileStore(tmp_path / "new" / FILES_DIRECTORY)
    assert sorted(whole(restored)) == sorted(CONTENTS)


def test_files_that_are_there_already_stay_and_damaged_ones_are_replaced(made, tmp_path):
    made.back_up()
    new = FileStore(tmp_path / "new" / FILES_DIRECTORY)
    (tmp_path / "new").mkdir()
    mine = new.put(b"mine")
    damaged = tmp_path / "new" / FILES_DIRECTORY / new.place_of(made.digests[1])
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"onf")
    restore(made.path, tmp_path / "new")
    assert new.get(mine) == b"mine"
    assert [new.get(digest) for digest in made.digests] == CONTENTS


def test_a_file_damaged_before_is_left_out_and_said(made, tmp_path):
    made.path_of(made.digests[2]).write_bytes(b"something else")
    manifest = made.back_up()
    assert (manifest.files, manifest.files_damaged) == (3, 1)
    (finding,) = verify(made.path).report.findings
    assert "1 files beside the store were damaged" in finding.problem
    with pytest.raises(BackupUnusable, match="1 files beside the store"):
        restore(made.path, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    restore(made.path, tmp_path / "new", accept_findings=True)
    assert FileStore(tmp_path / "new" / FILES_DIRECTORY).get(made.digests[2]) is None


def test_a_file_that_changes_meanwhile_ends_the_backup(made):
    listed = backup_files.listed(made.files)
    made.path_of(made.digests[3]).unlink()
    with pytest.raises(StoreFailed, match="has gone or changed"):
        backup_files.write(io.BytesIO(), made.files, listed, lambda _: None)


def opened(path):
    octets = path.read_bytes()
    end = 12 + int.from_bytes(octets[8:12], "big")
    return json.loads(octets[12:end]), zstandard.ZstdDecompressor().decompress(octets[end + 64 :])


def closed(path, manifest, data):
    head = json.dumps(manifest).encode()
    packed = zstandard.ZstdCompressor().compress(data)
    digests = hashlib.sha256(head).digest() + hashlib.sha256(packed).digest()
    path.write_bytes(b"IDISBAK2" + len(head).to_bytes(4, "big") + head + digests + packed)


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


CASES = {
    "a content": (lambda _, data: flipped(data, -1), {}, "does not fit its digest"),
    "a digest": (lambda at, data: flipped(data, at), {}, "does not fit its digest"),
    "a length": (lambda at, data: flipped(data, at + 32), {}, "longer than the manifest says"),
    "an end": (lambda _, data: data[:-1], {}, "ends within its files"),
    "more": (lambda _, data: data + b"x", {}, "does not fit the digest"),
    "no files": (lambda at, data: data[:at], {}, "ends within its files"),
    "fewer": (lambda _, data: data, {"files": 3}, "shorter than the manifest says"),
    "none": (lambda _, data: data, {"files": 0, "files_octets": 0}, "does not fit the digest"),
    "many": (lambda _, data: data, {"files": 1 << 40}, "ends within its files"),
    "below zero": (lambda _, data: data, {"files": -1}, "counts below zero"),
    "no data": (lambda _, data: data, {"data_octets": -4096}, "counts below zero"),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_noticed_and_leaves_nothing(made, tmp_path, case):
    change, said, message = CASES[case]
    made.back_up()
    manifest, data = opened(made.path)
    closed(made.path, manifest | said, change(manifest["data_octets"], data))
    with pytest.raises(BackupUnusable, match=message):
        verify(made.path)
    with pytest.raises(BackupUnusable, match=message):
        restore(made.path, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_backup_from_before_files_were_in_it_can_be_read(made, tmp_path):
    made.back_up()
    manifest, data = opened(made.path)
    old = {name: content for name, content in manifest.items() if not name.startswith("files")}
    closed(made.path, old, data[: manifest["data_octets"]])
    assert verify(made.path).report.ok
    restore(made.path, tmp_path / "new")
    assert not (tmp_path / "new" / FILES_DIRECTORY).exists()
