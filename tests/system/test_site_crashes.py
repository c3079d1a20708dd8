"""A site changes while its servers and whoever leads the change are killed: what was acknowledged is kept."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from resolver.client import CallFailed, Client
from resolver.v1 import registration_pb2 as registration
from resolver.wire.hash_selection import server_index
from tests.support.site_processes import ROOT, done, running, values

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(400)]

ALL = 2
WRITERS = 4
NAMES = [f"88.300.1/{number}" for number in range(300)]


class Writing(threading.Thread):
    """Registers and changes some handles for as long as it is let, each time with another value."""

    def __init__(self, site, names):
        super().__init__()
        self.site, self.names, self.ending = site, names, threading.Event()
        self.acknowledged, self.taken, self.failures = {}, 0, Counter()

    def run(self):
        number = 0
        with Client(self.site.servers[0].grpc, token_file=self.site.token, timeout_s=5.0) as client:
            while not self.ending.is_set():
                number += 1
                name = self.names[number % len(self.names)]
                value = values(f"https://example.com/{number}")
                try:
                    client.create(name, value, on_existing=registration.ON_EXISTING_REPLACE)
                except CallFailed as failed:
                    self.failures[failed.reason or failed.code.name] += 1
                else:
                    self.taken += 1
                    self.acknowledged[name] = number


class Load:
    """Several who write, each their own handles."""

    def __init__(self, site):
        self.writers = [Writing(site, NAMES[first::WRITERS]) for first in range(WRITERS)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_):
        for writer in self.writers:
            writer.ending.set()
        for writer in self.writers:
            writer.join()

    @property
    def acknowledged(self):
        return {name: last for writer in self.writers for name, last in dict(writer.acknowledged).items()}

    def figures(self):
        failures = sum((writer.failures for writer in self.writers), Counter())
        return {"acknowledged": sum(writer.taken for writer in self.writers), "failed": failures}

    def wait_for_more(self):
        """Until each has been acknowledged as often again as it has handles."""
        wanted, until = [writer.taken + len(writer.names) for writer in self.writers], time.monotonic() + 60
        while any(writer.taken < least for writer, least in zip(self.writers, wanted, strict=True)):
            assert time.monotonic() < until, self.figures()
            time.sleep(0.05)


def leading(site, numbers):
    command = [sys.executable, "-m", "resolver", *map(str, site.at(1)), "site", "move", str(site.file(*numbers))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_nothing_acknowledged_is_lost_whoever_is_killed(tmp_path):
    chance, kills = random.Random(11), 0
    with running(tmp_path) as site:
        site.join(2, 3)
        with Load(site) as load:
            for numbers in ((1, 2), (1, 2, 3), (3, 1)):
                for _ in range(3):
                    leader = leading(site, numbers)
                    time.sleep(chance.uniform(0.5, 1.6))
                    victim = chance.choice([None, *site.servers])
                    if victim is not None:
                        victim.die()
                        victim.start()
                        kills += 1
                    leader.kill()
                    leader.wait()
                    if victim is not None:
                        victim.wait()
                done(*site.at(1), "site", "move", site.file(*numbers))
                load.wait_for_more()
        print(json.dumps({"kills": kills, **load.figures()}))
        acknowledged = load.acknowledged
        assert len(acknowledged) == len(NAMES)
        for number in (1, 2, 3):
            with site.client(number) as client:
                answers = list(client.resolve_many(list(acknowledged)))
            for (name, last), answer in zip(acknowledged.items(), answers, strict=True):
                assert answer.name == name, answer
                assert int(answer.values[0].data.rpartition(b"/")[2]) >= last, name
        with site.client(2) as client:
            assert client.resolve(NAMES[0]).name == NAMES[0]
        until = time.monotonic() + 60
        while any(done(*site.at(number), "site", "show").get("leftovers") for number in (1, 2, 3)):
            assert time.monotonic() < until
        for server in site.servers:
            server.stop()
        for server in site.servers:
            done("check", "--data-dir", server.directory)
        assert {server_index(name, ALL, 2) for name in NAMES} == {0, 1}
