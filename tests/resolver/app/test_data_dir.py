"""Only the owner reads, only one supervisor runs, and files appear whole."""

import json
import os
import stat
import subprocess
import sys

import pytest

from resolver.app.data_dir import DataDir, StartRefused, write_whole


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def data(tmp_path):
    data = DataDir(tmp_path / "deep" / "node")
    data.create()
    return data


def test_directories_are_private(data):
    assert [mode(path) for path in (data.root, data.store, data.credentials, data.run, data.metrics)] == [0o700] * 5


def test_secret_is_private_whatever_the_umask(data):
    before = os.umask(0)
    try:
        data.write_admin_token("secret")
    finally:
        os.umask(before)
    assert mode(data.admin_token) == 0o600
    assert data.admin_token.read_text() == "secret\n"
    assert [file.name for file in data.credentials.iterdir()] == ["admin.token"]


def test_endpoints_come_and_go(data):
    data.write_endpoints({"grpc": "127.0.0.1:1"})
    assert json.loads(data.endpoints.read_text()) == {"grpc": "127.0.0.1:1"}
    data.remove_endpoints()
    data.remove_endpoints()
    assert not data.endpoints.exists()


def test_second_owner_is_refused_and_told_who(data):
    with data.lock(), pytest.raises(StartRefused, match=rf"process {os.getpid()}\).*another --data-dir"), data.lock():
        pass
    with data.lock():
        pass


def test_lock_of_a_killed_owner_is_free(data):
    code = (
        "import os, pathlib, signal\nfrom resolver.app.data_dir import DataDir\n"
        f"with DataDir(pathlib.Path({str(data.root)!r})).lock():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with data.lock():
        pass


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    target = tmp_path / "file"
    write_whole(target, b"old")
    with pytest.raises(TypeError):
        write_whole(target, "not octets")
    assert target.read_bytes() == b"old"
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"


def test_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match="--data-dir"):
        DataDir(tmp_path / "file" / "node").create()
