import json

import click
import grpc
import pytest
from click.testing import CliRunner

from resolver.cli import hdl, main, output, pages, shown
from resolver.client import failures
from resolver.federation.client import AnswerRefused
from resolver.handle.value import HandleValue
from resolver.intake import jsonl
from resolver.intake.results import CODE_NAMES
from resolver.v1 import handle_pb2, registry_pb2, template_pb2

RUN = CliRunner()


def test_help_names_every_command_and_every_exit_code():
    told = RUN.invoke(main.root, ["--help"])
    assert told.exit_code == 0
    for section in main.COMMANDS.values():
        for name in section:
            assert f"  {name} " in told.output
    for code in output.EXITS:
        assert f"  {code} " in told.output


@pytest.mark.parametrize("name", [name for section in main.COMMANDS.values() for name in section])
def test_every_command_loads_and_says_what_it_does(name):
    told = RUN.invoke(main.root, [name, "--help"])
    assert told.exit_code == 0
    assert told.output.startswith(f"Usage: idis {name}")


def every_command(group=main.root, path=()):
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield pytest.param(command, id=" ".join((*path, name)))


@pytest.mark.parametrize("command", list(every_command()))
def test_every_option_takes_what_it_has_when_it_is_left_out(command):
    ctx = click.Context(command)
    for option in command.params:
        default = option.get_default(ctx)
        if isinstance(option, click.Option) and not option.required and isinstance(default, (str, int, float)):
            option.type_cast_value(ctx, default)


@pytest.mark.parametrize("command", list(every_command()))
def test_every_command_takes_json(command):
    assert any("--json" in option.opts for option in command.params)


def test_a_key_in_a_directory_that_is_not_there_is_a_fault_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = RUN.invoke(main.root, ["key", "generate", "没有/k.pem"])
    assert told.exit_code == output.INVALID
    assert "there is no directory 没有 for k.pem" in told.output


def test_octets_that_are_no_utf8_are_told_and_no_defect():
    """A terminal in GB18030 with a locale in UTF-8 gives such arguments."""
    name = "88.300.1/标识".encode("gb18030").decode("utf-8", "surrogateescape")
    told = RUN.invoke(main.root, ["--target", "127.0.0.1:1", "resolve", name])
    assert told.exit_code == output.INVALID
    assert "is not UTF-8" in told.output


def test_every_exit_code_of_the_grpc_table_is_documented():
    assert set(output.BY_CODE.values()) <= set(output.EXITS)
    assert set(output.BY_CODE) <= set(CODE_NAMES) - {0}


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([0], 0), ([5, 5, 0], 5), ([5, 6], 1), ([13], 1), ([16, 7], 4)]
)
def test_outcomes_that_agree_give_their_code_and_others_give_1(codes, expected):
    assert output.exit_of(codes) == expected


def test_an_unknown_command_is_a_usage_error():
    assert RUN.invoke(main.root, ["resolv"]).exit_code == 2


def test_a_command_line_without_a_node_says_how_to_name_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = RUN.invoke(main.root, ["resolve", "88.300.1/A"])
    assert told.exit_code == 3
    assert "--target" in told.stderr
    assert "idis serve" in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_failure_is_json_when_json_was_asked_before_or_after_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["--json", "resolve", "A/B"], ["resolve", "A/B", "--json"]):
        told = RUN.invoke(main.root, arguments)
        found = json.loads(told.stderr)
        assert found["exit_code"] == told.exit_code == 3
        assert "no node was named" in found["error"]["message"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--json", "Missing command. Try 'idis --help'"),
        ("--json prefix", "Missing command. Try 'idis prefix --help'"),
        ("resolv --json", "there is no command 'resolv'; did you mean 'resolve'? Try"),
        ("nonsense --json", "'nonsense'. Try 'idis --help'"),
        ("prefix nonsense --json", "'nonsense'"),
        ("resolve --json", "Missing argument 'NAME...'. Try 'idis resolve --help' for help."),
        ("--json site move", "Missing argument 'FILE'. Try 'idis site move --help' for help."),
        ("resolve 88.300.1/A --json --wrong", "--wrong"),
        ("--wrong --json", "--wrong"),
        ("--timeout 轴承 resolve 88.300.1/A --json", "'轴承' is not a valid float"),
        ("dump --json --wrong", "--wrong"),
        ("delete A/1 A/2 --request-id x --json", "--request-id and --if-version are for one NAME"),
    ],
)
def test_a_wrong_command_line_is_json_too_when_json_stands_anywhere_on_it(line, said):
    told = RUN.invoke(main.root, line.split())
    assert told.stdout == ""
    found = json.loads(told.stderr)
    assert found["exit_code"] == told.exit_code == output.INVALID
    assert said in found["error"]["message"]
    assert told.stderr.count("\n") == 1


def test_a_wrong_command_line_is_text_when_json_is_none_of_its_options():
    for arguments in (["resolve", "--wrong"], ["resolve", "--wrong", "--", "--json"]):
        told = RUN.invoke(main.root, arguments)
        assert told.exit_code == output.INVALID
        assert told.stderr.startswith("Usage: idis resolve")


def test_a_failed_call_becomes_one_line_with_the_code_of_the_table():
    @click.command(cls=output.Verb)
    def verb():
        raise failures.failure(failures.STATUS_CODES[6], "it is there\nalready")

    told = RUN.invoke(verb)
    assert (told.exit_code, told.stderr) == (6, "error: it is there\\nalready\n")


@pytest.mark.parametrize("last", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_what_the_node_refused_is_told_also_when_time_ended_the_attempts_after_it(last):
    """A primary that misses its mirrors answers UNAVAILABLE, is asked again, and did not fail to answer."""

    @click.command(cls=output.Verb)
    def verb():
        before = failures.failure(grpc.StatusCode.UNAVAILABLE, "0 of 1 mirrors held it", reason="UNCONFIRMED")
        late = failures.failure(grpc.StatusCode[last], "Deadline Exceeded")
        raise late from before

    told = RUN.invoke(verb)
    assert (told.exit_code, told.stderr) == (3, "error: 0 of 1 mirrors held it\n")


def test_values_stand_in_columns_whatever_script_their_type_is_written_in():
    record = handle_pb2.HandleRecord(name="A/B", version=1)
    record.values.add(index=1, type="URL", data=b"x", ttl_s=5, permissions=14)
    record.values.add(index=2000, type="产品名称", data=b"x", ttl_s=5, permissions=14)
    latin, chinese = shown.record_text(record).splitlines()[1:]
    wide = sum(not letter.isascii() for letter in chinese)
    assert latin.index("5 s") == chinese.index("5 s") + wide


def test_data_can_neither_break_a_line_nor_drive_the_terminal():
    record = handle_pb2.HandleRecord(name="A/B", version=1)
    record.values.add(index=1, type="URL", data="轴承\x1b[2J\nx".encode(), ttl_s=5, permissions=14)
    text = shown.record_text(record)
    assert "轴承\\x1b[2J\\nx" in text
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_octets_that_are_no_text_are_shown_as_base64():
    record = handle_pb2.HandleRecord(name="A/B")
    record.values.add(index=1, type="BIN", data=b"\xff\x00", ttl_until_s=1_900_000_000, permissions=14)
    text = shown.record_text(record)
    assert "base64 /wA=" in text
    assert "until 2030-03-17T17:46:40Z" in text


def test_json_of_a_message_has_words_numbers_and_no_ascii_escapes():
    row = registry_pb2.Prefix(prefix="88.300.2", status=registry_pb2.PREFIX_STATUS_IN_AUDIT, description="前缀")
    row.routes.add(address="10.0.0.1", tcp_port=2641)
    found = output.to_json(row)
    assert found["status"] == "in-audit"
    (route,) = found["routes"]
    assert (route["address"], route["tcp_port"], route["udp_port"]) == ("10.0.0.1", 2641, 0)
    assert "前缀".encode() in output.to_octets(found)


def test_words_and_numbers_of_enumerations_are_inverse():
    for enum in (registry_pb2.PrefixStatus.DESCRIPTOR, registry_pb2.Role.DESCRIPTOR, template_pb2.ItemKind.DESCRIPTOR):
        numbers = [number for number in enum.values_by_number if number]
        assert [output.number_of(enum, word) for word in output.words_of(enum)] == numbers


def test_columns_align_by_the_width_of_the_characters():
    assert output.table([("轴承", "1"), ("ab", "2")]) == "轴承  1\nab    2"


def test_a_record_in_json_is_an_import_row(tmp_path):
    value = HandleValue(1, "URL", b"https://example.com/")
    record = handle_pb2.HandleRecord(name="88.300.1/A", version=3)
    record.values.add(index=value.index, type=value.type, data=value.data, ttl_s=60, permissions=14)
    file = tmp_path / "r.jsonl"
    file.write_bytes(output.to_octets(shown.record_to_json(record)) + b"\n")
    with file.open("rb") as stream:
        (row,) = jsonl.rows(stream)
    assert row.handle.values[0] == record.values[0]


def test_a_public_key_does_not_fill_the_screen():
    octets = "ab" * 279
    assert pages._cell({"public_key": octets, "address": "192.0.2.1"}) == (
        "public_key=abababababababab... (279 octets) address=192.0.2.1"
    )
    assert pages._cell("ab" * 32) == "ab" * 32


@pytest.mark.parametrize(
    ("code", "hint"), [(402, "--auth"), (403, "not the one"), (301, "--follow"), (400, "may not do this")]
)
def test_a_refusal_of_a_handle_server_says_what_may_help(code, hint):
    assert hint in hdl._failed(AnswerRefused(code, "")).message
    assert hdl._failed(AnswerRefused(100, "")).message == "the server answers 100 HANDLE_NOT_FOUND"
