"""What an operator sees of the top of the tree: in /readyz, in the metrics and in the log; and how it is replaced."""

import json
import os
import signal
import time
import urllib.request

import grpc
import pytest

from conformance.federation import tree
from resolver.v1 import resolution_pb2
from tests.system.test_partition import PLACES, descendants

pytestmark = [pytest.mark.system]


def get(node, page):
    with urllib.request.urlopen(f"http://{node.endpoints['admin']}{page}", timeout=120) as answer:
        assert answer.status == 200, "a silent top makes no node unready"
        return answer.read().decode()


def upstream(node):
    return json.loads(get(node, "/readyz"))["upstream"]


def wait_for(condition, told):
    """Wait until something holds; ``told`` is what is said of the node when it never does."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


def until(node, start):
    """Wait until /readyz says something of the top."""
    wait_for(lambda: upstream(node).startswith(start), lambda: upstream(node))


def until_logged(node, words, times=1):
    """Wait until the log says something; what follows would otherwise be sooner than the worker or the supervisor."""
    log = node.directory.with_suffix(".log")
    wait_for(lambda: log.read_text().count(words) >= times, log.read_text)


def ask(node, name):
    with grpc.insecure_channel(node.endpoints["grpc"]) as channel:
        resolve = channel.unary_unary(
            "/resolver.v1.ResolutionService/Resolve",
            resolution_pb2.ResolveRequest.SerializeToString,
            resolution_pb2.ResolveResponse.FromString,
        )
        try:
            resolve(resolution_pb2.ResolveRequest(name=name), timeout=120)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def until_denied(node, name):
    """Wait until the top denies a name; on a machine that stands still for seconds it counts as silent for a moment."""
    wait_for(lambda: ask(node, name) is grpc.StatusCode.NOT_FOUND, lambda: upstream(node))


def silent_seconds(node):
    lines = [line for line in get(node, "/metrics").splitlines() if line.startswith("idis_upstream_silent_seconds{")]
    return max(float(line.rpartition(" ")[2]) for line in lines)


def test_a_silent_top_is_seen_and_another_one_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setenv("IDIS_FEDERATION__REFRESH_S", "1")
    with tree.running(tmp_path, PLACES) as nodes:
        top, node = nodes["top"], nodes["secondary-0"]
        record = node.directory / "top.json"
        good = record.read_bytes()
        assert upstream(top) == "none"
        assert upstream(node) != "none"
        until_denied(node, "88.999/A")
        until(node, "reachable")
        wait_for(lambda: silent_seconds(node) == 0, lambda: upstream(node))
        pids = descendants(top.process.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        assert ask(node, "88.998/A") is grpc.StatusCode.UNAVAILABLE
        until(node, "unreachable since 20")
        assert upstream(node).endswith("for 1 of 1 workers")
        assert silent_seconds(node) > 0
        until_logged(node, "does not answer")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        until(node, "reachable")  # nobody asks: the node looks for itself
        until_logged(node, "answers again")
        record.write_bytes(b"{}")
        node.process.send_signal(signal.SIGHUP)
        until_logged(node, "is not taken over")
        until(node, "reachable")
        record.unlink()
        node.process.send_signal(signal.SIGHUP)
        until(node, "none")
        record.write_bytes(good)
        node.process.send_signal(signal.SIGHUP)
        until(node, "reachable")
        until_logged(node, "was read again", 2)
        until_denied(node, "88.997/A")
