"""No connection to an address that a stranger's site record must not lead to, whatever library would make it.

Promise P15. The addresses exist in a network namespace and take every connection, so one that is tried is counted.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resolver import limits
from tests.support.forbidden_places import ADDRESSES, OWN, WAYS

pytestmark = [pytest.mark.system]

ROOT = Path(__file__).resolve().parents[2]


def ask_all(allowed):
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("network namespaces need root, iproute2 and util-linux")
    command = ["unshare", "--net", sys.executable, "-m", "tests.support.forbidden_places", allowed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_arrives_at_forbidden_addresses():
    told = ask_all("")
    assert told["arrived"] == {}
    assert len(told["outcomes"]) == len(ADDRESSES) * len(WAYS)
    for way, address, error, messages, seconds in told["outcomes"]:
        assert address.removeprefix("::ffff:") in error, (way, address, error)
        assert messages <= 1, "the top was asked, nobody else"
        assert seconds < limits.UPSTREAM_SECONDS_MAX + told["late_s"]


def test_what_the_operator_allows_arrives_but_the_node_itself_is_never_asked():
    """The count of the test above would see a connection by every protocol."""
    told = ask_all("0.0.0.0/0,::/0")
    for address in set(ADDRESSES) - {OWN, "::ffff:10.1.2.3"}:
        assert set(told["arrived"][address]) == set(WAYS), address
    assert OWN not in told["arrived"]
    for _, _, _, messages, seconds in told["outcomes"]:
        assert messages <= limits.UPSTREAM_MESSAGES_MAX
        assert seconds <= limits.UPSTREAM_SECONDS_MAX + 0.5 + told["late_s"]
