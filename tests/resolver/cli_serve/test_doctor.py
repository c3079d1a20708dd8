"""What idis doctor finds, and what it says to do."""

import json
import os
import socket
import time

import pytest
from click.testing import CliRunner

from resolver.app.data_dir import DataDir
from resolver.cli.doctor import CHECKS, Patient, doctor, examine
from resolver.config.sources import load
from storage.lmdb_engine import LmdbEngine


@pytest.fixture
def data(tmp_path):
    data = DataDir(tmp_path / "data")
    data.create()
    data.write_admin_token("secret")
    LmdbEngine(data.store).close()
    return data


def findings(data, **flags):
    return examine(Patient(data.root, load(flags={key.replace("__", "."): value for key, value in flags.items()})))


def test_healthy_directory(data):
    found = findings(data)
    assert list(found) == list(CHECKS)
    for name in ("data directory", "secret files", "store", "map", "clock", "protobuf", "entropy", "address space"):
        assert found[name].state == "ok", (name, found[name])
    assert "0 records" in found["store"].detail
    assert found["endpoints"].state == "warn"


def test_every_finding_that_is_not_ok_has_a_fix(tmp_path):
    for name, finding in findings(DataDir(tmp_path / "nothing")).items():
        assert finding.state in ("ok", "warn", "fail")
        assert finding.state == "ok" or finding.fix, name


def test_open_modes(data):
    data.root.chmod(0o755)
    data.admin_token.chmod(0o644)
    found = findings(data)
    assert (found["data directory"].state, found["data directory"].fix) == ("warn", f"chmod 700 {data.root}")
    assert (found["secret files"].state, found["secret files"].fix) == ("fail", f"chmod 600 {data.admin_token}")


def test_broken_store(data):
    (data.store / "data.mdb").write_bytes(b"\0" * 8_192)
    found = findings(data)["store"]
    assert found.state == "fail"
    assert "restore" in found.fix


def test_store_from_the_future(data):
    ahead = time.time() + 3_600
    os.utime(data.store / "data.mdb", (ahead, ahead))
    assert findings(data)["clock"].state == "fail"


def test_doors(data):
    with socket.create_server(("127.0.0.1", 0)) as door:
        data.write_endpoints({"grpc": f"127.0.0.1:{door.getsockname()[1]}"})
        assert findings(data)["endpoints"].state == "ok"
    found = findings(data)["endpoints"]
    assert found.state == "fail"
    assert "refused" in found.detail
    data.endpoints.write_text("{")
    assert findings(data)["endpoints"].state == "fail"


def test_certificates(data, tmp_path):
    assert findings(data, grpc__listen="0.0.0.0:1")["certificates"].state == "warn"
    missing = str(tmp_path / "none")
    found = findings(data, tls__certificate_file=missing, tls__key_file=missing)
    assert found["certificates"].state == "fail"
    assert found["secret files"].state == "fail"


def test_small_map_with_a_large_store(data):
    with (data.store / "data.mdb").open("ab") as file:
        file.truncate(12 << 20)
    assert findings(data, storage__map_octets=str(16 << 20))["map"].state == "warn"


def test_report_and_exit_code(data):
    run = CliRunner(env={"IDIS_CONFIG": None})
    report = run.invoke(doctor, ["--data-dir", str(data.root), "--json"])
    rows = json.loads(report.stdout)
    assert {row["check"] for row in rows} == set(CHECKS)
    assert report.exit_code == (1 if any(row["state"] == "fail" for row in rows) else 0)
    data.admin_token.chmod(0o644)
    text = run.invoke(doctor, ["--data-dir", str(data.root)])
    assert text.exit_code == 1
    assert "fail  secret files" in text.stdout
    assert "fix: chmod 600" in text.stdout
