"""A sharded secondary node below a top node: whoever starts at the top finds every handle, before and after it grows.

The top has been told the site of two servers when a third one joins: who still has that record is told better.
"""

import contextlib

import pytest

from conformance.federation import handle_client, tree
from conformance.handle.judging import judge_handle, who_of
from resolver.client import Client, new_handle
from tests.support.site_processes import done, running, values

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(240)]

BEFORE, OLD_RECORD, AFTER = ([f"88.300.1/{word}-{number}" for number in range(40)] for word in "BOA")
"""Names asked for the first time before the site grows, while the top has its old record, and after."""


@contextlib.contextmanager
def top_node(root):
    with tree.running(root, [tree.Place("top", "top", "88")]) as nodes:
        yield nodes["top"]


def names_at(node, names):
    """What the top node answers about names: records over gRPC, and the codes of the Handle door."""
    host, _, port = node.endpoints["hdl_tcp"].rpartition(":")
    door = handle_client.Server(host, {handle_client.TCP: int(port)})
    with Client(node.endpoints["grpc"]) as client:
        records = [client.resolve(name).name for name in names[:20]]
        records += [answer.name for answer in client.resolve_many(names[20:30])]
    flags = handle_client.PUBLIC_ONLY | handle_client.RECURSIVE
    return records, {handle_client.ask(door, name, flags=flags).code for name in names[30:]}


@pytest.mark.parametrize("speaks_grpc", [True, False])
def test_every_handle_is_found_from_the_top_while_its_site_grows(tmp_path, monkeypatch, speaks_grpc):
    with running(tmp_path) as site, contextlib.ExitStack() as stack:
        site.join(2, 3)
        done(*site.at(1), "site", "move", site.file(1, 2))
        with site.client(1) as client:
            rows = [new_handle(name, values("https://example.com/")) for name in [*BEFORE, *OLD_RECORD, *AFTER]]
            assert {row.reason for row in client.create_many(rows)} == {"CREATED"}
        monkeypatch.setenv("IDIS_FEDERATION__ALLOW_NETWORKS", "127.1.0.0/16")
        monkeypatch.setenv("IDIS_FEDERATION__GRPC", str(speaks_grpc).lower())
        top = stack.enter_context(top_node(tmp_path))
        top.idis("prefix", "create", "88.300")
        route = ("prefix", "route", "88.300", "--site", str(site.servers[0].directory / "site.json"))
        top.idis(*route)
        client = handle_client.Resolver(handle_client.site_in_file(top.directory / "site.json"))
        assert names_at(top, BEFORE) == (BEFORE[:30], {handle_client.SUCCESS})
        for name in BEFORE:
            assert client.resolve(name).code == handle_client.SUCCESS, client.path
        done(*site.at(1), "site", "move", site.file(1, 2, 3))
        assert names_at(top, OLD_RECORD) == (OLD_RECORD[:30], {handle_client.SUCCESS})
        top.idis(*route)
        assert names_at(top, AFTER) == (AFTER[:30], {handle_client.SUCCESS})
        for name in AFTER:
            assert client.resolve(name).code == handle_client.SUCCESS, client.path


def test_every_server_of_several_keeps_the_rules_of_the_handle_protocol(tmp_path):
    with running(tmp_path) as site:
        site.join(2)
        done(*site.at(1), "site", "move", site.file(1, 2))
        who = who_of("300:0.NA/88.300", site.servers[0].directory / "credentials" / "admin_rsa.pem", "")
        for server in site.servers[:2]:
            verdicts = judge_handle(server.endpoints["hdl_tcp"], "88.300.1", who)
            assert {verdict.check.name: verdict.fault for verdict in verdicts if verdict.fault} == {}
            assert "another servers handle is not answered" in {verdict.check.name for verdict in verdicts}
