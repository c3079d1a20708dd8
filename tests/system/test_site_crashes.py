"""A site changes while its servers and whoever leads the change are killed: what was acknowledged is kept."""

import random
import subprocess
import sys
import threading
import time

import pytest

from resolver.client import CallFailed, Client
from resolver.wire.hash_selection import server_index
from tests.support.site_processes import ROOT, done, running, values

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(400)]

ALL = 2
NAMES = [f"88.300.1/{number}" for number in range(300)]


class Writing(threading.Thread):
    """Registers and changes handles for as long as it is let; whatever fails is tried again with another value."""

    def __init__(self, site):
        super().__init__()
        self.site, self.acknowledged, self.failures, self.ending = site, {}, 0, threading.Event()
        self.number = 0

    def run(self):
        with Client(self.site.servers[0].grpc, token_file=self.site.token, timeout_s=5.0) as client:
            while not self.ending.is_set():
                self.number += 1
                name = NAMES[self.number % len(NAMES)]
                try:
                    client.create(name, values(f"https://example.com/{self.number}"), on_existing=2)
                except CallFailed:
                    self.failures += 1
                else:
                    self.acknowledged[name] = self.number


def leading(site, numbers):
    command = [sys.executable, "-m", "resolver", *map(str, site.at(1)), "site", "move", str(site.file(*numbers))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_nothing_acknowledged_is_lost_whoever_is_killed(tmp_path):
    chance = random.Random(11)
    with running(tmp_path) as site:
        site.join(2, 3)
        writing = Writing(site)
        writing.start()
        try:
            for numbers in ((1, 2), (1, 2, 3), (3, 1)):
                for _ in range(3):
                    leader = leading(site, numbers)
                    time.sleep(chance.uniform(0.5, 1.6))
                    victim = chance.choice([None, *site.servers])
                    if victim is not None:
                        victim.die()
                        victim.start()
                    leader.kill()
                    leader.wait()
                    if victim is not None:
                        victim.wait()
                done(*site.at(1), "site", "move", site.file(*numbers))
                before = len(writing.acknowledged), writing.number
                until = time.monotonic() + 20
                while writing.number < before[1] + 100 and time.monotonic() < until:
                    time.sleep(0.05)
            until = time.monotonic() + 60
            while len(writing.acknowledged) < len(NAMES) and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            writing.ending.set()
            writing.join()
        assert len(writing.acknowledged) == len(NAMES)
        for number in (1, 2, 3):
            with site.client(number) as client:
                answers = list(client.resolve_many(list(writing.acknowledged)))
            for (name, last), answer in zip(writing.acknowledged.items(), answers, strict=True):
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
