"""``idis check | dump | backup | verify | restore`` beside a running node and on what they made."""

import json

import pytest
from cli_node import idis, serving


@pytest.fixture(scope="module")
def filled(node):
    node("register", "88.300.1/Z-1", "--value", "1:URL:a", "--value", "2:名:轴承")
    node("register", "88.300.1/A-1", "--value", "1:URL:a")
    node("put", "88.300.1/A-1", "--value", "2:PIN:1234", "--permissions", "1100")
    node("register", "88.300.1/GONE", "--value", "1:URL:a")
    node("delete", "88.300.1/GONE")
    return node


def test_a_running_node_is_checked(filled):
    ran = idis("check", "--data-dir", filled.directory, "--json")
    assert (ran.code, ran.json()["findings"]) == (0, [])
    assert ran.json()["rows"]["TOMBSTONES"] >= 1
    assert ": nothing wrong" in idis("check", "--data-dir", filled.directory).out


def test_a_dump_is_sorted_and_shows_restricted_values_only_when_asked(filled, tmp_path):
    lines = idis("dump", "--data-dir", filled.directory).lines()
    keys = [line["name"].upper().encode() for line in lines]
    assert keys == sorted(keys)
    (public,) = [line for line in lines if line["name"] == "88.300.1/A-1"]
    assert [value["index"] for value in public["values"]] == [1]
    out = tmp_path / "all.jsonl"
    assert idis("dump", "--data-dir", filled.directory, "--include-restricted", "--out", out).code == 0
    (whole,) = [line for line in map(json.loads, out.read_text("utf-8").splitlines()) if line["name"] == "88.300.1/A-1"]
    assert [value["index"] for value in whole["values"]] == [1, 2]
    assert "轴承" in out.read_text("utf-8")


def test_a_backup_of_a_running_node_is_verified_restored_and_served(filled, tmp_path):
    file = tmp_path / "b.idisbak"
    made = idis("backup", "--data-dir", filled.directory, file, "--json")
    assert (made.code, made.json()["octets"]) == (0, file.stat().st_size)
    assert idis("backup", "--data-dir", filled.directory, file).code == 7, "a backup is never written over"
    assert idis("verify", file, "--json").json()["ok"] is True
    fresh = tmp_path / "fresh"
    assert idis("restore", file, "--data-dir", fresh).code == 0
    assert idis("restore", file, "--data-dir", fresh).code == 6, "a store is never written over"
    dumps = [idis("dump", "--data-dir", root, "--include-restricted").out for root in (fresh, filled.directory)]
    assert dumps[0] == dumps[1]
    with serving(fresh) as again:
        assert again("resolve", "88.300.1/Z-1", token_file=filled.token_file).code == 0


def test_without_a_file_the_newest_backup_of_the_node_is_verified(filled):
    made = idis("backup", "--data-dir", filled.directory, "--json").json()
    assert idis("verify", "--data-dir", filled.directory, "--json").json()["file"] == made["file"]


def test_a_damaged_backup_is_refused(filled, tmp_path):
    file = tmp_path / "b.idisbak"
    idis("backup", "--data-dir", filled.directory, file)
    octets = bytearray(file.read_bytes())
    octets[-100] ^= 1
    file.write_bytes(octets)
    ran = idis("verify", file)
    assert (ran.code, ran.err.count("\n")) == (7, 1)


def test_a_backup_into_a_directory_that_is_not_there_is_told_once(filled, tmp_path):
    ran = idis("backup", "--data-dir", filled.directory, tmp_path / "none" / "b.idisbak")
    assert ran.code == 2
    assert ran.err.count("none") == 1, ran.err  # no name of a directory that nobody gave
    assert "there is no directory" in ran.err


def test_a_directory_without_a_store_is_told(tmp_path):
    for verb in ("check", "dump", "backup"):
        ran = idis(verb, "--data-dir", tmp_path)
        assert (ran.code, "holds no store" in ran.err) == (2, True)
