"""The lines a newcomer can paste: where the node answers, and how to register and resolve."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resolver.app.data_dir import DataDir


def command() -> str:
    """How this installation's command is called from the same shell."""
    beside = Path(sys.executable).with_name("idis")
    found = shutil.which("idis")
    if found is not None and Path(found).resolve() == beside.resolve():
        return "idis"
    if beside.exists():
        return shlex.quote(_shortest(beside))
    return f"{shlex.quote(_shortest(Path(sys.executable)))} -m resolver"


def banner(data: DataDir, endpoints: dict[str, str], prefix: str, *, tls: bool) -> str:
    """What is printed when every door answers."""
    token = shlex.quote(_shortest(data.admin_token))
    idis = f"{command()} --target {endpoints['grpc']} --token-file {token}"
    handle = f"{prefix}.1/HELLO"
    doors = ", ".join(f"{door} {where}" for door, where in endpoints.items())
    lines = [
        f"The node {prefix} answers: {doors}",
        "Register an identifier and resolve it (in another terminal):",
        f"  {idis} register {handle} --value '1:URL:https://example.com/'",
        f"  {idis} resolve {handle}",
    ]
    if "http" in endpoints:
        scheme = "https" if tls else "http"
        lines.append(f"See it in a browser: {scheme}://{endpoints['http']}/{handle}?noredirect")
    if tls:
        lines.append("The gRPC door speaks TLS: the client needs your authority's certificate too.")
    return "\n".join(lines)


def _shortest(path: Path) -> str:
    """The path relative to the working directory when it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
