"""A million products of six values each: imported in one go, and with a client and a worker killed on the way.

Slow: some minutes (``make soak``); ``IDIS_SOAK_ROWS`` takes another number of rows. Figures are printed as JSON.
"""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.node_process import node

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).resolve().parents[2]
ROWS = int(os.environ.get("IDIS_SOAK_ROWS", "1000000"))
GROWTH_OCTETS_MAX = 48 << 20
"""By how much any process may be larger in the second half of an import than in the first, mapped files aside."""

COLUMNS = ("name", "1:URL", "2000:名称", "2001:型号", "2002:序列号", "2003:生产日期", "2004:质检")


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """The file, made with a seed."""
    chance = random.Random(7)
    path = tmp_path_factory.mktemp("products") / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number in range(ROWS):
            serial = f"{chance.getrandbits(64):016X}-{number:07d}"
            day = f"20{chance.randrange(20, 27)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
            model = f"62{chance.randrange(100):02d}-2RS"
            url = f"https://example.com/p/{serial}"
            writer.writerow(
                [f"88.300.1/{serial}", url, "深沟球轴承", model, serial, day, chance.choice(("合格", "复检"))]
            )
    return path


def children(data_dir):
    """Process ids of the workers."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(data_dir) in (process / "cmdline").read_text().split("\0") and b"serve" in (
                process / "cmdline"
            ).read_bytes().split(b"\0"):
                return [int(process.name)], [
                    int(pid) for pid in (process / "task" / process.name / "children").read_text().split()
                ]
        except OSError:
            continue
    return [], []


def own_octets(pid):
    """Memory of a process without mapped files: the pages of the store belong to the system."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def importing(target, token_file, products, out, *more):
    command = [sys.executable, "-m", "resolver", "--target", target, "--token-file", str(token_file), "--json"]
    command += ["import", str(products), "--result", str(out), *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(client):
    told, faults = client.communicate(timeout=1_200)
    assert client.returncode == 0, told + faults
    return json.loads(told)


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(client, out, lines):
    while lines_of(out) < lines:
        assert client.poll() is None, client.communicate()
        time.sleep(0.3)


def counted(data_dir, target):
    """Handles of the node, and its newest serial."""
    command = [sys.executable, "-m", "resolver", "--json", "--target", target]
    command += ["--token-file", str(data_dir / "credentials" / "admin.token"), "stats"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    info = json.loads(told.splitlines()[0])["info"]
    return int(info["handle_count"]), int(info["serial"])


def examine(data_dir, target, out, before):
    """Exactly the rows of the file, each once, and a journal without gaps."""
    with out.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert [int(row["row"]) for row in found] == list(range(2, ROWS + 2))
    assert {row["code"] for row in found} == {"OK"}
    assert {row["reason"] for row in found} == {"CREATED"}
    assert len({row["serial"] for row in found}) == len({row["name"] for row in found}) == ROWS
    idis = [sys.executable, "-m", "resolver", "--json"]
    command = [*idis, "check", "--data-dir", str(data_dir)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[-2_000:]
    handles, serial = counted(data_dir, target)
    assert (handles - before[0], serial - before[1]) == (ROWS, ROWS), "a gap, or a change beside the import"


def test_a_million_rows_in_one_go(products, tmp_path):
    data_dir, out = tmp_path / "node", tmp_path / "result.csv"
    with node(data_dir, "--workers", "2", "--grpc", "127.0.0.1:0", "--http", "", "--admin", "") as endpoints:
        target, token_file = endpoints["grpc"], data_dir / "credentials" / "admin.token"
        before = counted(data_dir, target)
        supervisor, workers = children(data_dir)
        client = importing(target, token_file, products, out)
        seen = {pid: [] for pid in (*supervisor, *workers, client.pid)}
        while client.poll() is None:
            for pid, octets in seen.items():
                octets.append(own_octets(pid))
            time.sleep(0.5)
        told = ended(client)
        assert (told["rows"], told["created"], told["failed"]) == (ROWS, ROWS, 0)
        examine(data_dir, target, out, before)
        disk = (data_dir / "store" / "data.mdb").stat().st_blocks * 512
    growth = {}
    for pid, octets in seen.items():
        alive = [each for each in octets if each]
        half = len(alive) // 2
        growth[pid] = max(alive[half:]) - max(alive[: half or 1])
    figures = {
        "rows": ROWS,
        "rows_per_s": told["rows_per_s"],
        "octets_per_record": round(disk / ROWS),
        "own_mib": [round(max(octets) / 2**20, 1) for octets in seen.values()],
        "growth_mib": [round(octets / 2**20, 1) for octets in growth.values()],
    }
    print(json.dumps(figures))
    assert max(growth.values()) <= GROWTH_OCTETS_MAX, figures


def test_a_killed_client_and_a_killed_worker_cost_nothing(products, tmp_path):
    chance = random.Random(11)
    data_dir, out = tmp_path / "node", tmp_path / "result.csv"
    with node(data_dir, "--workers", "2", "--grpc", "127.0.0.1:0", "--http", "", "--admin", "") as endpoints:
        target, token_file = endpoints["grpc"], data_dir / "credentials" / "admin.token"
        before = counted(data_dir, target)
        client = importing(target, token_file, products, out)
        wait_for_lines(client, out, chance.randrange(ROWS // 10, ROWS // 3))
        client.kill()
        client.communicate()
        killed_at = lines_of(out)
        client = importing(target, token_file, products, out, "--resume")
        wait_for_lines(client, out, chance.randrange(ROWS // 2, ROWS * 3 // 4))
        _, workers = children(data_dir)
        for pid in workers:  # one of them has the import, and the other one gets it then
            os.kill(pid, signal.SIGKILL)
            time.sleep(1)
        told, faults = client.communicate(timeout=1_200)
        resumed = client.returncode != 0
        if resumed:
            assert "--resume" in faults, faults
            told = json.dumps(ended(importing(target, token_file, products, out, "--resume")))
        assert json.loads(told)["created"] == ROWS
        examine(data_dir, target, out, before)
    print(json.dumps({"rows": ROWS, "client_killed_at": killed_at, "workers_killed": len(workers), "by_hand": resumed}))
