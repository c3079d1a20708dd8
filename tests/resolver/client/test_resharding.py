"""Leading a change of a site: the plan, and whoever leads it may be gone at any moment and be followed by another."""

import contextlib
import itertools
import random

import grpc
import pytest

from resolver import methods
from resolver.client.failures import CallFailed, failure
from resolver.client.resharding import Resharding, Wanted
from resolver.errors import ResolverError, SiteChanging
from resolver.node import site_steps
from resolver.v1 import site_pb2
from resolver.wire.hash_selection import server_index
from tests.support.site import ALL, Site

NAMES = [f"88.300.1/{number}" for number in range(40)]


class Gone(Exception):
    """Whoever led the change is gone."""


class Peer:
    """A client of one server, which may end with any call."""

    def __init__(self, site, server):
        self.site, self.server = site, server

    def call(self, method, request):
        if self.server in self.site.dead:
            raise failure(grpc.StatusCode.UNAVAILABLE, "connection refused")
        self.site.calls_left -= 1
        if self.site.calls_left == 0 and not self.site.gone_after:
            raise Gone
        try:
            answer = self.answer(method, request)
        except ResolverError as error:
            raise failure(grpc.StatusCode.FAILED_PRECONDITION, str(error), reason=error.reason) from error
        if self.site.calls_left == 0:
            raise Gone
        return answer

    def answer(self, method, request):
        if method is methods.CHANGE_SITE:
            self.server.step(request.step, request.next, **self.fields(request))
        with self.server.engine.read() as reader:
            state = site_steps.state_of(reader)
        state.own_site, state.site_serial = self.server.site, max(1, state.layout.serial)
        state.settle_ms = self.site.settle_ms
        return site_pb2.ChangeSiteResponse(site=state) if method is methods.CHANGE_SITE else state

    @staticmethod
    def fields(request):
        return {
            "server": request.server,
            "current": request.current,
            "lease_ms": request.lease_ms,
            "expected_serial": request.expected_serial,
        }

    def close(self):
        pass


class Led(Site):
    """A site whose servers copy whenever whoever leads waits."""

    def __init__(self, clock, randomness):
        super().__init__(clock, randomness)
        self.calls_left, self.gone_after = 1 << 30, False
        """Calls until whoever leads is gone, and whether the server still does what the last one asks."""
        self.chance = random.Random(1)
        self.settle_ms = 100
        self.dead, self.deaf = [], []
        """Servers that do not answer, and those that copy nothing."""

    def lead(self, numbers):
        servers = tuple((number, self.servers[number - 1].grpc) for number in numbers)
        return Resharding(Wanted(servers, ALL), self.peer, sleep=self.wait, now_s=self.clock.monotonic_s, lease_s=5)

    def peer(self, place):
        return Peer(self, next(server for server in self.servers if server.grpc == place))

    def wait(self, seconds):
        self.clock.advance(seconds)
        for server in self.servers:
            if server not in self.deaf:
                server.pull(self.servers, most=3)
        self.write_some()

    def write_some(self):
        with contextlib.suppress(SiteChanging):
            self.write(self.chance.choice(NAMES), data=f"{self.chance.random()}")

    def settle(self, numbers):
        with self.servers[numbers[0] - 1].engine.read() as reader:
            self.layout = site_steps.state_of(reader).layout
        for server in self.servers:
            server.drop()
            server.pull(self.servers)


@pytest.fixture
def site(clock, randomness):
    site = Led(clock, randomness)
    for name in NAMES:
        site.write(name)
    site.join(2)
    site.join(3)
    return site


def change(site, numbers):
    """Lead a change from its beginning, or from where another one has left it."""
    leading = site.lead(numbers)
    try:
        leading.begin()
        if not leading.changes_nothing:
            leading.move()
    finally:
        leading.close()


def test_a_site_is_changed_in_one_go(site):
    change(site, (1, 2, 3))
    site.settle((1, 2, 3))
    site.check()
    for place, server in enumerate(site.servers):
        assert {server_index(name, 2, 3) for name in server.names()} == {place}
    change(site, (3, 1))
    site.settle((3, 1))
    site.check()
    assert site.servers[1].names() == set()


def test_whoever_leads_may_be_gone_at_any_call(clock, randomness):
    for calls in itertools.count(2, 3):
        site = Led(clock, randomness)
        for name in NAMES[:8]:
            site.write(name)
        site.join(2)
        site.join(3)
        change(site, (1, 2))
        site.settle((1, 2))
        site.calls_left, site.gone_after = calls // 2, bool(calls % 2)
        is_gone = False
        try:
            change(site, (1, 2, 3))
        except Gone:
            is_gone = True
        site.calls_left = 1 << 30
        clock.advance(site.chance.choice([0.0, 30.0]))  # a fence may lapse until another one leads
        site.write_some()
        change(site, (1, 2, 3))
        site.settle((1, 2, 3))
        site.check()
        if not is_gone:
            break
    assert calls > 60


def test_a_change_may_be_given_up_until_it_is_switched(site):
    site.calls_left = 20
    with pytest.raises(Gone):
        change(site, (1, 2, 3))
    site.calls_left = 1 << 30
    leading = site.lead((1, 2, 3))
    leading.begin()
    leading.cancel()
    for server in site.servers:
        server.drop()
    assert [len(server.names()) for server in site.servers] == [len(NAMES), 0, 0]
    change(site, (1, 2))
    leading = site.lead((1, 2, 3))
    leading.begin()
    leading.move()
    site.settle((1, 2, 3))
    site.check()


def test_whoever_leads_is_told_that_somebody_else_has_given_the_change_up(site):
    """It waited half a minute, and then said that a server copies nothing and may lack its token."""
    leading = site.lead((1, 2, 3))
    leading.begin()

    def give_up(_):
        other = site.lead((1, 2, 3))
        other.begin()
        other.cancel()

    leading._sleep = give_up  # while it waits for the first copies
    with pytest.raises(CallFailed, match="given up meanwhile"):
        leading.move()
    for server in site.servers:
        server.drop()
    assert [len(server.names()) for server in site.servers] == [len(NAMES), 0, 0]


def hearing_late(site, number):
    """A server that copies nothing until whoever leads has waited twenty times; those waits."""
    waits, wait = [], site.wait
    site.deaf = [site.servers[number - 1]]

    def hear(seconds):
        waits.append(seconds)
        if len(waits) > 20:
            site.deaf = []
        wait(seconds)

    site.wait = hear
    return waits


def test_a_change_soon_after_the_first_waits_for_a_server_that_has_not_heard_of_it(site):
    """It was refused, because "the site has one server until its first change"."""
    site.deaf = [site.servers[2]]
    change(site, (1, 2))
    waits = hearing_late(site, 3)
    change(site, (3, 1, 2))
    assert len(waits) > 20
    site.settle((3, 1, 2))
    site.check()


def test_what_a_server_says_that_is_behind_is_not_taken_for_the_layout_that_holds(site):
    change(site, (1, 2, 3))
    change(site, (1, 2))
    site.settle((1, 2))
    site.deaf = [site.servers[2]]
    change(site, (2, 1))
    waits = hearing_late(site, 3)
    change(site, (3, 1))
    assert len(waits) > 20
    site.settle((3, 1))
    site.check()


def test_a_server_that_never_hears_of_the_servers_is_told(site):
    site.deaf = [site.servers[2]]
    change(site, (1, 2))
    began_s = site.clock.monotonic_s()
    with pytest.raises(CallFailed, match="server 3 does not follow the registry"):
        change(site, (1, 2, 3))
    assert site.clock.monotonic_s() - began_s < 40
    site.deaf = []
    change(site, (1, 2, 3))
    site.settle((1, 2, 3))
    site.check()


def test_another_file_does_not_lead_a_change_under_way(site):
    site.calls_left = 20
    with pytest.raises(Gone):
        change(site, (1, 2, 3))
    site.calls_left = 1 << 30
    with pytest.raises(CallFailed, match="another change"):
        site.lead((1, 2)).begin()


def test_servers_that_do_not_fit_are_told(site):
    wrong = Resharding(Wanted(((1, site.servers[0].grpc), (3, site.servers[1].grpc)), ALL), site.peer)
    with pytest.raises(CallFailed, match="is server 2, not 3"):
        wrong.begin()
    with pytest.raises(CallFailed, match="exactly one"):
        site.lead((2, 3)).begin()
    site.settle_ms = 0  # as a server answers whoever is no administrator
    with pytest.raises(CallFailed, match=r"server 1 at .* only node administrators") as refused:
        site.lead((1, 2)).begin()
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_a_site_without_the_server_of_the_registry_is_refused_before_anything_is_counted(site):
    change(site, (1, 2))
    with pytest.raises(CallFailed, match="server 1 takes changes of the registry"):
        site.lead((2, 3)).begin()


def test_a_change_is_given_up_while_a_server_is_dead(site):
    site.calls_left = 20
    with pytest.raises(Gone):
        change(site, (1, 2, 3))
    site.calls_left = 1 << 30
    site.dead = [site.servers[2]]
    with pytest.raises(CallFailed, match="connection refused"):
        site.lead((1, 2, 3)).begin()
    leading = site.lead((1, 2, 3))
    leading.begin(silent_allowed=True)
    assert leading.cancel() == [3]
    site.dead = []
    again = site.lead((1, 2, 3))
    again.begin(silent_allowed=True)
    assert again.cancel() == []
    change(site, (1, 2))
    site.settle((1, 2))
    site.check()


def test_without_the_first_server_nothing_is_given_up(site):
    site.calls_left = 20
    with pytest.raises(Gone):
        change(site, (1, 2, 3))
    site.calls_left = 1 << 30
    leading = site.lead((1, 2, 3))
    leading.begin()
    site.dead = [site.servers[0]]  # it switches first: whether a server has switched is not known without it
    with pytest.raises(CallFailed, match="connection refused"):
        leading.cancel()


def test_what_is_not_under_way_cannot_be_cancelled(site):
    change(site, (1, 2))
    leading = site.lead((1, 2))
    leading.begin()
    with pytest.raises(CallFailed, match="nothing to cancel"):
        leading.cancel()
