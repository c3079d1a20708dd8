"""``python -m conformance [grpc://HOST:PORT | hdl://HOST:PORT]``: judge a server, or a node started for the purpose."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import tempfile
from pathlib import Path

from conformance import suites
from conformance.grpc_client import Peer
from conformance.handle.judging import judge_handle, who_of
from conformance.node_process import node
from conformance.suite import Verdict, judge


def _judge(target: str, token_file: Path, prefix: str, http: str) -> list[Verdict]:
    peer = Peer(target, token_file.read_text().strip(), prefix, http)
    try:
        return judge(peer)
    finally:
        peer.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description="Judge a node from outside.")
    parser.add_argument("target", nargs="?", help="grpc://HOST:PORT or hdl://HOST:PORT; without it a node is started")
    parser.add_argument("--auth", default="", metavar="INDEX:HANDLE", help="an administrator, for hdl://")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its RSA key as PEM")
    parser.add_argument("--secret", default="", metavar="TEXT", help="its secret, when it has no key pair")
    parser.add_argument("--token-file", type=Path, help="API token of an administrator of the node")
    parser.add_argument("--prefix", default="88.300.1", help="prefix under which handles may be made and deleted")
    parser.add_argument(
        "--backend", action="append", choices=["auto", "h2", "grpcio"], help="back ends of the started node"
    )
    parser.add_argument("--http", default="", metavar="HOST:PORT", help="its HTTP port, for the SNMS OpenAPI")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    return parser.parse_args()


def main() -> int:
    """Judge, print, and exit with 1 when a rule is broken."""
    arguments = _arguments()
    for module in pkgutil.iter_modules(suites.__path__):
        importlib.import_module(f"{suites.__name__}.{module.name}")
    runs: dict[str, list[Verdict]] = {}
    if arguments.target:
        scheme, _, where = arguments.target.partition("://")
        if scheme == "hdl" and where:
            who = who_of(arguments.auth, arguments.key, arguments.secret)
            runs[where] = judge_handle(where, arguments.prefix, who)
            return _report(runs, as_json=arguments.json)
        if scheme != "grpc" or not where or arguments.token_file is None:
            print("give grpc://HOST:PORT and --token-file, or hdl://HOST:PORT", file=sys.stderr)
            return 2
        runs[where] = _judge(where, arguments.token_file, arguments.prefix, arguments.http)
    else:
        for backend in arguments.backend or ["grpcio", "h2"]:
            with tempfile.TemporaryDirectory() as directory:
                data_dir = Path(directory) / "node"
                options = ("--workers", "2", "--grpc", "127.0.0.1:0", "--hdl", "127.0.0.1:0", "--admin", "")
                options += ("--http", "127.0.0.1:0")
                options += ("--grpc-backend", backend)
                with node(data_dir, *options) as endpoints:
                    token = data_dir / "credentials" / "admin.token"
                    if "handle" not in runs:
                        who = who_of("300:0.NA/88.300", data_dir / "credentials" / "admin_rsa.pem", "")
                        runs["handle"] = judge_handle(endpoints["hdl_tcp"], arguments.prefix, who)
                    runs[backend] = _judge(endpoints["grpc"], token, arguments.prefix, endpoints["http"])
    return _report(runs, as_json=arguments.json)


def _report(runs: dict[str, list[Verdict]], *, as_json: bool) -> int:
    verdicts = [verdict for run in runs.values() for verdict in run]
    failed = sum(bool(verdict.fault) for verdict in verdicts)
    if as_json:
        rows = [
            {"peer": peer, "rule": verdict.check.name, "source": verdict.check.source, "fault": verdict.fault}
            for peer, run in runs.items()
            for verdict in run
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return int(failed > 0)
    for peer, run in runs.items():
        for verdict in run:
            mark = "FAIL" if verdict.fault else "ok  "
            print(f"{mark} {peer}: {verdict.check.name} [{verdict.check.source}] {verdict.seconds * 1e3:.0f} ms")
            if verdict.fault:
                print("     " + verdict.fault.replace("\n", "\n     "))
    print(f"{len(verdicts) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
