import json

import pytest
from cli_node import idis, serving
from click.testing import CliRunner

from resolver.cli.main import root
from resolver.cli.output import Failed
from resolver.cli.target import Target
from resolver.cli.unreachable import unreachable


def data_dir(path, grpc, *, token=True):
    (path / "credentials").mkdir(parents=True)
    (path / "endpoints.json").write_text(json.dumps({"grpc": grpc}))
    if token:
        (path / "credentials" / "admin.token").write_text("idis_secret\n")
    return path


@pytest.fixture
def said():
    return []


def test_the_node_of_the_data_directory_is_used_and_named(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    data_dir(tmp_path / "data", "127.0.0.1:7")
    target = Target(say=said.append)
    target.client().close()
    assert target.described == "the node at 127.0.0.1:7"
    assert said == ["node: 127.0.0.1:7 from data, token data/credentials/admin.token"]


def test_the_default_directory_of_serve_is_looked_into_too(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    data_dir(tmp_path / "idis-data", "127.0.0.1:8", token=False)
    target = Target(say=said.append)
    target.client().close()
    assert said == ["node: 127.0.0.1:8 from idis-data"]


@pytest.mark.parametrize(("listens", "dialled"), [("0.0.0.0:5", "127.0.0.1:5"), ("[::]:5", "[::1]:5"), ("h:5", "h:5")])
def test_a_door_on_every_address_is_dialled_on_loopback(tmp_path, said, listens, dialled):
    target = Target(data_dir=data_dir(tmp_path / "d", listens), say=said.append)
    target.client().close()
    assert target.described == f"the node at {dialled}"


def test_a_target_given_takes_no_token_from_anywhere(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    data_dir(tmp_path / "data", "127.0.0.1:7")
    Target("127.0.0.1:9", say=said.append).client().close()
    assert said == []


def test_a_token_file_that_is_missing_is_a_credential_error(tmp_path):
    with pytest.raises(Failed, match="cannot be read") as failed:
        Target("127.0.0.1:9", tmp_path / "none").client()
    assert failed.value.exit_code == 4


def test_a_damaged_endpoints_file_is_told(tmp_path, said):
    (tmp_path / "endpoints.json").write_text("{")
    with pytest.raises(Failed, match="give --target"):
        Target(data_dir=tmp_path, say=said.append).client()


def test_a_missing_authority_is_a_fault_of_the_command_line(tmp_path):
    with pytest.raises(Failed, match="cannot be read") as failed:
        Target("127.0.0.1:9", tls_ca=tmp_path / "机构.pem").client()
    assert failed.value.exit_code == 2


def test_half_a_client_certificate_is_refused(tmp_path):
    with pytest.raises(Failed, match="--tls-key"):
        Target("127.0.0.1:9", tls_cert=tmp_path / "c.pem").client()


@pytest.mark.parametrize("address", ["localhost", ":2640", "127.0.0.1:", "node:http", "::1", "https://node:2640/"])
def test_an_address_without_host_and_port_is_refused(address):
    with pytest.raises(Failed, match="HOST:PORT") as failed:
        Target(address).client()
    assert failed.value.exit_code == 2


def test_what_the_transport_says_is_told_in_plain_words():
    refused = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Connection refused"
    assert unreachable("the node at h:9", refused) == (
        "the node at h:9 does not answer: nothing listens there: check that it runs, and the address"
    )
    assert "no gRPC door" in unreachable("h", "Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame)")
    assert "--tls-ca" in unreachable("h", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: unable to get issuer")
    assert "--tls-cert" in unreachable("h", "Socket closed")  # so ends a handshake without a certificate
    assert "(something new)" in unreachable("h", "something new")


@pytest.mark.parametrize(
    "command", [["mirror", "init", "--id", "m", "--mirror-token"], ["site", "join", "--server", "2", "--site-token"]]
)
def test_a_copy_of_a_node_that_is_away_is_refused_in_plain_words(tmp_path, command):
    token = tmp_path / "t.token"
    token.write_text("idis_x\n")
    ran = CliRunner().invoke(root, [*command, str(token), "--of", "127.0.0.1:1", "--data-dir", str(tmp_path / "d")])
    assert ran.exit_code == 3
    assert "127.0.0.1:1 does not answer: nothing listens there" in ran.output
    assert "UNKNOWN" not in ran.output


def test_a_demonstration_on_the_directory_of_a_running_node_leaves_it_alone(node, tmp_path):
    """It suggests itself to run a node there, and to run it once more."""
    for name in ("usb.ids", "pci.ids"):
        (tmp_path / name).touch()
    told = idis("demo", "--data-dir", node.directory, "--hwdata", tmp_path)
    assert (told.code, "the node did not start" in told.err) == (1, True)
    assert "another node" in (node.directory / "demo.log").read_text()
    assert node("health").code == 0


def test_what_a_node_refuses_to_be_copied_for_is_told_as_it_says(node, tmp_path):
    """It was reached: another site's store, or a mirror named as the primary, was told as a node that does not run."""
    node("principal", "create", "--id", "copier", "--role", "mirror")
    node("key", "create", "copier", "--out", tmp_path / "copier.token")
    init = ["mirror", "init", "--of", node.target, "--mirror-token", str(tmp_path / "copier.token"), "--id", "m"]
    with serving(tmp_path / "other") as other:
        other("principal", "create", "--id", "copier", "--role", "mirror")
        other("key", "create", "copier", "--out", tmp_path / "other.token")
        there = [*init, "--data-dir", str(tmp_path / "m")]
        there[3], there[5] = other.target, str(tmp_path / "other.token")
        ran = CliRunner().invoke(root, there)
        assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(root, [*init, "--data-dir", str(tmp_path / "m")])
    assert "belongs to another site" in ran.output
    assert "does not answer" not in ran.output
    assert ran.exit_code == 6


def test_a_node_of_its_own_is_no_place_for_a_mirror(node, tmp_path):
    """Its enterprises are no changes of handles, so it counted as empty, and they were gone without a word."""
    node("principal", "create", "--id", "another", "--role", "mirror")
    node("key", "create", "another", "--out", tmp_path / "another.token")
    with serving(tmp_path / "own") as own:
        assert own("enterprise", "create", "--id", "precious", "--name", "宝").code == 0
    init = ["mirror", "init", "--of", node.target, "--mirror-token", str(tmp_path / "another.token"), "--id", "m"]
    ran = CliRunner().invoke(root, [*init, "--data-dir", str(tmp_path / "own")])
    assert ran.exit_code == 6
    assert "holds the store of a node of its own" in ran.output
    with serving(tmp_path / "own") as own:
        assert own("enterprise", "get", "precious").code == 0


def test_a_primary_stays_one_when_it_is_told_to_be_a_mirror_of_nobody(tmp_path):
    """A wrong --data-dir or --of left a node that took no changes any more."""
    token, copy = tmp_path / "copier.token", tmp_path / "copy"
    init = ["mirror", "init", "--mirror-token", str(token), "--id", "m", "--of"]
    with serving(tmp_path / "own") as own:
        own("principal", "create", "--id", "copier", "--role", "mirror")
        own("key", "create", "copier", "--out", token)
        assert CliRunner().invoke(root, [*init, own.target, "--data-dir", str(copy)]).exit_code == 0
    ran = CliRunner().invoke(root, [*init, "127.0.0.1:1", "--data-dir", str(tmp_path / "own")])
    assert ran.exit_code == 3
    with serving(tmp_path / "own") as own:
        assert own("register", "88.300.1/STILL", "--value", "1:URL:x").code == 0
