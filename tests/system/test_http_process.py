"""The HTTP port of real processes: workers share it, sessions hold in all of them, TLS, and the look-up that is off."""

import base64
import json
import os
import ssl
import time
import urllib.request

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.resolver.transport.http.http_node import self_signed
from tests.system.test_process_model import serving

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("http")
    certificate, key = self_signed("localhost")
    (directory / "node.crt").write_bytes(certificate)
    (directory / "node.key").write_bytes(key)
    environment = {
        "IDIS_TLS__CERTIFICATE_FILE": str(directory / "node.crt"),
        "IDIS_TLS__KEY_FILE": str(directory / "node.key"),
        "IDIS_HTTP__SEARCH_TYPES": "URL",
    }
    with serving(directory / "data", "--http", "127.0.0.1:0", **environment) as node:
        node.certificate = directory / "node.crt"
        node.pem_key = (directory / "data" / "credentials" / "admin_rsa.pem").read_bytes()
        yield node


def client_of(node, **options):
    verify = ssl.create_default_context(cafile=str(node.certificate))
    return httpx.Client(base_url="https://" + node.endpoints["http"], verify=verify, timeout=60, **options)


def ask(node, method, path, **options):
    """A request over a connection of its own, so that any worker may get it."""
    with client_of(node) as client:
        return client.request(method, path, **options)


def test_a_session_holds_in_every_worker(node):
    begun = ask(node, "POST", "/api/sessions").json()
    key = load_pem_private_key(node.pem_key, password=None)
    client_nonce = os.urandom(16)
    signed = key.sign(base64.b64decode(begun["nonce"]) + client_nonce, padding.PKCS1v15(), hashes.SHA256())
    session = f'sessionId="{begun["sessionId"]}"'
    proof = (
        f'Handle version="0", {session}, id="300:0.NA/88.300", type="HS_PUBKEY", alg="SHA256", '
        f'cnonce="{base64.b64encode(client_nonce).decode()}", signature="{base64.b64encode(signed).decode()}"'
    )
    proven = ask(node, "PUT", "/api/sessions/this", headers={"authorization": proof})
    assert (proven.status_code, proven.json()["authenticated"]) == (200, True)
    header = {"authorization": f'Handle version="0", {session}'}
    for number in range(8):
        name = f"88.300.1/session-{number}"
        body = {"values": [{"index": 1, "type": "URL", "data": f"https://x.example/{number}"}]}
        made = ask(node, "PUT", f"/api/handles/{name}", json=body, headers=header)
        assert (made.status_code, made.json()) == (201, {"responseCode": 1, "handle": name})
        assert ask(node, "GET", f"/api/handles/{name}").json()["values"][0]["index"] == 1
    assert ask(node, "DELETE", "/api/sessions/this", headers=header).status_code == 204
    refused = ask(node, "PUT", "/api/handles/88.300.1/after", json=body, headers=header)
    assert refused.status_code == 401


def test_requests_are_counted_once_in_all_workers(node):
    asked = 40
    for number in range(asked):
        ask(node, "GET", f"/api/handles/88.300.1/none-{number}")
    url = "http://" + node.endpoints["admin"] + "/metrics"
    wanted = 'idis_requests_total{operation="resolution",protocol="rest",result="404"}'
    for _ in range(600):
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith(wanted)]
        if lines and float(lines[0].split()[-1]) == asked:
            return
        time.sleep(0.1)
    raise AssertionError(lines)


def test_the_site_tells_of_the_port(node):
    site = ask(node, "GET", "/api/site").json()["site"]
    port = int(node.endpoints["http"].rpartition(":")[2])
    assert {"query": True, "admin": True, "protocol": "HTTPS", "port": port} in site["servers"][0]["interfaces"]
    assert json.dumps(site)
