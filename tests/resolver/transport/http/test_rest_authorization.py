"""Who asks over HTTP: secrets, signatures, sessions and certificates, and what is said when they do not do."""

import base64
import hashlib
import hmac
import os
import ssl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from resolver.errors import InvalidField
from resolver.node import http_sessions
from resolver.node.lockout import FREE_FAILURES
from resolver.transport.http.rest_authorization import parse_certificate, parse_identity, parse_parameters
from tests.resolver.transport.hdl_node import SECRET, rsa_key, value
from tests.resolver.transport.http.http_node import ADMINISTRATOR, basic, http_node, self_signed

NAME = "88.300.2/auth"
ADMIN = {"handle": "0.NA/88.300", "index": 200, "permissions": "1" * 12}
BODY = {
    "values": [
        {"index": 1, "type": "URL", "data": "https://x.example/"},
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": ADMIN}},
    ]
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("auth")) as node:
        yield node


@pytest.fixture
def client(node):
    with node.client(secure=True) as client:
        yield client


def b64(octets):
    return base64.b64encode(octets).decode()


def put(client, **headers):
    return client.put(f"/api/handles/{NAME}", json=BODY, headers=headers)


def challenge_of(response):
    """The parameters of the Handle challenge in an answer."""
    (found,) = [text for text in response.headers.get_list("www-authenticate") if text.startswith("Handle ")]
    return parse_parameters(found[7:])


def signed(begun, client_nonce, *, alg="SHA256", key=None, identity="300%3A0.NA/88.300"):
    """The header that answers a session's nonce with the administrator's key pair."""
    native = (key or rsa_key("admin")).to_native()
    hash_ = hashes.SHA256() if alg.startswith("SHA") and "256" in alg else hashes.SHA1()
    signature = native.sign(base64.b64decode(begun["nonce"]) + client_nonce, padding.PKCS1v15(), hash_)
    return (
        f'Handle version="0", sessionId="{begun["sessionId"]}", id="{identity}", type="HS_PUBKEY", alg="{alg}", '
        f'cnonce="{b64(client_nonce)}", signature="{b64(signature)}"'
    )


@pytest.mark.parametrize("identity", [ADMINISTRATOR, "301:0.na/88.300"])
def test_a_secret_key_is_a_password(client, identity):
    assert put(client, **basic(identity)).status_code in {200, 201}


@pytest.mark.parametrize(
    "authorization",
    [
        basic(secret=b"wrong")["authorization"],
        basic("999:0.NA/88.300")["authorization"],
        basic("301:99.99/unknown")["authorization"],
        basic("no handle")["authorization"],
        basic("301:")["authorization"],
        "Basic ????",
        "Basic " + b64(b"nocolon"),
        "Basic " + b64(b"\xff\xfe:x"),
        "Basic",
        "Digest x",
        "Bearer idis_abc",
        "Handle",
        'Handle sessionId="unknown"',
        'Handle sessionId="' + "A" * 32 + '"',
        'Handle id="300:0.NA/88.300"',
        'Handle version="0" cnonce="AA=="',
        'Handle version="0", nonsense',
    ],
)
def test_what_does_not_do_is_401_with_what_would(client, authorization):
    response = put(client, authorization=authorization)
    assert (response.status_code, response.content) == (401, b"")
    challenge = challenge_of(response)
    assert len(base64.b64decode(challenge["nonce"])) == 16
    assert challenge["error"]
    offers = [text.split(" ")[0] for text in response.headers.get_list("www-authenticate")]
    assert offers == (["Basic", "Handle"] if authorization.startswith("Basic") else ["Handle"])


def test_a_challenge_comes_with_a_request_that_needs_one(client):
    response = put(client)
    assert (response.status_code, response.json()) == (401, {"responseCode": 402, "handle": NAME})
    assert response.headers.get_list("www-authenticate")[0] == 'Basic realm="handle"'
    script = put(client, **{"x-requested-with": "XMLHttpRequest"})
    assert [text[:6] for text in script.headers.get_list("www-authenticate")] == ["Handle"]
    begun = challenge_of(response)
    begun["sessionId"] = begun["sessionid"]
    assert put(client, authorization=signed(begun, os.urandom(16))).status_code in {200, 201}


@pytest.mark.parametrize("alg", ["SHA256", "SHA-256", "SHA1", "SHA-1"])
def test_a_session_is_proven_by_a_signature(client, alg):
    begun = client.post("/api/sessions").json()
    assert put(client, authorization=signed(begun, os.urandom(16), alg=alg)).status_code in {200, 201}
    session = {"authorization": f'Handle sessionId="{begun["sessionId"]}"'}
    assert put(client, **session).status_code == 200
    told = client.get("/api/sessions/this", headers=session).json()
    assert (told["authenticated"], told["id"]) == (True, "300:0.NA/88.300")


@pytest.mark.parametrize("alg", ["HMAC-SHA1", "HMAC-SHA256", "SHA256", "SHA1", "MD5", "PBKDF2WithHmacSHA1"])
def test_a_session_is_proven_by_a_secret(client, alg):
    begun = client.post("/api/sessions").json()
    client_nonce = os.urandom(16)
    covered = base64.b64decode(begun["nonce"]) + client_nonce
    more = {}
    if alg.startswith("HMAC"):
        mac = hmac.digest(SECRET, covered, alg[5:].lower())
    elif alg.startswith("PBKDF2"):
        key = hashlib.pbkdf2_hmac("sha1", SECRET, b"0123456789abcdef", 1_000, 20)
        mac = hmac.digest(key, covered, "sha1")
        more = {"salt": b64(b"0123456789abcdef"), "iterations": 1_000, "length": 160}
    else:
        mac = hashlib.new(alg.lower(), SECRET + covered + SECRET, usedforsecurity=False).digest()
    given = {"id": ADMINISTRATOR, "type": "HS_SECKEY", "alg": alg, "cnonce": b64(client_nonce), "signature": b64(mac)}
    session = {"authorization": f'Handle sessionId="{begun["sessionId"]}"'}
    found = client.put("/api/sessions/this", json=given | more, headers=session)
    assert (found.status_code, found.json()["id"]) == (200, ADMINISTRATOR)
    right = given | more | {"nonce": begun["nonce"]}
    del right["id"]
    verified = client.get(f"/api/verifications/{ADMINISTRATOR}", params=right)
    assert verified.json() == {"responseCode": 1, "isValid": True, "handle": "0.NA/88.300"}
    verified = client.post(f"/api/verifications/{ADMINISTRATOR}", data=right | {"nonce": b64(b"x")})
    assert verified.json()["isValid"] is False
    wrong = client.put("/api/sessions/this", json=given | more | {"cnonce": b64(b"x")}, headers=session)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Identity not verified")


def test_a_session_ends(node, client):
    begun = client.post("/api/sessions").json()
    session = {"authorization": f'Handle sessionId="{begun["sessionId"]}"'}
    assert "authenticated" not in client.get("/api/sessions/this", headers=session).json()
    assert put(client, authorization=signed(begun, b"12345678")).status_code in {200, 201}
    ended = client.delete("/api/sessions/this", headers=session)
    assert (ended.status_code, ended.content) == (204, b"")
    assert put(client, **session).status_code == 401
    with node.engine.read() as reader:
        assert http_sessions.find(reader, begun["sessionId"], 0) is None


def test_a_changed_key_ends_its_sessions(node, client):
    node.store("0.NA/88.300.4", value(7, "HS_PUBKEY", rsa_key("passing").public.to_wire()))
    begun = client.post("/api/sessions").json()
    header = signed(begun, b"1", key=rsa_key("passing"), identity="7%3A0.NA%2F88.300.4")
    session = {"authorization": f'Handle sessionId="{begun["sessionId"]}"'}
    assert client.put("/api/sessions/this", headers={"authorization": header}).json()["authenticated"] is True
    assert client.get("/api/sessions/this", headers=session).status_code == 200
    node.store("0.NA/88.300.4", value(7, "HS_PUBKEY", rsa_key("other").public.to_wire()))
    assert client.get("/api/sessions/this", headers=session).status_code == 403


def test_a_session_may_begin_with_a_password(client):
    begun = client.post("/api/sessions", headers=basic()).json()
    assert (begun["authenticated"], begun["id"]) == (True, "301:0.NA/88.300")
    session = {"authorization": f'Handle sessionId="{begun["sessionId"]}"'}
    assert put(client, **session).status_code in {200, 201}
    wrong = client.post("/api/sessions", headers=basic(secret=b"wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (201, "Identity not verified")
    assert "authenticated" not in wrong.json()


def test_what_a_request_without_a_session_is_told(client):
    assert client.get("/api/sessions/this").json() == {"authenticated": False}
    assert client.get("/api/sessions/this", headers=basic()).json() == {"authenticated": True, "id": "301:0.NA/88.300"}
    refused = client.get("/api/sessions/this", headers=basic(secret=b"wrong"))
    assert (refused.status_code, refused.json()) == (401, {"error": "Identity not verified"})
    unknown = {"authorization": 'Handle sessionId="unknown"'}
    asks = {"authorization": 'Handle cnonce="AA=="'}
    for method, path, headers, status in (
        ("DELETE", "/api/sessions/this", {}, 403),
        ("GET", "/api/sessions/this", unknown, 403),
        ("GET", "/api/sessions/this/", unknown, 403),
        ("GET", "/api/sessions/this", asks, 403),
        ("GET", "/api/sessions/this?alg=SHA1", {}, 403),
        ("GET", "/api/sessions/other", {}, 403),
        ("POST", "/api/sessions", unknown, 400),
        ("GET", "/api/sessions", {}, 405),
        ("PATCH", "/api/sessions/", {}, 405),
    ):
        found = client.request(method, path, headers=headers)
        assert (found.status_code, found.content) == (status, b""), (method, path)
        assert found.headers["x-reason"]
    bad = client.put("/api/sessions/this", content=b"[", headers={"content-type": "application/json"})
    assert (bad.status_code, bad.content) == (400, b"")
    assert client.get("/api/sessions/this", headers={"authorization": 'Handle version="0"'}).status_code == 200
    assert client.post("/api/sessions/").status_code == 201


def test_the_header_counts_before_parameters_and_those_before_a_body(client):
    first, second = (client.post("/api/sessions").json()["sessionId"] for _ in range(2))
    header = {"authorization": f'Handle sessionId="{first}"'}
    told = client.put(f"/api/sessions/this?sessionId={second}", json={"sessionId": "x"}, headers=header)
    assert told.json()["sessionId"] == first
    told = client.put(f"/api/sessions/this?sessionId={second}", json={"sessionId": first})
    assert told.json()["sessionId"] == second


def test_a_session_that_begins_with_a_proof_says_why_it_does_not_do(client):
    begun = client.post("/api/sessions", json={"id": ADMINISTRATOR, "type": "HS_SECKEY"})
    assert (begun.status_code, "authenticated" in begun.json()) == (201, False)
    assert begun.json()["error"] == "the parameter signature is missing"


def test_the_node_signs_for_those_who_ask_who_it_is(client):
    asks = {"authorization": f'Handle cnonce="{b64(b"hello")}"'}
    read = client.get(f"/api/handles/{NAME}", headers=asks)
    assert read.status_code == 200
    assert challenge_of(read)["serveralg"] == "SHA256"
    assert len(read.headers.get_list("www-authenticate")) == 1
    response = put(client, **asks)
    challenge = challenge_of(response)
    covered = base64.b64decode(challenge["nonce"]) + b"hello"
    signature = base64.b64decode(challenge["serversignature"])
    rsa_key("node").to_native().public_key().verify(signature, covered, padding.PKCS1v15(), hashes.SHA256())
    begun = client.post("/api/sessions", headers=asks).json()
    assert begun["serverAlg"] == "SHA256"


def test_sessions_and_credentials_are_for_encrypted_connections_only(node):
    with node.client() as client:
        for method, path in (("POST", "/api/sessions"), ("GET", "/api/sessions/this"), ("GET", "/api/sessions/x")):
            found = client.request(method, path)
            assert (found.status_code, found.content) == (403, b"")
            assert "https" in found.headers["x-reason"]
        assert client.options("/api/sessions").status_code == 200
        refused = put(client, **basic()).json()
        assert (refused["responseCode"], refused["handle"]) == (402, NAME)
        assert "over https" in refused["message"]
        assert put(client, **basic(secret=b"wrong")).status_code == 403


def test_the_operator_may_trust_the_network(tmp_path):
    with http_node(tmp_path, http={"believes_clear_credentials": True}) as node, node.client() as client:
        assert put(client, **basic()).status_code == 201


def test_a_proxy_of_ours_may_say_that_a_connection_was_encrypted(tmp_path):
    from resolver.transport.http.calls import networks_of

    with http_node(tmp_path, http={"proxies": networks_of("127.0.0.0/8")}) as node, node.client() as client:
        told = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7, 127.0.0.1"}
        assert put(client, **basic(), **told).status_code == 201
        assert put(client, **basic(), **(told | {"x-forwarded-proto": "http"})).status_code == 403
        assert put(client, **basic(), **(told | {"x-forwarded-proto": "https, http"})).status_code == 403


def test_what_a_client_says_of_its_address_does_not_count_beside_what_a_proxy_of_ours_says():
    from starlette.requests import Request

    from resolver.transport.http.calls import HttpOptions, is_encrypted, networks_of, source_of

    options = HttpOptions("88.300", proxies=networks_of("10.0.0.0/8"))

    def request(*headers):
        return Request({"type": "http", "scheme": "http", "client": ("10.0.0.1", 1), "headers": list(headers)})

    made_up, told = (b"x-forwarded-for", b"192.0.2.9"), (b"x-forwarded-for", b"198.51.100.1, 10.0.0.2")
    assert source_of(request(made_up, told), options) == "198.51.100.1"
    assert source_of(request(told), options) == "198.51.100.1"
    assert source_of(request(), options) == "10.0.0.1"
    claimed, seen = (b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")
    assert is_encrypted(request(claimed), options)
    assert not is_encrypted(request(claimed, seen), options)
    assert not is_encrypted(request(), options)


def certified(node, directory, name, key):
    """A client with a self-signed certificate."""
    certificate, secret = self_signed(name, key)
    file = directory / "client.pem"
    file.write_bytes(certificate + secret)
    context = ssl.create_default_context(cafile=str(node.ca))
    context.load_cert_chain(file)
    import httpx

    return httpx.Client(base_url=node.secure, verify=context, timeout=60)


CERTIFIED = {"authorization": 'Handle clientCert="true"'}


@pytest.mark.parametrize("name", ["300:0.NA/88.300", "0:0.NA/88.300", "0.NA/88.300"])
def test_a_certificate_of_any_issuer_is_who_has_its_key(node, tmp_path, name):
    with certified(node, tmp_path, name, rsa_key("admin").to_native()) as client:
        assert client.put(f"/api/handles/{NAME}", json=BODY, headers=CERTIFIED).status_code in {200, 201}
        assert client.get(f"/api/handles/{NAME}").status_code == 200


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("300:0.NA/88.300", rsa.generate_private_key(65_537, 2_048)),
        ("300:0.NA/88.300", ec.generate_private_key(ec.SECP256R1())),
        ("301:0.NA/88.300", rsa_key("admin").to_native()),
        ("300:0.NA/99.99", rsa_key("admin").to_native()),
        ("nobody", rsa_key("admin").to_native()),
    ],
    ids=["another key", "a kind of key that no value has", "a secret key", "another node", "no handle"],
)
def test_a_certificate_with_another_key_is_nobody(node, tmp_path, name, key):
    with certified(node, tmp_path, name, key) as client:
        assert client.put(f"/api/handles/{NAME}", json=BODY, headers=CERTIFIED).status_code == 401
        assert client.get(f"/api/handles/{NAME}").status_code in {200, 404}


def test_a_certificate_that_is_promised_and_does_not_come_is_nobody(client):
    assert client.get(f"/api/handles/{NAME}", headers=CERTIFIED).status_code in {200, 404}
    assert client.get("/api/sessions/this", headers=CERTIFIED).json() == {"authenticated": False}
    found = put(client, **CERTIFIED)
    assert (found.status_code, found.json()) == (401, {"responseCode": 402, "handle": NAME})


def test_a_certificate_alone_says_nothing(node, tmp_path):
    with certified(node, tmp_path, "300:0.NA/88.300", rsa_key("admin").to_native()) as client:
        assert put(client).status_code == 401


def test_guessing_makes_the_guesser_wait(tmp_path):
    with http_node(tmp_path) as node, node.client(secure=True) as client:
        for _ in range(FREE_FAILURES + 1):
            assert put(client, **basic(secret=b"guess")).status_code == 401
        assert put(client, **basic()).status_code == 401
        assert put(client, authorization=signed(client.post("/api/sessions").json(), b"1")).status_code == 201


def test_parameters_and_identities_are_read_as_written():
    assert parse_parameters(r'a="1, 2", B=3,c = "x"  ,, d="\"\\" ') == {"a": "1, 2", "b": "3", "c": "x", "d": '"\\'}
    for text in ("", "x", 'a="1" b="2"', 'a="1', "a=1, =2", 'a="1", b'):
        with pytest.raises(InvalidField):
            parse_parameters(text)
    assert parse_identity("300%3A0.NA%2F88%20x") == ("0.NA/88 x", 300)
    assert parse_identity("0.NA/88") == ("0.NA/88", 0)
    certificate, _ = self_signed("300:88.1/user")
    handle, index, _ = parse_certificate(ssl.PEM_cert_to_DER_cert(certificate.decode()))
    assert (handle, index) == ("88.1/user", 300)


def test_homed_prefixes_are_counted_and_named(client):
    def administrator():
        return {"authorization": signed(client.post("/api/sessions").json(), os.urandom(16))}

    found = client.get("/api/prefixes", headers=administrator()).json()
    assert found["responseCode"] == 1
    assert found["totalCount"] == str(len(found["prefixes"]))
    page = client.get("/api/prefixes?page=1&pageSize=1", headers=administrator()).json()
    assert (page["page"], page["pageSize"], page["prefixes"]) == (1, 1, found["prefixes"][1:2])
    for asked in (
        {"url": "/api/prefixes/0.NA%2F88.300.99"},
        {"url": "/api/prefixes?prefix=0.NA/88.300.99"},
        {"url": "/api/prefixes", "json": {"prefix": "0.NA/88.300.99"}},
    ):
        assert client.post(**asked, headers=administrator()).json() == {"responseCode": 1, "handle": "0.NA/88.300.99"}
    assert client.get("/api/prefixes", headers=administrator()).json()["totalCount"] == str(len(found["prefixes"]) + 1)
    assert client.delete("/api/prefixes/88.300.99", headers=administrator()).json()["handle"] == "88.300.99"


def test_a_password_that_a_browser_keeps_is_no_help_to_other_sites(client):
    found = client.get(f"/api/handles/{NAME}?callback=f&publicOnly=false", headers=basic())
    assert found.status_code == 401
    elsewhere = basic() | {"origin": "https://evil.example"}
    assert client.post("/api/prefixes/0.NA/88.300.9", headers=elsewhere).status_code == 401
    here = basic() | {"origin": str(client.base_url).rstrip("/")}
    assert client.post("/api/prefixes/0.NA/88.300.9", headers=here).status_code == 403  # known, and no server admin
    assert put(client, **elsewhere).status_code in {200, 201}
