"""The command line while the processes of the node die: imports go on, and the store is whole afterwards."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "resolver" / "cli"))

from cli_node import ROOT, idis, serving, wait_for

from tests.support.gate import gate

pytestmark = pytest.mark.system

ROWS = 30_000
SHUT_AFTER = 120_000
"""Octets of answers: a fifth of what the rows get."""


def rows_file(path):
    with path.open("w", encoding="utf-8") as out:
        for number in range(ROWS):
            values = [{"index": 2000 + k, "type": f"T{k}", "data": f"值 {number}"} for k in range(6)]
            out.write(json.dumps({"name": f"88.300.1/K-{number:06d}", "values": values}, ensure_ascii=False) + "\n")
    return path


@pytest.fixture
def node(tmp_path):
    with serving(tmp_path / "data") as running:
        yield running


def whole(node, out):
    """Every row once, in the result file, in the store and in the journal."""
    with out.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["row"] for row in rows] == [str(number) for number in range(1, ROWS + 1)]
    assert {row["code"] for row in rows} == {"OK"}
    report = idis("check", "--data-dir", node.directory, "--json").json()
    assert (report["findings"], report["rows"]["RECORDS"], report["last_serial"]) == ([], ROWS, ROWS)


def new_workers(node, killed):
    """Wait until others are in the place of workers that were killed."""
    wait_for(lambda: len(set(node.workers()) - killed) == 2)


def test_a_worker_that_is_killed_under_an_import_costs_a_reconnect_only(node, tmp_path):
    file, out = rows_file(tmp_path / "k.jsonl"), tmp_path / "o.csv"
    with gate(node.target, SHUT_AFTER) as way:
        options = ("--target", way.address)
        client = node.start(*options, "import", file, "--result", out, "--chunk-rows", "200")
        for pass_on in (lambda: way.pass_on(SHUT_AFTER), way.open):
            assert way.is_reached.wait(60)
            killed = set(node.workers())
            node.kill_all_workers()
            new_workers(node, killed)
            assert client.poll() is None
            pass_on()
        assert client.wait(200) == 0
    whole(node, out)


def test_client_and_worker_die_and_the_import_is_resumed(node, tmp_path):
    file, out = rows_file(tmp_path / "k.jsonl"), tmp_path / "o.csv"
    for _ in range(3):
        with gate(node.target, SHUT_AFTER) as way:
            options = ("--target", way.address)
            client = node.start(*options, "import", file, "--result", out, "--resume", "--chunk-rows", "200")
            assert way.is_reached.wait(60)
            killed = set(node.workers()[:1])
            node.kill_a_worker()
            assert client.poll() is None
            client.kill()
            client.wait()
        new_workers(node, killed)
    ran = node("import", file, "--result", out, "--resume", "--json")
    assert (ran.code, ran.json()["created"]) == (0, ROWS), ran.err
    whole(node, out)


def test_a_store_is_checked_and_backed_up_while_it_is_written(node, tmp_path):
    log, backup = tmp_path / "acknowledged", tmp_path / "b.idisbak"
    command = [sys.executable, "-m", "tests.support.registering", node.target, str(node.token_file), str(log), "0"]

    def acknowledged():
        return len(log.read_text().splitlines()) if log.exists() else 0

    def while_written(*command):
        """Run a command until something was written beside it; what was acknowledged before."""
        for _ in range(20):
            before = acknowledged()
            ran = idis(*command, "--data-dir", node.directory, "--json")
            assert ran.code == 0, ran.err
            if acknowledged() > before:
                return before, ran.json()
            backup.unlink(missing_ok=True)
        raise AssertionError("nothing is written")

    with subprocess.Popen(command, cwd=ROOT) as writer:
        try:
            wait_for(lambda: acknowledged() > 1_000)
            assert while_written("check")[1]["findings"] == []
            before, _ = while_written("backup", backup)
        finally:
            writer.kill()
    assert idis("restore", backup, "--data-dir", tmp_path / "restored").code == 0
    for directory, least in ((tmp_path / "restored", before), (node.directory, acknowledged())):
        report = idis("check", "--data-dir", directory, "--json").json()
        assert report["findings"] == []
        assert report["rows"]["RECORDS"] == report["last_serial"] >= least
