"""Files by digest: whole or not at all, the same content once, a full disk told as such."""

import errno
import hashlib
import os

import pytest

from storage.errors import StoreFailed, StoreFull
from storage.files import FileStore


def test_what_is_put_is_got(tmp_path):
    store = FileStore(tmp_path / "files")
    digest = store.put("内容".encode())
    assert digest == hashlib.sha256("内容".encode()).digest()
    assert store.put("内容".encode()) == digest
    assert store.get(digest) == "内容".encode()
    assert [path.name for path in (tmp_path / "files").rglob("*") if path.is_file()] == [digest.hex()[2:]]
    assert store.get(bytes(32)) is None


def test_a_damaged_content_is_never_handed_out(tmp_path):
    store = FileStore(tmp_path)
    digest = store.put(b"content")
    (tmp_path / store.place_of(digest)).write_bytes(b"c0ntent")
    assert store.get(digest) is None
    assert store.put(b"content") == digest, "an upload of the same content puts it right"
    assert store.get(digest) == b"content"


def test_what_is_put_is_named_durably_whoever_wrote_it(tmp_path, flushed):
    store = FileStore(tmp_path / "files")
    digest = store.put(b"content")
    ways = [tmp_path, tmp_path / "files", (tmp_path / "files" / store.place_of(digest)).parent]
    assert set(ways) < set(flushed)
    flushed.clear()
    # Another process may have renamed it and not come to more, or died there.
    store.put(b"content")
    assert set(flushed) == set(ways)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreFailed)])
def test_a_disk_that_fails_leaves_nothing(tmp_path, monkeypatch, number, kind):
    store = FileStore(tmp_path)

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        store.put(b"content")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
