"""The codec and the nouns stay without input, output, time and chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3] / "resolver"
FORBIDDEN = {"asyncio", "socket", "ssl", "threading", "time", "random", "secrets", "os", "grpc", "lmdb", "storage"}
BELOW = ("resolver.handle", "resolver.wire", "resolver.errors", "resolver.limits")
FILES = sorted([*(ROOT / "wire").rglob("*.py"), *(ROOT / "handle").rglob("*.py")])


def imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_imports_only_what_is_below(file):
    for name in imports(file):
        assert name.partition(".")[0] not in FORBIDDEN
        if name.startswith("resolver"):
            assert name.startswith(BELOW)
            assert "handle" not in file.parts[-2] or not name.startswith("resolver.wire")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_is_short_and_says_what_it_is_for(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))
