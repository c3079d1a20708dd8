"""Log lines cannot be forged and calls are counted as they were."""

import io
import json
import os
import subprocess
import sys

import pytest
import structlog

from resolver.telemetry.calls import CallCounts, Operation
from resolver.telemetry.logs import configure_logging, escape


@pytest.fixture
def lines():
    stream = io.StringIO()
    configure_logging("info", "json", fields={"worker": 3}, to=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_control_and_bidi_characters_are_escaped(lines):
    structlog.get_logger().info("asked", name="88.300.1/a\n\u202eb\x1b[2J\x85", inner={"k": ["\u2066"]}, octets=b"\x00")
    (event,) = lines()
    assert event["name"] == "88.300.1/a\\u000a\\u202eb\\u001b[2J\\u0085"
    assert event["inner"] == {"k": ["\\u2066"]}
    assert event["octets"] == "b'\\x00'"
    assert (event["worker"], event["level"], event["event"]) == (3, "info", "asked")


def test_plain_text_of_any_script_stays(lines):
    structlog.get_logger().info("标识", name="é标")
    assert lines()[0]["name"] == "é标"
    assert escape("标识 ok") == "标识 ok"


def test_level_can_be_changed_later(lines):
    log = structlog.get_logger()
    log.debug("hidden")
    stream = io.StringIO()
    configure_logging("debug", "json", to=stream)
    log.debug("seen")
    assert lines() == []
    assert json.loads(stream.getvalue())["event"] == "seen"


def test_console_form_escapes_too():
    stream = io.StringIO()
    configure_logging("info", "console", to=stream)
    structlog.get_logger().info("asked", name="a\nlevel=error forged")
    structlog.reset_defaults()
    assert stream.getvalue().count("\n") == 1


COUNTING = """
import os, pathlib
from resolver.telemetry.calls import CallCounts, Operation
from resolver.telemetry.metrics import METRICS_DIRECTORY_VARIABLE, WorkerMetrics
metrics = WorkerMetrics(pathlib.Path(os.environ[METRICS_DIRECTORY_VARIABLE]))
calls = CallCounts(lambda: 1_764_000_000_000_000)
method = Operation("resolver.v1.S", "Resolve", "resolution")
for _ in range(3):
    calls.observe(method, 0, 0.0002)
calls.observe(method, 5, 20.0)
calls.observe(Operation("handle", "resolution", "resolution"), "SUCCESS", 0.002, 7, "hdl_udp")
metrics.observe_commit(40, 0.003, {("grpc", "create"): 39, ("hdl_tcp", "delete"): 1})
metrics.take_in(calls.take(), {"grpc": (1_003, 900)})
calls.observe(method, 0, 0.0001)
calls.cut_off("http", 2)
calls.cut_off("http", 3)
metrics.take_in(calls.take(), {})
"""


def test_counts_of_two_processes_are_summed(tmp_path):
    from resolver.telemetry.metrics import METRICS_DIRECTORY_VARIABLE, MetricsDirectory

    path = tmp_path / "metrics"
    directory = MetricsDirectory(path)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", COUNTING], env=os.environ | {METRICS_DIRECTORY_VARIABLE: str(path)}, check=True
        )
    text = directory.exposition([]).decode()
    call = 'grpc_method="Resolve",grpc_service="resolver.v1.S"'
    assert f'grpc_server_handled_total{{grpc_code="OK",{call}}} 8.0' in text
    assert f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{call}}} 2.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="0.0001"}} 2.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="0.00025"}} 8.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="10.0"}} 8.0' in text
    assert f"grpc_server_handling_seconds_count{{{call}}} 10.0" in text
    assert 'idis_requests_total{operation="Resolve",protocol="grpc",result="OK"} 8.0' in text
    assert 'idis_requests_total{operation="resolution",protocol="hdl_udp",result="SUCCESS"} 14.0' in text
    assert 'idis_request_seconds_bucket{le="0.001",operation="resolution",protocol="hdl_udp"} 0.0' in text
    assert 'idis_request_seconds_count{operation="resolution",protocol="hdl_udp"} 14.0' in text
    assert 'idis_request_seconds_count{operation="resolution",protocol="grpc"} 10.0' in text
    assert 'idis_resolved_names_total{protocol="grpc",result="found"} 1800.0' in text
    assert 'idis_resolved_names_total{protocol="grpc",result="missed"} 206.0' in text
    assert 'idis_changed_handles_total{operation="create",protocol="grpc"} 78.0' in text
    assert 'idis_changed_handles_total{operation="delete",protocol="hdl_tcp"} 2.0' in text
    assert 'idis_connections_cut_off_total{protocol="http"} 10.0' in text
    assert "idis_lane_commit_seconds_count 2.0" in text
    assert 'idis_lane_group_jobs_bucket{le="50.0"} 2.0' in text
    assert 'idis_lane_group_jobs_bucket{le="20.0"} 0.0' in text
    owners = {int(file.stem.rpartition("_")[2]) for file in path.iterdir()} - {0}
    assert len(owners) == 2
    for owner in owners:
        directory.absorb(owner)
        directory.absorb(owner)
    (path / "counter_77.db").write_bytes(b"\xff\x00\x00\x00half written")
    directory.absorb(77)
    assert sorted(file.name for file in path.iterdir()) == ["counter_0.db", "histogram_0.db"]
    assert sorted(directory.exposition([]).decode().splitlines()) == sorted(text.splitlines())
    assert b"grpc_server" not in MetricsDirectory(path).exposition([])


def test_worker_without_room_for_metrics_serves_on(tmp_path):
    from resolver.telemetry.metrics import WorkerMetrics

    metrics = WorkerMetrics(tmp_path / "nowhere")
    calls = CallCounts(lambda: 0)
    calls.observe(Operation("s", "m"), 0, 0.1)
    metrics.observe_commit(1, 0.1, {})
    metrics.take_in(calls.take(), {"grpc": (1, 1)})
    metrics.flush()
    assert not metrics.on


def test_metrics_files_have_their_blocks(tmp_path):
    from resolver.telemetry.metrics import METRICS_DIRECTORY_VARIABLE, METRICS_FILE_OCTETS

    environment = os.environ | {METRICS_DIRECTORY_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", COUNTING], env=environment, check=True)
    files = list(tmp_path.glob("*.db"))
    assert len(files) == 2
    for file in files:
        assert file.stat().st_blocks * 512 >= METRICS_FILE_OCTETS
