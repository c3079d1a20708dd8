"""Sites of several servers, this node's own and those of others: whom a search asks, and what it keeps."""

import pytest

from resolver.errors import HandleNotFound, NotThisServer, UpstreamFailed
from resolver.node.authority import Beside, Look
from resolver.node.record_octets import parse
from resolver.wire.hash_selection import server_index
from tests.support.foreign import ROOT, World, found, missing, refers, refuses, site, value

TOP = f"{ROOT}:2641"
ADDRESSES = ("185.1.1.1", "185.1.1.2", "185.1.1.3")
TWO, THREE = site(*ADDRESSES[:2]), site(*ADDRESSES, serial=2)
NAMES = [f"88.300.1/{number}" for number in range(30)]


def own(name, servers):
    return ADDRESSES[server_index(name, 2, servers)]


def beside(name):
    refusal = NotThisServer(f"{name} is another server's")
    return Look(Beside(), refusal=refusal, sites=(value(1, "HS_SITE", THREE),))


def urls(outcome):
    return [each.data.decode() for each in parse(outcome.get().body).values]


def test_a_name_of_another_server_is_asked_there_and_nothing_is_kept():
    servers = {f"{address}:2641": (lambda name: found(name, value(1, "URL", "u", 600))) for address in ADDRESSES}
    world = World(servers, look=beside, roots=())
    for name in NAMES:
        for _ in range(2):
            assert urls(world.search(name)) == ["u"]
    assert world.asked == [(f"{own(name, 3)}:2641", name) for name in NAMES for _ in range(2)]
    assert len(world.cache) == 0


def test_a_no_of_another_server_is_not_kept_either():
    world = World({f"{address}:2641": missing() for address in ADDRESSES}, look=beside, roots=())
    for _ in range(2):
        assert isinstance(world.search(NAMES[0]).error, HandleNotFound)
    assert (len(world.asked), len(world.cache)) == (2, 0)


def test_a_server_of_this_site_that_is_silent_fails_its_own_names_only():
    servers = {f"{address}:2641": (lambda name: found(name, value(1, "URL", "u"))) for address in ADDRESSES[:2]}
    world = World(servers, look=beside, roots=())
    for name in NAMES:
        outcome = world.search(name)
        assert (outcome.error is None) == (own(name, 3) in ADDRESSES[:2])
        assert outcome.error is None or isinstance(outcome.error, UpstreamFailed)


def test_who_has_passed_a_question_on_too_often_is_told_what_this_server_says():
    world = World({}, look=beside, roots=())
    assert isinstance(world.search(NAMES[0], recursions=10).error, NotThisServer)
    assert world.asked == []


class Grown:
    """Three servers whose site was one of two when its record was kept."""

    def __init__(self, *, refers_instead=False):
        self.refers_instead = refers_instead
        self.recursive = []

    def server(self, address):
        def answer(name):
            if name.startswith("0.NA/"):
                return missing()
            if own(name, 3) == address:
                return found(name, value(1, "URL", address))
            return refers(value(1, "HS_SITE", THREE)) if self.refers_instead else refuses(301)

        return answer

    def world(self):
        servers = {f"{address}:2641": self.server(address) for address in ADDRESSES}
        servers[TOP] = lambda name: found(name, value(1, "HS_SITE", TWO))
        world = World(servers)
        plain = world.reply

        def reply(ask):
            if not ask.recursive:
                return plain(ask)
            self.recursive.append(ask.name)
            return plain(ask._replace(contact=ask.contact._replace(host=own(ask.name, 3)), recursive=False))

        world.reply = reply
        return world


def test_a_server_that_refers_to_its_whole_site_is_followed():
    grown = Grown(refers_instead=True)
    world = grown.world()
    for name in NAMES:
        assert urls(world.search(name)) == [own(name, 3)]
    assert grown.recursive == []


def test_a_server_of_several_that_is_not_responsible_is_asked_to_search():
    grown = Grown()
    world = grown.world()
    for name in NAMES:
        assert urls(world.search(name)) == [own(name, 3)]
    assert grown.recursive == [name for name in NAMES if own(name, 2) != own(name, 3)]


@pytest.mark.parametrize("code", [301, 5])
def test_a_server_alone_is_not_asked_twice(code):
    alone = site(ADDRESSES[0])
    world = World({TOP: lambda name: found(name, value(1, "HS_SITE", alone)), f"{ADDRESSES[0]}:2641": refuses(code)})
    outcome = world.search(NAMES[0])
    assert isinstance(outcome.error, UpstreamFailed)
    assert world.asked.count((f"{ADDRESSES[0]}:2641", NAMES[0])) == 1
