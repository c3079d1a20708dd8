"""Three servers of one site as processes: any of them is asked, each takes its own, and the site grows under load."""

import random
import subprocess
import sys
import threading
import time

import grpc
import pytest

from conformance.federation import handle_client
from resolver.client import CallFailed, Client, new_handle, to_pb
from resolver.client.failures import from_grpc
from resolver.handle.value import HandleValue, Permission
from resolver.v1 import registration_pb2, registration_pb2_grpc, registry_pb2, registry_pb2_grpc
from resolver.wire.hash_selection import server_index
from tests.support.site_processes import ROOT, done, idis, running, values

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ALL = 2
PUBLIC = handle_client.PUBLIC_ONLY
NAMES = [f"88.300.1/P-{number}" for number in range(60)]


class Writing(threading.Thread):
    """Registers and changes handles, at whatever server the client is sent on to, until it is told to stop."""

    def __init__(self, site):
        super().__init__()
        self.site, self.acknowledged, self.faults, self.ending = site, {}, [], threading.Event()

    def run(self):
        number = 0
        with Client(self.site.servers[0].grpc, token_file=self.site.token, timeout_s=60.0) as client:
            while not self.ending.is_set():
                name, data = f"88.300.1/W-{number % 300}", f"https://example.com/{number}"
                try:
                    (client.create if number < 300 else client.update)(name, values(data))
                except CallFailed as failed:
                    self.faults.append(f"{name}: {failed}")
                else:
                    self.acknowledged[name] = number
                number += 1


class Asking(threading.Thread):
    """Asks any server for what was acknowledged, until it is told to stop."""

    def __init__(self, site, writing):
        super().__init__()
        self.site, self.writing, self.asked, self.faults = site, writing, 0, []
        self.random = random.Random(7)

    def run(self):
        clients = [Client(server.grpc, timeout_s=60.0) for server in self.site.servers[:2]]
        while not self.writing.ending.is_set():
            known = dict(self.writing.acknowledged) | dict.fromkeys(NAMES, -1)
            name = self.random.choice(list(known))
            place = self.random.randrange(2)
            try:
                data = clients[place].resolve(name).values[0].data
                found = int(data.rpartition(b"/")[2]) if known[name] >= 0 else -1
                if found < known[name]:
                    self.faults.append(f"{name} at {place + 1}: {found} after {known[name]} was acknowledged")
                flags = PUBLIC | handle_client.RECURSIVE
                if handle_client.ask(self.site.servers[place].hdl, name, flags=flags, timeout_s=60.0).code != 1:
                    self.faults.append(f"{name} at {place + 1} over Handle TCP")
            except Exception as error:  # noqa: BLE001 - whatever it is, it was told no
                self.faults.append(f"{name} at {place + 1}: {error!r}")
            self.asked += 1
        for client in clients:
            client.close()


def test_a_site_of_two_servers_and_then_of_three(tmp_path):
    with running(tmp_path) as site:
        with site.client(1) as client:
            rows = list(client.create_many(new_handle(name, values("https://example.com/")) for name in NAMES))
        assert [row.reason for row in rows] == ["CREATED"] * len(NAMES)
        site.join(2, 3)
        assert done(*site.at(2), "site", "show")["server"] == 2
        moves = done(*site.at(1), "site", "plan", site.file(1, 2))["moves"]
        expected = [sum(server_index(name, ALL, 2) == place for name in NAMES) for place in (0, 1)]
        assert [move["handles"] for move in moves] == expected
        assert done(*site.at(1), "site", "move", site.file(1, 2))["servers"] == 2
        assert done(*site.at(1), "site", "move", site.file(1, 2)) == {"changed": False}
        assert done(*site.at(2), "site", "show")["layout"]["hash"] == "all"  # as the file says it
        check_registry(site)
        check_reads(site, 2)
        check_writes(site)
        writing = Writing(site)
        asking = Asking(site, writing)
        writing.start()
        asking.start()
        until = time.monotonic() + 60
        while len(writing.acknowledged) < 100 and time.monotonic() < until:
            time.sleep(0.05)
        done(*site.at(1), "site", "move", site.file(1, 2, 3))
        count = max(writing.acknowledged.values())
        while max(writing.acknowledged.values()) < count + 100 and time.monotonic() < until + 60:
            time.sleep(0.05)
        writing.ending.set()
        writing.join()
        asking.join()
        assert writing.faults == []
        assert asking.faults == []
        assert asking.asked > 20
        check_reads(site, 3)
        check_acknowledged(site, writing.acknowledged)
        wait_for_leftovers(site)
        listed = list_of_site(site)
        assert [name.upper() for name in listed] == sorted(name.upper() for name in listed)
        assert {*NAMES, *writing.acknowledged} <= set(listed)
        for server in site.servers:
            server.stop()
        for server in site.servers:
            assert done("check", "--data-dir", server.directory)


def check_registry(site):
    """The registry is changed at the first server and read at all."""
    done(*site.at(1), "enterprise", "create", "--id", "acme", "--name", "某某轴承")
    done(*site.at(1), "prefix", "create", "88.300.2", "--enterprise", "acme")
    until = time.monotonic() + 60
    while idis(*site.at(2), "prefix", "get", "88.300.2")[0] and time.monotonic() < until:
        time.sleep(0.05)
    assert done(*site.at(2), "enterprise", "get", "acme")["name"] == "某某轴承"
    request = registry_pb2.CreateEnterpriseRequest(enterprise=registry_pb2.Enterprise(enterprise_id="x", name="x"))
    with grpc.insecure_channel(site.servers[1].grpc) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.CreateEnterprise(request, metadata=site.metadata())
    assert from_grpc(refused.value).other_place == site.servers[0].grpc
    done(*site.at(2), "enterprise", "create", "--id", "other", "--name", "other")  # our own client goes there
    answer = handle_client.ask(site.servers[1].hdl, "0.NA/88.300.2")
    assert "HS_SITE" in [value.type for value in answer.values]


def check_reads(site, count):
    """Any server answers any name over gRPC; over Handle each answers its own, and for others who wants that."""
    servers = site.servers[:count]
    known = handle_client.ask(servers[-1].hdl, "0.NA/88.300.1")
    record = handle_client.site_of(next(value.data for value in known.values if value.type == "HS_SITE"))
    assert len(record.servers) == count
    resolver = handle_client.Resolver(record)
    for name in NAMES:
        assert resolver.resolve(name).code == handle_client.SUCCESS, resolver.path
    for server in servers:
        with Client(server.grpc, timeout_s=60.0) as client:
            assert client.resolve(NAMES[0]).name == NAMES[0]
            assert [answer.name for answer in client.resolve_many(NAMES)] == NAMES
            with pytest.raises(CallFailed) as missing:
                client.resolve("88.300.1/nowhere")
            assert missing.value.reason == "HANDLE_NOT_FOUND"
    for place, server in enumerate(servers):
        for name in NAMES[:12]:
            owner = server_index(name, ALL, count)
            code = handle_client.SUCCESS if owner == place else 301
            for protocol in (handle_client.TCP, handle_client.UDP):
                assert handle_client.ask(server.hdl, name, protocol=protocol, flags=PUBLIC | 1 << 27).code == code
            recursive = handle_client.ask(server.hdl, name, flags=PUBLIC | handle_client.RECURSIVE)
            assert recursive.code == handle_client.SUCCESS


def check_writes(site):
    """A server takes its own handles and says whose the others are; the client and the import go there."""
    second = site.servers[1].grpc
    names = [f"88.300.1/T-{number}" for number in range(40)]
    theirs = next(name for name in names if server_index(name, ALL, 2) == 1)
    request = registration_pb2.CreateHandleRequest(name=theirs, values=[to_pb(values("x")[0])])
    metadata = site.metadata()
    with grpc.insecure_channel(site.servers[0].grpc) as channel:
        stub = registration_pb2_grpc.RegistrationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.CreateHandle(request, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert from_grpc(refused.value).other_place == second
        batch = registration_pb2.BatchCreateHandlesRequest(
            handles=[registration_pb2.NewHandle(name=name, values=request.values) for name in names], validate_only=True
        )
        for name, row in zip(names, stub.BatchCreateHandles(batch, metadata=metadata).results, strict=True):
            assert row.reason == ("CREATED" if server_index(name, ALL, 2) == 0 else "NOT_THIS_SERVER")
        minted = registration_pb2.CreateHandleRequest(name="88.300.1/", mint_suffix=True, values=request.values)
        for _ in range(10):
            name = stub.CreateHandle(minted, metadata=metadata).receipt.name
            assert server_index(name, ALL, 2) == 0
    for number in (1, 2):
        with site.client(number) as client:
            client.create(f"88.300.1/at-{number}", values("https://example.com/"))
            rows = list(client.create_many(new_handle(f"{name}-{number}", values("x")) for name in names))
            assert [row.reason for row in rows] == ["CREATED"] * len(names)
            assert [row.row for row in rows] == list(range(len(names)))
            if number == 1:
                client.create(theirs, values("https://example.com/"))
    with site.client(1) as client:
        hidden = HandleValue(2, "SECRET", b"geheim", permissions=Permission(12))
        client.put_values(theirs, [hidden])
        got = client.resolve(theirs, include_restricted=True)  # taken to the server that has it
        assert [value.type for value in got.values] == ["URL", "SECRET"]
        assert [value.type for value in client.resolve(theirs).values] == ["URL"]
    table = site.root / "products.csv"
    table.write_text("name,1:URL\n" + "".join(f"88.300.1/I-{number},https://a/{number}\n" for number in range(50)))
    for again in (False, True):
        words = ("import", table, "--result", site.root / f"result-{again}.csv")
        report = done(*site.at(2), *words)
        assert report["created"] + report["unchanged"] == 50, report
        assert report["failed"] == 0


def check_acknowledged(site, acknowledged):
    """Nothing that was acknowledged is lost, and the last change is what everybody is told."""
    for number in (1, 2, 3):
        with site.client(number) as client:
            answers = list(client.resolve_many(list(acknowledged)))
        for (name, last), answer in zip(acknowledged.items(), answers, strict=True):
            assert answer.name == name
            assert int(answer.values[0].data.rpartition(b"/")[2]) == last


def list_of_site(site):
    command = [sys.executable, "-m", "resolver", *map(str, site.at(3)), "list", "88.300.1", "--site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=200)
    return done.stdout.splitlines()


def wait_for_leftovers(site):
    until = time.monotonic() + 60
    while any(done(*site.at(number), "site", "show").get("leftovers") for number in (1, 2, 3)):
        assert time.monotonic() < until
