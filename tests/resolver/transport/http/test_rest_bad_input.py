"""What strangers send to the REST interface: the right status, this interface's body, and never a trace of ours."""

import json
import random

import httpx
import pytest

from resolver.transport.http import rest_input
from tests.resolver.transport.hdl_node import admin, value
from tests.resolver.transport.http.http_node import basic, http_node

NAME = "88.300.2/bad"
URL = {"index": 1, "type": "URL", "data": "https://x.example/"}
ADMIN = {
    "index": 100,
    "type": "HS_ADMIN",
    "data": {"format": "admin", "value": {"handle": "0.NA/88.300", "index": 200, "permissions": "1" * 12}},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("bad")) as node:
        node.store("88.300.2/there", value(1, "URL", "https://x.example/"), admin("0.NA/88.300", 200))
        yield node


@pytest.fixture(scope="module")
def client(node):
    with node.client(secure=True) as client:
        yield client


def judge(response, status, code=None):
    """The right status, and an object with a response code; of errors a sentence or a code that says everything."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    document = response.json()
    assert isinstance(document["responseCode"], int)
    if code is not None:
        assert document["responseCode"] == code, document
    for ours in ("Traceback", "resolver/", ".py", "Error("):
        assert ours not in response.text
    return document


def put(client, content, path=f"/api/handles/{NAME}", kind="application/json", **headers):
    given = basic() | ({"content-type": kind} if kind else {}) | headers
    return client.put(path, content=content, headers=given)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"1",
        b'"text"',
        b"[1]",
        b"[[]]",
        b"{}",
        b'{"values":1}',
        b'{"values":{}}',
        b'{"values":[null]}',
        b"[" * 100_000,
        b'{"values":' * 50_000,
        b"\xff\xfe\x00",
        b'{"values":[{"index":1,"type":"URL","data":"\xff"}]}',
        b"1" * 10_000,
        json.dumps([URL] * 2_049).encode(),
        json.dumps([URL | {"index": "x"}]).encode(),
        json.dumps([URL | {"index": 1.5}]).encode(),
        json.dumps([URL | {"index": 2**40}]).encode(),
        json.dumps([URL | {"type": 7}]).encode(),
        json.dumps([{"index": 1, "type": "URL"}]).encode(),
        json.dumps([URL | {"data": {"format": "base64", "value": "!!"}}]).encode(),
        json.dumps([URL | {"data": {"format": "hex", "value": "xyz"}}]).encode(),
        json.dumps([URL | {"data": {"format": "dance", "value": "x"}}]).encode(),
        json.dumps([URL | {"data": ["a"]}]).encode(),
        json.dumps([URL | {"data": None}]).encode(),
        json.dumps([URL | {"data": {"format": "admin", "value": {"handle": 1}}}]).encode(),
        json.dumps([URL | {"data": {"format": "site", "value": {"servers": "x"}}}]).encode(),
        json.dumps([URL | {"ttl": "tomorrow"}]).encode(),
        json.dumps([URL | {"ttl": -1}]).encode(),
        json.dumps([URL | {"timestamp": "x"}]).encode(),
        json.dumps([URL | {"timestamp": "9999-99-99T00:00:00Z"}]).encode(),
        json.dumps([URL | {"permissions": "11111"}]).encode(),
        json.dumps([URL | {"references": [{"handle": 1}]}]).encode(),
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
def test_bodies_that_are_no_values(client, content):
    assert judge(put(client, content), 400, 4)["message"]


@pytest.mark.parametrize("item", [b"[]", b"{}", b"1", b'""', b'"\\\\"', b'"\\""'])
def test_a_body_of_more_parts_than_a_handle_has_is_not_parsed(client, item, monkeypatch):
    """Four megabytes of empty lists took a hundred and ten."""
    content = b"[" + b",".join([item] * (rest_input.PARTS_MAX + 2)) + b"]"
    monkeypatch.setattr(rest_input, "parse_json", lambda _: pytest.fail("it was parsed"))
    assert "parts" in judge(put(client, content), 400, 4)["message"]


@pytest.mark.parametrize("text", [", " * 150_000, '"a",' * 140_000, "\\," * 140_000])
def test_texts_may_have_any_commas(client, text):
    content = json.dumps([URL | {"data": text}, ADMIN]).encode()
    assert content.count(b",") > rest_input.PARTS_MAX
    assert put(client, content).status_code in {200, 201}
    assert client.get(f"/api/handles/{NAME}?index=1").json()["values"][0]["data"]["value"] == text
    assert client.delete(f"/api/handles/{NAME}", headers=basic()).status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "application"]
)
def test_other_types_of_content(client, kind):
    judge(put(client, json.dumps([URL]), kind=kind), 400, 4)
    assert put(client, json.dumps([URL, ADMIN]), kind="Application/JSON; charset=UTF-8").status_code in {200, 201}


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ([URL | {"index": 0}], 400, 202),
        ([URL, URL], 409, 201),
        ([URL | {"type": "x" * 300}], 400, 202),
        ([URL | {"data": "x" * (1 << 20)}], 400, 202),
    ],
)
def test_values_that_break_a_rule(client, values, status, code):
    judge(put(client, json.dumps(values)), status, code)


def test_a_body_that_is_too_large_is_refused_in_the_words_of_this_interface(client):
    assert judge(put(client, b"[" + b" " * (5 << 20)), 413, 4)["message"]


def test_long_bodies_of_strangers_are_not_parsed(client):
    long = b"[" + b"[]," * 40_000 + b"[]]"
    kind = {"content-type": "application/json"}
    found = client.put(f"/api/handles/{NAME}", content=long, headers=kind)
    assert judge(found, 401, 402) == {"responseCode": 402, "handle": NAME}
    judge(client.put(f"/api/handles/{NAME}", content=long[:3_000], headers=kind), 400, 4)
    judge(put(client, long), 400, 4)
    judge(client.post("/api/handles/88.300.2/there", content=long, headers=kind), 400, 4)
    found = client.post("/api/sessions", content=long, headers=kind)
    assert (found.status_code, found.content) == (400, b"")
    assert "octets" in found.headers["x-reason"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/handles/", 400, 102),
        ("GET", "/api/handles", 400, 102),
        ("GET", "/api/handles/88.300.2/there?index=x", 400, 4),
        ("GET", "/api/handles/88.300.2/there?index=-1", 200, 200),
        ("GET", "/api/handles/88.300.2/there?index=-2147483649", 400, 4),
        ("GET", "/api/handles/88.300.2/there?index=various", 400, 4),
        ("GET", "/api/handles/88.300.2/there?index=%201", 400, 4),
        ("GET", "/api/handles/88.300.2/there?index=99999999999", 400, 4),
        ("GET", "/api/handles/88.300.2/there?" + "&".join(["a=b"] * 3_000), 400, 4),
        ("GET", "/api/handles?prefix=", 400, 102),
        ("GET", "/api/handles?prefix=a/b", 400, 102),
        ("GET", "/api/handles?prefix=88.300.2&page=x&pageSize=1", 400, 4),
        ("GET", "/api/handles?prefix=88.300.2&page=&pageSize=1", 400, 4),
        ("GET", "/api/handles?prefix=88.300.2&page=2147483648&pageSize=1", 400, 4),
        ("DELETE", "/api/handles/88.300.2/there?index=", 400, 4),
        ("DELETE", "/api/handles/88.300.2/there?index=various", 400, 4),
        ("DELETE", "/api/handles/88.300.2/there?index=77", 400, 200),
        ("GET", "/api/site/", 200, 1),
        ("POST", "/api/site", 200, 1),
        ("GET", "/api", 404, 4),
        ("PATCH", "/api", 501, 4),
        ("PUT", "/api/zzz", 404, 4),
        ("PATCH", "/api/zzz", 501, 4),
        ("PUT", "/api/prefixes/0.NA%2F88.300", 405, 4),
        ("PATCH", "/api/sessions/this", 501, 4),
        ("PUT", "/api/site", 405, 4),
        ("DELETE", "/api/site", 405, 4),
        ("PATCH", "/api/handles/88.300.2/there", 501, 4),
        ("PROPFIND", "/api/handles/88.300.2/there", 501, 4),
        ("TRACE", "/api/handles/88.300.2/there", 400, 4),
        ("GET", "/api/", 404, 4),
        ("GET", "/api/handlesx", 404, 4),
        ("POST", "/api/prefixes/", 400, 4),
        ("PUT", "/api/handles/", 400, 102),
        ("DELETE", "/api/handles", 400, 102),
        ("GET", "/api/verifications/300:0.NA%2F88.300", 400, 4),
        ("GET", "/api/verifications", 400, 4),
        ("PUT", "/api/verifications/300:0.NA%2F88.300", 405, 4),
        ("GET", "/api/verifications/300:0.NA%2F88.300?nonce=!&cnonce=&signature=AA==&alg=SHA1", 400, 4),
        ("GET", "/api/verifications/300:0.NA%2F88.300?nonce=AA==&cnonce=&signature=AA==&alg=ROT13", 400, 4),
        ("GET", "/api/verifications/300:0.NA%2F88.300?nonce=AA==&signature=AA==&alg=SHA1", 400, 4),
        ("GET", "/api/verifications/0.NA%2F88.300?nonce=AA==&cnonce=&signature=AA==&alg=SHA1", 400, 4),
        ("GET", "/api/verifications/3:0.NA%2F88.300?nonce=AA==&cnonce=&signature=AA==&alg=SHA1&index=3", 400, 4),
        ("GET", "/api/verifications/3:0.NA%2F88.300?nonce=AA==&cnonce=&signature=AA==&alg=SHA1", 200, 1),
        ("GET", "/api/verifications/3:99.999%2Fx?nonce=AA==&cnonce=&signature=AA==&alg=SHA1", 400, 301),
    ],
)
def test_paths_methods_and_parameters(client, node, method, path, status, code):
    url = httpx.URL(node.secure).copy_with(raw_path=path.encode())
    judge(client.request(method, url, headers=basic()), status, code)


@pytest.mark.parametrize(
    "sent",
    [
        "88.300.2/%E4%BA%A7%E5%93%81",
        "88.300.2/a%3Fb",
        "88.300.2/a%23b",
        "88.300.2/a%2Fb/c",
        "88.300.2/a%20b",
        "88.300.2/a+b",
        "88.300.2/a%2Bb",
        "88.300.2/a%2525b",
        "88.300.2/..%2F..%2Fetc",
        "88.300.2/%22%5C%3C%3E%26'",
        "88.300.2/a;b=c,d",
        "88.300.2/%F0%9F%94%A7",
        "88.300.2%2Fwhole",
    ],
)
def test_names_of_any_letters_are_registered_and_read_as_asked(client, node, sent):
    from urllib.parse import unquote

    name = unquote(sent)
    url = httpx.URL(node.secure).copy_with(raw_path=f"/api/handles/{sent}".encode())
    made = client.put(url, json=[URL, ADMIN], headers=basic())
    assert (made.status_code, made.json()) == (201, {"responseCode": 1, "handle": name})
    assert client.get(url).json()["handle"] == name
    assert client.delete(url, headers=basic()).json() == {"responseCode": 1, "handle": name}


@pytest.mark.parametrize(
    "sent", ["88.300.2/%B2%FA%C6%B7", "88.300.2/%FF", "88.300.2/a%0D%0ASet-Cookie:x", "88.300.2/%00"]
)
def test_names_that_cannot_be_registered_are_refused_and_are_not_found(client, node, sent):
    url = httpx.URL(node.secure).copy_with(raw_path=f"/api/handles/{sent}".encode())
    judge(client.put(url, json=[URL, ADMIN], headers=basic()), 400, 102)
    found = client.get(url)
    judge(found, 404, 100)
    assert "set-cookie" not in found.headers


def test_a_callback_cannot_be_more_than_a_name(client):
    found = client.get("/api/handles/88.300.2/there", params={"callback": "alert(1);//<script>\r\nX: y"})
    assert found.headers["content-type"] == "application/javascript;charset=utf-8"
    assert found.text.startswith("alert_1_____script___X__y({")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "x" not in found.headers
    for callback, called in (("a.b[0]", "a_b_0_"), ("0回", "_回"), ("\u2028", "_"), ("", "")):
        missing = client.get("/api/handles/88.300.2/none", params={"callback": callback})
        assert missing.text == called + '({"responseCode":100,"handle":"88.300.2/none"});'
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/javascript;charset=utf-8"


def test_browsers_may_ask_and_read_from_anywhere(client):
    asked = {"origin": "https://a.example", "access-control-request-method": "PUT"}
    found = client.options("/api/handles/88.300.2/there", headers=asked)
    assert found.status_code == 200
    assert found.headers["access-control-allow-methods"] == "GET,POST,HEAD,PUT,DELETE"
    assert found.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in found.headers
    read = client.get("/api/handles/88.300.2/there", headers={"origin": "https://a.example"})
    assert read.headers["access-control-allow-origin"] == "*"


def test_a_read_by_post_takes_its_parameters_from_the_body(client):
    found = client.post("/api/handles/88.300.2/there", data={"type": "EMAIL"})
    assert found.json() == {"responseCode": 200, "handle": "88.300.2/there", "values": []}
    for content in ({"type": "EMAIL"}, {"type": ["EMAIL", "X"], "auth": True}, {"index": 7}):
        assert client.post("/api/handles/88.300.2/there", json=content).json() == found.json()
    both = client.post("/api/handles/88.300.2/there?index=1", json={"index": [100]})
    assert [value["index"] for value in both.json()["values"]] == [1, 100]
    assert len(client.post("/api/handles/88.300.2/there", json={}).json()["values"]) == 2
    assert client.post("/api/site").json()["responseCode"] == 1
    listed = client.post("/api/handles", json={"prefix": "88.300.2", "page": 0, "pageSize": 1}, headers=basic())
    assert len(listed.json()["handles"]) == 1
    for content in (b"[]", b"{", b'{"type":{}}', b'{"type":[[]]}', b'{"type":null}'):
        kind = {"content-type": "application/json"}
        judge(client.post("/api/handles/88.300.2/there", content=content, headers=kind), 400, 4)
    # What is not asked for may be anything, also a body of another type: a POST reads.
    for content in (b'{"values":[{"index":1}],"x":null,"y":{}}', b'{"index":1}', b'{"index":[1,"1"]}'):
        kind = {"content-type": "application/json"}
        found = judge(client.post("/api/handles/88.300.2/there", content=content, headers=kind), 200, 1)
        assert len(found["values"]) == (2 if b"values" in content else 1)
    plain = client.post("/api/handles/88.300.2/there", content=b"x", headers={"content-type": "text/plain"})
    assert len(judge(plain, 200, 1)["values"]) == 2
    posted = client.post("/api/handles/88.300.2/new", json={"values": [URL]}, headers=basic())
    judge(posted, 404, 100)
    assert "PUT" in plain.headers["x-reason"]
    assert "PUT" in posted.headers["x-reason"]
    assert "x-reason" not in both.headers


def test_how_to_answer_may_be_said_in_a_body(client):
    found = client.post("/api/handles/88.300.2/there", json={"callback": "f", "pretty": True, "index": "1"})
    assert found.headers["content-type"] == "application/javascript;charset=utf-8"
    assert found.text.startswith('f({\n  "responseCode": 1,')


def test_flags_are_read_as_by_the_reference_server(client):
    path = "/api/handles/88.300.2/flags"
    assert client.put(path, json=[URL, ADMIN], headers=basic()).status_code == 201
    for flag in ("false", "0", "1", "no", "maybe", "yes", ""):
        judge(client.put(f"{path}?overwrite={flag}", json=[URL, ADMIN], headers=basic()), 409, 101)
    judge(client.put(f"{path}?mintNewSuffix=yes&overwrite=false", json=[URL, ADMIN], headers=basic()), 409, 101)
    for flag in ("true", "TRUE"):
        judge(client.put(f"{path}?overwrite={flag}", json=[URL, ADMIN], headers=basic()), 200, 1)
    for flag in ("", "yes", "True"):
        assert "\n" in client.get(f"{path}?pretty={flag}").text
    assert "\n" not in client.get(f"{path}?pretty=1").text


def test_the_handle_in_a_body_must_be_the_one_in_the_path(client):
    def sent(name):
        return put(client, json.dumps({"handle": name, "values": [URL, ADMIN]}), "/api/handles/88.300.2/Same")

    assert sent("88.300.2/same").status_code == 201
    judge(sent("88.300.2/other"), 400, 4)
    judge(sent(5), 400, 4)


def test_options_name_the_methods_of_a_path(client):
    reads, everything = "GET, HEAD, TRACE, OPTIONS", "GET, HEAD, POST, PUT, DELETE, TRACE, OPTIONS"
    homes, sessions = "POST, DELETE, TRACE, OPTIONS", "POST, TRACE, OPTIONS"
    for path, allowed in (
        *(("/api/site", reads), ("/api/site/", reads), ("/api/verifications/300:0.NA/88.300", reads)),
        *(("/api/handles", everything), ("/api/handles/88.300.2/none", everything)),
        *(("/api/sessions", sessions), ("/api/sessions/", sessions), ("/api/sessions/this", everything)),
        *(("/api/prefixes", "GET, HEAD, " + homes), ("/api/prefixes/0.NA/88.300", homes)),
        *(("/api/prefixes?prefix=0.NA/88.300", homes), ("/api", "TRACE, OPTIONS"), ("/api/zzz", "TRACE, OPTIONS")),
    ):
        found = client.options(path)
        assert (found.status_code, found.content, found.headers["allow"]) == (200, b"", allowed)


def test_a_prefix_is_homed_and_not_read(client):
    for path in ("/api/prefixes/0.NA/88.300", "/api/prefixes?prefix=0.NA/88.300"):
        found = client.get(path, headers=basic())
        assert (found.status_code, found.content) == (405, b"")
        assert found.headers["allow"] == "POST, DELETE, TRACE, OPTIONS"
    judge(client.get("/api/prefixes/0.NA/88.300?prefix=", headers=basic()), 403, 400)


def test_a_suffix_may_be_minted(client):
    made = client.put("/api/handles/88.300.2/m-?mintNewSuffix=true", json=[URL, ADMIN], headers=basic())
    assert made.status_code == 201
    assert made.json()["handle"].startswith("88.300.2/m-")
    assert len(made.json()["handle"]) == len("88.300.2/m-") + 36


def test_indexes_in_query_and_body_must_be_the_same(client):
    assert put(client, json.dumps([URL, ADMIN])).status_code in {200, 201}
    two = json.dumps([URL | {"index": 5}, URL | {"index": 6}])
    judge(put(client, two, f"/api/handles/{NAME}?index=5"), 400, 4)
    judge(put(client, two, f"/api/handles/{NAME}?index=5&index=6"), 201, 1)
    judge(put(client, two, f"/api/handles/{NAME}?index=5&index=6"), 200, 1)
    judge(put(client, two, f"/api/handles/{NAME}?index=various&overwrite=false"), 409, 201)
    judge(put(client, json.dumps(URL | {"index": 9}), f"/api/handles/{NAME}?index=9"), 201, 1)


def test_a_long_list_comes_in_pages(client, node):
    for number in range(120):
        node.store(f"88.300.7/n{number:03d}", value(1, "URL", "x"))

    def listed(query):
        return client.get(f"/api/handles?prefix=88.300.7{query}", headers=basic()).json()

    everything = listed("")
    assert everything["totalCount"] == "120"
    assert "page" not in everything
    assert everything["handles"] == [f"88.300.7/n{number:03d}" for number in range(120)]
    assert listed("&page=2&pageSize=50")["handles"] == everything["handles"][100:]
    assert listed("&page=9&pageSize=50")["handles"] == []
    assert listed("&page=0&pageSize=0")["handles"] == []
    assert len(listed("&page=-1&pageSize=50")["handles"]) == 120


def test_random_requests_never_show_a_defect(client, node):
    source = random.Random(5)
    pieces = [
        b"/",
        b"%",
        b"%2F",
        b"?",
        b"=",
        b"&",
        b"index",
        b"88.300.2",
        b"%E4",
        b"..",
        b"handles",
        b"a",
        b"%00",
        b"+",
    ]
    methods = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"]
    for _ in range(300):
        path = b"/api/" + b"".join(source.choices(pieces, k=source.randrange(8)))
        url = httpx.URL(node.secure).copy_with(raw_path=path)
        content = source.randbytes(source.randrange(40))
        found = client.request(source.choice(methods), url, content=content, headers=basic())
        assert found.status_code < 500 or found.status_code == 501, (path, found.text)


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/api/sessions", b'{"id": "300:0.NA/\\ud800", "signature": "AAAA", "alg": "SHA1", "cnonce": "AAAA"}'),
        ("/api/sessions?id=300:0.NA/%FF&signature=AAAA&alg=SHA1&cnonce=AAAA", b""),
    ],
)
def test_an_identity_that_is_no_text_is_not_verified(client, path, given):
    found = client.post(path, content=given, headers={"content-type": "application/json"})
    assert found.status_code == 201, found.text
    document = found.json()
    assert document["error"]
    assert "authenticated" not in document


@pytest.mark.parametrize("path", [b"/%61pi/handles/88.300.2%2Fthere", b"/api/handles%2F88.300.2/there"])
def test_a_path_whose_start_is_encoded_names_the_same_handle(client, node, path):
    found = client.get(httpx.URL(node.secure).copy_with(raw_path=path))
    assert judge(found, 200, 1)["handle"] == "88.300.2/there"


def test_a_failure_that_passes_says_when_to_come_again(client, node, monkeypatch):
    from resolver.errors import Overloaded

    async def full(*_args, **_options):
        raise Overloaded("too many writes wait: try again", retry_after_s=3.0)

    monkeypatch.setattr(node.service.core.lane, "submit", full)
    found = put(client, json.dumps([URL, ADMIN]), "/api/handles/88.300.2/full")
    assert judge(found, 503, 3)["message"]
    assert found.headers["retry-after"] == "3"
