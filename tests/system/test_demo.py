"""``make demo`` in a fresh clone, twice, and what it registered as other clients see it. Slow: ``make soak``."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.clients.programs import python_environment
from conformance.node_process import node
from resolver.client import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("git") is None or shutil.which("make") is None, reason="needs git and make"),
]

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = 100


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What is committed, and nothing else."""
    directory = tmp_path_factory.mktemp("demo") / "clone"
    made = subprocess.run(
        ["git", "clone", "-q", str(ROOT), str(directory)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip("this is no git checkout")
    return directory


def demo(clone):
    environment = {name: text for name, text in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def results(clone, kind):
    with (clone / "demo-data" / f"{kind}-result.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def products(kind):
    """Vendor and device ids of Debian's list, read by other code than the node's."""
    found, vendor = set(), ""
    for line in Path(f"/usr/share/hwdata/{kind}.ids").read_text("utf-8", "replace").splitlines():
        if (
            len(line) > 6
            and line[:4].strip()
            and all(letter in "0123456789abcdef" for letter in line[:4])
            and line[4] == " "
        ):
            vendor = line[:4]
        elif line[:1] == "\t" and line[1:2] != "\t" and vendor:
            found.add((vendor, line[1:5]))
        elif line[:1] not in {"\t", "#", ""}:
            vendor = ""  # the lists of classes at the end
    return found


def test_every_product_is_registered_once_and_a_second_run_changes_nothing(clone, tmp_path):
    first = demo(clone)
    assert first.count(" 0 failed") == 2, first
    rows = {kind: results(clone, kind) for kind in ("usb", "pci")}
    for kind, found in rows.items():
        assert {row["code"] for row in found} <= {"OK", "ALREADY_EXISTS"}
        assert all(row["message"] for row in found if row["code"] != "OK"), "a duplicate is explained"
        assert {row["name"] for row in found if row["code"] == "OK"} == {row["name"] for row in found}
        assert len({row["name"] for row in found}) == len(products(kind))
    second = demo(clone)
    assert second.count("nothing changed") == 2, second
    for kind in ("usb", "pci"):
        assert {row["reason"] for row in results(clone, kind)} <= {"UNCHANGED", "DUPLICATE_IN_FILE"}

    everything = sorted({row["name"] for found in rows.values() for row in found})
    names = random.Random(1).sample(everything, SAMPLE)
    data_dir = tmp_path / "node"
    shutil.copytree(clone / "demo-data", data_dir)
    (data_dir / "endpoints.json").unlink(missing_ok=True)
    with node(data_dir, "--grpc", "127.0.0.1:0", "--admin", "", "--http", "") as endpoints:
        target = endpoints["grpc"]
        with Client(target) as client:
            by_library = {
                record.name: {value.type: value.data.decode() for value in record.values}
                for record in client.resolve_many(names)
            }
        assert sorted(by_library) == sorted(names)
        assert all(values["VENDOR_NAME"] and values["URL"] for values in by_library.values())
        command = [sys.executable, "-m", "resolver", "--target", target, "--json", "resolve", *names]
        lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
        by_command = {
            row["name"]: {value["type"]: value["data"] for value in row["values"]} for row in map(json.loads, lines)
        }
        assert by_command == by_library
        interpreter, environment = python_environment(tmp_path / "cache")
        for kind in ("generated", "reflected"):
            program = ROOT / "conformance" / "clients" / "python" / "resolve.py"
            done = subprocess.run(
                [str(interpreter), "-P", str(program), kind, target, *names],
                capture_output=True,
                text=True,
                check=False,
                cwd=tmp_path,
                env=environment,
            )
            assert done.returncode == 0, done.stderr
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            assert {answer["name"]: answer["values"] for answer in answers} == by_library, kind
