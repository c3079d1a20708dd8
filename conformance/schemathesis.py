"""``python -m conformance.schemathesis``: the JSON API held against its own OpenAPI document by schemathesis.

It makes requests of every kind that the document allows, and of many that it does not, against a node that it starts.
No answer may be a 5xx, none may have a status, media type or body that the document does not know, and requests that
break the schema must be refused. Streams without end are left out: their tests are elsewhere.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from conformance.node_process import node

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)

SELF_LOCKING = (
    "RegistryService_UpdatePrincipal",
    "RegistryService_RevokeKey",
    "LoginService_LogOut",
    "MirrorService_PromoteMirror",
    "MirrorService_FencePrimary",
)
"""Operations by which the caller may shut itself out, or the node from writing: they are asked last."""

LAST_S = 10
"""Seconds for these."""

BUSY = 12
"""Times as long it gets where a busy machine has made no request in its time."""


def main() -> int:
    """Run; the exit code of schemathesis."""
    parser = argparse.ArgumentParser(prog="python -m conformance.schemathesis", description="Fuzz the JSON API.")
    parser.add_argument("--seconds", type=int, default=300, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="seed of the requests")
    parser.add_argument("--phases", default="coverage,fuzzing,stateful", help="phases of schemathesis")
    parser.add_argument("--max-examples", type=int, default=100, help="requests for each operation and round")
    arguments = parser.parse_args()
    program = Path(sys.executable).with_name("st")
    if not program.exists():
        print("schemathesis is not installed: pip install 'idis-node[dev]'", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "node"
        doors = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--hdl", "", "--admin", "")
        with node(data_dir, "--workers", "1", *doors) as endpoints:
            token = (data_dir / "credentials" / "admin.token").read_text().strip()
            address = f"http://{endpoints['http']}/v1/openapi.json"
            others = [f"--exclude-operation-id={each}" for each in (*_streams(address), *SELF_LOCKING)]
            last = [f"--include-operation-id={each}" for each in SELF_LOCKING]
            code = 0
            for seconds, chosen in ((arguments.seconds, others), (LAST_S, last)):
                base = [
                    *(str(program), "run", address, "--header", f"Authorization:Bearer {token}"),
                    *("--checks", ",".join(CHECKS), "--phases", arguments.phases, "--no-color"),
                    *("--max-examples", str(arguments.max_examples)),
                    *("--seed", str(arguments.seed), "--generation-database", "none"),
                    *("--generation-with-security-parameters", "false", "--continue-on-failure"),
                    *("--request-timeout", "60", "--suppress-health-check", "all", *chosen),
                ]
                code = _run(base, seconds, directory) or code
            return code


def _run(command: list[str], seconds: int, directory: str) -> int:
    """Run schemathesis for some seconds: its exit code, or 1 when nothing was asked and so nothing was found."""
    for limit in (seconds, BUSY * seconds):
        done = subprocess.run(  # noqa: S603 - our command
            [*command, "--max-time", str(limit)], cwd=directory, check=False, capture_output=True, text=True
        )
        counted = [line.strip() for line in done.stdout.splitlines() if " generated, " in line]
        if counted or done.returncode:
            break
    print(done.stdout + done.stderr if done.returncode or not counted else f"schemathesis: {counted[-1]}")
    return done.returncode or int(not counted)


def _streams(address: str) -> list[str]:
    """Operations whose bodies or answers are streams."""
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own node
        places = json.load(answer)["paths"].values()
    found = []
    for operation in (each for place in places for each in place.values()):
        contents = [operation["responses"]["200"]["content"], operation.get("requestBody", {}).get("content")]
        if any(content is not None and "application/json" not in content for content in contents):
            found.append(operation["operationId"])
    return found


if __name__ == "__main__":
    sys.exit(main())
