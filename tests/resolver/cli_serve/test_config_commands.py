"""What idis config says."""

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from resolver.cli.config_commands import EXIT_CONFIG, config
from resolver.cli.main import root
from resolver.config.settings import Config
from resolver.config.sources import keys, load


@pytest.fixture
def run(tmp_path):
    def invoke(*arguments, **environment):
        return CliRunner(env={"IDIS_CONFIG": None} | environment).invoke(config, [str(word) for word in arguments])

    return invoke


def test_show_prints_a_configuration(run, tmp_path):
    shown = run("show", IDIS_WORKERS__COUNT="3")
    assert shown.exit_code == 0
    file = tmp_path / "shown.toml"
    file.write_text(shown.stdout)
    assert load(file) == load(flags={"workers.count": "3"})
    assert "Default: 0." in shown.stdout
    assert run("check", file).exit_code == 0


def test_show_as_json_has_every_key(run):
    rows = [json.loads(line) for line in run("show", "--json").stdout.splitlines()]
    assert [row["key"] for row in rows] == list(keys())
    (listen,) = [row for row in rows if row["key"] == "grpc.listen"]
    assert listen["default"] == Config().grpc.listen
    assert listen["environment"] == "IDIS_GRPC__LISTEN"
    assert listen["applied"] == "restart"


def test_show_starts_from_a_file(run, tmp_path):
    file = tmp_path / "node.toml"
    file.write_text('[log]\nlevel = "debug"\n')
    assert 'level = "debug"' in run("show", "--config", file).stdout
    assert 'level = "debug"' in run("show", IDIS_CONFIG=str(file)).stdout


def test_check_names_every_fault(run, tmp_path):
    file = tmp_path / "node.toml"
    file.write_text("[log]\nlevle = 1\n[workers]\ncount = 999\n")
    checked = run("check", file)
    assert checked.exit_code == 78
    assert "did you mean log.level?" in checked.stderr
    assert "workers.count = 999" in checked.stderr
    answer = json.loads(run("check", "--json", file).stdout)
    assert (answer["ok"], len(answer["faults"])) == (False, 2)


def test_check_of_a_missing_file(run, tmp_path):
    checked = run("check", tmp_path / "none.toml")
    assert checked.exit_code == 78
    assert "cannot be read" in checked.stderr


def test_unit_is_one_that_systemd_takes(run, tmp_path):
    printed = run("unit")
    assert printed.exit_code == 0
    assert json.loads(run("unit", "--json").stdout)["unit"] == printed.stdout
    assert "Type=notify" in printed.stdout
    assert "TimeoutStopSec=40" in printed.stdout  # 0.5 and 10 seconds of drain, and 30 for the last commits
    assert f"RestartPreventExitStatus={EXIT_CONFIG}\n" in printed.stdout  # a file that is wrong stays wrong
    assert "AmbientCapabilities" not in printed.stdout
    low = run("unit", IDIS_HTTP__LISTEN="0.0.0.0:443", IDIS_DRAIN__GRACE_S="60")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in low.stdout
    assert "TimeoutStopSec=90" in low.stdout
    file = tmp_path / "idis.service"
    file.write_text(printed.stdout)
    program = shutil.which("systemd-analyze")
    if program is not None:
        said = subprocess.run([program, "verify", file], capture_output=True, text=True, check=False)
        ours = [line for line in (said.stdout + said.stderr).splitlines() if "idis.service" in line]
        assert [line for line in ours if "man" not in line] == [], said.stderr


def test_check_without_a_file_judges_the_environment(run):
    good = run("check", IDIS_LOG__LEVEL="debug")
    assert (good.exit_code, "the environment is a valid" in good.output) == (0, True)
    bad = run("check", IDIS_LOG__LEVLE="debug")
    assert (bad.exit_code, "IDIS_LOG__LEVEL" in bad.output) == (78, True)


def test_a_mistyped_command_is_told_the_nearest():
    told = CliRunner().invoke(root, ["reslove", "88/x"])
    assert (told.exit_code, "did you mean 'resolve'?" in told.output) == (2, True)
