"""The client programs as a table: what each needs on this machine, how it is made ready, how it is started.

Everything is built in a cache directory outside the tree. A program whose needs are missing is skipped and named.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("grpcio", "grpcio-tools", "grpcio-reflection", "grpclib", "protobuf")


TOOLS = {
    "node": "nodejs",
    "npm": "npm",
    "g++": "g++",
    "pkg-config": "pkg-config",
    "protoc": "protobuf-compiler",
    "grpc_cpp_plugin": "protobuf-compiler-grpc",
    "h2load": "nghttp2-client",
}
"""Commands that the programs are made with, and the Debian packages that have them."""

LIBRARIES = {"grpc++": "libgrpc++-dev", "protobuf": "libprotobuf-dev", "libcrypto": "libssl-dev"}
"""What the C++ program is linked with, as pkg-config calls it, and the Debian packages."""


def needs() -> list[str]:
    """Debian packages that are wanted and not here."""
    tools = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if shutil.which("pkg-config") is None:
        return [*tools, *LIBRARIES.values()]
    return [*tools, *(package for library, package in LIBRARIES.items() if not _has(library))]


def _has(library: str) -> bool:
    return subprocess.run(["pkg-config", "--exists", library], check=False).returncode == 0  # noqa: S603, S607 - as found


class Missing(Exception):
    """A program cannot be had here; the message says what to install."""


@dataclass(frozen=True)
class Program:
    """A client: its name, and how it becomes a command.

    ``command`` takes the cache directory, and whether to use the packages of this environment instead of its own.
    """

    name: str
    command: Callable[[Path, bool], list[str]]
    python: bool = False


def _run(command: list[str], what: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our commands
    if done.returncode:
        raise Missing(f"{what} failed: {(done.stderr or done.stdout).strip()[-400:]}")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed (Debian: {TOOLS[name]})")
    return found


def _protos() -> list[str]:
    contract = sorted(str(path) for path in (ROOT / "proto").rglob("*.proto"))
    return [*contract, str(HERE / "proto" / "rich_error.proto")]


def _includes() -> list[str]:
    return [f"-I{ROOT / 'proto'}", f"-I{HERE / 'proto'}"]


def _python(cache: Path, *, here: bool) -> Path:
    """An interpreter that has gRPC packages only, or the one of this environment, and code generated from proto/."""
    home = cache / "python"
    interpreter = Path(sys.executable) if here else home / "venv" / "bin" / "python"
    if not interpreter.exists():
        _run([sys.executable, "-m", "venv", str(home / "venv")], "making a virtual environment (python3-venv)")
        _run([str(interpreter), "-m", "pip", "install", "-q", *PACKAGES], "installing grpcio and grpclib")
    generated = home / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    outputs = [f"--python_out={generated}", f"--grpc_python_out={generated}"]
    _run([str(interpreter), "-m", "grpc_tools.protoc", *_includes(), *outputs, *_protos()], "generating Python code")
    return interpreter


def python_environment(cache: Path) -> tuple[Path, dict[str, str]]:
    """The interpreter with gRPC packages only, and the environment in which it finds the generated code."""
    return _python(cache, here=False), os.environ | {"PYTHONPATH": str(cache / "python" / "generated")}


def _python_program(name: str) -> Program:
    def command(cache: Path, here: bool) -> list[str]:  # noqa: FBT001 - of the table below
        interpreter = _python(cache, here=here)
        path = os.pathsep.join([str(cache / "python" / "generated"), str(HERE / "python")])
        return ["env", f"PYTHONPATH={path}", str(interpreter), "-P", str(HERE / "python" / f"{name}.py")]

    return Program(name, command, python=True)


def _javascript(cache: Path, _here: bool) -> list[str]:  # noqa: FBT001 - of the table below
    node, npm = _tool("node"), _tool("npm")
    home = cache / "javascript"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.js", "every_call.js"):
        shutil.copy(HERE / "javascript" / name, home)
    if not (home / "node_modules" / "@grpc" / "grpc-js").exists():
        _run([npm, "install", "--no-audit", "--no-fund"], "npm install", home)
    return ["env", f"IDIS_ROOT={ROOT}", node, str(home / "client.js")]


def _cpp(cache: Path, _here: bool) -> list[str]:  # noqa: FBT001 - of the table below
    protoc, compiler, plugin, config = map(_tool, ("protoc", "g++", "grpc_cpp_plugin", "pkg-config"))
    flags = subprocess.run(  # noqa: S603 - our command
        [config, "--cflags", "--libs", *LIBRARIES], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        raise Missing(f"gRPC's C++ headers are not installed (Debian: {' '.join(LIBRARIES.values())})")
    home = cache / "cpp"
    home.mkdir(parents=True, exist_ok=True)
    program, sources = home / "client", sorted((HERE / "cpp").iterdir())
    newest = max(Path(path).stat().st_mtime for path in (*_protos(), *sources))
    if not program.exists() or program.stat().st_mtime < newest:
        outputs = [f"--cpp_out={home}", f"--grpc_out={home}", f"--plugin=protoc-gen-grpc={plugin}"]
        _run([protoc, *_includes(), *outputs, *_protos()], "generating C++ code")
        units = [*(str(path) for path in sources if path.suffix == ".cc"), *map(str, sorted(home.rglob("*.pb.cc")))]
        _run([compiler, "-std=c++17", f"-I{home}", *units, "-o", str(program), *flags.stdout.split()], "g++")
    return [str(program)]


PROGRAMS = (
    _python_program("grpcio_sync"),
    _python_program("grpcio_aio"),
    _python_program("reflected"),
    _python_program("grpclib_peer"),
    Program("grpc_js", _javascript),
    Program("cpp", _cpp),
)
"""The first one is the reference: what it prints on the grpcio back end is what all must print on both."""
