"""Log lines cannot be forged and calls are counted as they were."""

import io
import json
import os
import subprocess
import sys

import pytest
import structlog

from resolver.telemetry import configure_logging, escape


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
from types import SimpleNamespace
from resolver.telemetry import WorkerMetrics
metrics = WorkerMetrics()
method = type("M", (), {"service": "resolver.v1.S", "name": "Resolve"})()
for _ in range(3):
    metrics.observe_call(method, 0, 0.0002)
metrics.observe_call(method, 5, 20.0)
metrics.observe_commit(40, 0.003)
metrics.flush()
metrics.observe_call(method, 0, 0.0001)
metrics.flush()
"""


def test_counts_of_two_processes_are_summed(tmp_path):
    from prometheus_client import generate_latest

    from resolver.telemetry import METRICS_DIRECTORY_VARIABLE, clean_metrics, collect

    directory = tmp_path / "metrics"
    clean_metrics(directory)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", COUNTING], env=os.environ | {METRICS_DIRECTORY_VARIABLE: str(directory)}, check=True
        )
    text = generate_latest(collect(directory, [])).decode()
    call = 'grpc_method="Resolve",grpc_service="resolver.v1.S"'
    assert f'grpc_server_handled_total{{grpc_code="OK",{call}}} 8.0' in text
    assert f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{call}}} 2.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="0.0001"}} 2.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="0.00025"}} 8.0' in text
    assert f'grpc_server_handling_seconds_bucket{{{call},le="10.0"}} 8.0' in text
    assert f"grpc_server_handling_seconds_count{{{call}}} 10.0" in text
    assert "idis_lane_commit_seconds_count 2.0" in text
    assert 'idis_lane_group_jobs_bucket{le="50.0"} 2.0' in text
    assert 'idis_lane_group_jobs_bucket{le="20.0"} 0.0' in text
    clean_metrics(directory)
    assert not list(directory.iterdir())
