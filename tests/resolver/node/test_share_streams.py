"""Servers of one site that copy from each other over streams that stay open, without processes."""

import pytest

from resolver.node import share_copy, share_source, shares
from resolver.v1 import site_pb2
from tests.support.site import ALL, Site

SUFFIX = site_pb2.SITE_HASH_SUFFIX


@pytest.fixture
def site(clock, randomness):
    return Site(clock, randomness)


def begun(site):
    """A change of two servers that has begun, and what they copy of each other."""
    site.join(2)
    site.move(site.servers, ALL)
    site.layout = site.layout_of(site.servers, ALL, site.layout.serial)
    following = site.layout_of(site.servers, SUFFIX, site.layout.serial + 1)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
    return [stream for server in site.servers for stream in server.streams(site.servers)]


def rounds_until_quiet(streams, most=50):
    for number in range(most):
        taken = [stream.take() for stream in streams]
        if not any(taken):
            return number
    raise AssertionError("they tell each other without end")


def test_servers_that_copy_from_each_other_come_to_rest(site):
    streams = begun(site)
    assert rounds_until_quiet(streams) > 0
    assert len(streams) == 3  # the second one has the registry of the first
    for number in range(40):
        site.write(f"88.300.1/{number}")
    assert 0 < rounds_until_quiet(streams) < 10
    assert all(pull.complete for server in site.servers for pull in server.row().pulls)
    for stream in streams:
        held = share_copy.pull_of(stream.server.row(), stream.pull.server, registry=stream.pull.wanted.share.registry)
        assert held.held.serial == stream.origin.serial()


def test_a_server_is_told_of_what_does_not_concern_it_before_it_is_forgotten(site, monkeypatch):
    monkeypatch.setattr(share_source, "ROWS_MAX", 5)
    streams = begun(site)
    rounds_until_quiet(streams)
    first, second = site.servers
    stream = next(stream for stream in streams if stream.server is second and not stream.pull.wanted.share.registry)

    def own_row(ledger):
        shares.store_server(ledger.writer, shares.server_row(ledger.writer))

    def held():
        return share_copy.pull_of(second.row(), first.number, registry=False).held.sequence

    told = []
    for _ in range(12):
        first.commit(own_row, everywhere=True)
        before = held()
        while stream.take():
            told.append(held() - before)
    assert told == [5, 5]
    site.write("88.300.1/later")  # what was passed over goes with it
    rounds_until_quiet(streams)
    assert share_copy.pull_of(second.row(), first.number, registry=False).held.serial == first.serial()
