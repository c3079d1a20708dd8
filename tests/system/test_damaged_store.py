"""A data file that was cut short or overwritten: every command says so in a sentence and ends with its exit code."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from test_process_model import ROOT, channel_to, events, register, resolve, serving, start, wait_for

from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.support.damage import damage
from tests.support.overwritten import overwrite_leaves

pytestmark = pytest.mark.system

STORE = 7
PIPE = 4_096
"""Octets of a pipe that nobody reads: fewer than a dump has."""
CRASHED = "is damaged: reading it ended a process by SIG"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damaged") / "whole"
    with serving(directory) as node:
        for number in range(40):
            register(node, f"88.300.1/{number}")
    return directory


@pytest.fixture
def damaged(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")


def data_file(directory):
    return directory / "store" / "data.mdb"


def cut(directory):
    """Cut the file to half its length; that length."""
    octets = data_file(directory).stat().st_size // 2
    os.truncate(data_file(directory), octets)
    return octets


def says_what_is_missing(text, directory, kept, *, before=""):
    """Whether a text begins with the sentence. What is free at the end of a file is not missing."""
    file = before + re.escape(str(data_file(directory)))
    found = re.match(rf"{file} is damaged: the last (\d+) of its (\d+) octets are missing: restore a backup", text)
    return found is not None and int(found[1]) > 0 and int(found[2]) - int(found[1]) == kept


def run(*arguments):
    command = [sys.executable, "-m", "resolver", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", ["check", "backup", "dump"])
def test_commands_say_that_the_file_was_cut_short(damaged, command):
    kept = cut(damaged)
    ran = run(command, "--data-dir", damaged)
    assert (ran.returncode, ran.stdout) == (STORE, "")
    assert says_what_is_missing(ran.stderr, damaged, kept, before="error: "), ran.stderr
    error = json.loads(run(command, "--data-dir", damaged, "--json").stderr)
    assert error["exit_code"] == STORE
    assert says_what_is_missing(error["error"]["message"], damaged, kept), error


@pytest.mark.parametrize("command", ["check", "backup"])
def test_commands_say_that_reading_ended_a_process(damaged, command):
    overwrite_leaves(data_file(damaged))
    ran = run("--data-dir", damaged, command)
    assert (ran.returncode, ran.stdout) == (STORE, "")
    assert ran.stderr.startswith(f"error: the store in {damaged} {CRASHED}")
    error = json.loads(run("--json", "--data-dir", damaged, command).stderr)
    assert error["exit_code"] == STORE
    assert error["error"]["reason"] == "STORE_DAMAGED"
    assert CRASHED in error["error"]["message"]


@pytest.mark.parametrize("damage", [cut, lambda directory: overwrite_leaves(data_file(directory))])
def test_a_node_does_not_start_on_it(damaged, damage):
    damage(damaged)
    process = start(damaged)
    assert process.wait(60) == STORE
    (sentence,) = [line for line in log_lines(damaged) if line.startswith("error: ")]
    assert " is damaged: " in sentence
    assert "restore a backup" in sentence
    assert "worker ended" not in [event["event"] for event in events(damaged)]


@pytest.mark.parametrize(("table", "key"), [(Table.RECORDS, b"88.300.1/7"), (Table.PREFIXES, b"88.300.1")])
def test_a_node_starts_over_a_damaged_row(damaged, table, key):
    """With the Handle doors, which look at every prefix, and a table of reverse look-up that reads every record."""
    engine = LmdbEngine(damaged / "store")
    damage(engine, table, key)
    engine.close()
    options = ("--hdl", "127.0.0.1:0")
    with serving(damaged, *options, IDIS_HTTP__SEARCH_TYPES='["URL"]') as node, channel_to(node) as channel:
        assert node.endpoints["hdl_tcp"]
        if table is Table.RECORDS:
            assert resolve(channel, "88.300.1/8").values[0].type == "URL"


@pytest.mark.parametrize("lose", [lambda data: os.truncate(data, 0), lambda data: shutil.rmtree(data.parent)])
def test_a_lost_file_is_not_taken_for_a_first_start(damaged, lose):
    """A new store would deny what exists, and its token would take the place of the administrator's."""
    token = (damaged / "credentials" / "admin.token").read_text()
    lose(data_file(damaged))
    process = start(damaged)
    assert process.wait(60) == STORE
    sentence = "is missing or empty, and this node has had a store: restore a backup"
    assert sentence in log_lines(damaged)[-1]
    again = run("init", "--data-dir", damaged, "--role", "top", "--prefix", "88")  # as who provisions machines calls it
    assert (again.returncode, sentence in again.stderr) == (STORE, True)
    assert (damaged / "credentials" / "admin.token").read_text() == token


def test_a_running_node_ends_and_says_why(damaged):
    with serving(damaged) as node:
        kept = cut(damaged)
        assert node.process.wait(60) == STORE
    sentence = log_lines(damaged)[-1]
    assert says_what_is_missing(sentence, damaged, kept, before="error: "), sentence
    assert not (damaged / "endpoints.json").exists()


@pytest.mark.parametrize("how", ["replaced", "removed with its directory"])
def test_a_lost_data_file_ends_the_node_and_nothing_else_is_lost(damaged, whole, tmp_path, how):
    """A worker that came later began an empty store, which denied what exists."""
    with serving(damaged) as node:
        if how != "replaced":
            shutil.rmtree(damaged / "store")
        else:
            shutil.copy(data_file(whole), tmp_path / "other")
            (tmp_path / "other").replace(data_file(damaged))
        for pid in node.workers():
            with suppress(ProcessLookupError):  # the supervisor may have looked, and let them leave
                os.kill(pid, signal.SIGKILL)
        assert node.process.wait(60) == STORE
    what = "was replaced" if how == "replaced" else "was removed"
    assert f"{what} under the running node: what it held is saved in" in log_lines(damaged)[-1]
    (saved,) = damaged.glob("rescued-*")
    assert start(damaged).wait(60) == STORE, "a service manager would start it on what is there now"
    assert f"error: {saved} holds what a data file held" in log_lines(damaged)[-1]
    if how == "replaced":
        shutil.rmtree(damaged / "store")
    assert not (damaged / "store").exists(), "mv would put what was saved into it"
    saved.rename(damaged / "store")
    assert run("check", "--data-dir", damaged).returncode == 0
    with serving(damaged) as node, channel_to(node) as channel:
        assert resolve(channel, "88.300.1/7").values[0].type == "URL"


def test_a_doubtful_store_fails_the_doctor(damaged):
    overwrite_leaves(data_file(damaged))
    ran = run("doctor", "--data-dir", damaged)
    assert CRASHED in ran.stdout


@pytest.mark.parametrize("verb", ["check", "doctor"])
def test_nothing_that_lies_where_a_command_is_called_is_run(damaged, tmp_path, verb):
    """An operator, who may be root, calls it anywhere, also where others write."""
    for module in ("click", "lmdb", "msgspec"):
        (tmp_path / f"{module}.py").write_text("open('it ran', 'w')\n")
    command = [sys.executable, "-P", "-m", "resolver", verb, "--data-dir", str(damaged)]  # as the program idis does
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + 15), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_command_in_a_child_ends_with_the_process_that_was_called(damaged, number, code):
    command = [sys.executable, "-m", "resolver", "dump", "--data-dir", str(damaged)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pipesize=PIPE
    ) as parent:
        (child,) = wait_for(lambda: children_of(parent.pid))
        wait_for(lambda: "data.mdb" in Path(f"/proc/{child}/maps").read_text())
        parent.send_signal(number)
        assert parent.wait(60) == code
        wait_for(lambda: has_ended(child))


def log_lines(directory):
    return directory.with_name(directory.name + ".log").read_text().splitlines()


def has_ended(pid):
    """Whoever inherits an orphan notes its end in its own time, or never: until then it is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children_of(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
