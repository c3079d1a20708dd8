"""``idis import`` against a real node: every format, bad rows, dry runs, repeats, and files that change."""

import csv
import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_node import wait_for

from resolver.cli.import_run import ImportRun
from resolver.cli.import_state import ImportState, state_path
from resolver.intake.results import ResultRow, ResultWriter
from resolver.intake.rows import IntakeError
from tests.support.gate import gate

SHUT_AFTER = 40_000
"""Octets of a node's answers to an import: those of some two thousand rows, which are some 100 kB of results."""

USB = """
# a list
1d6b  Linux Foundation
\t0001  1.1 root hub
\t0002  2.0 root hub
\t0002  2.0 root hub again
046d  Logitech, Inc.
\tc52b  Unifying Receiver
C 00  (Defined at Interface level)
"""


def rows_file(path, count, start=0, name="I"):
    with path.open("w", encoding="utf-8") as out:
        for number in range(start, start + count):
            values = [{"index": 2000 + k, "type": f"T{k}", "data": f"值 {number}"} for k in range(5)]
            out.write(
                json.dumps({"name": f"88.300.1/{name}-{number:06d}", "values": values}, ensure_ascii=False) + "\n"
            )
    return path


def results(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_second_run_changes_nothing_and_says_so(node, tmp_path):
    file, out = rows_file(tmp_path / "a.jsonl", 1_200, name="TWICE"), tmp_path / "out.csv"
    first = node("import", file, "--result", out, "--json").json()
    assert (first["rows"], first["created"], first["failed"], first["changed"]) == (1_200, 1_200, 0, True)
    assert [row["row"] for row in results(out)] == [str(number) for number in range(1, 1_201)]
    again = node("import", file, "--result", out)
    assert "0 created, 0 updated, 1200 unchanged, 0 failed" in again.out
    assert "nothing changed" in again.out
    assert not state_path(out).exists()


def test_without_a_result_file_it_lies_beside_the_input(node, tmp_path):
    file = rows_file(tmp_path / "goods.jsonl", 3, name="BESIDE")
    ran = node("import", file)
    assert f"result: {tmp_path / 'goods.result.csv'}" in ran.out
    assert len(results(tmp_path / "goods.result.csv")) == 3
    assert "--result" in node("import", "-", "--format", "csv").err


def test_an_input_that_cannot_be_read_leaves_an_earlier_result_alone(node, tmp_path):
    file, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    file.write_text("serial,url\n1,x\n")
    out.write_text("what an earlier import said\n")
    ran = node("import", file, "--result", out)
    assert (ran.code, out.read_text()) == (2, "what an earlier import said\n")
    assert "unknown column 'serial'" in ran.err
    ran = node("import", file, "--result", out, "--template", "none-such")
    assert ran.code == 5
    assert "interrupted" not in ran.err
    assert not state_path(out).exists()


def test_bad_rows_fail_alone_and_the_exit_code_says_so(node, tmp_path):
    file, out = tmp_path / "b.jsonl", tmp_path / "out.jsonl"
    file.write_text(
        '{"name": "88.300.1/BAD-1", "values": [{"index": 1, "type": "URL", "data": "a"}]}\n'
        '{"name": "88.300.1/BAD-2", "values": [{"index": 0, "type": "URL", "data": "a"}]}\n'
        '{"name": "99.1/BAD-3", "values": [{"index": 1, "type": "URL", "data": "a"}]}\n'
        '{"name": "88.300.1/BAD-4", "valu\n'
        '{"name": "88.300.1/BAD-5", "values": [{"index": 1, "type": "URL", "data": "a"}]}\n'
    )
    ran = node("import", file, "--result", out, "--json")
    assert (ran.code, ran.json()["created"], ran.json()["failed"]) == (1, 2, 3)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["reason"] for row in found] == [
        "CREATED",
        "INVALID_VALUE",
        "PREFIX_NOT_SERVED",
        "ROW_INCOMPLETE",
        "CREATED",
    ]


def test_a_file_of_nothing_but_errors_is_told_row_by_row(node, tmp_path):
    file, out = tmp_path / "e.jsonl", tmp_path / "out.csv"
    file.write_text("{}\n" * 3_000)
    ran = node("import", file, "--result", out, "--json")
    assert (ran.code, ran.json()["failed"], len(results(out))) == (1, 3_000, 3_000)


@pytest.mark.parametrize(("on_existing", "outcome"), [("keep", "failed"), ("fail", "failed"), ("replace", "updated")])
def test_a_handle_with_other_values_is_kept_or_replaced(node, tmp_path, on_existing, outcome):
    name = f"88.300.1/EXISTS-{on_existing}"
    node("register", name, "--value", "1:URL:old")
    file = tmp_path / "x.csv"
    file.write_text(f"name,1:URL\n{name},new\n")
    ran = node("import", file, "--result", tmp_path / "o.csv", "--on-existing", on_existing, "--json")
    assert ran.json()[outcome] == 1
    data = node("--json", "resolve", name).json()["values"][0]["data"]
    assert data == ("new" if outcome == "updated" else "old")


def test_a_dry_run_checks_everything_and_writes_nothing(node, tmp_path):
    file, out = rows_file(tmp_path / "a.jsonl", 3, name="DRY"), tmp_path / "out.csv"
    file.write_text(file.read_text("utf-8") + '{"name": "99.1/X", "values": []}\n', "utf-8")
    ran = node("import", file, "--result", out, "--dry-run", "--json")
    assert (ran.code, ran.json()["created"], ran.json()["failed"], ran.json()["changed"]) == (1, 3, 1, False)
    assert node("resolve", "88.300.1/DRY-000000").code == 5
    assert not state_path(out).exists()


def test_a_table_in_gb18030_with_a_mapping(node, tmp_path):
    (tmp_path / "m.toml").write_text(
        'name = "88.300.1/GB-{编号}"\n[[values]]\nindex = 2000\ntype = "NAME"\ncolumn = "名称"\n', "utf-8"
    )
    file = tmp_path / "t.csv"
    file.write_bytes("编号,名称\n1,轴承\n2,\n".encode("gb18030"))
    ran = node("import", file, "--mapping", tmp_path / "m.toml", "--result", tmp_path / "o.csv", "--json")
    assert ran.json()["created"] + ran.json()["failed"] == 2
    assert node("--json", "resolve", "88.300.1/GB-1").json()["values"][0]["data"] == "轴承"


def test_a_workbook(node, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["name", "1:URL"], ["88.300.1/XL-1", "https://example.com/"], ["88.300.1/XL-2", 5]):
        book.active.append(row)
    book.save(tmp_path / "w.xlsx")
    ran = node("import", tmp_path / "w.xlsx", "--result", tmp_path / "o.csv", "--json")
    assert (ran.code, ran.json()["created"]) == (0, 2)


def test_standard_input_is_imported_and_cannot_be_resumed(node, tmp_path):
    out = tmp_path / "o.csv"
    options = ("import", "-", "--format", "csv", "--result", out)
    assert node(*options, "--json", stdin="name,1:URL\n88.300.1/STDIN-1,a\n").json()["created"] == 1
    assert node(*options, "--resume").code == 2


def test_the_batch_format_is_done_in_its_order(node, tmp_path):
    file, out = tmp_path / "b.hdl", tmp_path / "o.csv"
    file.write_text(
        "AUTHENTICATE SECKEY:300:0.NA/88.300\npassword\n\n"
        "CREATE 88.300.1/HDL-1\n1 URL 86400 1110 UTF8 a\n\n"
        "CREATE 88.300.1/HDL-2\n1 URL 86400 1110 UTF8 b\n\n"
        "ADD 88.300.1/HDL-1\n2 EMAIL 86400 1110 UTF8 c\n\n"
        "MODIFY 88.300.1/HDL-1\n1 URL 86400 1110 UTF8 new\n\n"
        "MODIFY 88.300.1/HDL-1\n9 URL 86400 1110 UTF8 none\n\n"
        "REMOVE 2:88.300.1/HDL-1\n\n"
        "DELETE 88.300.1/HDL-2\n\n"
        "HOME 10.0.0.1:2641:TCP\n0.NA/88.300\n\n"
        "CREATE 88.300.1/HDL-2\n1 URL 86400 1110 UTF8 again\n"
    )
    ran = node("import", file, "--result", out, "--json")
    assert [row["reason"] for row in results(out)] == [
        "CREATED",
        "CREATED",
        "UPDATED",
        "UPDATED",
        "VALUES_NOT_FOUND",
        "UPDATED",
        "DELETED",
        "NOT_IMPLEMENTED",
        "CREATED",
    ]
    assert (ran.code, ran.json()["deleted"], ran.json()["failed"]) == (1, 1, 2)
    (value,) = node("--json", "resolve", "88.300.1/HDL-1").json()["values"]
    assert value["data"] == "new"
    assert node("--json", "resolve", "88.300.1/HDL-2").json()["version"] == 3


def test_vendors_become_enterprises_and_a_second_run_changes_nothing(node, tmp_path):
    file, out = tmp_path / "usb.ids", tmp_path / "o.csv"
    file.write_text(USB)
    dry = node("import", file, "--result", out, "--dry-run", "--json")
    assert (dry.code, dry.json()["created"], dry.json()["enterprises_created"]) == (0, 3, 2)
    assert node("enterprise", "get", "usb-1d6b").code == 5
    ran = node("import", file, "--result", out, "--json")
    assert (ran.code, ran.json()["created"], ran.json()["duplicate"], ran.json()["failed"]) == (0, 3, 1, 0)
    assert (ran.json()["enterprises_created"], ran.json()["prefixes_created"]) == (2, 2)
    (told,) = [row for row in results(out) if row["reason"] == "DUPLICATE_IN_FILE"]
    assert "line 5" in told["message"]
    assert node("prefix", "get", "88.300.107531", "--json").json()["enterprise_id"] == "usb-1d6b"
    assert node("--json", "resolve", "88.300.107531/0002").json()["name"] == "88.300.107531/0002"
    again = node("import", file, "--result", out)
    assert "nothing changed" in again.out
    assert "0 enterprises and 0 prefixes" in again.out


def test_a_file_that_breaks_keeps_what_came_before(node, tmp_path):
    file, out = tmp_path / "u.ids", tmp_path / "o.csv"
    file.write_text("no vendors here\n")
    ran = node("import", file, "--format", "usb-ids", "--result", out)
    assert (ran.code, "no vendor" in ran.err) == (2, True)
    missing = node("import", tmp_path / "none.csv", "--result", out)
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert node("import", file, "--result", out).code == 2, "the ending tells no format"
    assert node("import", rows_file(file, 1), "--format", "jsonl", "--result", file).code == 2


@contextmanager
def held(node, file, out, **options):
    """An import that has written some of its results and waits in vain for the others."""
    with gate(node.target, SHUT_AFTER) as way:
        words = ("--target", way.address, "import", file, "--result", out, "--chunk-rows", "100")
        client = node.start(*words, **options)
        wait_for(lambda: way.is_reached.is_set() and out.exists() and out.stat().st_size > 50_000)
        yield client


def interrupted(node, tmp_path, rows=20_000):
    """An import that was killed after some of its rows were acknowledged."""
    file = rows_file(tmp_path / "k.jsonl", rows, name=tmp_path.name[-12:].upper())
    out = tmp_path / "o.csv"
    with held(node, file, out) as client:
        client.kill()
        client.wait()
    return file, out


def test_a_killed_client_resumes_without_gap_or_repeat(node, tmp_path):
    file, out = interrupted(node, tmp_path)
    assert len(results(out)) < 20_000
    serial = node("stats", "--json").json()["info"]["serial"]
    resumed = node("import", file, "--result", out, "--resume", "--json", "--chunk-rows", "700")
    assert resumed.code == 0, resumed.err
    assert resumed.json()["rows"] == resumed.json()["created"] == 20_000
    found = results(out)
    assert [row["row"] for row in found] == [str(number) for number in range(1, 20_001)]
    assert {row["reason"] for row in found} == {"CREATED"}
    assert len({row["serial"] for row in found}) == 20_000
    assert node("stats", "--json").json()["info"]["serial"] >= serial
    assert not state_path(out).exists()


def test_an_interrupt_ends_with_130_and_names_the_way_on(node, tmp_path):
    file, out = rows_file(tmp_path / "i.jsonl", 6_000, name="INT"), tmp_path / "o.csv"
    with held(node, file, out, stderr=subprocess.PIPE, text=True) as client:
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=100)
    assert client.returncode == 130, told
    assert "--resume goes on" in told
    assert told.splitlines()[-1] == "error: interrupted"
    assert node("import", file, "--result", out, "--resume", "--json").json()["created"] == 6_000


def test_resuming_refuses_another_file_other_options_and_a_lost_result(node, tmp_path):
    file, out = interrupted(node, tmp_path, 5_000)
    other = node("import", file, "--result", out, "--resume", "--on-existing", "replace")
    assert (other.code, "on-existing" in other.err) == (2, True)
    kept = out.read_bytes()
    out.write_bytes(kept[:100])
    lost = node("import", file, "--result", out, "--resume")
    assert (lost.code, "not the one of the earlier run" in lost.err) == (2, True)
    out.write_bytes(kept)
    with file.open("a") as stream:
        stream.write("\n")
    changed = node("import", file, "--result", out, "--resume")
    assert (changed.code, "is not the file the import began with" in changed.err) == (2, True)
    assert node("import", file, "--result", out).code == 0, "starting again is always possible"


def test_a_power_cut_loses_nothing_that_was_noted(node, tmp_path):
    """After one the result file may have lost, or hold as zeros, all that was written since the state was saved."""
    file, out = interrupted(node, tmp_path, 20_000)
    noted = ImportState.load(state_path(out))
    whole = out.read_bytes()
    assert 0 < noted.result_octets <= len(whole)
    assert len(whole[: noted.result_octets].splitlines()) == noted.counts.total() + 1
    out.write_bytes(whole[: noted.result_octets] + bytes(1_000))
    resumed = node("import", file, "--result", out, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    found = results(out)
    assert [row["row"] for row in found] == [str(number) for number in range(1, 20_001)]
    assert {row["reason"] for row in found} == {"CREATED"}


def test_results_are_durable_before_the_state_says_so(tmp_path, monkeypatch):
    """Order of the calls that make it so; a state that names lines not on disk could not be resumed from."""
    done = []
    state_file, result = tmp_path / "o.csv.resume", tmp_path / "o.csv"
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (done.append(("sync", Path(f"/proc/self/fd/{fd}").readlink().name)), sync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append(("rename", to.name)), replace(path, to))[1])
    with ResultWriter.create(result) as writer:
        run = ImportRun(None, None, writer, ImportState("i", "f", {}), state_file=state_file, progress=Quiet())
        run._note([ResultRow(1, "88/x", 0, "CREATED")], 1)
        run._note([ResultRow(2, "88/y", 0, "CREATED")], 2)
    assert done == [
        ("sync", "o.csv"),
        ("sync", tmp_path.name),
        ("sync", "o.csv.resume.new"),
        ("rename", "o.csv.resume"),
        ("sync", tmp_path.name),
    ]
    assert ImportState.load(state_file).items_done == 1, "the second comes with the next save"


class Quiet:
    def update(self, *_):
        pass


def test_resuming_what_never_began_begins(node, tmp_path):
    file = rows_file(tmp_path / "n.jsonl", 5, name="NEVER")
    ran = node("import", file, "--result", tmp_path / "o.csv", "--resume", "--json")
    assert (ran.code, ran.json()["created"]) == (0, 5)
    assert "starting at the first row" in ran.err


def test_a_state_is_read_back_and_a_damaged_one_is_told(tmp_path):
    file = tmp_path / "o.csv.resume"
    state = ImportState("i", "f", {"format": "csv"}, 3, 99, 7)
    state.counts["created"] += 2
    state.save(file)
    assert ImportState.load(file) == state
    for damaged in (b"", b"{}", b'{"format": 1}', b'{"format": 2, "import_id": "i"}', b"\xff"):
        file.write_bytes(damaged)
        with pytest.raises(IntakeError, match="without --resume"):
            ImportState.load(file)
