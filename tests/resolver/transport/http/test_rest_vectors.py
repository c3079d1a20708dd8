"""The recorded exchanges with CNRI's REST interface, replayed over real sockets: same status, same JSON.

Compared is everything but times, nonces, session ids, keys and the words of a message. The order of values is not: here
they stand by index. What was recorded of the proxy is in ``test_proxy``.
"""

import json
from urllib.parse import unquote

import pytest

from resolver.wire.value_json import value_from_json
from tests.resolver.transport.http.http_node import http_node
from tests.resolver.wire.vectors import load

VECTORS = [vector for vector in load("rest_exchanges") if vector["request"]["path"].startswith("/api")]
PASSING = {"timestamp", "nonce", "sessionId", "n", "message", "serverAlg", "serverSignature"}


def is_write(vector):
    return vector["request"]["method"] == "PUT" and vector["response"]["status"] in {200, 201}


def prepare(node):
    """Store what the recordings found: the records they read, at the times they had."""
    written = {unquote(vector["request"]["path"].partition("?")[0]) for vector in VECTORS if is_write(vector)}
    for vector in VECTORS:
        found = vector["response"]["json"] or {}
        path = unquote(vector["request"]["path"].partition("?")[0])
        is_read = found.get("values") and vector["request"]["method"] == "GET"
        if is_read and path not in written and not path.startswith("/api/handles/0."):
            node.store(found["handle"], *(value_from_json(item, timestamp_s=0) for item in found["values"]))
    for number in range(12):
        node.store(f"88.300.2/{number}", value_from_json({"index": 1, "type": "URL", "data": "x"}, timestamp_s=0))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("rest")) as node:
        prepare(node)
        yield node


def plain(document):
    """A document without what differs from run to run."""
    if isinstance(document, dict):
        return {name: plain(item) for name, item in document.items() if name not in PASSING}
    if isinstance(document, list):
        return [plain(item) for item in document]
    return document


def asked(node, request):
    body = request["body"]
    content = body if body is None or isinstance(body, str) else json.dumps(body)
    headers = dict(request["headers"])
    if content is not None:
        headers["content-type"] = "application/json"
    with node.client(secure=request["scheme"] == "https") as client:
        return client.request(request["method"], request["path"], content=content, headers=headers)


@pytest.fixture(scope="module")
def answers(node):
    """Our answers to all requests, in the order of their recording: some rest on what others wrote."""
    return {vector["id"]: asked(node, vector["request"]) for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_recorded_exchange(answers, vector):
    request, recorded, found = vector["request"], vector["response"], answers[vector["id"]]
    assert found.status_code == recorded["status"], found.text
    expected = recorded["headers"]
    if "Content-Type" in expected:
        assert found.headers["content-type"] == expected["Content-Type"]
    for name in ("Location", "Allow"):
        if name in expected:
            assert found.headers[name] == expected[name]
    if "WWW-Authenticate" in expected:
        assert found.headers.get_list("www-authenticate")[-1].split("=")[0] == "Handle sessionId"
        assert (
            found.headers.get_list("www-authenticate")[-1].split("error=")[1]
            == expected["WWW-Authenticate"].split("error=")[1]
        )
    if recorded["json"] is not None:
        check(vector["id"], plain(found.json()), plain(recorded["json"]))
    elif "callback" in request["path"]:
        assert found.text.startswith("cb({")
        assert found.text.endswith("});")
        assert plain(json.loads(found.text[3:-2])) == plain(json.loads(recorded["text"][3:-2]))
    elif request["method"] in {"HEAD", "OPTIONS"}:
        assert found.text == ""


def check(vector_id, found, recorded):
    """Hold a document against the recorded one."""
    if vector_id.startswith("rest-list") and "handles" in recorded:
        paged = "pageSize" in recorded
        assert len(found["handles"]) == (recorded["pageSize"] if paged else int(found["totalCount"]))
        assert all(name.startswith(recorded["prefix"] + "/") for name in found["handles"])
        for document in (found, recorded):
            del document["handles"], document["totalCount"]
    if "site" in recorded:
        assert set(found["site"]) == set(recorded["site"])
        return
    if recorded.get("handle", "").startswith("0.NA/") and recorded.get("values"):
        # What a node says of its own prefixes is its own; at each index stands the same kind of value.
        ours, theirs = ({value["index"]: value["type"] for value in each["values"]} for each in (found, recorded))
        assert theirs.items() <= ours.items()
        assert found["responseCode"] == recorded["responseCode"]
        return
    assert found == recorded
