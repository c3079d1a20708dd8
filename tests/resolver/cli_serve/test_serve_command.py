"""What idis serve refuses before anything starts."""

import pytest
from click.testing import CliRunner

from resolver.app.backends import BACKENDS, choose
from resolver.app.banner import banner
from resolver.app.data_dir import DataDir, StartRefused
from resolver.cli.serve import serve


@pytest.fixture
def run(tmp_path):
    def invoke(*arguments, **environment):
        words = ["--data-dir", str(tmp_path / "data"), *arguments]
        return CliRunner(env={"IDIS_CONFIG": None} | environment).invoke(serve, words)

    return invoke


def test_faults_of_flags_and_environment(run, tmp_path):
    answer = run("--grpc", "2640", IDIS_LOG__LEVL="info")
    assert answer.exit_code == 78
    assert "did you mean IDIS_LOG__LEVEL?" in answer.stderr
    answer = run("--grpc", "2640")
    assert "is not HOST:PORT" in answer.stderr
    assert not (tmp_path / "data").exists()


def test_wish_for_a_backend_is_met_or_refused():
    assert choose("auto").name in BACKENDS
    for name in BACKENDS:
        assert choose(name).name == name
    with pytest.raises(StartRefused, match="--grpc-backend auto"):
        choose("carrier-pigeon")


def test_banner_has_commands_to_paste(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = banner(DataDir(tmp_path / "my data"), {"grpc": "127.0.0.1:5", "admin": "127.0.0.1:6"}, "88.300", tls=False)
    command = "--target 127.0.0.1:5 --token-file 'my data/credentials/admin.token'"
    assert f"{command} register 88.300.1/HELLO --value '1:URL:https://example.com/'" in text
    assert f"{command} resolve 88.300.1/HELLO" in text
