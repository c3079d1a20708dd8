"""Workers of a real node killed a hundred times under batch registration: every acknowledged write is there, once.

The same harness on a node that acknowledges before its commit must find lost writes. Minutes long: ``make soak``.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from conformance.node_process import node
from resolver.client import AsyncClient, CallFailed
from resolver.methods import BATCH_CREATE_HANDLES as BATCH
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registration_pb2 as registration

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(900)]

KILLS = 100
KILLS_OF_THE_CONTROL = 30
WRITERS = 8
ROWS = 50
PAUSE_S = (0.2, 0.9)
ROOT = Path(__file__).resolve().parents[2]
PLANTED = ROOT / "tests" / "support" / "planted"


def _workers(data_dir: Path) -> list[int]:
    """Process ids of the node's workers: the children of its supervisor."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end while we look
            if str(data_dir) in (process / "cmdline").read_text().split("\0"):
                children = (process / "task" / process.name / "children").read_text()
                found += [int(pid) for pid in children.split()]
    return found


async def _write(client: AsyncClient, writer: int, stop: asyncio.Event, acknowledged: set[str]) -> None:
    """Register batches, retrying an unknown outcome under its id, and note what was acknowledged."""
    number = 0
    while not stop.is_set():
        names = [f"88.300.1/K{writer}-{number}-{row}" for row in range(ROWS)]
        value = pb.HandleValue(index=1, type="URL", data=b"https://example.com/")
        request = registration.BatchCreateHandlesRequest(
            handles=[registration.NewHandle(name=name, values=[value]) for name in names],
            request_id=str(uuid.UUID(int=random.Random(f"{writer}-{number}").getrandbits(128))),
        )
        number += 1
        while True:
            try:
                response = await client.call(BATCH, request)
            except CallFailed:
                if stop.is_set():
                    return
                await asyncio.sleep(0.05)
                continue
            assert [result.reason for result in response.results] == ["CREATED"] * ROWS
            acknowledged.update(names)
            break


async def _torment(endpoint: str, data_dir: Path, kills: int) -> set[str]:
    """Kill a random worker again and again under load; the names that were acknowledged."""
    chance = random.Random(1)
    acknowledged: set[str] = set()
    stop = asyncio.Event()
    token = (data_dir / "credentials" / "admin.token").read_text().strip()
    clients = [AsyncClient(endpoint, token=token, timeout_s=5.0) for _ in range(WRITERS)]
    tasks = [asyncio.create_task(_write(client, n, stop, acknowledged)) for n, client in enumerate(clients)]
    done = 0
    while done < kills:
        await asyncio.sleep(chance.uniform(*PAUSE_S))
        workers = await asyncio.to_thread(_workers, data_dir)
        with contextlib.suppress(IndexError, ProcessLookupError):  # none there, or one that had been killed before
            os.kill(chance.choice(workers), signal.SIGKILL)
            done += 1
    await asyncio.sleep(1)
    stop.set()
    await asyncio.gather(*tasks)
    for client in clients:
        await client.close()
    return acknowledged


async def _missing(endpoint: str, names: list[str]) -> tuple[list[str], list[str]]:
    """Which names are not registered, and which have been registered more than once."""
    lost, twice = [], []
    client = AsyncClient(endpoint)
    async for answer in client.resolve_many(names):
        if not isinstance(answer, pb.HandleRecord):
            lost.append(answer.message)
        elif answer.version != 1:
            twice.append(answer.name)
    await client.close()
    return lost, twice


@pytest.fixture(autouse=True)
def restarted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts wait longer with each crash; a hundred kills would take the better part of an hour."""
    monkeypatch.setenv("IDIS_WORKERS__BACK_OFF_FIRST_S", "0.05")
    monkeypatch.setenv("IDIS_WORKERS__BACK_OFF_MAX_S", "0.1")
    monkeypatch.setenv("IDIS_WORKERS__START_CRASHES_MAX", "1000")


def _run(tmp_path: Path, kills: int) -> tuple[int, list[str], list[str], str]:
    data_dir = tmp_path / "node"
    with node(data_dir, "--workers", "2", "--grpc", "127.0.0.1:0", "--admin", "") as endpoints:
        acknowledged = sorted(asyncio.run(_torment(endpoints["grpc"], data_dir, kills)))
        lost, twice = asyncio.run(_missing(endpoints["grpc"], acknowledged))
    check = [sys.executable, "-m", "resolver", "--json", "check", "--data-dir", str(data_dir)]
    report = subprocess.run(check, capture_output=True, text=True, check=False)
    figures = {"promise": "P1", "kills": kills, "acknowledged": len(acknowledged), "lost": len(lost)}
    print(json.dumps(figures))
    return len(acknowledged), lost, twice, f"{report.returncode} {report.stdout[-500:]}"


def test_every_acknowledged_write_survives_a_hundred_kills(tmp_path: Path) -> None:
    acknowledged, lost, twice, report = _run(tmp_path, KILLS)
    assert acknowledged > KILLS * ROWS
    assert lost == []
    assert twice == []
    assert report.startswith("0 "), report


def test_the_harness_finds_a_node_that_acknowledges_too_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIS_TEST_PLANTED", "early")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PLANTED), str(ROOT)]))
    acknowledged, lost, _, _ = _run(tmp_path, KILLS_OF_THE_CONTROL)
    assert acknowledged
    assert lost
