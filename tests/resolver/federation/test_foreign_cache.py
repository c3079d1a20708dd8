"""The cache of other nodes' answers: how long, how much, and what is given out."""

import pytest

from resolver import limits
from resolver.errors import HandleNotFound, UpstreamFailed
from resolver.federation.cache import ForeignCache, ttl_of
from resolver.federation.contacts import Contact
from resolver.federation.delegations import Delegations
from resolver.federation.latency import Latencies, Standing
from resolver.federation.steps import Moment
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import resolution_pb2
from tests.support.foreign import site, value

NOW = Moment(50.0, 1_780_000_000_000_000)


def record(name="88.9/A", *values):
    return pb.HandleRecord(name=name, values=values or [value(1, "URL", "u", 600)])


def test_time_to_live():
    until = pb.HandleValue(index=1, ttl_until_s=1_780_000_090)
    past = pb.HandleValue(index=1, ttl_until_s=5)
    assert ttl_of([value(1, "A", "", 999_999_999)], NOW) == 172_800
    assert ttl_of([value(1, "A", "", 60), value(2, "A", "", 30)], NOW) == 30
    assert ttl_of([until, value(2, "A", "", 3_600)], NOW) == 90
    assert ttl_of([past], NOW) == 0
    assert ttl_of([value(1, "A", "", 2**32 - 1)], NOW) == 0, "-1 to peers in Java"


def test_what_may_not_be_kept_is_not():
    cache = ForeignCache()
    cache.put("88.9/A", record(), "tcp x", NOW)
    entry = cache.put("88.9/A", record("88.9/A", value(1, "URL", "new", 0)), "tcp x", NOW)
    assert b"new" in entry.body
    assert cache.get("88.9/A") is None
    assert cache.octets == 0


def test_the_short_way_gives_whole_responses_while_they_are_fresh():
    cache = ForeignCache()
    question = resolution_pb2.ResolveRequest(name="88.9/A").SerializeToString()
    cache.remember_plain(question, "88.9/A")
    cache.put("88.9/A", record(), "tcp x", NOW)
    assert cache.plain(question, 51.0) is None
    cache.remember_plain(question, "88.9/A")
    response = resolution_pb2.ResolveResponse.FromString(cache.plain(question, 51.0))
    assert response.record == record()
    assert (response.origin.server, response.origin.stale) == ("tcp x", False)
    assert response.origin.fresh_until_us - response.origin.fetch_time_us == 600_000_000
    assert cache.plain(question, 650.1) is None
    cache.put("88.9/A", record("88.9/A", value(1, "URL", "newer")), "tcp x", NOW)
    assert cache.plain(question, 51.0) is None, "what was replaced is not given out"
    cache.remember_plain(question, "88.9/A")
    cache.forget_plain()
    assert cache.plain(question, 51.0) is None


def test_bounds_hold_and_what_is_used_stays():
    cache = ForeignCache(entries_max=100, octets_max=1 << 20)
    cache.put("88.9/USED", record(), "tcp x", NOW)
    for number in range(1_000):
        cache.get("88.9/USED")
        cache.put(f"88.9/{number}", record(f"88.9/{number}"), "tcp x", NOW)
        cache.remember_plain(b"%d" % number, f"88.9/{number}")
        assert len(cache) <= 100
        assert len(cache._plain) <= 100
    assert cache.get("88.9/USED")
    assert cache.octets == sum(entry.octets for entry in cache._entries.values())
    for number in range(100):
        big = record(f"88.9/BIG-{number}", value(1, "A", "x" * 50_000))
        cache.put(f"88.9/BIG-{number}", big, "tcp x", NOW)
        assert cache.octets <= 1 << 20
    cache.put("88.9/HUGE", record("88.9/HUGE", value(1, "A", "x" * (1 << 20))), "tcp x", NOW)
    assert cache.octets <= 1 << 20


def test_noes_and_failures():
    cache = ForeignCache(negative_ttl_s=7)
    no = cache.put_miss("88.9/A", HandleNotFound("no"), "tcp x", NOW)
    assert (no.fresh_until_s, no.stale_until_s) == (57.0, 57.0)
    cache.put_failure("88.9/B", UpstreamFailed("down"), NOW)
    assert cache.get("88.9/B").fresh_until_s == 51.0
    cache.put("88.9/C", record(), "tcp x", NOW)
    cache.put_failure("88.9/C", UpstreamFailed("down"), NOW)
    assert cache.get("88.9/C").error is None, "a record is worth more than a failure"


def test_failures_go_when_their_moment_is_over(monkeypatch):
    cache = ForeignCache()
    for number in range(5_000):
        moment = Moment(50.0 + number / 100, 0)
        cache.put_failure(f"88.9/{number}", UpstreamFailed("down"), moment)
        assert cache.get(f"88.9/{number}").fresh_until_s == moment.monotonic_s + 1
    assert len(cache) <= 101, "those of a second"
    monkeypatch.setattr(limits, "FAILURES_MAX", 10)
    for number in range(200):
        cache.put_failure(f"88.9/{number}", UpstreamFailed("down"), Moment(200.0, 0))
    assert len(cache) == 10
    cache.put_miss("88.9/199", HandleNotFound("no"), "tcp x", Moment(200.0, 0))
    assert (cache.get("88.9/199").error.reason, len(cache)) == ("HANDLE_NOT_FOUND", 10)
    cache.put_failure("88.9/199", UpstreamFailed("down"), Moment(300.0, 0))
    assert cache.get("88.9/199").error.reason == "UPSTREAM_FAILED", "an old no does not hide it"
    cache.clear()
    assert (len(cache), cache.octets) == (0, 0)


def test_latencies_are_bounded_and_ordered():
    known = Latencies(servers_max=10)
    contacts = [Contact("tcp", f"185.1.1.{number}", 2641) for number in range(50)]
    for number, contact in enumerate(contacts):
        known.answered(contact, 0.001 * (50 - number))
    assert len(known) == 10
    known.failed(contacts[49], 1.0)
    assert known.order(contacts[47:]) == [contacts[48], contacts[47], contacts[49]]
    assert known.standing(contacts[49], 1.4) is Standing.COOLING
    assert known.standing(contacts[49], 1.6) is Standing.READY
    assert known.standing(contacts[49], 1.7) is Standing.TRIED, "one tries, the others wait"
    known.failed(contacts[49], 1.8)
    assert known.standing(contacts[49], 2.7) is Standing.COOLING
    known.answered(contacts[49], 0.001)
    assert known.standing(contacts[49], 1.9) is Standing.READY


@pytest.mark.parametrize(("serial", "outdated"), [(1, False), (2, True), (0xFFFF, False), (0, False), (0x9000, False)])
def test_a_newer_serial_of_the_top(serial, outdated):
    from resolver.federation.addresses import AddressPolicy

    delegations = Delegations(AddressPolicy(), [site("198.51.100.1")])
    delegations.heard(Contact("tcp", "185.1.1.1", 2641, serial=1), 2)
    delegations.heard(Contact("tcp", "198.51.100.1", 2641, serial=1), serial)
    assert delegations.is_outdated == outdated
