"""A real file system of 128 MB filled up under load: writes are refused with a remedy, reads never fail, and writes
come back by themselves. Needs root for the mount, so it runs by ``make soak``."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import grpc
import pytest

from conformance.node_process import node
from resolver.client import CallFailed, Client
from resolver.client.policy import RetryPolicy
from resolver.v1 import handle_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(300)]

ONCE = RetryPolicy(attempts_max=1)
WRITES_RESUME_S = 60.0
"""By themselves, that is; how soon is printed."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("a mount needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _value(octets: int) -> list[pb.HandleValue]:
    return [pb.HandleValue(index=1, type="X", data=bytes(octets))]


def test_reads_go_on_while_a_full_disk_refuses_writes_and_writes_resume(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with node(small_disk / "data", "--workers", "2", "--grpc", "127.0.0.1:0", "--admin", "") as endpoints:
        token_file = small_disk / "data" / "credentials" / "admin.token"
        with Client(endpoints["grpc"], token_file=token_file, retry=ONCE) as client:
            client.create("88.300.1/first", _value(100))
            reads: Counter[str] = Counter()
            stop = threading.Event()

            def read() -> None:
                with Client(endpoints["grpc"], retry=ONCE) as reader:
                    while not stop.is_set():
                        try:
                            reader.resolve("88.300.1/first")
                            reads["ok"] += 1
                        except CallFailed as failure:
                            reads[str(failure)] += 1

            thread = threading.Thread(target=read)
            thread.start()
            try:
                filler.write_bytes(bytes(60 << 20))
                refused = None
                for number in range(20_000):
                    try:
                        client.create(f"88.300.1/fill-{number}", _value(20_000))
                    except CallFailed as failure:
                        refused = failure
                        break
                assert refused is not None
                assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert refused.reason == "STORAGE_FULL"
                assert "free space" in refused.message
                deadline = time.monotonic() + 5
                while time.monotonic() < deadline:
                    with pytest.raises(CallFailed):
                        client.create(f"88.300.1/while-full-{time.monotonic_ns()}", _value(20_000))
                filler.unlink()
                freed = time.monotonic()
                while True:
                    try:
                        client.create("88.300.1/after", _value(100))
                        break
                    except CallFailed:
                        assert time.monotonic() - freed < WRITES_RESUME_S
                        time.sleep(0.05)
                resumed_s = time.monotonic() - freed
            finally:
                stop.set()
                thread.join()
            print(f'{{"promise": "P4", "reads": {sum(reads.values())}, "resumed_s": {resumed_s:.3f}}}')
            assert list(reads) == ["ok"]
            assert reads["ok"] > 100
            assert client.resolve("88.300.1/after").version == 1
