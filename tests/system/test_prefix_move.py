"""A prefix in use moves to the enterprise's own node while it is asked for everywhere: nobody is ever told no."""

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conformance.federation import handle_client, tree
from conformance.grpc_client import Peer

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "88.300.17"
PLACES = (
    tree.Place("top", "top", "88"),
    tree.Place("secondary-0", "secondary", "88.300", "top"),
    tree.Place("enterprise-a", "enterprise", PREFIX),
)
NAMES = [f"{PREFIX}/P-{number}" for number in range(60)]
URL = b"https://example.com/"


def idis(node, *arguments):
    command = [sys.executable, "-m", "resolver", "--data-dir", str(node.directory), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def step(node, *arguments):
    code, out, error = idis(node, "prefix", "move", PREFIX, *arguments)
    assert code == 0, error
    return json.loads(out)


class Asking(threading.Thread):
    """Asks two nodes for random products, by Handle and gRPC, until it is told to stop."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes, self.asked, self.faults, self.ending = nodes, 0, [], threading.Event()
        self.random = random.Random(5)

    def run(self):
        flags = handle_client.RECURSIVE | handle_client.PUBLIC_ONLY
        peers = [Peer(node.endpoints["grpc"], "", "") for node in self.nodes]
        while not self.ending.is_set():
            name = self.random.choice(NAMES)
            for node, peer in zip(self.nodes, peers, strict=True):
                host, _, port = node.endpoints["hdl_tcp"].rpartition(":")
                server = handle_client.Server(host, {handle_client.TCP: int(port)})
                try:
                    answer = handle_client.ask(server, name, flags=flags)
                    if URL not in [value.data for value in answer.values]:
                        self.faults.append((name, node.place.name, answer.code))
                    record = peer.call("ResolutionService/Resolve", name=name).record
                    if URL not in [value.data for value in record.values]:
                        self.faults.append((name, node.place.name, record))
                except Exception as error:  # noqa: BLE001 - whatever it is, it was told no
                    self.faults.append((name, node.place.name, repr(error)))
                self.asked += 2
        for peer in peers:
            peer.close()


def register(node, names):
    peer = Peer(node.endpoints["grpc"], node.token, PREFIX)
    values = [peer.value(1, "URL", URL, ttl_s=1)]
    peer.call("RegistrationService/BatchCreateHandles", handles=[{"name": name, "values": values} for name in names])
    peer.close()


def test_a_move_without_a_gap(tmp_path):
    with tree.running(tmp_path, PLACES) as nodes:
        top, old, new = nodes.values()
        old.idis("prefix", "create", PREFIX)
        register(old, NAMES)
        site = str(new.directory / "site.json")
        asking = Asking([top, old])
        asking.start()
        try:
            plan = step(old, "--site", site)
            assert len(plan["plan"]) == 4
            assert plan["prefix"]["hosting"] == "here"
            step(old, "--begin", "--site", site)
            code, _, error = idis(old, "prefix", "move", PREFIX, "--switch")
            assert code == 6
            assert "lacks 50 of 50" in error or "lacks 60 of 60" in error, error
            register(new, NAMES)
            assert step(old, "--switch")["prefix"]["hosting"] == "elsewhere"
            threading.Event().wait(2.5)  # records' TTL runs out everywhere, and the new home is found
            register(new, [f"{PREFIX}/ONLY-THERE"])
            assert "ONLY-THERE" in top.idis("resolve", f"{PREFIX}/ONLY-THERE")
            assert "ONLY-THERE" in old.idis("resolve", f"{PREFIX}/ONLY-THERE")
            finished = step(old, "--finish")
            assert "move" not in finished["prefix"] or not finished["prefix"]["move"]
            threading.Event().wait(1.5)
        finally:
            asking.ending.set()
            asking.join()
        assert asking.faults == []
        assert asking.asked > 200
        watched = old.idis("resolve", f"0.NA/{PREFIX}", "--json")
        assert json.loads(watched)["version"] >= 2, "the switch changed the prefix handle"
