"""The nodes of a tree: what each homes, whom it asks, and how they are made, started and told of each other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 200.0


@dataclass(frozen=True)
class Place:
    """A node of the tree. ``allots`` is the node that has allotted its prefix, empty for none."""

    name: str
    role: str
    prefix: str = ""
    allots: str = ""

    @property
    def products_under(self) -> str:
        """The prefix under which it has products of its own; empty for none."""
        return {"secondary": f"{self.prefix}.1", "enterprise": self.prefix}.get(self.role, "")


WHOLE = (
    Place("top", "top", "88"),
    Place("secondary-0", "secondary", "88.300", "top"),
    Place("secondary-1", "secondary", "88.301", "top"),
    Place("secondary-2", "secondary", "88.302", "top"),
    Place("secondary-3", "secondary", "88.303", "top"),
    Place("enterprise-a", "enterprise", "88.300.17", "secondary-0"),
    Place("enterprise-b", "enterprise", "88.302.0005", "secondary-2"),
    Place("recursive", "recursive"),
)
"""The tree of the national plan: one top node, four secondary nodes, enterprises, and whoever only asks."""

SMALL = (
    Place("top", "top", "88"),
    Place("secondary-0", "secondary", "88.300", "top"),
    Place("enterprise-a", "enterprise", "88.300.17", "secondary-0"),
)


@dataclass(frozen=True)
class Host:
    """Where a node runs: its address, and the words that start a command there."""

    address: str
    inside: tuple[str, ...] = ()


@dataclass
class Node:
    """A node that runs."""

    place: Place
    host: Host
    directory: Path
    process: subprocess.Popen[bytes]
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """Its administrator's token."""
        return (self.directory / "credentials" / "admin.token").read_text().strip()

    def idis(self, *arguments: str) -> str:
        """What a command of its operator prints."""
        return _idis(self.host, "--data-dir", str(self.directory), *arguments)


def _idis(host: Host, *arguments: str) -> str:
    command = [*host.inside, sys.executable, "-m", "resolver", "--timeout", "60", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise SystemExit(f"idis {' '.join(arguments)} has failed:\n{done.stderr}")
    return done.stdout


def _make(root: Path, place: Place, host: Host) -> Path:
    """Make a node's data directory."""
    directory, address = root / place.name, host.address
    arguments = ["init", "--role", place.role, "--data-dir", str(directory), "--site", address]
    arguments += [part for door in ("grpc", "hdl", "http", "admin") for part in (f"--{door}", f"{address}:0")]
    arguments += ["--allow-network", f"{address.rpartition('.')[0]}.0/24", "--allow-port", "1024-65535"]
    if place.prefix:
        arguments += ["--prefix", place.prefix]
    if place.role != "top":
        arguments += ["--top", str(root / "top" / "site.json")]
    _idis(host, *arguments)
    return directory


def _start(place: Place, host: Host, directory: Path, options: Iterable[str]) -> Node:
    command = [*host.inside, sys.executable, "-m", "resolver", "serve", "--data-dir", str(directory), "--workers", "1"]
    log = directory.with_suffix(".log").open("wb")
    with log:
        process = subprocess.Popen([*command, "--no-banner", *options], cwd=ROOT, stdout=log, stderr=log)  # noqa: S603 - our own
    return Node(place, host, directory, process)


def _wait(node: Node) -> None:
    """Wait until a node answers."""
    until = time.monotonic() + START_TIMEOUT_S
    path = node.directory / "endpoints.json"
    while time.monotonic() < until and node.process.poll() is None:
        if path.exists():
            node.endpoints = json.loads(path.read_text())
            return
        time.sleep(0.05)
    raise SystemExit(f"{node.place.name} did not start:\n{node.directory.with_suffix('.log').read_text()[-3000:]}")


def _stop(node: Node) -> None:
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGCONT)
        node.process.send_signal(signal.SIGTERM)


def _end(node: Node) -> None:
    try:
        node.process.wait(60)
    except subprocess.TimeoutExpired:
        node.process.kill()
        node.process.wait()


@contextmanager
def running(
    root: Path, places: Iterable[Place], *options: str, hosts: Sequence[Host] = ()
) -> Iterator[dict[str, Node]]:
    """The nodes of a tree by name, until the block ends: those with nobody above first, then all others at once.

    The n-th place is on the n-th host; without hosts each node has a loopback address of its own.
    """
    nodes: dict[str, Node] = {}
    places = list(places)
    on = dict(zip(places, hosts or [Host(f"127.1.0.{number + 1}") for number in range(len(places))], strict=True))
    with ExitStack() as stack:
        for tier in ([place for place in places if place.role == "top"], [p for p in places if p.role != "top"]):
            started = []
            for place in tier:
                directory = _make(root, place, on[place])
                node = nodes[place.name] = _start(place, on[place], directory, options)
                stack.callback(_end, node)
                started.append(node)
            for node in started:
                _wait(node)
        for node in nodes.values():
            stack.callback(_stop, node)
        for place in places:
            if place.allots:
                above = nodes[place.allots]
                above.idis("prefix", "create", place.prefix)
                above.idis("prefix", "route", place.prefix, "--site", str(nodes[place.name].directory / "site.json"))
        yield nodes
