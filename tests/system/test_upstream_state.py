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
    with urllib.request.urlopen(f"http://{node.endpoints['admin']}{page}", timeout=30) as answer:
        assert answer.status == 200, "a silent top makes no node unready"
        return answer.read().decode()


def upstream(node):
    return json.loads(get(node, "/readyz"))["upstream"]


def until(node, start):
    """Wait until /readyz says something of the top."""
    deadline = time.monotonic() + 90
    while not upstream(node).startswith(start):
        assert time.monotonic() < deadline, upstream(node)
        time.sleep(0.1)


def ask(node, name):
    with grpc.insecure_channel(node.endpoints["grpc"]) as channel:
        resolve = channel.unary_unary(
            "/resolver.v1.ResolutionService/Resolve",
            resolution_pb2.ResolveRequest.SerializeToString,
            resolution_pb2.ResolveResponse.FromString,
        )
        try:
            resolve(resolution_pb2.ResolveRequest(name=name), timeout=6)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


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
        assert upstream(node) in {"not asked yet", "reachable"}
        assert ask(node, "88.999/A") is grpc.StatusCode.NOT_FOUND
        until(node, "reachable")
        assert silent_seconds(node) == 0
        pids = descendants(top.process.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        assert ask(node, "88.998/A") is grpc.StatusCode.UNAVAILABLE
        until(node, "unreachable since 20")
        assert upstream(node).endswith("for 1 of 1 workers")
        assert silent_seconds(node) > 0
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        until(node, "reachable")  # nobody asks: the node looks for itself
        for octets, expected in ((b"{}", "reachable"), (None, "none"), (good, "reachable")):
            if octets is None:
                record.unlink()
            else:
                record.write_bytes(octets)
            node.process.send_signal(signal.SIGHUP)
            until(node, expected)
        assert ask(node, "88.997/A") is grpc.StatusCode.NOT_FOUND
        log = node.directory.with_suffix(".log").read_text()
        for words in ("does not answer", "answers again", "is not taken over", "was read again"):
            assert words in log
