"""The first of two servers of a site dies and its mirror takes its place: in the site, and for the registry."""

import time

import pytest

from conformance.federation import handle_client
from resolver.client import Client, new_handle
from resolver.wire.hash_selection import server_index
from tests.support.site_processes import Server, done, idis, running, values

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(240)]

ALL = 2
NAMES = [f"88.300.1/{number}" for number in range(40)]


def test_a_mirror_takes_the_place_of_the_first_server(tmp_path):
    with running(tmp_path) as site:
        first = site.servers[0]
        site.join(2)
        done(*site.at(1), "site", "move", site.file(1, 2))
        mirror = Server(tmp_path, 9)
        token = tmp_path / "admin.token"
        token.write_bytes(site.token.read_bytes())
        site.token = token
        words = ("--of", first.grpc, "--mirror-token", site.site_token, "--id", "m1", "--data-dir", mirror.directory)
        done("mirror", "init", *words)
        try:
            mirror.start()
            mirror.wait()
            with site.client(2) as client:
                rows = client.create_many(new_handle(name, values("https://a/")) for name in NAMES)
                assert {row.reason for row in rows} == {"CREATED"}
            done(*site.at(1), "enterprise", "create", "--id", "before", "--name", "before")
            at_mirror = ("--target", mirror.grpc, "--token-file", token)
            until = time.monotonic() + 60
            while idis(*at_mirror, "enterprise", "get", "before")[0] and time.monotonic() < until:
                time.sleep(0.05)
            first.die()
            done(*at_mirror, "mirror", "promote")
            done("site", "join", "--server", 1, "--site-token", site.site_token, "--data-dir", mirror.directory)
            first.endpoints = mirror.endpoints
            assert done(*at_mirror, "site", "move", site.file(1, 2))["servers"] == 2
            check(site, mirror)
        finally:
            mirror.stop()


def check(site, mirror):
    second = site.servers[1]
    for place in (mirror, second):
        with Client(place.grpc, token_file=site.token) as client:
            assert [answer.name for answer in client.resolve_many(NAMES)] == NAMES
            client.create(f"88.300.1/after-{place.number}", values("https://a/"))
    known = handle_client.ask(second.hdl, "0.NA/88.300.1")
    record = handle_client.site_of(next(value.data for value in known.values if value.type == "HS_SITE"))
    until = time.monotonic() + 60
    while record.servers[0].address != "127.1.1.9" and time.monotonic() < until:
        time.sleep(0.1)
        known = handle_client.ask(second.hdl, "0.NA/88.300.1")
        record = handle_client.site_of(next(value.data for value in known.values if value.type == "HS_SITE"))
    resolver = handle_client.Resolver(record)
    for name in NAMES:
        assert resolver.resolve(name).code == handle_client.SUCCESS, resolver.path
    done(
        "--target", second.grpc, "--token-file", site.token, "enterprise", "create", "--id", "after", "--name", "after"
    )
    at_second = ("--target", second.grpc, "--token-file", site.token)
    until = time.monotonic() + 60
    while idis(*at_second, "enterprise", "get", "after")[0] and time.monotonic() < until:
        time.sleep(0.05)
    assert done(*at_second, "enterprise", "get", "after")["name"] == "after"
    assert {server_index(name, ALL, 2) for name in NAMES} == {0, 1}
