"""What /metrics says is what clients have counted, to the last call, over several workers, doors and restarts."""

import ast
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import grpc
import pytest

from resolver.clock import day_of
from resolver.telemetry import dashboard
from resolver.v1 import (
    node_pb2,
    node_pb2_grpc,
    registration_pb2,
    registration_pb2_grpc,
    resolution_pb2,
    resolution_pb2_grpc,
)
from resolver.wire import requests
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, HandleClient
from tests.support.builders import value
from tests.system.test_process_model import serving, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DOORS = ("--hdl", "127.0.0.1:0", "--http", "127.0.0.1:0")
YESTERDAY = day_of((int(time.time()) - 86_400) * 1_000_000)
"""The run may begin before midnight and end after it."""

COUNTS_ON_THEIR_WAY_S = 1.0
"""Counts are carried over once a second."""

COUNTED_LATE_S = 60.0

UNHURRIED = {"IDIS_DRAIN__GRACE_S": "120"}
"""A worker that is killed because it leaves too slowly takes counts with it, and answers that were on their way."""

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.e+]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def scrape(node):
    """Every sample of /metrics: (name, sorted labels) → value."""
    status, text = node.get("/metrics")
    assert status == 200
    return {
        (name, tuple(sorted(_LABEL.findall(labels or "")))): float(number)
        for name, labels, number in _SAMPLE.findall(text)
    }


def total(samples, name, **labels):
    """The sum of the samples of a metric that have some labels."""
    wanted = set(labels.items())
    return sum(number for (each, has), number in samples.items() if each == name and wanted <= set(has))


class Client:
    """Asks over every door and counts what it was answered; each call from a connection of its own."""

    def __init__(self, node, count):
        self.node, self.count = node, count
        self.counted = Counter()

    def run(self, number):
        """What one of several clients does."""
        for turn in range(self.count):
            with grpc.insecure_channel(
                self.node.endpoints["grpc"], options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                self.over_grpc(channel, f"88.300.1/M-{number}-{turn}")
            self.over_http(turn)
            self.over_handle(turn)

    def over_grpc(self, channel, name):
        bearer = (("authorization", f"Bearer {self.node.token}"),)
        writes = registration_pb2_grpc.RegistrationServiceStub(channel)
        reads = resolution_pb2_grpc.ResolutionServiceStub(channel)
        request = registration_pb2.CreateHandleRequest(name=name, values=[value()])
        writes.CreateHandle(request, metadata=bearer, timeout=60)
        self.counted["CreateHandle OK"] += 1
        for wanted in (name, "88.300.1/none", name):
            try:
                reads.Resolve(resolution_pb2.ResolveRequest(name=wanted), timeout=60)
                self.counted["Resolve OK"] += 1
            except grpc.RpcError as error:
                self.counted[f"Resolve {error.code().name}"] += 1
        names = [name, "88.300.1/none", "88.300.1/M-0-0", "elsewhere/x"]
        answer = reads.BatchResolve(resolution_pb2.BatchResolveRequest(names=names), timeout=60)
        self.counted["BatchResolve OK"] += 1
        self.counted["grpc found"] += 2 + len(answer.records)
        self.counted["grpc asked"] += 3 + len(names)

    def over_http(self, turn):
        for name in ("88.300.1/M-0-0", "88.300.1/none")[: 1 + turn % 2]:
            try:
                with urllib.request.urlopen(
                    f"http://{self.node.endpoints['http']}/v1/handles/{name}", timeout=60
                ) as answer:
                    self.counted[f"http {answer.status}"] += 1
            except urllib.error.HTTPError as error:
                with error:
                    self.counted[f"http {error.code}"] += 1

    def over_handle(self, turn):
        port = int(self.node.endpoints["hdl_tcp"].rpartition(":")[2])
        client = HandleClient(port)
        for name in ("88.300.1/M-0-0", "88.300.1/none"):
            answer = client.ask(1, requests.Resolution(name), flags=HSJ_PUBLIC)
            self.counted[f"hdl_tcp {answer.header.response_code}"] += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(60)
            udp.connect(("127.0.0.1", port))
            name = f"88.300.1/M-0-0{'-none' * (turn % 2)}"
            udp.send(client.request(1, requests.Resolution(name), flags=HSJ_PUBLIC).to_wire())
            self.counted[f"hdl_udp {int.from_bytes(udp.recv(600)[24:28], 'big')}"] += 1


def work(node, counted, first, *, clients=4, turns=6):
    """Several clients at once, numbered from ``first``; what they counted is added."""
    running = [Client(node, turns) for _ in range(clients)]
    threads = [threading.Thread(target=client.run, args=(first + number,)) for number, client in enumerate(running)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in running:
        counted.update(client.counted)


def said(node):
    """What /metrics says, in the words of the clients."""
    samples = scrape(node)
    found = Counter()
    for method, code in (("CreateHandle", "OK"), ("Resolve", "OK"), ("Resolve", "NOT_FOUND"), ("BatchResolve", "OK")):
        count = total(samples, "grpc_server_handled_total", grpc_method=method, grpc_code=code)
        same = total(samples, "idis_requests_total", protocol="grpc", operation=method, result=code)
        found[f"{method} {code}"] = count if count == same else (count, same)  # a worker is between the two
    for door, names in (
        ("hdl_tcp", {1: "SUCCESS", 100: "HANDLE_NOT_FOUND"}),
        ("hdl_udp", {1: "SUCCESS", 100: "HANDLE_NOT_FOUND"}),
    ):
        for number, name in names.items():
            found[f"{door} {number}"] = total(
                samples, "idis_requests_total", protocol=door, operation="resolution", result=name
            )
    for status in ("200", "404"):
        found[f"http {status}"] = total(
            samples, "idis_requests_total", protocol="http", operation="Resolve", result=status
        )
    found["grpc found"] = total(samples, "idis_resolved_names_total", protocol="grpc", result="found")
    found["grpc asked"] = total(samples, "idis_resolved_names_total", protocol="grpc")
    return found


def equal_soon(node, counted):
    """Wait until the metrics have caught up; they must then stand still at exactly what was counted."""
    until = time.monotonic() + COUNTED_LATE_S
    while time.monotonic() < until and said(node) != counted:
        time.sleep(0.1)
    assert said(node) == counted


def test_counters_are_the_clients_own_through_a_roll_and_a_kill(tmp_path):
    counted = Counter()
    with serving(tmp_path / "data", *DOORS, **UNHURRIED) as node:
        work(node, counted, first=0)
        equal_soon(node, counted)

        before = node.workers()
        node.send(signal.SIGUSR2)
        wait_for(lambda: not node.workers() & before and node.ready_workers())
        equal_soon(node, counted)
        work(node, counted, first=4)
        equal_soon(node, counted)

        bearer = (("authorization", f"Bearer {node.token}"),)
        with grpc.insecure_channel(node.endpoints["grpc"]) as channel:
            stub = node_pb2_grpc.NodeServiceStub(channel)
            request = node_pb2.GetStatisticsRequest(from_day=YESTERDAY, include_activity=True)
            # What is not in the store yet is lost with a worker that is killed.
            wait_for(lambda: stored(stub.GetStatistics(request, metadata=bearer, timeout=60)) == statistics_of(counted))
        victim = next(iter(node.workers()))
        os.kill(victim, signal.SIGKILL)
        # Its listening sockets lose who comes to them until it is gone.
        wait_for(lambda: len(node.workers() - {victim}) == 2 and node.ready_workers())
        equal_soon(node, counted)
        work(node, counted, first=8)
        equal_soon(node, counted)

        # A node that is the top of its tree asks no other.
        wanted = asked_by_the_dashboard() - {"idis_upstream_questions_total"}
        wait_for(lambda: wanted <= {name for name, _ in scrape(node)})
        samples = scrape(node)
        assert (
            total(samples, "idis_changed_handles_total", protocol="grpc", operation="create")
            == counted["CreateHandle OK"]
        )
        assert (
            total(samples, "idis_request_seconds_count", protocol="hdl_udp")
            == counted["hdl_udp 1"] + counted["hdl_udp 100"]
        )
        with grpc.insecure_channel(node.endpoints["grpc"]) as channel:
            stub = node_pb2_grpc.NodeServiceStub(channel)
            wait_for(lambda: stored(stub.GetStatistics(request, metadata=bearer, timeout=60)) == statistics_of(counted))
            sources = stub.ListSourceStatistics(
                node_pb2.ListSourceStatisticsRequest(from_day=YESTERDAY), metadata=bearer, timeout=60
            )
            (source,) = sources.sources
            assert (source.address, source.error) == ("127.0.0.1", 0)
            assert source.resolutions == sum(asked for _, asked in statistics_of(counted).values())
    with serving(tmp_path / "data", *DOORS) as node, grpc.insecure_channel(node.endpoints["grpc"]) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        assert stored(stub.GetStatistics(request, metadata=bearer, timeout=60)) == statistics_of(counted)


def stored(answer):
    """Names found and asked by protocol, as the store has them."""
    found = Counter()
    for row in answer.activity:
        if row.kind == "resolution" and row.protocol:
            found[row.protocol] += 1
    assert set(found.values()) <= {1, 2}, "a row for each day"
    sums = {}
    for row in answer.activity:
        if row.kind == "resolution" and row.protocol:
            ok, asked = sums.get(row.protocol, (0, 0))
            sums[row.protocol] = (ok + row.items_ok, asked + row.items)
            assert 0 < row.least_us <= row.average_us <= row.most_us
            assert row.peak_per_s <= row.items
    return sums


def statistics_of(counted):
    sums = {"grpc": (counted["grpc found"], counted["grpc asked"])}
    for door, ok, missed in (("http", "200", "404"), ("hdl_tcp", "1", "100"), ("hdl_udp", "1", "100")):
        sums[door] = (counted[f"{door} {ok}"], counted[f"{door} {ok}"] + counted[f"{door} {missed}"])
    return sums


def ask_until(stop, ask, counted):
    """Ask again and again; what was answered is counted."""
    mine = Counter()
    while not stop.is_set():
        mine[ask()] += 1
    counted.append(mine)


def test_counters_stay_exact_while_workers_are_replaced_under_load(tmp_path):
    with serving(tmp_path / "data", *DOORS, **UNHURRIED) as node:
        endpoints, stop, counted, kept = node.endpoints, threading.Event(), [], []

        def resolver():
            channel = grpc.insecure_channel(endpoints["grpc"], options=[("grpc.use_local_subchannel_pool", 1)])
            kept.append(channel)
            stub = resolution_pb2_grpc.ResolutionServiceStub(channel)
            request = resolution_pb2.ResolveRequest(name="0.NA/88.300")

            def ask():
                try:
                    stub.Resolve(request, timeout=60, wait_for_ready=True)
                except grpc.RpcError as error:
                    return error.code().name
                return "OK"

            return ask

        def reader():
            connection = http.client.HTTPConnection(endpoints["http"], timeout=60)
            kept.append(connection)

            def ask():
                try:
                    connection.request("GET", "/v1/handles/0.NA/88.300")
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    connection.close()  # it connects anew by itself
                    return "lost"
                return str(answer.status)

            return ask

        threads = [
            threading.Thread(target=ask_until, args=(stop, make(), counted))
            for make in (resolver, resolver, resolver, reader, reader)
        ]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: total(scrape(node), "idis_connections", protocol="grpc") == 3)  # one of each
            wait_for(lambda: total(scrape(node), "idis_connections", protocol="http") == 2)
            before = node.workers()
            node.send(signal.SIGUSR2)
            wait_for(lambda: not node.workers() & before and node.ready_workers())
        finally:
            stop.set()  # threads that went on asking would keep a failed run from its end
            for thread in threads:
                thread.join(60)
        for each in kept:
            each.close()
        client = sum(counted, Counter())
        assert client["OK"] > 100
        assert client["200"] > 100

        def server(protocol, result):
            return total(scrape(node), "idis_requests_total", protocol=protocol, operation="Resolve", result=result)

        wait_for(lambda: server("grpc", "OK") >= client["OK"] and server("http", "200") >= client["200"])
        time.sleep(2 * COUNTS_ON_THEIR_WAY_S)
        assert server("grpc", "OK") == client["OK"]
        # An answer can be on its way when its connection ends; whoever loses it asks again.
        assert client["200"] <= server("http", "200") <= client["200"] + client["lost"]


def asked_by_the_dashboard():
    """Every metric that a panel asks for."""
    wanted = set()
    for panel in dashboard.dashboard()["panels"]:
        for target in panel.get("targets", []):
            wanted |= set(re.findall(r"\b(?:idis|grpc_server)_\w+", target["expr"]))
    assert len(wanted) > 15
    return wanted


NOT_SHOWN = {"idis_workers", "idis_prefixes"}
"""Metrics that no panel needs: one is a setting, the other changes only when somebody changes it."""


def declared():
    """Every metric that the code makes, by its first argument: the name without the ending of its kind."""
    for path in Path(dashboard.__file__).parents[1].rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                made = getattr(call.func, "id", "")
                if made in {"Counter", "Histogram", "GaugeMetricFamily", "CounterMetricFamily"}:
                    yield call.args[0].value


def test_every_metric_of_the_code_has_a_panel():
    names = set(declared())
    assert {"idis_connections_cut_off", "idis_records", "grpc_server_handled"} <= names
    ending = re.compile("_(total|bucket|sum|count)$")
    assert names - {ending.sub("", name) for name in asked_by_the_dashboard()} == NOT_SHOWN


def test_the_dashboard_in_the_tree_is_what_its_program_prints():
    file = Path(dashboard.__file__).with_suffix(".json")
    assert file.read_text() == dashboard.to_text(), "run python -m resolver.telemetry.dashboard"
    printed = subprocess.run([sys.executable, "-m", dashboard.__name__], capture_output=True, check=True).stdout
    assert json.loads(printed) == dashboard.dashboard()


def test_a_panel_that_names_a_label_shows_it():
    (version,) = (panel for panel in dashboard.dashboard()["panels"] if panel["title"] == "Version")
    assert version["options"]["textMode"] == "name"  # the value is the number of processes
    assert [target["legendFormat"] for target in version["targets"]] == ["{{version}}"]
