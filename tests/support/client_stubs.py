"""``python -m tests.support.client_stubs FILE...``: leave of protoc's gRPC files what clients need, the stubs.

protoc writes base classes for servers beside them, whose methods are not implemented. Nothing is built on those here:
both back ends serve the table of ``resolver/methods.py``. ``make proto`` runs this after protoc.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path


def clients_only(text: str) -> str:
    """The text of a generated file without its classes and functions for servers."""
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Stub"):
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    kept = "".join(line for line in lines if not line.startswith(" # This class is part of an EXPERIMENTAL API"))
    return kept.replace("Client and server classes", "Client classes").rstrip() + "\n"


def main() -> None:
    """Rewrite the files."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(clients_only(path.read_text()))


if __name__ == "__main__":
    main()
