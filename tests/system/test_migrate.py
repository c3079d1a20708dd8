"""A running Handle installation is pulled into a node over real sockets, changed meanwhile, killed and gone on with."""

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from conformance.federation import tree
from conformance.grpc_client import Peer
from resolver.node import hdl_resolve, record_octets
from resolver.node.handle_admin import values_of
from resolver.wire.predefined.hs_site import HsSite
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.support.gate import gate

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
PLACES = (tree.Place("old", "top", "88"), tree.Place("new", "top", "88"))
PREFIXES = ("88.300", "88.300.1", "88.0042")
COUNT = 1_200
SHUT_AFTER = 130_000
"""Octets of the source's answers: more than the first chunk of the dump and fewer than the second."""


class Source:
    """The installation that is migrated, and what is done to it."""

    def __init__(self, node):
        self.peer = Peer(node.endpoints["grpc"], node.token, "88")
        self.random = random.Random(11)
        self.serial = 0

    def names(self, count, word):
        return [f"{self.random.choice(PREFIXES)}/{word}-{number}-产品" for number in range(count)]

    def put(self, names, text):
        rows = []
        for name in names:
            values = [self.peer.value(1, "URL", f"https://example.com/{text}", ttl_s=3_600)]
            values.append(self.peer.value(300, "HS_SECKEY", text, permissions=0b1100))
            rows.append({"name": name, "values": values})
        for start in range(0, len(rows), 500):
            answer = self.peer.call(
                "RegistrationService/BatchCreateHandles", handles=rows[start : start + 500], on_existing=3
            )
            assert {result.code for result in answer.results} == {0}, answer.results[0]

    def remove(self, names):
        answer = self.peer.call("RegistrationService/BatchDeleteHandles", names=names)
        assert {result.code for result in answer.results} <= {0, 5}


def migrate(old, new, result, *options):
    host_port = old.endpoints["hdl_tcp"]
    arguments = ["--target", new.endpoints["grpc"], "--token-file", str(new.directory / "credentials" / "admin.token")]
    arguments += ["migrate", "--from", f"hdl://{host_port}", "--auth", "300:0.NA/88"]
    arguments += ["--key", str(key_of(old)), "--result", str(result), "--json", *options]
    command = [sys.executable, "-m", "resolver", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def key_of(node):
    return node.directory / "credentials" / "admin_rsa.pem"


def until(condition, process, seconds=120.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("it did not come")


def noted(result):
    path = result.with_name(result.name + ".migration")
    return json.loads(path.read_text()) if path.exists() else {}


def held(node):
    """Every handle under the migrated prefixes, as the protocol carries its values."""
    engine = LmdbEngine(node.directory / "store", readonly=True)
    try:
        with engine.read() as reader:
            names = [record_octets.parse(body).name for _, body in reader.scan(Table.RECORDS, b"")]
            return {
                name: tuple(map(hdl_resolve.value_to_wire, values_of(reader, name)))
                for name in names
                if not name.startswith("0.NA/")
            }
    finally:
        engine.close()


def test_a_migration_survives_changes_a_kill_and_ends_equal(tmp_path):
    with ExitStack() as stack:
        old, new = stack.enter_context(tree.running(tmp_path, PLACES)).values()
        way = stack.enter_context(gate(old.endpoints["hdl_tcp"], SHUT_AFTER))
        through = ["--from", f"hdl://{way.address}"]
        for prefix in PREFIXES:
            old.idis("prefix", "create", prefix)
        source = Source(old)
        first = source.names(COUNT, "P")
        source.put(first, "one")
        result = tmp_path / "result.csv"

        process = migrate(old, new, result, *through)
        until(lambda: noted(result).get("dump_start"), process)
        source.put(first[::7], "two")  # the rest of the dump waits until the source has changed
        source.put(source.names(50, "NEW"), "new")
        source.remove(first[3::11])
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert way.is_reached.is_set()
        assert not noted(result)["is_dumped"], "the gate shuts too late to be in the dump"
        way.open()
        source.put(first[3::22], "again")

        process = migrate(old, new, result, *through, "--every", "0.2")
        until(lambda: noted(result).get("is_dumped"), process)
        source.put(first[5::9], "three")
        source.remove(first[6::9])
        until(lambda: noted(result).get("counts", {}).get("deleted", 0) > len(first[6::9]) // 2, process)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
        assert json.loads(out.splitlines()[-1])["what"] == "stopped"
        source.put(first[8::9], "四")

        process = migrate(old, new, result, *through, "--once")
        out, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
        done = json.loads(out.splitlines()[-1])
        assert done["what"] == "done"
        assert done["counts"].get("failed", 0) == 0
        with result.open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row["row"]) for row in rows] == list(range(1, len(rows) + 1))
        assert Counter(row["reason"].lower() for row in rows) == Counter(done["counts"])
        expected, found = held(old), held(new)
        assert len(expected) > COUNT // 2
        assert set(found) == set(expected)
        assert found == expected, "the same values, timestamps included"
        homed = json.loads(new.idis("prefix", "get", "88.0042", "--json"))
        assert homed["homed"]
        source.peer.close()


def test_what_is_wrong_is_said(tmp_path):
    with tree.running(tmp_path, PLACES) as nodes:
        old, new = nodes.values()
        process = migrate(old, new, tmp_path / "a.csv", "--once", "--auth", "300:0.NA/88.99")
        _, error = process.communicate(timeout=100)
        assert process.returncode == 4, error
        assert "refuses" in error
        process = migrate(old, new, tmp_path / "b.csv", "--once", "--from", "hdl://127.0.0.1:1")
        _, error = process.communicate(timeout=100)
        assert process.returncode == 3, error
        process = migrate(old, new, tmp_path / "c.csv", "--once", "--server-key", str(other_key(new)))
        _, error = process.communicate(timeout=100)
        assert process.returncode == 1, error
        assert "not believed" in error
        for prefix in PREFIXES:
            old.idis("prefix", "create", prefix)
        source = Source(old)
        source.put(source.names(3, "P"), "one")
        before = held(old)
        process = migrate(old, old, tmp_path / "d.csv", "--once")
        _, error = process.communicate(timeout=100)
        assert process.returncode == 2, error
        assert "is the node itself" in error
        assert held(old) == before
        assert not (tmp_path / "d.csv").exists()
        source.peer.close()


def other_key(node):
    """The octets of a site's key that is not the source's."""
    site = HsSite.from_json(json.loads((node.directory / "site.json").read_text())[0])
    path = node.directory / "other.key"
    path.write_bytes(site.servers[0].public_key)
    return path
