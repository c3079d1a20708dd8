"""``python -m conformance.clients``: every client that can be had here against both back ends, plain, TLS and mTLS.

Each program prints one line for each step; every line must equal that of the reference. ``h2load``, where it is
installed, sends framed requests whose answers must all be 200 without a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.clients import calls
from conformance.clients.ground import certificates, prepare
from conformance.clients.programs import PROGRAMS, Missing, needs
from conformance.grpc_client import Peer, unary_methods
from conformance.node_process import node

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "88.300.1"
BACKENDS = ("grpcio", "h2")
MODES = ("plain", "tls", "mtls")
PROGRAM_TIMEOUT_S = 300
Lines = dict[str, Any]

KNOWN = {
    ("grpcio", "too_large_up"): {"code": 8, "reason": ""},
}
"""Lines that may differ by back end. grpcio's core refuses a message above its limit before any code of a server sees
the call, so that refusal has the right status and no ErrorInfo."""


def _commands(cache: Path, wanted: list[str], *, here: bool) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The command of each program that can be had, and why the others cannot."""
    commands, missing = {}, {}
    for program in PROGRAMS:
        if (wanted and program.name not in wanted) or (here and not program.python):
            continue
        try:
            commands[program.name] = program.command(cache, here)
        except Missing as why:
            missing[program.name] = str(why)
    return commands, missing


def _talk(command: list[str], arguments: list[str]) -> Lines:
    """What a program prints, by step."""
    try:
        done = subprocess.run(  # noqa: S603 - our command
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_TIMEOUT_S,
            env=os.environ | {"IDIS_METHODS": ",".join(unary_methods()), "IDIS_CALLS": calls.lines()},
        )
    except subprocess.TimeoutExpired as late:
        output = late.stdout.decode() if isinstance(late.stdout, bytes) else ""
        return {**_lines(output), "end": {"raised": f"no end after {PROGRAM_TIMEOUT_S} s"}}
    lines = _lines(done.stdout)
    if done.returncode:
        lines["end"] = {"raised": f"exit {done.returncode}: {done.stderr.strip()[-400:]}"}
    return lines


def _lines(output: str) -> Lines:
    lines: Lines = {}
    for text in output.splitlines():
        line = json.loads(text)
        lines[line["step"]] = line["found"]
    return lines


def _options(files: dict[str, Path], mode: str) -> tuple[list[str], list[str]]:
    """Options of the node and of the programs."""
    if mode == "plain":
        return [], []
    keys = {"certificate_file": files["node"], "key_file": files["node key"]}
    theirs = ["--ca", str(files["ca"])]
    if mode == "mtls":
        keys["client_ca_file"] = files["ca"]
        theirs += ["--certificate", str(files["client"]), "--key", str(files["client key"])]
    config = files["ca"].with_name(f"{mode}.toml")
    config.write_text("[tls]\n" + "".join(f"{key} = {json.dumps(str(path))}\n" for key, path in keys.items()))
    return ["--config", str(config)], theirs


def _h2load(port: str, name: str) -> str | None:
    """The last lines of h2load over framed requests; None when it is not installed."""
    program = shutil.which("h2load")
    if program is None:
        return None
    name_octets = name.encode()
    message = b"\x0a" + bytes([len(name_octets)]) + name_octets
    with tempfile.NamedTemporaryFile() as body:
        body.write(struct.pack(">BI", 0, len(message)) + message)
        body.flush()
        done = subprocess.run(  # noqa: S603 - our command
            [
                *(program, "-n", "20000", "-c", "8", "-m", "32", "-d", body.name),
                *("-H", "content-type: application/grpc", "-H", "te: trailers"),
                f"http://127.0.0.1:{port}/resolver.v1.ResolutionService/Resolve",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"requests: (.*)", done.stdout)
    return found[1] if found else done.stdout[-200:]


def _dialogues(commands: dict[str, list[str]], backends: list[str], modes: list[str]) -> Iterator[tuple[str, Lines]]:
    """Runs as they end: ``backend mode program`` and its lines."""
    with tempfile.TemporaryDirectory() as directory:
        files = certificates(Path(directory))
        for backend in backends:
            store = Path(directory) / backend
            for mode in modes:
                ours, theirs = _options(files, mode)
                serve = ("--workers", "2", "--grpc", "127.0.0.1:0", "--admin", "", "--grpc-backend", backend, *ours)
                (store / "endpoints.json").unlink(missing_ok=True)
                with node(store, *serve) as endpoints:
                    where = endpoints["grpc"]
                    token = (store / "credentials" / "admin.token").read_text().strip()
                    if not (store / "prepared").exists():
                        if mode != "plain":
                            raise SystemExit("the mode plain has to come first: it prepares the store")
                        peer = Peer(where, token, PREFIX)
                        prepare(peer)
                        peer.close()
                        (store / "prepared").touch()
                    for number, (name, command) in enumerate(commands.items()):
                        started = time.monotonic()
                        lines = _talk(command, [where, token, PREFIX, f"{mode}-{number}", *theirs])
                        took_s = time.monotonic() - started
                        print(f"{backend} {mode} {name}: {len(lines)} steps, {took_s:.1f} s", file=sys.stderr)
                        yield f"{backend} {mode} {name}", lines
                    if mode == "plain" and (told := _h2load(where.rpartition(":")[2], f"{PREFIX}/interop-fixed")):
                        failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", told)
                        good = failed is not None and set(failed.groups()) == {"0"}
                        print(f"{backend} h2load: {told}", file=sys.stderr)
                        yield f"{backend} {mode} h2load", {} if good else {"end": {"raised": told}}


def _differences(runs: dict[str, Lines]) -> dict[str, list[str]]:
    """For each run, sentences on every line that is not as the reference has it, or that is an exception."""
    reference = dict(next(iter(runs.values())))
    reference |= {"too_large_up": {"code": 8, "reason": "MESSAGE_TOO_LARGE"}}
    found: dict[str, list[str]] = {}
    for run, lines in runs.items():
        for step in lines.keys() | (reference.keys() if not run.endswith("h2load") else set()):
            line = lines.get(step, {"raised": "the step was not reached"})
            if line is None or line == KNOWN.get((run.partition(" ")[0], step)):
                continue
            if line != reference.get(step) or "raised" in line:
                told = f"{run}: {step}\n     it says {line}\n     reference {reference.get(step)}"
                found.setdefault(run, []).append(told)
    return found


def _table(runs: dict[str, Lines], differences: dict[str, list[str]]) -> Iterator[str]:
    """Clients by back end and mode: how many steps each got through, or how many went wrong."""
    columns = list(dict.fromkeys(run.rpartition(" ")[0] for run in runs))
    rows = list(dict.fromkeys(run.rpartition(" ")[2] for run in runs))
    yield " ".join(["client".ljust(14), *(column.rjust(13) for column in columns)])
    for row in rows:
        cells = []
        for column in columns:
            run = f"{column} {row}"
            bad = len(differences.get(run, ()))
            good = f"{len(runs[run])} ok" if runs.get(run) else "ok"
            cells.append("-" if run not in runs else f"{bad} WRONG" if bad else good)
        yield " ".join([row.ljust(14), *(cell.rjust(13) for cell in cells)])


def main() -> int:
    """Run, compare, print a table, and exit with 1 when any line differs or, with --all, any client is missing."""
    parser = argparse.ArgumentParser(prog="python -m conformance.clients", description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--client", action="append", choices=[program.name for program in PROGRAMS], default=[])
    parser.add_argument("--cache", type=Path, default=Path(__file__).resolve().parents[2] / ".cache" / "interop")
    parser.add_argument("--show", action="store_true", help="print the lines of the reference")
    parser.add_argument("--here", action="store_true", help="Python clients only, in the environment of this command")
    parser.add_argument("--needs", action="store_true", help="print the Debian packages that are missing, and end")
    parser.add_argument("--all", action="store_true", help="a client that cannot be had is a failure")
    arguments = parser.parse_args()
    if arguments.needs:
        print(" ".join(needs()))
        return 0
    arguments.cache.mkdir(parents=True, exist_ok=True)
    commands, missing = _commands(arguments.cache, arguments.client, here=arguments.here)
    if not shutil.which("h2load") and not arguments.here:
        missing["h2load"] = "it is not installed (Debian: nghttp2-client)"
    for name, why in missing.items():
        print(f"skip {name}: {why}")
    if not commands:
        print("no client can be had here")
        return 1
    runs = dict(_dialogues(commands, arguments.backend or list(BACKENDS), arguments.mode or list(MODES)))
    if arguments.show:
        for step, line in next(iter(runs.values())).items():
            print(f"  {step}: {json.dumps(line, ensure_ascii=False)}")
    differences = _differences(runs)
    for difference in (each for found in differences.values() for each in found):
        print("FAIL " + difference)
    print("\n".join(_table(runs, differences)))
    wrong = sum(map(len, differences.values()))
    print(f"{len(runs)} runs, {sum(len(lines) for lines in runs.values())} steps, {wrong} differences")
    return int(bool(wrong or (arguments.all and missing)))


if __name__ == "__main__":
    sys.exit(main())
