"""Every operation runs at a tiny size and writes a whole result: real stores, real nodes, peers where installed."""

import json
from dataclasses import replace
from importlib import import_module

import pytest
from click.testing import CliRunner

from bench import sampling
from bench.__main__ import OPERATIONS, README, main
from bench.hdl_load import NoAnswer
from bench.settings import Settings

TINY = Settings(records=1_000, seconds=0.2, warm_s=0.05, rounds=1, connections=2, in_flight=4, workers=1, minutes=0.02)
WITHOUT_NODES = ("storage", "codec", "resolve", "cold", "write-ahead")
FIGURES = {"rate", "cpu_us", "octets_per_record"}


def run(operation, tmp_path):
    """The result at the tiny size, or of ten or a hundred times the time where the machine had none for some row."""
    longest = 100 * TINY.seconds
    for seconds in (TINY.seconds, 10 * TINY.seconds, longest):
        try:
            report = import_module(f"bench.operations.{OPERATIONS[operation]}").run(replace(TINY, seconds=seconds))
        except NoAnswer:
            if seconds < longest:
                continue
            raise
        result = json.loads(report.write(tmp_path).read_text())
        if all(row["figures"]["rate"]["median"] > 0 for row in rated(result, operation)):
            break
    return result


def rated(result, operation):
    """The rows that must have a rate. Five hundred rows to an answer: none may fall into so short a window."""
    return [row for row in result["rows"] if "rate" in row["figures"] and "batch" not in row["name"] + operation]


def judge(result, operation):
    assert result["operation"] == operation
    assert result["settings"]["records"] == 1_000
    assert {row["kind"] for row in result["rows"]} & {"peer", "limit"}
    for row in result["rows"]:
        assert FIGURES & set(row["figures"]), row["name"]
        assert row["figures"].get("errors", {"max": 0})["max"] == 0, row["name"]
        for figure in FIGURES & set(row["figures"]):
            assert row["figures"][figure]["median"] >= 0
    assert all(row["figures"]["rate"]["median"] > 0 for row in rated(result, operation))


@pytest.mark.parametrize("operation", WITHOUT_NODES)
def test_operation_in_process(operation, tmp_path):
    judge(run(operation, tmp_path), operation)


@pytest.mark.system
@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "profile" else [])
        for name in OPERATIONS
        if name not in WITHOUT_NODES
    ],
)
def test_operation_with_nodes(operation, tmp_path):
    try:
        judge(run(operation, tmp_path), operation)
    except sampling.Unavailable as error:
        pytest.skip(str(error))


def test_without_an_operation_all_are_listed():
    shown = CliRunner().invoke(main, [])
    assert shown.exit_code == 0
    for name in OPERATIONS:
        assert f"\n  {name} " in shown.output


def test_an_unknown_operation_is_named():
    shown = CliRunner().invoke(main, ["grcp-unary"])
    assert shown.exit_code == 2
    assert "grcp-unary" in shown.output


def test_the_command_writes_result_and_prints_table(tmp_path):
    arguments = ["codec", "plot", "--records", "1000", "--seconds", "0.05", "--rounds", "1", "--out", str(tmp_path)]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    assert "| unseal | ours | calls |" in shown.output
    assert (tmp_path / "codec.json").exists()
    assert (tmp_path / "codec.svg").exists()


def test_results_kept_elsewhere_leave_the_page_alone(tmp_path):
    before = README.read_bytes()
    shown = CliRunner().invoke(main, ["readme", "goals", "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert README.read_bytes() == before
    assert list(tmp_path.iterdir()) == []
