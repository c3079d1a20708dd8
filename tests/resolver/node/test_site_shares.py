"""Servers of one site without processes: shares, the registry that follows, and changes of the site under writes."""

import random

import pytest

from resolver.clock import day_of
from resolver.errors import (
    HandleNotFound,
    InvalidField,
    InvalidTransition,
    MalformedMessage,
    NotThisServer,
    SiteChanging,
)
from resolver.federation.siblings import pulls_of
from resolver.handle.name import Prefix, fold_octets
from resolver.node import administer, listing, outcomes, share_copy, shares, site_record
from resolver.node.authorize import ANONYMOUS
from resolver.node.ledger import NODE_KEY, day_key
from resolver.node.prefixes import ServedPrefixes
from resolver.node.resolve import resolve
from resolver.node.share_source import ShareSource
from resolver.registry import enterprises
from resolver.v1 import mirror_pb2, site_pb2, stored_pb2
from resolver.wire.hash_selection import key_index, server_index
from storage.tables import Table
from tests.support.builders import ADMIN, add_prefix, enterprise, value
from tests.support.site import ALL, MOST, Site

PREFIX, SUFFIX = site_pb2.SITE_HASH_PREFIX, site_pb2.SITE_HASH_SUFFIX
STEPS = tuple(step for step in site_pb2.SiteStep.values() if step not in {0, site_pb2.SITE_STEP_CANCEL})
LONG = "88.300.1/" + "x" * 600


@pytest.fixture
def site(clock, randomness):
    return Site(clock, randomness)


@pytest.mark.parametrize("option", [0, 1, 2])
def test_one_function_chooses_for_servers_and_clients(option):
    for name in ("88.300.1/abc", "88.300.1/a/b", "88.300.2/产品", LONG, "88.300.1/ümlaut"):
        folded = fold_octets(name.encode())
        for count in (1, 2, 3, 16):
            assert key_index(folded, option, count) == server_index(name, option, count)


def test_a_node_alone_has_no_share_and_looks_at_no_hash(site):
    server = site.servers[0]
    with server.engine.read() as reader:
        assert shares.share_of(reader) is None
    server.register("88.300.1/A")
    assert server.resolve("88.300.1/A").version == 1


def test_a_new_server_follows_the_registry_and_has_no_handles(site):
    site.write("88.300.1/A")
    second = site.join(2)
    assert second.registry() == site.servers[0].registry()
    assert second.names() == set()
    with pytest.raises(NotThisServer, match="no part of its site yet"):
        second.resolve("88.300.1/A")
    with pytest.raises(NotThisServer):
        second.register("88.300.1/B")
    draft = administer.prepare("0.NA/88.300.1", [value()], "", 1, MOST)
    with pytest.raises(NotThisServer, match="registry"):
        second.commit(lambda ledger: administer.create(ledger, ADMIN, draft))
    row = enterprise("later")
    first = site.servers[0]
    first.commit(lambda ledger: enterprises.create(ledger.writer, ADMIN, row, ledger.now_us, bytes))
    second.pull(site.servers, most=1)
    assert second.registry() == first.registry()


@pytest.mark.parametrize("hash_", [PREFIX, SUFFIX, ALL])
def test_handles_go_where_their_hash_says_with_versions_and_secrets(site, hash_):
    names = [f"88.300.{1 + number % 2}/N-{number}" for number in range(40)]
    first = site.servers[0]
    first.commit(lambda ledger: add_prefix(ledger.writer, "88.300.2"))
    for name in [*names, LONG]:
        site.write(name, hidden=name.endswith("7"))
    site.write(names[0], data="changed")
    site.write(names[1], deletes=True)
    site.join(2)
    site.join(3)
    site.move(site.servers, hash_)
    site.check()
    assert sum(len(server.names()) for server in site.servers) == 40
    site.write(names[1], data="again")  # its version goes on where it was deleted
    site.write(LONG, data="longer")
    site.check()


def test_a_refusal_names_the_server_and_its_doors(site):
    site.join(2)
    site.move(site.servers, ALL)
    first = site.servers[0]
    name = next(f"88.300.1/{number}" for number in range(99) if server_index(f"88.300.1/{number}", 2, 2) == 1)
    with pytest.raises(NotThisServer) as refused:
        first.register(name)
    assert refused.value.details == {"server": "2", "grpc": "server-2:2640", "hdl": "192.0.2.2:2641"}
    with pytest.raises(NotThisServer):
        first.resolve(name)


def test_a_retry_is_known_by_the_server_that_has_the_handle_by_then(site):
    site.join(2)
    first = site.servers[0]
    name = next(f"88.300.1/{number}" for number in range(99) if server_index(f"88.300.1/{number}", 2, 2) == 1)

    def write_with_id():
        copying = any(pull.complete and not pull.registry for pull in site.servers[1].row().pulls)
        if copying and not first.names():
            site.write(name)
            first.commit(
                lambda ledger: outcomes.remember(ledger.writer, "user", "id-1", b"print", b"answer", ledger.now_us)
            )

    site.move(site.servers, ALL, write_with_id)
    with site.servers[1].engine.read() as reader:
        now_us = site.clock.now_us()
        assert outcomes.recall(reader, "user", "id-1", b"print", now_us) == b"answer"
        assert outcomes.recall(reader, "user", "id-2", b"print", now_us) is None


def test_counts_of_the_day_follow_what_comes_and_goes(site):
    """What was one: a server that had deleted more than it had registered that day could write nothing any more."""
    second = site.join(2)
    names = [f"88.300.1/{number}" for number in range(30)]
    for name in names:
        site.write(name)
    site.move(site.servers, ALL)
    assert second.names()
    for name in names:
        site.write(name, deletes=True)
    day = day_of(site.clock.now_us())
    for server in site.servers:
        with server.engine.read() as reader:
            counts = stored_pb2.StoredDay.FromString(reader.get(Table.STATISTICS, day_key(day, NODE_KEY)))
            assert counts.handle_count == reader.count(Table.RECORDS) == 0


@pytest.mark.parametrize("hash_", [PREFIX, ALL])
def test_only_its_own_handles_are_listed_while_others_are_still_on_its_disk(site, hash_):
    site.join(2)
    names = {f"88.300.1/{number}" for number in range(20)}
    for name in names:
        site.write(name)
    following = site.layout_of(site.servers, hash_, 2)
    for step in STEPS:
        for server in site.servers:
            server.step(
                step,
                following,
                server=server.number,
                current=site.layout,
                lease_ms=9_000,
                expected_serial=server.serial(),
            )
            server.pull(site.servers)
    option = shares.hash_option(hash_)
    assert site.servers[0].names() == names
    for place, server in enumerate(site.servers):
        with server.engine.read() as reader:
            page = listing.handles(reader, Prefix.from_text("88.300.1"), "", "", size=99, include_restricted=False)
            assert {record.name for _, record in page} == {
                name for name in names if server_index(name, option, 2) == place
            }


def test_a_worker_that_stood_still_while_the_site_changed_denies_nothing(site):
    """It looks for another layout twenty times a second, unless it gets no processor: then it denied what had gone."""
    names = [f"88.300.1/{number}" for number in range(20)]
    for name in names:
        site.write(name)
    before = ServedPrefixes()  # of a worker that has not looked since
    second = site.join(2)
    site.move([*site.servers], ALL)
    first = site.servers[0]
    first.drop()
    assert 0 < len(first.names()) < len(names)
    with first.engine.read() as reader:
        for name in second.names():
            with pytest.raises(NotThisServer):
                resolve(reader, before, ANONYMOUS, name, None)
        with pytest.raises(HandleNotFound):
            resolve(reader, before, ANONYMOUS, missing_at(first), None)


def missing_at(server):
    """A name that no server has and this one would have."""
    names = (f"88.300.1/missing-{number}" for number in range(100))
    with server.engine.read() as reader:
        share = shares.share_of(reader)
    return next(name for name in names if share.answers(fold_octets(name.encode())))


def test_only_the_place_of_a_server_changes_without_any_copying(site):
    second = site.join(2)
    site.move(site.servers, ALL)
    site.write("88.300.1/A")
    second.grpc = "elsewhere:2640"
    following = site.layout_of(site.servers, ALL, site.layout.serial + 1)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
        assert [pull for pull in server.row().pulls if not pull.registry] == []
        server.step(site_pb2.SITE_STEP_CANCEL, following)
    site.move(site.servers, ALL)
    site.check()


def test_the_record_of_the_site_lists_all_servers_in_order(site):
    site.join(2)
    site.move(site.servers[::-1], SUFFIX)
    record = site_record.hs_site(site.layout)
    assert [server.id for server in record.servers] == [2, 1]
    assert (record.hash_option, record.serial) == (1, 2)
    assert ("idis.grpc.2", "2640") in record.attributes


def test_a_fence_does_not_stand_for_hours_when_the_clock_is_put_back(site, clock):
    site.join(2)
    first = site.servers[0]
    following = site.layout_of(site.servers, ALL, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
    first.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=2000)
    with pytest.raises(SiteChanging):
        first.register("88.300.1/B")
    clock.set_back(3_600)
    first.register("88.300.1/B")
    with pytest.raises(InvalidTransition, match="lapsed"):
        first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial())


def test_changes_wait_while_servers_are_held_and_a_fence_lapses_by_itself(site, clock):
    second = site.join(2)
    first = site.servers[0]
    following = site.layout_of(site.servers, ALL, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
    first.register("88.300.1/A")
    first.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=2000)
    with pytest.raises(SiteChanging) as refused:
        first.register("88.300.1/B")
    assert refused.value.retry_after_s
    clock.advance(2.1)
    first.register("88.300.1/B")
    with pytest.raises(InvalidTransition, match="lapsed"):
        first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial())
    first.step(site_pb2.SITE_STEP_FENCE, following, lease_ms=2000)
    with pytest.raises(InvalidTransition, match="journal ends"):
        first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial() - 1)
    first.step(site_pb2.SITE_STEP_HOLD, following, expected_serial=first.serial())
    clock.advance(100)
    with pytest.raises(SiteChanging):
        first.register("88.300.1/C")
    second.pull(site.servers)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_CANCEL, following)
        server.drop()
    assert second.names() == set()
    first.register("88.300.1/C")
    assert first.names() == {"88.300.1/A", "88.300.1/B", "88.300.1/C"}
    assert second.findings() == []


def test_a_change_begun_anew_knows_nothing_that_has_gone_since(site):
    first, second = site.servers[0], site.join(2)
    names = [f"88.300.1/{number}" for number in range(20)]
    for name in names:
        site.write(name)
    following = site.layout_of(site.servers, ALL, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
        server.pull(site.servers)
    assert second.names()
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_CANCEL, following)
    for number, name in enumerate(names):  # what second has is still on its disk when the next change begins
        if number % 2 or name not in second.names():
            first.delete(name)
        else:  # as after a restore of the first server from before the registration
            first.commit(lambda ledger, name=name: share_copy.leave(ledger, name.encode()))
        site.acknowledged[name] = (2, None)
    site.move(site.servers, ALL)
    site.check()


def test_a_stream_that_is_still_open_takes_nothing_away_once_servers_have_switched(site):
    """The first server serves and lets go what has moved while the second one has yet to hear that it may serve."""
    first, second = site.servers[0], site.join(2)
    for number in range(20):
        site.write(f"88.300.1/{number}")
    following = site.layout_of(site.servers, ALL, 2)
    for server in site.servers:
        server.step(site_pb2.SITE_STEP_PREPARE, following, server=server.number, current=site.layout)
    (pull,) = [pull for pull in pulls_of(second.row()) if not pull.wanted.share.registry]
    second.pull(site.servers)
    source = ShareSource(pull.wanted.share)
    with first.engine.read() as reader:
        known = share_copy.pull_of(second.row(), 1, registry=False)
        source.greet(reader, mirror_pb2.FollowRequest(epoch=known.epoch, held=known.held, share=pull.wanted.share))
    for step in (
        site_pb2.SITE_STEP_FENCE,
        site_pb2.SITE_STEP_HOLD,
        site_pb2.SITE_STEP_SWITCH,
        site_pb2.SITE_STEP_STRICT,
    ):
        for server in site.servers:
            server.step(step, following, lease_ms=1_000, expected_serial=server.serial())
    held = second.names()
    first.step(site_pb2.SITE_STEP_SERVE, following)
    first.drop()
    with first.engine.read() as reader:
        message = source.next_message(reader)
    assert message.rows.through.serial == first.serial()
    assert not message.rows.records
    message.rows.records.add(key=b"88.300.1/1", name="88.300.1/1")  # as if it told of what has left
    with pytest.raises(MalformedMessage):
        second.commit(lambda ledger: share_copy.apply(ledger, 1, pull.wanted, message), everywhere=True)
    assert second.names() == held
    second.step(site_pb2.SITE_STEP_SERVE, following)
    site.layout = following
    second.drop()
    second.pull(site.servers)
    site.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda layout: layout.servers.pop(), "not among the servers|1 to"),
        (lambda layout: setattr(layout, "hash", 0), "hashed"),
        (lambda layout: setattr(layout, "registry_server", 9), "not among"),
        (lambda layout: setattr(layout, "serial", 0), "serial"),
        (lambda layout: layout.servers.add(id=1, grpc="x:1", site=b""), "id of its own"),
        (lambda layout: layout.servers.add(id=2, grpc="x:1", site=b"?"), "site record"),
    ],
)
def test_layouts_that_no_site_can_have_are_refused(site, change, words):
    layout = site.layout_of(site.servers, ALL, 2)
    change(layout)
    with pytest.raises(InvalidField, match=words):
        site.servers[0].step(site_pb2.SITE_STEP_PREPARE, layout, server=1, current=site.layout)


def test_steps_out_of_order_and_of_another_change_are_refused(site):
    site.join(2)
    first = site.servers[0]
    following = site.layout_of(site.servers, ALL, 2)
    for step in (
        site_pb2.SITE_STEP_HOLD,
        site_pb2.SITE_STEP_SWITCH,
        site_pb2.SITE_STEP_STRICT,
        site_pb2.SITE_STEP_SERVE,
    ):
        with pytest.raises(InvalidTransition, match="serving"):
            first.step(step, following)
    first.step(site_pb2.SITE_STEP_PREPARE, following, server=1, current=site.layout)
    first.step(site_pb2.SITE_STEP_PREPARE, following, server=1, current=site.layout)
    other = site.layout_of(site.servers, PREFIX, 2)
    with pytest.raises(InvalidTransition, match="another layout"):
        first.step(site_pb2.SITE_STEP_FENCE, other, lease_ms=1000)
    with pytest.raises(InvalidTransition, match="this is server 1"):
        first.step(site_pb2.SITE_STEP_PREPARE, following, server=2, current=site.layout)


@pytest.mark.parametrize("seed", range(6))
def test_sites_grow_and_shrink_under_writes_and_lose_nothing(clock, randomness, seed):
    chance = random.Random(seed)
    site = Site(clock, randomness)
    names = [f"88.300.1/{number}" for number in range(60)]

    def writes():
        for _ in range(chance.randrange(20)):
            clock.advance(0.001)
            name = chance.choice(names)
            if chance.random() < 0.25:
                site.write(name, deletes=True)
            else:
                site.write(name, data=f"{chance.random()}", hidden=chance.random() < 0.2)
        for server in site.servers:
            server.pull(site.servers, most=chance.randrange(4))
        site.check_reads()

    writes()
    site.join(2)
    site.move(site.servers, chance.choice([PREFIX, SUFFIX, ALL]), writes)
    site.check()
    writes()
    site.join(3)
    site.move(site.servers, ALL, writes)
    site.check()
    writes()
    site.move([site.servers[0], site.servers[2]], SUFFIX, writes)
    site.check()
    assert site.servers[1].names() == set()
    site.move(site.servers[::-1], ALL, writes)
    site.check()
