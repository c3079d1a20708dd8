"""``idis hdl`` against a real node's Handle doors, and the key files it uses, in both forms and every encryption."""

import json
import socket

import pytest
from click.testing import CliRunner

from resolver.cli.key_files import SCHEMES, private_key_in
from resolver.cli.main import root
from resolver.node.site_info import site_of
from resolver.wire import key_files
from resolver.wire.private_keys import private_key_from_wire
from resolver.wire.value_json import value_from_json
from tests.resolver.transport.hdl_node import PRIVATE, SECRET, handle_node, rsa_key, value
from tests.resolver.wire.vectors import each, octets

BATCH = """\
AUTHENTICATE PUBKEY:300:0.NA/88.300
/nowhere/key.bin|

CREATE 88.300.1/B-1
1 URL 86400 1110 UTF8 https://example.com/1
100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/88.300

ADD 88.300.1/B-1
2 DESC 86400 1110 UTF8 轴承

REMOVE 1:88.300.1/B-1

DELETE 88.300.1/NOT-THERE
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hdl")
    with handle_node(directory) as node:
        node.key = directory / "admin.bin"
        node.key.write_bytes(key_files.write_key_file(rsa_key("admin").to_wire()))
        site = site_of("127.0.0.1", node.port, node.port, rsa_key("node").public.to_wire(), "test")
        node.store("0.NA/88.300.1", value(1, "HS_SITE", site.to_wire()))
        node.store("88.300.1/SHOWN", value(1, "URL", "https://example.com/"), value(2, "名称", "轴承"))
        node.store("88.300.1/SHOWN", value(3, "N", "hidden", PRIVATE))
        yield node


def run(*arguments):
    return CliRunner().invoke(root, [str(each) for each in arguments], catch_exceptions=False)


def hdl(node, verb, *arguments, auth=True):
    options = ["--server", f"127.0.0.1:{node.port}"]
    if auth:
        options += ["--auth", "300:0.NA/88.300", "--key", node.key]
    return run("hdl", verb, *arguments, *options, "--json")


def lines(done):
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_resolve(node):
    (found,) = lines(hdl(node, "resolve", "88.300.1/shown", auth=False))
    assert [item["index"] for item in found["values"]] == [1, 2]
    assert found["values"][1]["data"] == {"format": "string", "value": "轴承"}
    assert value_from_json(found["values"][0], timestamp_s=0).data == b"https://example.com/"
    (found,) = lines(hdl(node, "resolve", "88.300.1/SHOWN", "--restricted"))
    assert [item["index"] for item in found["values"]] == [1, 2, 3]
    text = run("hdl", "resolve", "88.300.1/SHOWN", "--server", f"127.0.0.1:{node.port}", "--certify", "--follow")
    assert "轴承" in text.stdout


def test_not_found_is_5_and_says_the_code(node):
    done = hdl(node, "resolve", "88.300.1/NO", auth=False)
    assert done.exit_code == 5
    assert json.loads(done.stderr)["error"]["reason"] == "HANDLE_NOT_FOUND"


def test_trace_shows_each_step(node):
    done = hdl(node, "trace", "88.300.1/SHOWN", auth=False)
    (found,) = lines(done)
    assert [(step["task"], step["name"], step["outcome"]) for step in found["steps"]] == [
        ("find sites", "0.NA/88.300.1", "answered"),
        ("resolve", "88.300.1/SHOWN", "answered"),
    ]
    assert found["steps"][1]["server"] == f"127.0.0.1:{node.port}"
    assert len(found["values"]) == 2


def test_a_server_that_does_not_answer_is_3():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert run("hdl", "resolve", "88.300.1/X", "--server", f"127.0.0.1:{port}", "--timeout", "0.3").exit_code == 3


def test_life_of_a_handle(node):
    admin = ("--admin", "300:0.NA/88.300")
    (made,) = lines(hdl(node, "create", "88.300.1/CLI", "--value", "1:URL:x", *admin))
    assert made == {"handle": "88.300.1/CLI", "values": 2}
    assert hdl(node, "create", "88.300.1/CLI", "--value", "1:URL:x").exit_code == 6
    lines(hdl(node, "create", "88.300.1/CLI", "--value", "1:URL:y", *admin, "--overwrite", "--session"))
    assert "88.300.1/CLI" in [found["handle"] for found in lines(hdl(node, "list", "88.300.1"))]
    lines(hdl(node, "delete", "88.300.1/CLI", "--certify", "--session"))
    assert hdl(node, "delete", "88.300.1/CLI").exit_code == 5
    (minted,) = lines(hdl(node, "create", "88.300.1/M-", "--value", "1:URL:x", "--mint"))
    assert len(minted["handle"]) == len("88.300.1/M-") + 36


def test_secrets_and_wrong_ones(node, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET + b"\n")
    options = ["--server", f"127.0.0.1:{node.port}", "--auth", "301:0.NA/88.300", "--secret-file", secret]
    assert run("hdl", "list", "88.300.1", *options).exit_code == 0
    secret.write_bytes(b"wrong")
    assert run("hdl", "list", "88.300.1", *options).exit_code == 4


def test_batch_over_one_connection(node, tmp_path):
    file = tmp_path / "batch.txt"
    file.write_text(BATCH, encoding="utf-8")
    done = hdl(node, "batch", file, "--session")
    assert done.exit_code == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["operation"], "error" in each) for each in found] == [
        ("CREATE", False),
        ("ADD", False),
        ("REMOVE", False),
        ("DELETE", True),
    ]
    assert "3 done, 1 failed, 1 passed over" in done.stderr


def test_site_and_home(node):
    (site,) = lines(hdl(node, "site", auth=False))
    assert site["servers"][0]["interfaces"][0]["protocol"] == "TCP"
    assert lines(hdl(node, "home", "88.300.77")) == [{"prefix": "88.300.77", "homed": True}]
    assert lines(hdl(node, "home", "88.300.77", "--end"))[0]["homed"] is False


@pytest.mark.parametrize(
    "options", [["--key", "x"], ["--auth", "300:0.NA/88.300"], ["--server", "127.0.0.1:99999"], ["--server", "[::1"]]
)
def test_command_lines_that_are_none(node, options):
    options = [node.key if each == "x" else each for each in options]
    server = [] if "--server" in options else ["--server", f"127.0.0.1:{node.port}"]
    assert run("hdl", "list", "88.300.1", *server, *options).exit_code == 2


@pytest.mark.parametrize("encryption", SCHEMES)
def test_a_key_goes_to_cnri_and_back(tmp_path, encryption):
    secret = tmp_path / "pass"
    secret.write_text("pässwort\n", encoding="utf-8")
    pem, cnri, back = tmp_path / "a.pem", tmp_path / "a.bin", tmp_path / "b.pem"
    assert run("key", "generate", pem).exit_code == 0
    hidden = [] if encryption == "plain" else ["--new-passphrase-file", secret]
    assert run("key", "export", pem, cnri, "--encryption", encryption, *hidden).exit_code == 0
    opened = [] if encryption == "plain" else ["--passphrase-file", secret]
    assert run("key", "import", cnri, back, *opened, "--new-passphrase-file", secret).exit_code == 0
    assert private_key_in(back, secret) == private_key_in(pem)
    assert (tmp_path / "a.pub.bin").read_bytes() == private_key_in(pem).public.to_wire()
    assert pem.stat().st_mode & 0o777 == 0o600
    assert run("key", "convert", cnri, pem, *opened).exit_code == 2, "a key is never written over"
    if encryption != "plain":
        assert run("key", "import", cnri, tmp_path / "c.pem").exit_code == 2


def test_a_passphrase_is_never_ignored(tmp_path):
    """A key for CNRI's tools was written plain beside its passphrase, since encryption had to be named as well."""
    secret, nothing, pem = tmp_path / "pass", tmp_path / "empty", tmp_path / "a.pem"
    secret.write_text("geheim\n", encoding="utf-8")
    nothing.write_text("\n", encoding="utf-8")
    hidden = ["--new-passphrase-file", secret]
    for number, command in enumerate((["generate"], ["export", pem], ["convert", pem])):
        out = tmp_path / f"{number}.bin"
        form = ["--form", "cnri"] if command == ["generate"] else []
        assert run("key", *command, out, *form, *hidden).exit_code == 0
        assert key_files.scheme_of(out.read_bytes()) is key_files.KeyFileScheme.PBKDF2_AES
        assert private_key_in(out, secret)
        assert run("key", "generate", pem).exit_code == (2 if number else 0)
        for more in (["--encryption", "plain", *hidden], ["--new-passphrase-file", nothing]):
            assert run("key", *command, tmp_path / "no", *form, *more).exit_code == 2
    assert not (tmp_path / "no").exists()


def test_half_a_key_pair_is_not_written(tmp_path):
    (tmp_path / "a.pub.pem").touch()
    assert run("key", "generate", tmp_path / "a.pem").exit_code == 2
    assert not (tmp_path / "a.pem").exists()


@each("keys_and_sessions", having="file_hex")
def test_key_files_of_cnri_are_read(tmp_path, vector):
    file, secret = tmp_path / "key.bin", tmp_path / "pass"
    file.write_bytes(octets(vector["file_hex"]))
    secret.write_text(vector.get("passphrase", ""), encoding="utf-8")
    assert private_key_in(file, secret) == private_key_from_wire(octets(vector["clear_hex"]))


def test_predefined_values_say_what_they_mean(node):
    done = run("hdl", "resolve", "0.NA/88.300.1", "--server", f"127.0.0.1:{node.port}")
    assert '{"handle":"0.NA/88.300","index":200,"permissions":"111111111111"}' in done.stdout
    assert '"protocol":"TCP"' in done.stdout
    assert "base64" not in done.stdout
