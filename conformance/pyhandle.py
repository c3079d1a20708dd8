"""``python -m conformance.pyhandle``: pyhandle's own integration tests, against a node started for them, over TLS.

pyhandle (PyPI) is the client of research data centres. Its distribution has the tests that need a real server; they
expect the prefix 21.T14999 and a user there, which are made here as an operator would make them: over the Handle
REST interface, with the administrator's key pair. Tests that cannot run against any server here are in ``CANNOT``.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from conformance.node_process import node

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "21.T14999"
USER = f"{PREFIX}/B2HANDLE_INTEGRATION_TESTS"
SECRET = "a secret for tests"  # noqa: S105 - of a node that lives for a minute
SUITES = {
    "read": "pyhandle.tests.testcases.handleclient_read_integration_test",
    "write": "pyhandle.tests.testcases.handleclient_write_integration_test",
    "search": "pyhandle.tests.testcases.handleclient_search_integration_test",
}
_CLIENT_ASKED = "the test gives no argument 'client', which PIDClientCredentials has come to require"
_URLS_DROPPED = "the test gives additional_URLs, which pyhandle 1.5 supports no more"
CANNOT: dict[str, str] = {
    "test_global_resolve": "asks the world's proxy hdl.handle.net, not the server under test",
    "test_instantiate_with_credentials": _CLIENT_ASKED,
    "test_instantiate_with_credentials_config": _CLIENT_ASKED,
    "test_instantiate_with_credentials_config_override": _CLIENT_ASKED,
    "test_instantiate_with_credentials_inexistentuser": _CLIENT_ASKED,
    "test_delete_handle_inexistent": "expects None, and pyhandle 1.5 raises HandleNotFoundException for 404 and 100",
    "test_generate_and_register_handle": _URLS_DROPPED + ": it sends a list as the data of a value",
    "test_register_handle": _URLS_DROPPED,
}
"""Tests that no server can make pass, by name, with the reason."""

_TIMEOUT_S = 60


def certificate_of(name: str, key: rsa.RSAPrivateKey) -> bytes:
    """A self-signed certificate in PEM: of the server on loopback, or of a client called ``name``."""
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=2))
    builder = builder.add_extension(x509.SubjectAlternativeName(places), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A private key in PEM, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Administrator:
    """A session of the administrator at the REST interface, proven by the key pair of the node's first start."""

    def __init__(self, base: str, ca: Path, pem: bytes, identity: str) -> None:
        self._base = base
        self._ca = str(ca)
        begun = requests.post(f"{base}/api/sessions", verify=self._ca, timeout=_TIMEOUT_S).json()
        key: Any = load_pem_private_key(pem, password=None)
        client_nonce = os.urandom(16)
        covered = base64.b64decode(begun["nonce"]) + client_nonce
        proof = {
            "id": identity,
            "type": "HS_PUBKEY",
            "alg": "SHA256",
            "cnonce": base64.b64encode(client_nonce).decode(),
            "signature": base64.b64encode(key.sign(covered, padding.PKCS1v15(), hashes.SHA256())).decode(),
        }
        self._header = {"Authorization": f'Handle sessionId="{begun["sessionId"]}"'}
        self.ask("PUT", "/api/sessions/this", proof)

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """The answer to a request that must succeed."""
        answer = requests.request(
            method, self._base + path, json=document, headers=self._header, verify=self._ca, timeout=_TIMEOUT_S
        )
        if answer.status_code >= 300:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


def admin_value(index: int, handle: str, at: int, permissions: str) -> dict[str, Any]:
    """An HS_ADMIN value."""
    value = {"handle": handle, "index": at, "permissions": permissions}
    return {"index": index, "type": "HS_ADMIN", "data": {"format": "admin", "value": value}}


def prepare(administrator: Administrator, public_key: dict[str, str]) -> None:
    """Home the prefix, and make the user that may administer it, with a secret key and a key pair."""
    administrator.ask("POST", f"/api/prefixes/0.NA/{PREFIX}")
    administrator.ask(
        "PUT",
        f"/api/handles/{USER}",
        [
            admin_value(100, USER, 300, "1" * 12),
            {"index": 300, "type": "HS_SECKEY", "data": SECRET, "permissions": "1100"},
            {"index": 301, "type": "HS_PUBKEY", "data": {"format": "key", "value": public_key}},
        ],
    )
    # pyhandle makes value 200 of the prefix handle, the usual place of the group, the owner of what it registers.
    group = [{"handle": USER, "index": index} for index in (300, 301)]
    values = [
        admin_value(110, f"0.NA/{PREFIX}", 200, "1" * 12),
        {"index": 200, "type": "HS_VLIST", "data": {"format": "vlist", "value": group}},
    ]
    administrator.ask("PUT", f"/api/handles/0.NA/{PREFIX}?index=various", values)


def jwk_of(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The public half as a JSON web key."""
    numbers = key.public_key().public_numbers()

    def text(number: int) -> str:
        octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

    return {"kty": "RSA", "n": text(numbers.n), "e": text(numbers.e)}


def test_values(base: str, ca: Path) -> dict[str, Any]:
    """The file that pyhandle's integration tests read."""
    return {
        "user": f"300:{USER}",
        "password": SECRET,
        "handle_server_url_read": base,
        "handle_server_url_write": base,
        "url_extension_REST_API": "/api/handles/",
        "reverselookup_username": f"300:{USER}",
        "reverselookup_password": SECRET,
        "reverselookup_baseuri": base,
        "reverselookup_baseuri_wrong": base + "/nowhere",
        "reverselookup_url_extension": "/hrls/handles/",
        "handle_for_read_tests": f"{PREFIX}/FOR_READING",
        "handle_for_read_tests_with_10320LOC": f"{PREFIX}/WITH_LOC",
        "handle_for_read_tests_without_10320LOC": f"{PREFIX}/WITHOUT_LOC",
        "handle_globally_resolvable": f"{PREFIX}/FOR_READING",
        "handle_to_be_created": f"{PREFIX}/CREATED",
        "handle_to_be_modified": f"{PREFIX}/MODIFIED",
        "handle_to_be_modified_with_10320LOC": f"{PREFIX}/MODIFIED_LOC",
        "handle_to_be_modified_without_10320LOC": f"{PREFIX}/MODIFIED_WITHOUT_LOC",
        "HTTPS_verify": str(ca),
    }


def read_records() -> dict[str, list[dict[str, Any]]]:
    """The records that the reading tests expect to be there."""
    texts = {4: ("TEST4", "val4"), 111: ("TEST1", "val1"), 333: ("TEST3", "val3"), 2222: ("TEST2", "val2")}
    values = [{"index": index, "type": type_, "data": data} for index, (type_, data) in texts.items()]
    values.append({"index": 5_000, "type": "URL", "data": "http://www.dkrz.de/a"})
    values.insert(1, admin_value(100, USER, 300, "011111110011"))  # one test looks for TEST1 at the third place
    return {f"{PREFIX}/FOR_READING": values}


_PROGRAM = """
import json, sys, unittest, unittest.mock
sys.modules["mock"] = unittest.mock  # the package of that name is the older form of it
if not hasattr(unittest.TestCase, "assertEquals"):
    unittest.TestCase.assertEquals = unittest.TestCase.assertEqual
rows = []
class Result(unittest.TestResult):
    def addSuccess(self, test): rows.append((test.id(), "ok", ""))
    def addFailure(self, test, error): rows.append((test.id(), "failed", self._exc_info_to_string(error, test)))
    def addError(self, test, error): rows.append((test.id(), "failed", self._exc_info_to_string(error, test)))
    def addSkip(self, test, reason): rows.append((test.id(), "skipped", reason))
unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]).run(Result())
print(json.dumps(rows))
"""


def run_tests(directory: Path, values: dict[str, Any], suites: list[str]) -> list[tuple[str, str, str]]:
    """Every test of the suites: its name, what became of it, and why.

    They run from a copy of pyhandle, because they read the server's address from a file inside of it.
    """
    import pyhandle  # noqa: PLC0415 - only copied

    shutil.copytree(Path(pyhandle.__file__).parent, directory / "pyhandle")
    file = directory / "pyhandle" / "tests" / "resources" / "testvalues_for_integration_tests_IGNORE.json"
    file.write_text(json.dumps(values))
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _PROGRAM, *(SUITES[name] for name in suites)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    try:
        rows = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"pyhandle's tests did not run:\n{done.stdout[-2000:]}{done.stderr[-4000:]}") from None
    return [(str(name), str(outcome), str(why)) for name, outcome, why in rows]


class Place(NamedTuple):
    """A node made ready: its address, the certificate to trust, and the user's key pair (301 of the user's handle)."""

    base: str
    ca: Path
    user_key: rsa.RSAPrivateKey


@contextmanager
def ready(directory: Path) -> Iterator[Place]:
    """A node over TLS that has what the tests expect, until the block ends."""
    server_key = rsa.generate_private_key(65_537, 2_048)
    user_key = rsa.generate_private_key(65_537, 2_048)
    ca, key_file = directory / "node.crt", directory / "node.key"
    ca.write_bytes(certificate_of("localhost", server_key))
    key_file.write_bytes(key_pem(server_key))
    config = directory / "node.toml"
    config.write_text(
        f'[tls]\ncertificate_file = "{ca}"\nkey_file = "{key_file}"\n[http]\nsearch_types = "URL,CHECKSUM"\n'
    )
    data_dir = directory / "node"
    options = ("--config", str(config), "--prefix", "21", "--workers", "2")
    options += ("--grpc", "127.0.0.1:0", "--hdl", "", "--admin", "")
    with node(data_dir, *options, "--http", "127.0.0.1:0") as endpoints:
        base = "https://" + endpoints["http"]
        pem = (data_dir / "credentials" / "admin_rsa.pem").read_bytes()
        administrator = Administrator(base, ca, pem, "300:0.NA/21")
        prepare(administrator, jwk_of(user_key))
        for name, values in read_records().items():
            administrator.ask("PUT", f"/api/handles/{name}", values)
        yield Place(base, ca, user_key)


def judged(directory: Path, suites: list[str]) -> list[tuple[str, str, str]]:
    """Start a node, make what the tests expect, and run them."""
    with ready(directory) as place:
        return run_tests(directory / "copy", test_values(place.base, place.ca), suites)


def unexpected(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The tests that failed and could have passed."""
    return [row for row in rows if row[1] == "failed" and row[0].rpartition(".")[2] not in CANNOT]


def main() -> int:
    """Run, print, and exit with 1 when a test fails that can run."""
    parser = argparse.ArgumentParser(prog="python -m conformance.pyhandle", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="read, write, search; all when none is named")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        rows = judged(Path(directory), arguments.suites or list(SUITES))
    failed = unexpected(rows)
    if arguments.json:
        print(json.dumps([{"test": name, "outcome": outcome, "why": why} for name, outcome, why in rows], indent=1))
        return int(bool(failed))
    for name, outcome, why in rows:
        short = name.rpartition(".")[2]
        known = CANNOT.get(short, "")
        print(f"{'cannot' if known and outcome == 'failed' else outcome:8} {short}{': ' + known if known else ''}")
        if outcome == "failed" and not known:
            print("         " + why.strip().replace("\n", "\n         "))
    print(f"{sum(row[1] == 'ok' for row in rows)} passed, {len(failed)} failed, {len(rows)} in all")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
