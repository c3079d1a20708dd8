import json

import pytest
from cli_node import idis, wait_for


def test_register_and_resolve_print_chinese_as_it_is(node):
    ran = node("register", "88.300.1/轴承-1", "--value", "1:URL:https://example.com/", "--value", "2000:产品名称:轴承")
    assert (ran.code, ran.out) == (0, f"88.300.1/轴承-1  registered, version 1, serial {ran.out.split()[-1]}\n")
    found = node("--json", "resolve", "88.300.1/轴承-1")
    assert "轴承" in found.out
    assert found.json()["values"][1] == found.json()["values"][1] | {"index": 2000, "type": "产品名称", "data": "轴承"}
    assert "轴承" in node("resolve", "88.300.1/轴承-1", LC_ALL="C").out


def test_names_are_answered_in_order_and_misses_have_a_reason(node):
    node("register", "88.300.1/R-1", "--value", "1:URL:a")
    node("register", "88.300.1/R-2", "--value", "1:URL:b")
    ran = node("--json", "resolve", "88.300.1/R-2", "88.300.1/NONE", "-", stdin="88.300.1/R-1\n\n")
    first, miss, last = ran.lines()
    assert (first["name"], last["name"], ran.code) == ("88.300.1/R-2", "88.300.1/R-1", 5)
    assert miss["error"]["reason"] == "HANDLE_NOT_FOUND"
    mixed = node("resolve", "88.300.1/NONE", "")
    assert (mixed.code, mixed.err.count("error:")) == (1, 2)


def test_types_and_indexes_choose_values(node):
    node("register", "88.300.1/C-1", "--value", "1:URL:a", "--value", "2:URL.X:b", "--value", "3:EMAIL:c")
    chosen = node("--json", "resolve", "88.300.1/C-1", "--type", "URL.", "--index", "3").json()
    assert [value["index"] for value in chosen["values"]] == [1, 2, 3]
    assert len(node("--json", "resolve", "88.300.1/C-1", "--type", "EMAIL").json()["values"]) == 1


def test_values_without_public_read_are_shown_only_when_asked(node):
    node("register", "88.300.1/S-1", "--value", "1:SECRET:x", "--permissions", "1100", "--ttl", "60")
    hidden = node("--json", "resolve", "88.300.1/S-1")
    assert (hidden.code, hidden.json()["error"]["reason"]) == (5, "VALUES_NOT_FOUND")
    (value,) = node("--json", "resolve", "88.300.1/S-1", "--restricted").json()["values"]
    assert (value["permissions"], value["ttl"]) == ("1100", 60)


def test_a_handle_is_changed_value_by_value_and_deleted(node, tmp_path):
    name = "88.300.1/CH-1"
    data = tmp_path / "data.bin"
    data.write_bytes(b"\xff\x00")
    node("register", name, "--value", "1:URL:a")
    assert node("put", name, "--value-file", f"2:BIN:{data}", "--mode", "add", "--json").json()["version"] == 2
    assert node("put", name, "--value", "2:BIN:x", "--mode", "add").code == 6
    assert node("remove-values", name, "2", "--if-version", "1").code == 6
    assert node("remove-values", name, "2", "--if-version", "2").code == 0
    assert node("update", name, "--value", "5:EMAIL:e").out.split()[1:3] == ["updated,", "version"]
    assert [value["index"] for value in node("--json", "resolve", name).json()["values"]] == [5]
    assert "nothing was written" in node("delete", name, "--validate-only").out
    gone = node("delete", name, "88.300.1/CH-NONE")
    assert (gone.code, "deleted, version 5" in gone.out) == (5, True)
    assert node("resolve", name).code == 5


def test_repeating_with_a_request_id_gives_the_first_outcome(node):
    first = node("register", "88.300.1/ID-", "--mint", "--value", "1:URL:a", "--request-id", "q-1", "--json").json()
    again = node("register", "88.300.1/ID-", "--mint", "--value", "1:URL:a", "--request-id", "q-1", "--json").json()
    assert first == again
    assert first["name"].startswith("88.300.1/ID-")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["register", "88.300.1/B", "--value", "x"], 2),
        (["register", "88.300.1/B", "--value", "0:URL:x"], 2),
        (["register", "88.300.1/B", "--value", "1:URL:x", "--value", "1:URL:y"], 2),
        (["register", "88.300.1/B", "--value", "1:URL:x", "--permissions", "9"], 2),
        (["register", "88.300.1/", "--value", "1:URL:x"], 2),
        (["register", "99.1/B", "--value", "1:URL:x"], 5),
        (["register", "88.300.1/B", "--value-file", "1:URL:/no/such/file"], 2),
        (["list", "99.1"], 5),
        (["prefix", "get", "88.300.777"], 5),
        (["enterprise", "create", "--id", "A B", "--name", "x"], 2),
        (["resolve"], 2),
    ],
)
def test_bad_input_gives_its_code_and_one_line(node, arguments, code):
    ran = node(*arguments)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.err.splitlines()[-1].lower().startswith("error: ")


def test_a_node_that_does_not_answer_gives_code_3(tmp_path):
    ran = idis("--target", "127.0.0.1:1", "--timeout", "0.5", "--json", "resolve", "88.300.1/A")
    assert ran.code == 3
    assert "127.0.0.1:1 does not answer" in json.loads(ran.err)["error"]["message"]


def test_without_a_token_the_command_line_says_how_to_give_one(node):
    ran = idis("--target", node.target, "register", "88.300.1/NOBODY", "--value", "1:URL:x")
    assert ran.code == 4
    assert "give --token-file FILE, or set IDIS_TOKEN_FILE" in ran.err
    assert "metadata" not in ran.err


def test_without_a_target_the_node_of_the_data_directory_is_used(node):
    ran = idis("--data-dir", node.directory, "list", "88.300.1")
    assert ran.code == 0
    assert f"node: {node.target}" in ran.err
    assert idis("stats", IDIS_TARGET=node.target, IDIS_TOKEN_FILE=str(node.token_file)).code == 0


def test_a_list_an_export_and_its_import_agree(node, tmp_path):
    for number in range(3):
        node("register", f"88.300.1/EX-{number}", "--value", f"1:URL:u{number}", "--value", '2:NAME:名,"称"')
    names = [line["name"] for line in node("--json", "list", "88.300.1", "--start", "ex-").lines()]
    assert names == ["88.300.1/EX-0", "88.300.1/EX-1", "88.300.1/EX-2"]
    assert node("list", "88.300.1", "--start", "ex-", "--limit", "2").out.split() == names[:2]
    for format_ in ("jsonl", "csv"):
        out = tmp_path / f"e.{format_}"
        assert node("export", "88.300.1", "--start", "EX-", "--format", format_, "--out", out).code == 0
        again = node("import", out, "--result", tmp_path / "r.csv", "--json").json()
        assert (again["rows"], again["unchanged"], again["changed"]) == (3, 3, False)
    assert node("export", "88.300.1", "--start", "EX-").out.encode() == (tmp_path / "e.jsonl").read_bytes()


def test_the_journal_is_watched_from_a_serial_on(node):
    first = node("register", "88.300.1/W-1", "--value", "1:URL:a", "--json").json()["serial"]
    node("delete", "88.300.1/W-1")
    found = node("--json", "watch", "--from", first, "--stop-at-end").lines()
    assert [(line["serial"], line["operation"]) for line in found[:2]] == [(first, "create"), (first + 1, "delete")]
    watched = node("watch", "--from", first, "--stop-at-end", "--prefix", "88.300.9")
    assert (watched.code, watched.out) == (0, "")


def test_statistics_name_the_node_and_count_days(node):
    node("register", "88.300.1/ST-1", "--value", "1:URL:a")
    node("resolve", "88.300.1/ST-1")
    found = node("stats", "88.300.1", "--days", "2", "--json").json()
    assert found["info"]["prefix"] == "88.300"
    assert found["prefixes"][0]["handle_count"] >= 1
    assert sum(day["creates"] for day in found["days"]) >= 1, "of two days: one may begin meanwhile"
    assert "88.300.1" in node("stats").out

    def sources():
        told = node("stats", "88.300.1", "--days", "2", "--sources", "--json").json()
        return {row["address"] for row in told["sources"].get("sources", ())}

    wait_for(sources)  # a worker writes its counts of questions every second
    assert sources() == {"127.0.0.1"}
    shown = node("stats", "--days", "2", "--times", "--sources").out
    assert "(node)" in shown
    assert "AVERAGE MS" in shown
    assert "127.0.0.1" in shown


def test_statistics_of_a_prefix_that_is_not_there_are_none(node):
    told = node("stats", "88.300.没有", "--days", "2")
    assert (told.code, told.out) == (5, "")
    assert "prefix '88.300.没有' does not exist" in told.err
    node("prefix", "create", "88.300.空")
    assert node("stats", "88.300.空", "--json").json()["prefixes"][0]["handle_count"] == 0


def test_health_is_an_exit_code(node):
    assert "is serving" in node("health").out
    assert node("health", "--json").json() == {"status": "SERVING"}
    assert node("health", "--service", "no.such.Service").code == 5
    assert node("--target", "127.0.0.1:1", "--timeout", "1", "health").code == 3
