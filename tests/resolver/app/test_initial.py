"""Data directories of every role, made once and made again, and what is refused in words."""

import json

import pytest
from click.testing import CliRunner

from resolver.app.data_dir import StartRefused
from resolver.app.initial import Plan, fingerprint, make
from resolver.cli.main import root
from resolver.config.sources import load
from resolver.federation.roots import sites_to_octets
from resolver.node.site_info import site_of
from resolver.registry.first_start import NodeRole, first_start, role_of
from resolver.v1 import registry_pb2
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.resolver.transport.hdl_node import rsa_key

TOP = site_of("192.0.2.1", 2641, 2641, rsa_key("node").public.to_wire(), "top")


@pytest.fixture
def top_file(tmp_path):
    path = tmp_path / "siteinfo.json"
    path.write_bytes(sites_to_octets([TOP]))
    return str(path)


def prefixes(directory):
    engine = LmdbEngine(directory / "store", readonly=True)
    try:
        with engine.read() as reader:
            rows = [registry_pb2.Prefix.FromString(body).prefix for _, body in reader.scan(Table.PREFIXES)]
            return role_of(reader), rows
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("role", "prefix", "homes"),
    [
        ("top", "88", ["88"]),
        ("secondary", "88.300", ["88.300", "88.300.1"]),
        ("enterprise", "88.300.0017", ["88.300.0017"]),
        ("recursive", "", []),
    ],
)
def test_roles_differ_in_data_only(tmp_path, top_file, role, prefix, homes):
    directory = tmp_path / "data"
    top = "" if role == "top" else top_file
    plan = Plan(directory, NodeRole(role), prefix, {"hdl.listen": "127.0.0.1:0", "hdl.address": "192.0.2.9"}, top)
    made = make(plan)
    assert set(made.changed) == {"store", "idis.toml"} | ({"top.json"} if top else set())
    assert made.top_fingerprint == (fingerprint(TOP) if top else "")
    assert prefixes(directory) == (NodeRole(role), homes)
    config = load(directory / "idis.toml")
    assert (config.hdl.listen, config.hdl.address) == ("127.0.0.1:0", "192.0.2.9")
    token = (directory / "credentials" / "admin.token").read_text()
    assert make(plan).changed == (), "the same again changes nothing"
    assert (directory / "credentials" / "admin.token").read_text() == token
    engine = LmdbEngine(directory / "store", map_octets=1 << 28)
    assert first_start(engine, prefix, 1, bytes) is None, "idis serve finds it made"
    engine.close()


def refused(directory, *arguments):
    result = CliRunner().invoke(root, ["init", "--data-dir", str(directory), *arguments])
    return result.exit_code, result.output


def test_what_is_refused_in_words(tmp_path, top_file):
    directory = tmp_path / "data"
    for arguments, words in (
        (("--role", "top"), "give --prefix, such as 88"),
        (("--role", "secondary", "--prefix", "88.300"), "give --top"),
        (("--role", "secondary", "--prefix", "88..300", "--top", top_file), "segments between dots"),
        (("--role", "recursive", "--prefix", "88.300", "--top", top_file), "leave --prefix out"),
        (("--role", "top", "--prefix", "88", "--top", top_file), "leave --top out"),
        (("--role", "recursive", "--top", "nowhere"), "is no file"),
        (("--role", "top", "--prefix", "88", "--hdl", "x"), "is not HOST:PORT"),
        (("--role", "top", "--prefix", "88", "--allow-network", "x"), "federation.allow_networks"),
    ):
        code, output = refused(directory, *arguments)
        assert code == 2, output
        assert words in output
    for code, arguments, words in (
        (3, ("--top", "127.0.0.1:1"), "cannot be asked"),
        (6, ("--top", top_file, "--top-key", "00" * 32), "nothing was made"),
    ):
        told = refused(directory, "--role", "recursive", *arguments)
        assert (told[0], words in told[1]) == (code, True), told
    bad = tmp_path / "bad.json"
    for octets in (b"{}", b"[1, 2]", b"{", b"\xff\xff", b'{"servers": []}', b"[" * 100_000):
        bad.write_bytes(octets)
        code, output = refused(directory, "--role", "recursive", "--top", str(bad))
        assert (code, "bad.json" in output) == (2, True), output
    assert refused(directory, "--role", "secondary", "--prefix", "88.300", "--top", top_file)[0] == 0
    for arguments, words in (
        (("--role", "secondary", "--prefix", "88.301"), "belongs to node prefix '88.300'"),
        (("--role", "top", "--prefix", "88.300"), "belongs to a secondary node"),
        (("--role", "secondary", "--prefix", "88.300", "--site", "192.0.2.7"), "holds other settings"),
    ):
        code, output = refused(directory, *arguments)
        assert code == 6
        assert words in output


def test_json_and_the_fingerprint_of_the_top(tmp_path, top_file):
    arguments = ["init", "--data-dir", str(tmp_path / "data"), "--role", "recursive", "--top", top_file, "--json"]
    colons = ":".join(fingerprint(TOP)[place : place + 2] for place in range(0, 64, 2)).upper()
    result = CliRunner().invoke(root, [*arguments, "--top-key", colons])
    assert json.loads(result.output)["top_key"] == fingerprint(TOP)


def test_forms_of_a_site_file(tmp_path):
    document = TOP.to_json()
    record = {
        "handle": "0.NA/0.NA",
        "values": [{"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": document}}],
    }
    for octets in (
        TOP.to_wire(),
        json.dumps(document).encode(),
        json.dumps([document]).encode(),
        json.dumps(record).encode(),
        json.dumps({"handles": [record]}).encode(),
    ):
        path = tmp_path / "site"
        path.write_bytes(octets)
        directory = tmp_path / f"data-{len(octets)}"
        make(Plan(directory, NodeRole.RECURSIVE, "", {}, str(path)))
        assert (directory / "top.json").read_bytes() == sites_to_octets([TOP])
    with pytest.raises(StartRefused):
        make(Plan(tmp_path / "none", NodeRole.RECURSIVE, "", {}))
