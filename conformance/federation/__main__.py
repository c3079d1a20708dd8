"""``python -m conformance.federation``: bring the tree up, ask everything everywhere, print a table and a way."""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from conformance.federation import handle_client, tree
from conformance.federation.products import products
from conformance.grpc_client import Peer, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.federation.tree import Node

DOORS = ("grpc", "hdl tcp", "hdl udp", "http")

ASK_S = 2.0
"""Seconds that a node waits for another one: a question that took as long met one that stood still."""

FAILURE_S = 3.0
"""Seconds after which a server that failed has been tried again, and no failure is remembered."""

TRIES_MAX = 5


class UpstreamSilent(Exception):
    """A node says that the one it has asked did not answer: whoever asks again may get an answer."""


class Registered(NamedTuple):
    """An identifier, the node it lives in, and what it must resolve to."""

    name: str
    home: str
    url: str


def _peer(node: Node) -> Peer:
    return Peer(node.endpoints["grpc"], node.token, node.place.prefix or "0.NA")


def register(nodes: dict[str, Node], peers: dict[str, Peer], each: int) -> list[Registered]:
    """Register real products at every node that homes a prefix."""
    homes = [name for name, node in nodes.items() if node.place.products_under]
    supply = iter(products(each * len(homes)))
    found = []
    for home in homes:
        peer = peers[home]
        for _ in range(each):
            product = next(supply)
            name = f"{nodes[home].place.products_under}/{product.suffix}"
            values = [peer.value(1, "URL", product.url), peer.value(2, "DESC", product.description)]
            peer.call("RegistrationService/CreateHandle", name=name, values=values)
            found.append(Registered(name, home, product.url))
    return found


def _askers(node: Node, peer: Peer) -> dict[str, Callable[[str], str]]:
    """For each door a function that gives the URL of an identifier."""
    host, _, port = node.endpoints["hdl_tcp"].rpartition(":")
    ports = {handle_client.TCP: int(port), handle_client.UDP: int(node.endpoints["hdl_udp"].rpartition(":")[2])}
    server = handle_client.Server(host, ports)
    flags = handle_client.RECURSIVE | handle_client.PUBLIC_ONLY | handle_client.CACHE_CERTIFY

    def over_grpc(name: str) -> str:
        try:
            record = peer.call("ResolutionService/Resolve", name=name, token="").record
        except Refusal as refusal:
            if refusal.reason == "UPSTREAM_FAILED":
                raise UpstreamSilent(refusal.message) from refusal
            raise
        return next(value.data.decode() for value in record.values if value.type == "URL")

    def over_handle(protocol: int) -> Callable[[str], str]:
        def ask(name: str) -> str:
            answer = handle_client.ask(server, name, protocol=protocol, flags=flags)
            if answer.code == handle_client.ERROR:
                raise UpstreamSilent(f"code {answer.code}")
            return next((value.data.decode() for value in answer.values if value.type == "URL"), f"code {answer.code}")

        return ask

    def over_http(name: str) -> str:
        connection = http.client.HTTPConnection(node.endpoints["http"], timeout=30)
        try:
            connection.request("GET", f"/api/handles/{quote(name)}")
            response = connection.getresponse()
            document = json.loads(response.read())
        finally:
            connection.close()
        if response.status == http.client.GATEWAY_TIMEOUT:
            raise UpstreamSilent(f"{document}"[:80])
        values = document.get("values", [])
        return next((value["data"]["value"] for value in values if value["type"] == "URL"), f"{document}"[:80])

    found = {
        "grpc": over_grpc,
        "hdl tcp": over_handle(handle_client.TCP),
        "hdl udp": over_handle(handle_client.UDP),
    }
    if "http" in node.endpoints:
        found["http"] = over_http
    return found


class Cell:
    """What became of the questions to one node at one door."""

    def __init__(self) -> None:
        self.asked = 0
        self.right = 0
        self.again = 0
        self.times_s: list[float] = []

    def __str__(self) -> str:
        if not self.asked:
            return "-"
        median_ms, slowest_ms = 1_000 * statistics.median(self.times_s), 1_000 * max(self.times_s)
        return f"{self.right}/{self.asked} {median_ms:.1f} {slowest_ms:.0f} ms"


def ask_all(
    nodes: dict[str, Node], peers: dict[str, Peer], names: list[Registered]
) -> tuple[dict[tuple[str, str], Cell], list[str]]:
    """Ask for every identifier at every node through every door; the faults in words."""
    cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
    faults = []
    for where, node in nodes.items():
        askers = list(_askers(node, peers[where]).items())
        for number, (name, home, url) in enumerate(names):
            first = number % len(askers)  # each door is the first to hear of some, when nothing is kept yet
            for door, ask in askers[first:] + askers[:first]:
                cell = cells[where, door]
                answer = _ask(cell, ask, name)
                cell.asked += 1
                cell.right += answer == url
                if answer != url:
                    faults.append(f"{name} of {home} asked at {where} over {door}: {answer[:200]}")
    return cells, faults


def _ask(cell: Cell, ask: Callable[[str], str], name: str) -> str:
    """The answer to a question, or what went wrong; where a node stood still meanwhile it is asked again."""
    stood_still_s = -FAILURE_S
    while True:
        started_s = time.perf_counter()
        try:
            return ask(name)
        except UpstreamSilent as error:
            now_s = time.perf_counter()
            if now_s - started_s >= ASK_S:
                stood_still_s = now_s
            if now_s - stood_still_s > FAILURE_S or cell.again >= TRIES_MAX:
                return f"no answer: {error}"
        except (Refusal, OSError, ValueError, StopIteration) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            cell.times_s.append(time.perf_counter() - started_s)
        cell.again += 1
        time.sleep(1)


def follow_referrals(nodes: dict[str, Node], names: list[Registered]) -> list[str]:
    """Resolve every identifier from the top by referrals alone; the faults in words."""
    resolver = handle_client.Resolver(handle_client.site_in_file(nodes["top"].directory / "site.json"))
    faults = []
    for name, _, url in names:
        try:
            answer = resolver.resolve(name)
        except (OSError, ValueError) as error:
            faults.append(f"{name} by referrals from the top: {error}")
            continue
        if url.encode() not in [value.data for value in answer.values]:
            faults.append(f"{name} by referrals from the top: code {answer.code} after {'; '.join(resolver.path)}")
        elif not answer.flags & 0x8000_0000:
            faults.append(f"{name} by referrals from the top: not from a server that is responsible: {resolver.path}")
    return faults


def _print_table(nodes: dict[str, Node], cells: dict[tuple[str, str], Cell]) -> None:
    print(f"{'asked at':<14}{'homes':<14}" + "".join(f"{door:<22}" for door in DOORS))
    for where, node in nodes.items():
        row = "".join(f"{cells.get((where, door), Cell())!s:<22}" for door in DOORS)
        print(f"{where:<14}{node.place.prefix or '-':<14}{row}")


def main() -> int:
    """Run, print, and exit with 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m conformance.federation", description=__doc__)
    parser.add_argument("--small", action="store_true", help="three nodes only")
    parser.add_argument("--each", type=int, default=3, metavar="N", help="products registered at each node")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    places = tree.SMALL if arguments.small else tree.WHOLE
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, tree.running(Path(directory), places) as nodes:
        peers = {name: _peer(node) for name, node in nodes.items()}
        names = register(nodes, peers, arguments.each)
        up_s = time.monotonic() - started_s
        asker = next(reversed(nodes.values()))
        far = next(each for each in reversed(names) if each.home != asker.place.name)
        trace = asker.idis("--json" if arguments.json else "resolve", *_trace(far.name, as_json=arguments.json))
        cells, faults = ask_all(nodes, peers, names)
        faults += follow_referrals(nodes, names)
        for peer in peers.values():
            peer.close()
    took_s = time.monotonic() - started_s
    if arguments.json:
        document = {
            "nodes": len(nodes),
            "identifiers": len(names),
            "answers": {f"{where} {door}": [cell.right, cell.asked] for (where, door), cell in cells.items()},
            "asked_again": sum(cell.again for cell in cells.values()),
            "referrals_followed": len(names) - sum("by referrals" in fault for fault in faults),
            "faults": faults,
            "trace": json.loads(trace),
            "seconds": round(took_s, 1),
        }
        print(json.dumps(document, ensure_ascii=False))
        return 1 if faults else 0
    print(f"{len(nodes)} nodes up with {len(names)} products after {up_s:.0f} s; answers, median and slowest time:\n")
    _print_table(nodes, cells)
    print(f"\nby referrals from the top alone: {len(names)} identifiers")
    print(f"\nthe way of {far.name} asked at {asker.place.name}:\n{trace}")
    for fault in faults[:20]:
        print(f"WRONG: {fault}", file=sys.stderr)
    print(f"{'wrong answers: ' + str(len(faults)) if faults else 'every answer is right'}, {took_s:.0f} s")
    return 1 if faults else 0


def _trace(name: str, *, as_json: bool) -> list[str]:
    return ["resolve", name, "--trace"] if as_json else [name, "--trace"]


if __name__ == "__main__":
    sys.exit(main())
