"""Reverse look-up and the tunnel for Handle messages over real sockets."""

import asyncio

import pytest

from resolver.handle.codes import OpCode
from resolver.node import search
from resolver.service import reverse_lookup
from resolver.wire import requests
from resolver.wire.message import Message
from tests.resolver.transport.hdl_node import HandleClient, read_frame, value
from tests.resolver.transport.http.http_node import basic, http_node
from tests.resolver.wire.vectors import load, octets


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with http_node(tmp_path_factory.mktemp("search")) as node:
        search.rebuild(node.engine, search.types_of("URL,CHECKSUM"))
        for number in range(30):
            checksum = value(2, "CHECKSUM", f"sum-{number % 3}")
            node.store(f"88.300.1/s{number}", value(1, "URL", f"https://x.example/{number}"), checksum)
        yield node


def find(node, query, *, secure=True, **headers):
    with node.client(secure=secure) as client:
        return client.get(f"/hrls/handles/?{query}", headers=headers or basic())


def test_handles_are_found_by_their_values(node):
    assert find(node, "&URL=*X.example/17*").json() == ["88.300.1/s17"]
    found = find(node, "URL=https://x.example/1*&CHECKSUM=sum-1").json()
    assert sorted(found) == [f"88.300.1/s{number}" for number in (1, 10, 13, 16, 19)]
    assert find(node, "URL=nothing").json() == []


@pytest.mark.parametrize(
    ("query", "status"),
    [("EMAIL=x", 400), ("", 400), ("URL=a&URL=b", 400), ("URL=" + "*" * 5_000, 200)],
)
def test_questions_that_cannot_be_answered_say_so(node, query, status):
    found = find(node, query)
    assert found.status_code == status
    if status == 400:
        assert found.json()["message"]


def test_only_those_who_may_list_search(node):
    node.add_enterprise("ent-s", "88.300.99")
    with node.client(secure=True) as client:
        assert client.get("/hrls/handles?URL=*").status_code == 401
        assert client.get("/hrls/handles?URL=*", headers=basic(secret=b"wrong")).status_code == 401
    assert find(node, "URL=*", secure=False).status_code == 403


def test_a_question_that_is_too_broad_is_refused(node, monkeypatch):
    monkeypatch.setattr(reverse_lookup, "ROWS_MAX", 10)
    monkeypatch.setattr(reverse_lookup, "SLICE_ROWS", 5)
    assert "too broad" in find(node, "URL=*example*").json()["message"]
    assert find(node, "URL=https://x.example/29").json() == ["88.300.1/s29"]


def test_a_record_is_looked_at_once_however_many_of_its_values_fit(node, monkeypatch):
    """Two thousand rows of one record were two thousand looks at all of it, without a turn for anybody else."""
    node.store("88.300.1/many", *(value(index, "URL", f"https://many.example/{index}") for index in range(1, 101)))
    node.store("88.300.1/other", value(1, "URL", "https://many.example/x"))
    looks = []
    checked = reverse_lookup.ReverseLookup._checked
    monkeypatch.setattr(
        reverse_lookup.ReverseLookup,
        "_checked",
        lambda self, reader, caller, body, terms: looks.append(len(body)) or checked(self, reader, caller, body, terms),
    )
    assert find(node, "URL=https://many*").json() == ["88.300.1/many", "88.300.1/other"]
    assert len(looks) == 2
    turns = []
    sleep = asyncio.sleep
    monkeypatch.setattr(reverse_lookup.asyncio, "sleep", lambda delay: turns.append(delay) or sleep(delay))
    monkeypatch.setattr(reverse_lookup, "SLICE_OCTETS", 100)
    assert len(find(node, "URL=https://x.ex*").json()) == 30
    assert len(turns) >= 10
    monkeypatch.setattr(reverse_lookup, "OCTETS_MAX", 1_000)
    assert "too broad" in find(node, "URL=https://x.ex*").json()["message"]


def test_it_is_off_unless_types_are_chosen(tmp_path):
    with http_node(tmp_path) as node:
        found = find(node, "URL=*")
        assert found.status_code == 501
        assert "http.search_types" in found.json()["message"]


def tunnel(node, message, **options):
    with node.client(**options) as client:
        headers = {"content-type": "application/x-hdl-message", "accept": "application/x-hdl-message"}
        return client.post("/88.300.1/s1", content=message, headers=headers)


class Tunnelled(HandleClient):
    """A Handle client whose messages go through HTTP."""

    def __init__(self, node):
        super().__init__(0)
        self.node = node

    def frames(self, octets):
        answer = tunnel(self.node, octets)
        assert answer.headers["content-type"] == "application/x-hdl-message"
        assert int(answer.headers["content-length"]) == len(answer.content)
        found, rest = [], Octets(answer.content)
        while rest.left:
            found.append(read_frame(rest))
        return found


class Octets:
    """Octets that are read like a socket."""

    def __init__(self, octets):
        self.left = octets

    def recv(self, count):
        taken, self.left = self.left[:count], self.left[count:]
        return taken


def test_a_handle_client_works_through_the_tunnel(node):
    client = Tunnelled(node)
    answer = client.ask(OpCode.RESOLUTION, requests.Resolution("88.300.1/s1"))
    assert [item.index for item in answer.body.values] == [1, 2]
    name = "88.300.1/tunnelled"
    made = client.do(OpCode.CREATE_HANDLE, requests.WithValues(name, (value(1, "URL", "https://t.example/"),)))
    assert made.header.response_code == 1, made.body
    (listed,) = client.authenticated(client.request(OpCode.LIST_HANDLES, requests.OfHandle("0.NA/88.300.1")))[-1:]
    assert listed.header.response_code == 1


def test_what_stands_around_a_message_is_passed_over(node):
    question = Tunnelled(node).request(OpCode.RESOLUTION, requests.Resolution("88.300.1/s1"))
    asked = question.to_frame().to_wire()
    for around in (asked, b"\n" + asked, b"\r" + asked, asked + b"\r\n"):
        assert Message.from_wire(tunnel(node, around).content).header.response_code == 1


@pytest.mark.parametrize("octets_", [b"", b"x", b"\x00" * 20, b"\xff" * 4_000])
def test_octets_that_are_no_message_get_an_answer(node, octets_):
    found = tunnel(node, octets_)
    assert found.status_code == 200
    assert Message.from_wire(found.content).header.response_code == 4


def test_recorded_questions_get_the_recorded_codes(node):
    for vector in load("live_exchanges"):
        if vector["id"].startswith("tcp-") and "hex" in vector.get("request", {}):
            sent = octets(vector["request"]["hex"])
            recorded = Message.from_wire(octets(vector["responses"][0]["hex"]))
            found = Message.from_wire(tunnel(node, sent).content)
            assert found.header.op_code == recorded.header.op_code
