"""gRPC clients that share no code with the node's doors hold the same dialogue with both back ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

CLIENTS = ("grpcio_sync", "reflected", "grpclib_peer")
ROOT = Path(__file__).resolve().parents[2]


def test_every_python_client_hears_the_same_from_both_back_ends(tmp_path):
    """Those of other languages, TLS and mTLS take longer: ``make interop``."""
    command = [sys.executable, "-m", "conformance.clients", "--here", "--mode", "plain", "--cache", str(tmp_path)]
    command += [word for name in CLIENTS for word in ("--client", name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runs, steps, differences = re.search(r"(\d+) runs, (\d+) steps, (\d+) differences", done.stdout).groups()
    assert int(runs) >= 2 * len(CLIENTS)
    assert int(steps) >= 2 * len(CLIENTS) * 18
    assert differences == "0"
