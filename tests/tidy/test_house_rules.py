"""The rules of the house as tests: sizes, contracts, generated code, words that stay out."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import client_stubs

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 420
"""About 400, with some tolerance."""

FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/" + r"work/",
            r"(?<![\w./\"'=])/" + r"tmp/v\b",
            r"\." + r"library/",
            r"pypi" + r"\.org",
            r"files\.python" + r"hosted",
            r"\bCla" + r"ude\b",
            r"\bAnth" + r"ropic\b",
            r"\bChat" + r"GPT\b",
            r"Co-Authored-" + r"By",
            r"\bTO" + r"DO\b",
            r"\bFIX" + r"ME\b",
            r"NotImplemented" + r"Error",
        ]
    )
)


def tracked(*suffixes):
    """Files of the tree that are committed and still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def ours(*rooms):
    """Our own Python files in some rooms: not the generated ones."""
    generated = ROOT / "resolver" / "v1"
    return [
        path
        for path in tracked(".py")
        if path.relative_to(ROOT).parts[0] in rooms and not path.is_relative_to(generated)
    ]


def run(*command, cwd=ROOT):
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ours("resolver", "storage", "bench", "conformance")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}, "split them by verb"


def test_every_module_says_what_it_is_for():
    silent = [
        str(path.relative_to(ROOT))
        for path in ours("resolver", "storage", "bench", "conformance")
        if not ast.get_docstring(ast.parse(path.read_text())) and path.read_text().strip()
    ]
    assert silent == []


def test_proto_holds_contracts_only():
    assert list((ROOT / "proto").rglob("*.py*")) == []


def test_generated_code_is_what_the_contracts_say(tmp_path):
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto" / "resolver").rglob("*.proto"))
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    run("grpc_tools.protoc", "-I", "proto", *out, *protos)
    fresh = {path.name: path.read_text() for path in (tmp_path / "resolver" / "v1").iterdir()}
    committed = {
        path.name: path.read_text()
        for path in (ROOT / "resolver" / "v1").glob("*_pb2*")
        if path.suffix in {".py", ".pyi"}
    }
    assert set(fresh) == set(committed)
    for name, text in fresh.items():
        if name.endswith("_pb2_grpc.py"):
            fresh[name] = kept = client_stubs.clients_only(text)
            assert kept.count("\nclass ") == text.count("Stub:\n") == text.count("Servicer:\n")
            assert not FORBIDDEN.search(kept)
    different = [name for name in fresh if fresh[name] != committed[name]]
    assert different == [], "run make proto"
    described = tmp_path / "set.binpb"
    run("grpc_tools.protoc", "-I", "proto", "--include_source_info", f"--descriptor_set_out={described}", *protos)
    from resolver.transport.http.transcoding import comments

    assert comments.to_text(comments.collect(described.read_bytes())) == comments.FILE.read_text(), "run make proto"


def test_every_method_has_its_place_in_the_json_api():
    from google.api import annotations_pb2

    from resolver.methods import METHODS

    bare = [
        method.path
        for method in METHODS.values()
        if not method.descriptor.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern")
    ]
    assert bare == [], "give each an option (google.api.http) in its .proto, as its neighbours have, and run make proto"


def test_contracts_are_clean():
    buf = Path(sys.executable).with_name("buf")
    done = subprocess.run([buf, "lint"], cwd=ROOT / "proto", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_arrows_go_down_only():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_word_that_does_not_belong_here():
    found = []
    for path in tracked():
        if path.is_relative_to(ROOT / "resolver" / "v1"):
            continue  # generated
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FORBIDDEN.finditer(text)]
    assert found == []


def test_names_of_tests_are_unique():
    """There are no packages under tests: two files of one name would hide each other."""
    names = [path.name for path in tracked(".py") if path.name.startswith("test_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
