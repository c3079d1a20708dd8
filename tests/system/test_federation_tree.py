"""Trees of real processes, judged from outside: any product asked at any node, by every door and by referrals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def run(*options):
    command = [sys.executable, "-m", "conformance.federation", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def judge(code, report, nodes, each):
    assert report["faults"] == []
    assert code == 0
    assert report["nodes"] == nodes
    assert report["referrals_followed"] == report["identifiers"]
    assert len(report["answers"]) == 4 * nodes, "gRPC, Handle over TCP and UDP, HTTP"
    assert all(found == [each, each] for found in report["answers"].values())
    assert report["asked_again"] <= 4 * nodes * each // 10, "only what a machine that stands still explains"


def test_three_nodes():
    code, report = run("--small", "--each", "4")
    judge(code, report, 3, 8)
    hops = report["trace"]["hops"]
    assert [hop["protocol"] for hop in hops][-1] == "grpc"
    assert [hop["response_code"] for hop in hops][-1] == 1
    assert report["trace"]["record"]["name"] == hops[-1]["name"]


@pytest.mark.slow
def test_the_whole_tree():
    code, report = run("--each", "40")
    judge(code, report, 8, 240)
    assert report["seconds"] < 120
