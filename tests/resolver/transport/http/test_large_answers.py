"""Large answers over HTTP wait for a turn of the loop; small ones do not, nor who finds no room to wait."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from resolver.service import large_records
from resolver.service.loop_turns import LoopTurns, TurnsFull
from tests.resolver.transport.hdl_node import PRIVATE, value
from tests.resolver.transport.http.http_node import http_node
from tests.resolver.transport.http.snms_door import run as snms
from tests.support.builders import PREFIX_A, register
from tests.support.builders import value as stored

VALUES = 150
PATHS = [
    "/api/handles/88.300.1/{}",
    "/api/handles/88.300.1/{}?x=y",
    "/api/handles/88.300.1/{}?pretty",
    "/88.300.1/{}",
    "/88.300.1/{}?noredirect",
    "/88.300.1/{}?json",
    "/v1/handles/88.300.1/{}",
    "/v1/handles/88.300.1/{}?types=URL",
]


class Gate(LoopTurns):
    """Turns that are used up for as long as the test wants."""

    def __init__(self):
        super().__init__(lambda: 0.0)
        self.is_shut = self.is_full = False
        self.asked = []
        self.opened = asyncio.Event()

    def has_room(self):
        return not self.is_shut

    async def take(self, network):
        self.asked.append(network)
        if self.is_full:
            raise TurnsFull("full", retry_after_s=2.0)
        await self.opened.wait()

    def shut(self, *, is_full=False):
        self.asked.clear()
        self.opened.clear()
        self.is_shut, self.is_full = True, is_full


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    big = [value(number, "URL", f"https://a.example/{number}") for number in range(1, VALUES)]
    with http_node(tmp_path_factory.mktemp("large")) as node:
        node.store("88.300.1/big", *big)
        node.store("88.300.1/small", value(1, "URL", "https://a.example/"))
        hidden = [value(number, "KEY", "x" * 40, PRIVATE) for number in range(2, VALUES)]
        node.store("88.300.1/hidden", value(1, "URL", "https://a.example/"), *hidden)
        few = [value(number, "N", "x") for number in range(1, 60)]
        node.store("88.300.1/few", *few)
        node.gate = node.service.core.turns = Gate()
        yield node


@pytest.fixture
def shut(node):
    node.gate.shut()
    yield node
    opened(node)


def opened(node):
    async def open_():
        node.gate.is_shut = node.gate.is_full = False
        node.gate.opened.set()

    node.on_loop(open_())


def got(node, path, method="GET"):
    with node.client() as client:
        return client.request(method, path, headers={"accept": "text/html"})


@pytest.mark.parametrize("path", PATHS)
def test_a_large_answer_waits_and_is_the_same_and_a_small_one_does_not_wait(shut, path):
    node = shut
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(got, node, path.format("big"))
        small = got(node, path.format("small"))
        assert small.status_code in {200, 302}
        while not node.gate.asked:
            time.sleep(0.001)
        assert not waiting.done()
        opened(node)
        late = waiting.result(60)
    assert node.gate.asked[0] == "127.0.0"
    now = got(node, path.format("big"))
    assert (late.status_code, late.content) == (now.status_code, now.content)
    assert late.status_code in {200, 302}


@pytest.mark.parametrize("path", PATHS)
def test_who_finds_no_room_to_wait_is_told_when_to_come_again(shut, path):
    shut.gate.shut(is_full=True)
    told = got(shut, path.format("big"))
    assert (told.status_code, told.headers["retry-after"]) == (503, "2")
    if path.startswith("/api"):
        assert told.json()["responseCode"] == 3
    elif path.startswith("/v1"):
        assert "OVERLOADED" in told.text
    assert got(shut, path.format("small")).status_code in {200, 302}


def test_a_page_of_many_values_waits_and_where_they_lead_does_not(shut):
    shut.gate.shut(is_full=True)
    assert got(shut, "/88.300.1/few?noredirect").status_code == 503
    assert got(shut, "/api/handles/88.300.1/few").status_code == 200


def test_values_that_are_not_public_count_where_they_may_be_answered(shut):
    shut.gate.shut(is_full=True)
    assert got(shut, "/api/handles/88.300.1/hidden").status_code == 200  # the public one alone
    assert got(shut, "/api/handles/88.300.1/hidden?publicOnly=false").status_code == 503


def test_nothing_is_made_for_a_client_that_has_left_while_it_waited(shut, monkeypatch):
    node, resolved = shut, []
    monkeypatch.setattr(node.service.core.counting, "resolved", lambda *name: resolved.append(name))
    before = len(node.observed)
    with socket.create_connection(("127.0.0.1", node.ports[0]), timeout=60) as client:
        client.sendall(b"GET /api/handles/88.300.1/big HTTP/1.1\r\nhost: x\r\n\r\n")
        while not node.gate.asked:
            time.sleep(0.001)
    got(node, "/api/handles/88.300.1/small?x=y")  # the loop has looked at its sockets since
    resolved.clear()
    opened(node)
    while len(node.observed) < before + 2:
        time.sleep(0.001)
    assert resolved == []


def test_kept_answers_of_other_nodes_count_as_well(shut, monkeypatch):
    core = shut.service.core
    found = SimpleNamespace(body=bytes(large_records.LARGE_OCTETS + 1))
    monkeypatch.setattr(core, "elsewhere", SimpleNamespace(recall={"99.1/big": found, "99.1/none": None}.get))
    assert shut.on_loop(large_records.turn_for(core, "99.1/none", "192.0.2.1")) is False
    shut.gate.shut(is_full=True)
    with pytest.raises(TurnsFull):
        shut.on_loop(large_records.turn_for(core, "99.1/big", "192.0.2.1"))


def test_identifiers_of_the_national_interface_wait_too(world, monkeypatch):
    for name, count in (("BIG", VALUES), ("SMALL", 1)):
        register(world.engine, world.clock, f"{PREFIX_A}/{name}", [stored(n + 1, "x" * 40) for n in range(count)])

    async def main(node):
        gate = node.asker.service.core.turns = Gate()
        gate.shut(is_full=True)
        big, small = ({"handle": f"{PREFIX_A}/{name}"} for name in ("BIG", "SMALL"))
        told = await node.admin.send("GET", "/identityv2/data/detail", params=big)
        assert (told.status_code, told.headers["retry-after"]) == (503, "2")
        assert told.json()["message"] == "系统繁忙，请稍后重试"
        assert (await node.admin.ask("GET", "/identityv2/data/detail", params=small))["status"] == 1
        assert gate.asked == ["127.0.0"]

    snms(world, main, monkeypatch)
