"""Plain reads that are answered at once: the same answers as the long way gives, and counted the same."""

import asyncio
import json
import time

import httpx
import pytest

from tests.resolver.transport.hdl_node import PRIVATE, value
from tests.resolver.transport.http.http_node import http_node

NAMES = [
    "88.300.1/plain",
    "88.300.1/PLAIN",
    "88.300.1%2Fplain",
    "88.300.1/%E4%BA%A7%E5%93%81%20A%3Fb%23c/d",
    "88.300.1/none",
    "88.300.1/quo%22te%5C",
    "88.300.1/%FF",
    "88.300.1/" + "x" * 3_000,
    "88.300.1/hidden",
    "88.300.1/both",
    "88.300.1/a+b",
    "88.300.1/..%2F..",
    "88.300.1/%00",
    "88.300.1/%",
    "99.999/none",
    "0.NA/88.300.1",
    "0.NA/88.300.77",
    "88.300.1",
    "/x",
]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("plain")) as node:
        node.store("88.300.1/plain", value(1, "URL", "https://a.example/<&>\"'"), value(3, "BIN", b"\x00\xff"))
        node.store("88.300.1/产品 A?b#c/d", value(1, "名称", "轴承"))
        node.store("88.300.1/hidden", value(1, "KEY", "secret", PRIVATE))
        node.store("88.300.1/both", value(1, "KEY", "secret", PRIVATE), value(2, "URL", "https://b.example/"))
        node.store("88.300.1/a+b", value(1, "URL", "https://c.example/"))
        yield node


def get(node, path, **headers):
    # httpx normalises dots away; the target is given as it is.
    url = httpx.URL(node.plain).copy_with(raw_path=path.encode())
    with node.client() as client:
        return client.get(url, headers=headers)


def settle(node):
    """Let the door end what it does right after an answer has left: it counts it."""

    async def turns():
        for _ in range(20):
            await asyncio.sleep(0)

    node.on_loop(turns())


def until_counted(node, requests):
    """Wait until so many requests that went the long way are counted: they are when their answers have left."""
    until_s = time.monotonic() + 60
    while len(node.observed) < requests and time.monotonic() < until_s:
        time.sleep(0.002)
    assert len(node.observed) == requests


QUERIES = ["type=URL", "index=3", "index=1&index=3", "type=NO", "type=url&auth=true", "auth", "index=077", "type=URL."]


@pytest.mark.parametrize(("name", "query"), [*((name, "") for name in NAMES), *((NAMES[0], q) for q in QUERIES)])
def test_both_ways_answer_alike(node, name, query):
    before = len(node.observed)
    plain = get(node, f"/api/handles/{name}" + (f"?{query}" if query else ""))
    settle(node)
    if query:
        assert len(node.observed) == before
    gone_long = len(node.observed)
    long = get(node, f"/api/handles/{name}?x=y&{query}")
    until_counted(node, gone_long + 1)
    assert (plain.status_code, plain.json()) == (long.status_code, long.json())
    names = {key for key in plain.headers if key != "date"}
    assert names == {key for key in long.headers if key != "date"}
    assert "secret" not in plain.text


def test_what_is_more_than_plain_goes_the_long_way(node):
    before = len(node.observed)
    get(node, "/api/handles/88.300.1/plain")
    settle(node)
    assert len(node.observed) == before
    get(node, "/api/handles/88.300.1/plain", authorization="Basic x")
    get(node, "/api/handles/88.300.1/plain", **{"x-forwarded-for": "192.0.2.1"})
    get(node, "/api/handles/88.300.1/plain", connection="close")
    until_counted(node, before + 3)


def test_reads_are_counted_by_name_and_by_call(node, monkeypatch):
    calls, names = [], []
    monkeypatch.setattr(node.service.core.calls, "observe", lambda *call: calls.append(call))
    monkeypatch.setattr(node.service.core.counting, "resolved", lambda *name: names.append(name))
    for name in ("plain", "none", "both"):
        get(node, f"/api/handles/88.300.1/{name}")
    assert [(method.name, code, count, door) for method, code, _, count, door in calls] == [
        ("resolution", "200", 1, "rest"),
        ("resolution", "404", 1, "rest"),
        ("resolution", "200", 1, "rest"),
    ]
    assert names == [("88.300.1", "127.0.0.1", 1, found, "rest") for found in (1, 0, 1)]


def test_pipelined_reads_are_answered_in_order(node):
    import socket

    host, _, port = node.plain.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        request = "GET /api/handles/88.300.1/{} HTTP/1.1\r\nhost: x\r\n\r\n"
        slow = "GET /api/handles/88.300.1/plain?type=URL HTTP/1.1\r\nhost: x\r\n\r\n"
        sent = request.format("plain") + slow + request.format("none") + request.format("a+b")
        connection.sendall(sent.encode())
        reader = connection.makefile("rb")
        codes = []
        for _ in range(4):
            reader.readline()
            length = 0
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            codes.append(json.loads(reader.read(length))["responseCode"])
        assert codes == [1, 1, 100, 1]


def test_a_node_that_resolves_for_callers_only_asks_who_it_is(tmp_path):
    with http_node(tmp_path, public_resolution=False) as node:
        node.store("88.300.1/x", value(1, "URL", "https://a.example/"))
        assert get(node, "/api/handles/88.300.1/x").status_code == 403
