"""What idis doctor finds, and what it says to do."""

import datetime as dt
import json
import os
import socket
import time

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


def self_signed(directory, begin, end):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(begin).not_valid_after(end).sign(key, hashes.SHA256())
    certificate, secret = directory / "node.crt", directory / "node.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return {"tls__certificate_file": str(certificate), "tls__key_file": str(secret)}


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


def test_a_certificate_of_tomorrow_is_not_one_of_today(data, tmp_path):
    for begin_days, state, word in ((1, "fail", "not valid before"), (-1, "ok", "lasts 98 more days")):
        begin = dt.datetime.now(dt.UTC) + dt.timedelta(days=begin_days)
        files = self_signed(tmp_path, begin, begin + dt.timedelta(days=100))
        found = findings(data, **files)["certificates"]
        assert (found.state, word in found.detail) == (state, True), found


def test_small_map_with_a_large_store(data):
    with (data.store / "data.mdb").open("ab") as file:
        file.truncate(12 << 20)
    assert findings(data, storage__map_octets=str(16 << 20))["map"].state == "warn"


def test_report_and_exit_code(data):
    run = CliRunner(env={"IDIS_CONFIG": None})
    report = run.invoke(doctor, ["--data-dir", str(data.root), "--json"])
    rows = [json.loads(line) for line in report.stdout.splitlines()]
    assert {row["check"] for row in rows} == set(CHECKS)
    assert report.exit_code == (1 if any(row["state"] == "fail" for row in rows) else 0)
    data.admin_token.chmod(0o644)
    text = run.invoke(doctor, ["--data-dir", str(data.root)])
    assert text.exit_code == 1
    assert "fail  secret files" in text.stdout
    assert "fix: chmod 600" in text.stdout
