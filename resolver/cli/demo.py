"""``idis demo``: a node with real identifiers, end to end, by the commands a user would type.

It starts a node on a data directory of its own, imports every USB and PCI product known to Debian, resolves some by
the command and by the Python library, stops the node again, and tells what to try next. Run twice it changes nothing.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver.app.banner import command
from resolver.cli.output import FAILED, Failed, Verb, emit, note, wants_json

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
SAMPLES = ("107531/0002", "101133/c52b", "232902/100e", "204318/2684")
"""Segments and suffixes of a Linux root hub, a Logitech receiver, an Intel network card and an Nvidia one."""


@click.command("demo", cls=Verb)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-data"),
    show_default=True,
    help="Data directory of the demonstration; made when missing.",
)
@click.option("--prefix", default="88.300", show_default=True, help="Secondary prefix of the node.")
@click.option(
    "--hwdata",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/usr/share/hwdata"),
    show_default=True,
    help="Directory of usb.ids and pci.ids (Debian package hwdata).",
)
@click.pass_context
def demo(ctx: click.Context, data_dir: Path, prefix: str, hwdata: Path) -> None:
    """Register every USB and PCI product known to Debian, and resolve some."""
    for name in ("usb.ids", "pci.ids"):
        if not (hwdata / name).exists():
            raise Failed(f"{hwdata / name} is missing: install the Debian package hwdata", FAILED)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _node(data_dir, prefix) as target:
        token_file = data_dir / "credentials" / "admin.token"
        idis = ["--target", target, "--token-file", str(token_file)]
        if wants_json(ctx):
            idis.append("--json")
        for kind in ("usb", "pci"):
            result = data_dir / f"{kind}-result.csv"
            _run(*idis, "import", "--format", f"{kind}-ids", str(hwdata / f"{kind}.ids"), "--result", str(result))
        names = [f"{prefix}.{sample}" for sample in SAMPLES]
        _run(*idis, "resolve", names[0])
        _by_library(ctx, target, names)
        _run(*idis, "stats", names[0].partition("/")[0])
    if not wants_json(ctx):
        _next(data_dir, names)


def _command() -> list[str]:
    return [sys.executable, "-m", "resolver"]


def _run(*arguments: str) -> None:
    """Show a command and run it. Raises Failed with its exit code."""
    click.secho("$ idis " + shlex.join(arguments), bold=True, err="--json" in arguments)
    code = subprocess.run([*_command(), *arguments], check=False).returncode  # noqa: S603 - our own command
    if code != 0:
        raise Failed(f"idis {shlex.join(arguments)} ended with exit code {code}: see above", FAILED)


@contextmanager
def _node(data_dir: Path, prefix: str) -> Iterator[str]:
    """The gRPC address of a node that runs for the length of the block."""
    arguments = ["serve", "--data-dir", str(data_dir), "--prefix", prefix, "--grpc", "127.0.0.1:0"]
    arguments += ["--hdl", "", "--http", "", "--admin", ""]
    log = data_dir / "demo.log"
    endpoints = data_dir / "endpoints.json"
    before = _stamp(endpoints)  # one that a running node has written stays
    note(f"starting a node on {data_dir}, log in {log}")
    with log.open("ab") as output:
        command = [*_command(), *arguments, "--no-banner"]
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own command
        try:
            yield _wait(process, endpoints, before, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _stamp(file: Path) -> int:
    """When a file was written, in nanoseconds; 0 for none."""
    return file.stat().st_mtime_ns if file.exists() else 0


def _wait(process: subprocess.Popen[bytes], endpoints: Path, before: int, log: Path) -> str:
    """Where the node answers, once it has written so."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        if _stamp(endpoints) not in {0, before}:
            return str(json.loads(endpoints.read_text())["grpc"])
        time.sleep(0.05)
    raise Failed(f"the node did not start: the reason is in {log}", FAILED)


def _by_library(ctx: click.Context, target: str, names: list[str]) -> None:
    """Resolve by the Python library, as an application would."""
    from resolver.client import Client  # noqa: PLC0415 - loads gRPC
    from resolver.v1.handle_pb2 import HandleRecord  # noqa: PLC0415 - as above

    click.secho(f">>> Client({target!r}).resolve_many({names!r})", bold=True, err=wants_json(ctx))
    with Client(target) as client:
        for answer in client.resolve_many(names):
            if not isinstance(answer, HandleRecord):
                raise Failed(answer.message, FAILED)
            texts = {value.type: value.data.decode() for value in answer.values}
            text = f"{answer.name}  {texts['VENDOR_NAME']}: {texts['PRODUCT_NAME']}"
            emit(ctx, {"name": answer.name, "values": texts}, text)


def _next(data_dir: Path, names: list[str]) -> None:
    program, where = command(), shlex.quote(str(data_dir))
    idis = f"{program} --data-dir {where}"
    click.secho("Try next:", bold=True)
    for line in (
        f"{program} serve --data-dir {where}        # the same node, to stay (in another terminal)",
        f"{idis} resolve {' '.join(names[1:])}",
        f"{idis} list {names[0].partition('/')[0]}",
        f"{idis} enterprise get usb-1d6b",
        f"{idis} watch --from 1",
        f"{program} check --data-dir {where}",
        "make demo        # once more: it changes nothing and says so",
    ):
        click.echo(f"  {line}")
