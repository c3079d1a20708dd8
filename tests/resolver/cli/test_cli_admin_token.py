"""``idis key renew-admin``: a real node whose administrator's token is lost, alone, with a mirror, and interrupted."""

import json
import subprocess
import sys

import pytest
from cli_node import ROOT, environment, idis, serving, wait_for

from resolver.app.initial import Plan, make
from resolver.errors import CredentialInvalid
from resolver.node import shares, site_role
from resolver.registry.directory import Directory
from resolver.registry.first_start import ADMINISTRATOR_ID, NodeRole
from resolver.v1 import mirror_pb2, site_pb2, stored_pb2
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table

DENIED, CONFLICT = 4, 6

DIES_BETWEEN = """
import os, signal, sys
from resolver.app.data_dir import DataDir
from resolver.cli.main import root
write = DataDir.write_admin_token
def write_and_die(data, token):
    write(data, token)
    os.kill(os.getpid(), signal.SIGKILL)
DataDir.write_admin_token = write_and_die
root(["key", "renew-admin", "--data-dir", sys.argv[1]])
"""


def renew(directory, *options):
    return idis("key", "renew-admin", "--data-dir", directory, "--json", *options)


def moved(directory, path):
    """The administrator's token, taken out of the data directory."""
    return (directory / "credentials" / "admin.token").rename(path)


def token_of(directory):
    return (directory / "credentials" / "admin.token").read_text().strip()


def accepts(directory, token):
    """Whether a node on the store would take the token."""
    engine = LmdbEngine(directory / "store", readonly=True)
    try:
        with engine.read() as reader:
            return Directory().by_token(reader, token, 0).principal_id == ADMINISTRATOR_ID
    except CredentialInvalid:
        return False
    finally:
        engine.close()


def dump(directory):
    return idis("dump", "--data-dir", directory, "--include-restricted").out


def findings(directory):
    return idis("check", "--data-dir", directory, "--json").json()["findings"]


def test_who_has_lost_the_token_gets_another(tmp_path):
    directory = tmp_path / "data"
    with serving(directory, workers=1) as node:
        assert node("register", "88.300.1/A", "--value", "1:NAME:轴承").code == 0
        old = moved(directory, tmp_path / "old")
        running = renew(directory)
        assert (running.code, "stop it first" in running.err) == (CONFLICT, True), running.err
        assert not node.token_file.exists()
        assert node("principal", "get", token_file=old).code == 0, "a running node was changed"
    before = dump(directory)
    done = renew(directory)
    assert done.code == 0, done.err
    told = done.json()
    assert told["token_file"] == str(directory / "credentials" / "admin.token")
    assert (len(told["revoked"]), told["enabled"], told["epoch"], told["lost"]) == (1, False, None, 0)
    assert (directory / "credentials" / "admin.token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "first").write_text((directory / "credentials" / "admin.token").read_text())
    again = idis("key", "renew-admin", cwd=tmp_path)
    assert (again.code, "data directory: data" in again.err, "1 revoked" in again.out) == (0, True, True), again.err
    assert (dump(directory), findings(directory)) == (before, [])
    with serving(directory, workers=1) as node:
        for file in (old, tmp_path / "first"):
            assert node("principal", "get", token_file=file).code == DENIED
        assert node("principal", "create", "--id", "second", "--role", "node-administrator").code == 0
        assert node("register", "88.300.1/B", "--value", "1:NAME:b").code == 0


def test_after_a_restore_too(tmp_path):
    made, restored = tmp_path / "made", tmp_path / "restored"
    make(Plan(made, NodeRole.TOP, "88", {}))
    assert idis("backup", "--data-dir", made, tmp_path / "b.idisbackup").code == 0
    assert idis("restore", tmp_path / "b.idisbackup", "--data-dir", restored).code == 0
    assert renew(restored).code == 0
    assert [accepts(restored, token_of(each)) for each in (made, restored)] == [False, True]


def test_killed_between_file_and_store(tmp_path):
    directory = tmp_path / "data"
    make(Plan(directory, NodeRole.TOP, "88", {}))
    old = token_of(directory)
    killed = subprocess.run(
        [sys.executable, "-c", DIES_BETWEEN, str(directory)], cwd=ROOT, env=environment(), check=False, timeout=200
    )
    assert killed.returncode == -9
    of_nothing = token_of(directory)
    assert [accepts(directory, token) for token in (old, of_nothing)] == [True, False], "all is as it was"
    assert renew(directory).code == 0
    assert [accepts(directory, token) for token in (old, of_nothing, token_of(directory))] == [False, False, True]
    assert findings(directory) == []


def test_a_mirror_follows_or_becomes_the_primary(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    mirror_token, old = tmp_path / "mirror.token", tmp_path / "old"
    with serving(first, workers=1) as primary:
        for words in (
            ("principal", "create", "--id", "m", "--role", "mirror"),
            ("key", "create", "m", "--out", mirror_token),
            ("register", "88.300.1/A", "--value", "1:NAME:a"),
        ):
            assert primary(*words).code == 0
        target = primary.target
        options = ("--mirror-token", mirror_token, "--id", "m1", "--data-dir", second)
        made = idis("mirror", "init", "--of", target, *options)
        assert made.code == 0, made.err
        old.write_text(primary.token_file.read_text())
    refused = renew(second)
    assert refused.code == CONFLICT
    assert f"those of {target}: give the command there" in json.loads(refused.err)["error"]["message"]
    assert not (second / "credentials" / "admin.token").exists()

    assert renew(first).code == 0
    token = first / "credentials" / "admin.token"
    with serving(first, workers=1, grpc=target), serving(second, workers=1) as mirror:
        wait_for(lambda: mirror("mirror", "status", token_file=token).code == 0)
        assert mirror("mirror", "status", token_file=old).code == DENIED

    promoted = renew(second, "--promote")  # the first machine has burned
    assert promoted.code == 0, promoted.err
    assert promoted.json()["epoch"]["number"] == 2
    again = renew(second, "--promote")
    assert (again.code, again.json()["epoch"]) == (0, None)
    with serving(second, workers=1) as node:
        assert node("mirror", "status", "--json").json()["role"] == "primary"
        assert node("mirror", "status", token_file=token).code == DENIED
        assert node("register", "88.300.1/B", "--value", "1:NAME:b").code == 0
    assert findings(second) == []


@pytest.mark.parametrize(
    ("role", "follows", "words"),
    [
        (mirror_pb2.SITE_ROLE_FENCED, False, "the primary of an earlier epoch"),
        (mirror_pb2.SITE_ROLE_PRIMARY, True, "copies the registry of 192.0.2.1:2640"),
        (mirror_pb2.SITE_ROLE_MIRROR, True, "copies the registry of 192.0.2.1:2640"),
    ],
)
def test_where_the_registry_is_not_changed_it_is_said_where_it_is(tmp_path, role, follows, words):
    directory = tmp_path / "data"
    make(Plan(directory, NodeRole.TOP, "88", {}))
    token = token_of(directory)
    engine = LmdbEngine(directory / "store")
    with engine.write() as writer:
        site = site_role.site_of(writer)
        site.role, site.primary, site.complete = role, "192.0.2.9:2640", True
        site_role.store(writer, site)
        if follows:
            row = stored_pb2.StoredServer(id=2, follows_registry=True)
            row.pulls.add(registry=True, grpc="192.0.2.1:2640")
            shares.store_server(writer, row)
        before = dict(writer.scan(Table.KEYS)), writer.get(Table.META, site_role.META_KEY)
    engine.close()
    refused = renew(directory, "--promote")
    assert (refused.code, words in refused.err) == (CONFLICT, True), refused.err
    assert token_of(directory) == token
    engine = LmdbEngine(directory / "store", readonly=True)
    with engine.read() as reader:
        assert before == (dict(reader.scan(Table.KEYS)), reader.get(Table.META, site_role.META_KEY))
    engine.close()


def test_a_change_of_shares_that_stands_still_is_in_nobodys_way(tmp_path):
    """It is ended by a command that needs the token."""
    directory = tmp_path / "data"
    make(Plan(directory, NodeRole.TOP, "88", {}))
    engine = LmdbEngine(directory / "store")
    with engine.write() as writer:
        shares.store_server(writer, stored_pb2.StoredServer(id=1, stage=site_pb2.SITE_STAGE_HELD))
    engine.close()
    done = renew(directory)
    assert done.code == 0, done.err
    assert accepts(directory, token_of(directory))


def test_no_store_is_begun(tmp_path):
    refused = renew(tmp_path / "none")
    assert (refused.code, "holds no store" in refused.err) == (2, True)
    assert not (tmp_path / "none").exists()
