"""The top of the tree falls silent for a minute under load: what is local does not notice, what is old is marked.

500 questions a second go to a secondary node, four in five for its own products, the others for products of the top
and for prefixes nobody has seen. In the middle its top falls silent: packets are lost, or nothing of it runs while
its connections stay open. A second tree of the same kind, whose top is never silent, is asked the same at the same
time: what the machine does to everybody is in its times too, so all answers of the minute can be held against it.
All of it runs before whatever else the machine has to do, where that is allowed.
"""

import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from conformance.federation import tree
from resolver import limits
from tests.support import tree_load
from tests.support.network import Network
from tests.support.priority import put_first

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(300)]

RATE = 500
WARM_S, BEFORE_S, SILENT_S, AFTER_S = 5, 20, 60, 12
PLACES = (tree.Place("top", "top", "88"), tree.Place("secondary-0", "secondary", "88.300", "top"))
FAR_TTL_S = 3


def descendants(pid):
    """A process and all it has started."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for task in Path(f"/proc/{each}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return found


@contextmanager
def stopped(node):
    """Nothing of a node runs inside the block; the kernel goes on taking its connections."""
    pids = descendants(node.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def cut(network):
    """No packet reaches or leaves the first host inside the block."""
    network.set_line(0, cut=True)
    try:
        yield
    finally:
        network.set_line(0, cut=False)


def rss_kib(node):
    worker = descendants(node.process.pid)[-1]
    return int(Path(f"/proc/{worker}/status").read_text().partition("VmRSS:")[2].split()[0])


def cpu_s(nodes):
    """Processor time of the worker of a tree's secondary node."""
    worker = descendants(nodes["secondary-0"].process.pid)[-1]
    ticks = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def client(node, *words):
    command = [*node.host.inside, sys.executable, "-m", "tests.support.tree_load", words[0], node.endpoints["grpc"]]
    return subprocess.Popen([*command, *map(str, words[1:])], cwd=tree.ROOT)


def register(node, prefix, count, ttl_s):
    done = client(node, "register", node.directory / "credentials" / "admin.token", prefix, count, ttl_s)
    assert done.wait(60) == 0


def p99_ms(rows):
    return 1_000 * sorted(row[3] for row in rows)[int(len(rows) * 0.99)]


class Seen:
    """What became of the questions to one node, by phase and kind."""

    def __init__(self, path, silent_s, back_s):
        self.back_s = back_s
        self.rows = defaultdict(list)
        for row in msgspec.json.decode(path.read_bytes()):
            phase = "before" if row[0] < silent_s else "silent" if row[0] < back_s else "after"
            self.rows[phase, row[1]].append(row)

    def outcomes(self, phase, kind):
        return Counter(row[2] for row in self.rows[phase, kind])

    def longest_s(self, phase, kind):
        return max(row[3] for row in self.rows[phase, kind])

    def typical_ms(self, phase):
        """The median over the seconds of each one's p99 of local answers: what is left without single stalls."""
        seconds = defaultdict(list)
        for row in self.rows[phase, "local"]:
            seconds[int(row[0])].append(row)
        return statistics.median(map(p99_ms, seconds.values()))

    def recovered_s(self):
        """Seconds from the end of the silence to the last question of a stranger's name that felt it."""
        felt = [row[0] for row in self.rows["after", "unknown"] if row[2] != "NOT_FOUND"]
        stale = Counter(int(row[0] - self.back_s) for row in self.rows["after", "known"] if row[2] != "fresh")
        asked = Counter(int(row[0] - self.back_s) for row in self.rows["after", "known"])
        old = [second + 1 for second, count in stale.items() if count > 0.5 * asked[second]]
        return max([row_s - self.back_s for row_s in felt] + old, default=0.0)

    def report(self, name):
        for (phase, kind), rows in self.rows.items():
            outcomes = dict(self.outcomes(phase, kind))
            longest_ms = 1_000 * self.longest_s(phase, kind)
            print(f"{name:<8} {phase:<7} {kind:<8} {outcomes}  p99 {p99_ms(rows):.1f} ms, longest {longest_ms:.0f} ms")


@pytest.mark.parametrize("way", ["packets lost", "processes stopped"])
def test_a_silent_top(tmp_path, way):
    with ExitStack() as stack:
        network = stack.enter_context(Network(tmp_path, 4, delay_ms=2, loss=0).up())
        hosts = [tree.Host(network.addresses[number], tuple(network.inside(number))) for number in range(4)]
        trees = {}
        for name, its_hosts in (("judged", hosts[:2]), ("control", hosts[2:])):
            (tmp_path / name).mkdir()
            nodes = trees[name] = stack.enter_context(tree.running(tmp_path / name, PLACES, hosts=its_hosts))
            nodes["top"].idis("prefix", "create", "88.900")
            register(nodes["secondary-0"], "88.300.1", tree_load.OWN, 86_400)
            register(nodes["top"], "88.900", tree_load.FAR, FAR_TTL_S)
        node = trees["judged"]["secondary-0"]
        started = [pid for nodes in trees.values() for each in nodes.values() for pid in descendants(each.process.pid)]
        put_first([*started, network.switch_pid])
        from_s = time.monotonic() + 5
        silent_s = from_s + WARM_S + BEFORE_S
        until_s = silent_s + SILENT_S + AFTER_S
        clients = {
            name: client(
                nodes["secondary-0"], "ask", tmp_path / f"{name}.json", from_s, until_s, RATE, 7, "88.300.1", "88.900"
            )
            for name, nodes in trees.items()
        }
        for each in clients.values():
            stack.callback(each.kill)
        time.sleep(silent_s - time.monotonic())
        memory = [rss_kib(node)]
        spent_s = {name: -cpu_s(nodes) for name, nodes in trees.items()}
        with cut(network) if way == "packets lost" else stopped(trees["judged"]["top"]):
            for part in (1, 2, 3):
                time.sleep(silent_s + SILENT_S * part / 3 - time.monotonic())
                memory.append(rss_kib(node))
        back_s = time.monotonic()
        for name, nodes in trees.items():
            spent_s[name] += cpu_s(nodes)
        for each in clients.values():
            assert each.wait(60) == 0
    judged, control = (Seen(tmp_path / f"{name}.json", silent_s, back_s) for name in ("judged", "control"))
    judged.report("judged")
    control.report("control")
    ratio = p99_ms(judged.rows["silent", "local"]) / p99_ms(control.rows["silent", "local"])
    typical = {phase: judged.typical_ms(phase) / control.typical_ms(phase) for phase in ("before", "silent", "after")}
    recovered_s = judged.recovered_s()
    print(
        f"local p99 of the minute x {ratio:.2f} of the control's; typical second x {typical}; memory {memory} KiB; "
        f"processor of the minute {spent_s} s; recovered after {recovered_s:.2f} s"
    )
    for phase in ("before", "silent", "after"):
        assert set(judged.outcomes(phase, "local")) == {"fresh"}
    asked = {kind: len(judged.rows["silent", kind]) for kind in ("known", "unknown")}
    assert judged.outcomes("before", "unknown")["NOT_FOUND"] > 0.99 * len(judged.rows["before", "unknown"])
    assert control.outcomes("silent", "unknown")["NOT_FOUND"] > 0.99 * asked["unknown"]
    assert judged.outcomes("silent", "known")["stale"] > 0.9 * asked["known"]
    assert judged.outcomes("silent", "known").keys() <= {"stale", "fresh"}, "what was seen before is answered"
    assert judged.outcomes("silent", "unknown")["UNAVAILABLE"] > 0.95 * asked["unknown"]
    assert "DEADLINE_EXCEEDED" not in judged.outcomes("silent", "unknown")
    assert judged.longest_s("silent", "unknown") <= limits.UPSTREAM_SECONDS_MAX + 1 < tree_load.DEADLINE_S + 0.5
    assert memory[-1] <= memory[1] * 1.02 + 1_000
    assert recovered_s <= 5.0 < math.inf
    assert ratio <= 1.5
