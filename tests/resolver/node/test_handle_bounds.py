"""What strangers can make the node keep for them: challenges and sessions, all bounded."""

import pytest

from resolver.node.authorize import Caller, Role
from resolver.node.challenges import Challenges, worker_of
from resolver.node.handle_admin import LOOKUPS_MAX, MEMBERS_MAX, Identity, may
from resolver.node.hdl_sessions import Sessions
from resolver.node.values import to_pb
from resolver.wire import requests
from resolver.wire.ciphers import CipherCode
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import request_message
from resolver.wire.predefined.hs_admin import AdminPermission
from resolver.wire.sessions import SessionKey
from resolver.wire.versions import OWN
from tests.resolver.transport.hdl_node import admin, group
from tests.support.clock import seeded_randomness


def request(octets=10):
    envelope = Envelope(OWN, OWN, 0, 0, 1, 0, 0)
    return request_message(envelope, Header(1, 0, 0, 0, 0, 0, 0), requests.Resolution("x" * octets))


@pytest.fixture
def challenges():
    return Challenges(5, seeded_randomness(), entries_max=10, network_entries_max=4, octets_max=4_000)


def test_challenge_names_its_worker_and_counts_once(challenges):
    issued = challenges.issue(request(), b"d", "net", 0.0)
    assert worker_of(issued.id) == 5
    assert 0 < issued.id < 2**31
    assert challenges.take(issued.id, 1.0) is issued
    assert challenges.take(issued.id, 1.0) is None
    assert (len(challenges), challenges.octets) == (0, 0)


def test_challenge_runs_out(challenges):
    issued = challenges.issue(request(), b"d", "net", 0.0)
    assert challenges.take(issued.id, 31.0) is None
    assert challenges.octets == 0


def test_one_network_displaces_its_own_challenges_only(challenges):
    others = challenges.issue(request(), b"d", "other", 0.0)
    mine = [challenges.issue(request(), b"d", "mine", 0.0) for _ in range(20)]
    assert len(challenges) == 5
    assert challenges.take(others.id, 1.0) is others
    assert challenges.take(mine[0].id, 1.0) is None
    assert challenges.take(mine[-1].id, 1.0) is mine[-1]


def test_challenges_for_forged_addresses_make_room_for_all_others(challenges):
    """Packets with others' addresses pushed out the challenges of everybody who was about to log in."""
    mine = [challenges.issue(request(), b"d", "mine", 0.0) for _ in range(3)]
    for number in range(100):
        forged = challenges.issue(request(), b"d", number % 9 or "mine", 0.0, is_proven=False)
        assert len(challenges) <= 10
    assert challenges.take(forged.id, 1.0) is forged
    assert [challenges.take(challenge.id, 1.0) for challenge in mine] == mine
    for number in range(10):
        last = challenges.issue(request(), b"d", number, 2.0)
    assert len(challenges) == 10
    assert not challenges._unproven
    assert challenges.take(last.id, 40.0) is None
    assert (len(challenges), challenges.octets, challenges._networks) == (0, 0, {})


def test_octets_of_kept_requests_are_bounded(challenges):
    for number in range(50):
        challenges.issue(request(1_000), b"d", number, 0.0)
        assert challenges.octets <= 4_000
    assert len(challenges) <= 3


def test_session_has_one_challenge_at_a_time(challenges):
    first = challenges.issue(request(), b"1", "net", 0.0, session_id=77)
    second = challenges.issue(request(), b"2", "net", 0.0, session_id=77)
    assert first.id == second.id == 77
    assert challenges.take(77, 1.0) is second
    assert len(challenges) == 0


def test_sessions_are_bounded_and_end_when_idle():
    sessions = Sessions(1, seeded_randomness(), entries_max=8, network_entries_max=3)
    key = SessionKey(CipherCode.AES, bytes(32))
    other = sessions.begin(key, "other", 60.0, 0.0)
    mine = [sessions.begin(key, "mine", 60.0, 0.0) for _ in range(10)]
    assert len(sessions) == 4
    assert sessions.find(other.id, 59.0) is other
    assert sessions.find(other.id, 118.0) is other, "each use lets it live on"
    assert sessions.find(mine[-1].id, 61.0) is None
    assert sessions.find(mine[0].id, 1.0) is None
    assert sessions.begin(key, "x", 10**9, 0.0).timeout_s == 86_400.0


def test_sessions_without_proof_make_room_before_those_in_use():
    """Anybody can begin sessions over UDP under any address; they must not end those of others."""
    sessions = Sessions(1, seeded_randomness(), entries_max=8, network_entries_max=4)
    key = SessionKey(CipherCode.AES, bytes(32))
    used = [sessions.begin(key, f"net-{number // 2}", 60.0, 0.0) for number in range(4)]
    for session in used:
        session.is_proven = True
    flood = [sessions.begin(key, f"net-{number % 9}", 60.0, 1.0) for number in range(100)]
    assert [sessions.find(session.id, 2.0) for session in used] == used
    assert len(sessions) <= 8
    assert sessions.find(flood[-1].id, 2.0) is flood[-1]
    assert len(sessions._begun) <= len(sessions)


def test_nothing_is_kept_of_sessions_that_ended():
    sessions = Sessions(1, seeded_randomness(), entries_max=8, network_entries_max=3)
    for _ in range(10):
        last = sessions.begin(SessionKey(CipherCode.AES, bytes(32)), "net", 60.0, 0.0)
    sessions.end(last.id)
    assert len(sessions._begun) == len(sessions) == 2


def test_session_in_use_outlives_younger_ones_of_its_network():
    """Command line tools begin a session each and never end one."""
    sessions = Sessions(1, seeded_randomness(), entries_max=8, network_entries_max=3)
    key = SessionKey(CipherCode.AES, bytes(32))
    server = sessions.begin(key, "net", 60.0, 0.0)
    server.is_proven = True
    for number in range(20):
        sessions.begin(key, "net", 60.0, 0.0).is_proven = True
        assert sessions.find(server.id, 1.0) is server, number


def test_endless_groups_cost_a_bounded_number_of_lookups():
    asked = []

    def lookup(name):
        asked.append(name)
        number = int(name.rpartition("-")[2])
        return [to_pb(group(*((200, f"88.300.1/G-{number * 3 + step}") for step in range(1, 4))))]

    someone = Identity("0.NA/88.300", 300, Caller("x", Role.NODE_ADMINISTRATOR))
    values = [to_pb(admin("88.300.1/G-0", 200, at=index)) for index in (100, 101, 102)]
    assert not may(someone, values, lookup, AdminPermission.ADD_VALUE)
    assert len(asked) <= LOOKUPS_MAX


def test_large_groups_cost_a_bounded_number_of_comparisons(monkeypatch):
    """Sixty-four groups of all that a group may have took a third of a second, in which nothing else was written."""
    compared, last = [], ("0.NA/88.300", 300)
    named = Identity.is_named_by
    monkeypatch.setattr(Identity, "is_named_by", lambda self, each: compared.append(each) or named(self, each))
    members = [(200, f"88.300.1/G-{number}") for number in range(4_095)]
    whole = [to_pb(group(*members, last[::-1]))]
    someone = Identity(*last, Caller("x", Role.NODE_ADMINISTRATOR))
    values = [to_pb(admin("88.300.1/G-0", 200))]
    assert may(someone, values, lambda _: whole, AdminPermission.ADD_VALUE)
    assert len(compared) == 4_097
    compared.clear()
    other = Identity("0.NA/88.301", 300, Caller("y", Role.NODE_ADMINISTRATOR))
    assert not may(other, values * 9, lambda _: whole, AdminPermission.ADD_VALUE)
    assert MEMBERS_MAX <= len(compared) <= MEMBERS_MAX + 9
