"""The command line while the processes of the node die: imports go on, and the store is whole afterwards."""

import csv
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "resolver" / "cli"))

from cli_node import idis, serving, wait_for

pytestmark = pytest.mark.system

ROWS = 30_000


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


def test_a_worker_that_is_killed_under_an_import_costs_a_reconnect_only(node, tmp_path):
    file, out = rows_file(tmp_path / "k.jsonl"), tmp_path / "o.csv"
    client = node.start("import", file, "--result", out, "--chunk-rows", "200")
    for octets in (100_000, 500_000):
        wait_for(lambda octets=octets: out.exists() and out.stat().st_size > octets)
        node.kill_all_workers()
        wait_for(lambda: len(node.workers()) == 2)
    assert client.wait(200) == 0
    whole(node, out)


def test_client_and_worker_die_and_the_import_is_resumed(node, tmp_path):
    file, out = rows_file(tmp_path / "k.jsonl"), tmp_path / "o.csv"
    for octets in (80_000, 200_000, 500_000):
        client = node.start("import", file, "--result", out, "--resume", "--chunk-rows", "200")
        wait_for(lambda octets=octets: out.exists() and out.stat().st_size > octets)
        node.kill_a_worker()
        client.kill()
        client.wait()
        wait_for(lambda: len(node.workers()) == 2)
    ran = node("import", file, "--result", out, "--resume", "--json")
    assert (ran.code, ran.json()["created"]) == (0, ROWS), ran.err
    whole(node, out)


def test_a_store_is_checked_and_backed_up_while_it_is_written(node, tmp_path):
    file, out = rows_file(tmp_path / "k.jsonl"), tmp_path / "o.csv"
    client = node.start("import", file, "--result", out, "--chunk-rows", "50")
    wait_for(lambda: out.exists() and out.stat().st_size > 20_000)
    checked = idis("check", "--data-dir", node.directory, "--json")
    backup = tmp_path / "b.idisbak"
    assert idis("backup", "--data-dir", node.directory, backup).code == 0
    assert client.wait(200) == 0
    assert (checked.code, checked.json()["findings"]) == (0, [])
    assert idis("restore", backup, "--data-dir", tmp_path / "restored").code == 0
    assert idis("check", "--data-dir", tmp_path / "restored", "--json").json()["findings"] == []
    whole(node, out)
