"""The power of a real node is cut again and again: what it acknowledged is there, and planted defects are found out.

A killed process proves nothing about flushing, because the system keeps its page cache; here the page cache is lost,
and at every second cut the cache of the disk with it (``tests/support/power``). Needs root, ext4 and loop devices.
Minutes long: ``make soak``; IDIS_POWER_CUTS=100 for more.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.power import disk

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(3_000)]

ROOT = Path(__file__).resolve().parents[2]
CUTS = int(os.environ.get("IDIS_POWER_CUTS", "12"))
CUTS_OF_A_CONTROL = 20
MEMORY = Path("/dev/shm")


@pytest.fixture
def power(tmp_path):
    """Runs ``tests.support.power`` and gives what it found."""
    missing = disk.needs()
    if missing:
        pytest.skip(f"cutting power {missing}")
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * disk.octets_for(CUTS)
    directory = Path(tempfile.mkdtemp(prefix="idis-power-", dir=MEMORY if in_memory else tmp_path))

    def run(*options):
        command = disk.in_namespace(sys.executable, "-m", "tests.support.power", str(directory), *options)
        # It ends with its standard input, which is closed when this process is gone, however that comes about.
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.stdout.read()
            except BaseException:
                process.kill()
                raise
        assert process.returncode == 0, said
        print(said)
        return json.loads(said.splitlines()[-1])

    yield run
    shutil.rmtree(directory, ignore_errors=True)


def test_every_acknowledged_write_survives_the_loss_of_power(power):
    found = power("--cuts", str(CUTS))
    assert found["cuts"] == CUTS
    assert found["acknowledged"] > CUTS * 300, "the load was no load"
    assert (found["lost"], found["faults"]) == (0, 0), found
    assert found["backups"], "no backup was made beside"


def test_a_node_cut_in_its_first_start_comes_up_and_knows_its_token(power):
    found = power("--cuts", str(CUTS), "--first-start")
    assert found["acknowledged"] == found["cuts"] == CUTS
    assert (found["lost"], found["faults"]) == (0, 0), found


def test_what_a_mirror_has_confirmed_survives_its_loss_of_power(power):
    """The primary is gone for good: what it acknowledged with one confirmation is in the mirror."""
    found = power("--cuts", str(CUTS // 2), "--mirrored")
    assert found["acknowledged"] > CUTS * 20, "the load was no load"
    assert (found["lost"], found["faults"]) == (0, 0), found


def test_a_mirror_that_confirms_too_early_loses_what_was_acknowledged(power):
    found = power(
        "--cuts", str(CUTS_OF_A_CONTROL), "--mirrored", "--planted", "no-sync", "--kind", "system", "--until-lost"
    )
    assert found["lost"], found


@pytest.mark.parametrize("planted", ["no-sync", "no-metasync", "no-fsync", "no-barrier"])
def test_a_planted_defect_loses_what_was_acknowledged(power, planted):
    """Controls: were one of these to pass, the test above would prove nothing of what it plants."""
    kind = "device" if planted == "no-barrier" else "system"
    found = power("--cuts", str(CUTS_OF_A_CONTROL), "--planted", planted, "--kind", kind, "--until-lost")
    assert found["acknowledged"]
    assert found["lost"], found
