"""The commands of the SNMS page work as they stand there, one after the other, when pasted into a shell."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.transport.http import snms
from resolver.transport.http.calls import HttpOptions
from tests.system.test_process_model import ROOT, serving

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the page speaks to people who have curl"),
]

PAGE = Path(snms.__file__).with_name("README.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_every_command_works_when_pasted(tmp_path):
    directory = tmp_path / "data"
    with serving(directory, "--http", "127.0.0.1:0") as node:
        script = "\n".join(BLOCKS).replace("127.0.0.1:2642", node.endpoints["http"])
        bin_dir = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": f"{bin_dir}:{os.environ['PATH']}",
            "IDIS_TARGET": node.endpoints["grpc"],
            "IDIS_TOKEN_FILE": str(directory / "credentials" / "admin.token"),
        }
        # An "idis" of this tree, whether it is installed or not.
        idis = f'idis() {{ "{sys.executable}" -m resolver --timeout 120 "$@"; }}\n'
        ran = subprocess.run(
            ["bash", "-ec", idis + script],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    starts = [found.start() for found in re.finditer(r'\{"message"', ran.stdout)]
    answers = [json.JSONDecoder().raw_decode(ran.stdout, start)[0] for start in starts]
    assert [answer["status"] for answer in answers] == [1, 1, 1, 1], ran.stdout
    assert [row["msg"] for row in answers[-1]["data"]] == ["success", "标识已存在"]
    assert answers[2]["data"]["templateVersion"] == "1.0"


def test_the_page_names_every_path():
    class Service:
        registration = templates = applications = registry = None

    for route in snms.DOOR.routes(Service(), HttpOptions("88.300")):
        assert route.path.rpartition("/")[2] in PAGE, route.path
