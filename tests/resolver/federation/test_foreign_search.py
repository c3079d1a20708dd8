"""Searches: the way through the tree, what is kept of it, and that every search ends within its budget."""

import random

import pytest

from resolver import limits
from resolver.errors import (
    HandleNotFound,
    PrefixNotEnabled,
    PrefixNotServed,
    RecursionLimit,
    Refused,
    Unavailable,
    UpstreamFailed,
    ValuesNotFound,
)
from resolver.federation.steps import Said
from resolver.handle.name import fold_prefix
from resolver.node.authority import Below, Here, Look
from resolver.node.record_octets import frame, parse
from resolver.v1 import handle_pb2 as pb
from resolver.v1 import registry_pb2
from resolver.wire.predefined.hs_site import HsSite
from tests.support.foreign import ROOT, World, above, found, missing, refers, refuses, site, value

TOP, SECONDARY, ENTERPRISE = f"{ROOT}:2641", "185.1.1.1:2641", "185.1.1.17:2641"
SECONDARY_SITE, ENTERPRISE_SITE = site("185.1.1.1"), site("185.1.1.17")
PRODUCT = "88.300.17/P-1"


def tree(**changes):
    """A top, a secondary node and an enterprise's node with one product."""
    servers = {
        TOP: lambda name: (
            refers(value(1, "HS_SITE.PREFIX", SECONDARY_SITE), of_prefix=True)
            if name.startswith("0.NA/88.300.")
            else found(name, value(1, "HS_SITE", SECONDARY_SITE), value(2, "HS_SITE.PREFIX", SECONDARY_SITE))
            if name == "0.NA/88.300"
            else missing()
        ),
        SECONDARY: lambda name: (
            found(name, value(1, "HS_SITE", ENTERPRISE_SITE))
            if name == "0.NA/88.300.17"
            else found(name, value(1, "HS_SITE", SECONDARY_SITE))
            if name == "0.NA/88.300.1"
            else found(name, value(1, "URL", "hosted"))
            if name == "88.300.1/P"
            else missing()
        ),
        ENTERPRISE: lambda name: found(name, value(1, "URL", "u", 600)) if name.upper() == PRODUCT else missing(),
    }
    return servers | changes


def urls(outcome):
    return [each.data.decode() for each in parse(outcome.get().body).values if each.type == "URL"]


def test_the_way_through_the_tree_and_back_from_the_cache():
    world = World(tree())
    outcome = world.search(PRODUCT, traced=True)
    assert urls(outcome) == ["u"]
    assert world.asked == [
        (TOP, "0.NA/88.300.17"),
        (SECONDARY, "0.NA/88.300.17"),
        (ENTERPRISE, PRODUCT),
    ]
    assert [(hop.depth, hop.protocol, hop.server, hop.response_code) for hop in outcome.hops] == [
        (1, "tcp", TOP, 303),
        (1, "tcp", SECONDARY, 1),
        (0, "tcp", ENTERPRISE, 1),
    ]
    assert outcome.get().origin.server == f"tcp {ENTERPRISE}"
    assert outcome.get().origin.fresh_until_us - outcome.get().origin.fetch_time_us == 600_000_000
    del world.asked[:]
    again = world.search("88.300.17/P-1", traced=True)
    assert world.asked == []
    assert again.get() == outcome.get()
    assert [(hop.protocol, hop.stale) for hop in again.hops] == [("cache", False)]
    assert urls(world.search("88.300.1/P")) == ["hosted"]
    assert (TOP, "0.NA/88.300.1") not in world.asked, "the referral of 88.300 is known"
    assert [place for place, _ in world.asked] == [SECONDARY, SECONDARY]


def test_what_is_not_there():
    world = World(tree())
    with pytest.raises(HandleNotFound, match=r"185\.1\.1\.17:2641, which is responsible"):
        world.search("88.300.17/NO").get()
    del world.asked[:]
    for name in ("88.300.17/NO", "88.300.99/X", "88.300.99/Y"):
        with pytest.raises((HandleNotFound, PrefixNotServed)):
            world.search(name).get()
    assert world.asked == [(SECONDARY, "0.NA/88.300.99")]
    world.now_s += limits.NEGATIVE_TTL_S + 1
    with pytest.raises(HandleNotFound):
        world.search("88.300.17/NO").get()
    assert world.asked[1:] == [(ENTERPRISE, "88.300.17/NO")]
    world.servers[ENTERPRISE] = {"said": Said.NO_VALUES, "code": 200}
    with pytest.raises(ValuesNotFound):
        world.search("88.300.17/HIDDEN").get()


def test_a_node_without_a_top_and_names_of_its_own():
    local = frame(pb.HandleRecord(name="88.300.1/OWN").SerializeToString())
    world = World({}, roots=())
    with pytest.raises(PrefixNotServed, match="is not here"):
        world.search(PRODUCT).get()
    world = World({}, look=lambda name: Look(Here(), local) if name == "88.300.1/OWN" else above(name))
    outcome = world.search("88.300.1/OWN", traced=True)
    assert (outcome.get().body, outcome.get().origin, outcome.messages) == (local, None, 0)
    assert [hop.protocol for hop in outcome.hops] == ["local"]


def test_routes_downward_need_no_top():
    row = registry_pb2.Prefix(prefix="88.300.17")
    sites = [value(1, "HS_SITE", ENTERPRISE_SITE)]
    world = World(tree(), roots=(), look=lambda name: Look(Below(row, is_exact=True), b"", None, sites))
    assert urls(world.search(PRODUCT)) == ["u"]
    assert world.asked == [(ENTERPRISE, PRODUCT)]


def test_stale_answers_only_while_nobody_answers():
    world = World(tree())
    world.search(PRODUCT)
    world.now_s += 601
    whole, world.servers = world.servers, {}
    outcome = world.search(PRODUCT, traced=True)
    assert outcome.get().origin.stale
    assert urls(outcome) == ["u"]
    assert outcome.hops[-1].stale
    with pytest.raises(UpstreamFailed):
        world.search("88.300.17/OTHER").get()
    before = len(world.asked)
    started_s = world.now_s
    for _ in range(50):
        with pytest.raises(UpstreamFailed):
            world.search("88.300.17/OTHER").get()
    assert len(world.asked) == before, "the failure is remembered"
    assert world.now_s == started_s
    world.servers = whole
    world.now_s += 3
    assert not world.search(PRODUCT).get().origin.stale
    world.now_s += 601 + 86_400
    world.servers = {}
    with pytest.raises(UpstreamFailed):
        world.search(PRODUCT).get()


def test_a_server_that_failed_is_tried_by_one_question_at_a_time():
    world = World({})
    with pytest.raises(UpstreamFailed):
        world.search("88.1.1/A").get()
    for number in range(20):
        with pytest.raises(UpstreamFailed):
            world.search(f"88.{number}.2/B").get()
    assert len(world.asked) == 1
    for _ in range(6):
        world.now_s += 2.1
        world.search(f"88.7.3/{world.now_s}")
    assert len(world.asked) == 7, "the longest pause stays below the promised recovery"


@pytest.mark.parametrize("set_back_s", [0, 3_600])
def test_the_enterprise_moves(set_back_s):
    world = World(tree())
    world.search(PRODUCT)
    world.set_back_s = set_back_s
    moved = "185.1.1.18:2641"
    world.servers[moved] = world.servers.pop(ENTERPRISE)
    world.servers[SECONDARY] = lambda name: found(name, value(1, "HS_SITE", site("185.1.1.18")))
    world.now_s += 700
    assert urls(world.search(PRODUCT)) == ["u"]
    assert world.asked[-1] == (moved, PRODUCT)


def test_a_secondary_node_moves():
    world = World(tree())
    world.search(PRODUCT)
    del world.servers[SECONDARY]
    world.servers["185.1.1.2:2641"] = lambda name: (
        found(name, value(1, "HS_SITE", site("185.1.1.2")))
        if name.startswith("0.NA/")
        else found(name, value(1, "URL", "hosted"))
    )
    world.servers[TOP] = lambda _: refers(value(1, "HS_SITE.PREFIX", site("185.1.1.2")), of_prefix=True)
    assert urls(world.search("88.300.1/P")) == ["hosted"]
    assert [place for place, _ in world.asked[3:]] == [SECONDARY, TOP, "185.1.1.2:2641", "185.1.1.2:2641"]


def test_sites_services_and_referrals():
    world = World(
        tree()
        | {
            SECONDARY: lambda name: (
                found(name, value(1, "HS_SERV", "88.300.1/SERVICE"))
                if name == "0.NA/88.300.17"
                else found(name, value(1, "HS_SITE", SECONDARY_SITE))
                if name == "0.NA/88.300.1"
                else found(name, value(1, "HS_SITE", ENTERPRISE_SITE))
                if name == "88.300.1/SERVICE"
                else refers(value(1, "HS_SITE", ENTERPRISE_SITE))
            )
        }
    )
    assert urls(world.search(PRODUCT)) == ["u"]
    with pytest.raises(HandleNotFound):
        world.search("88.300.1/ELSEWHERE").get()
    assert world.asked[-2:] == [(SECONDARY, "88.300.1/ELSEWHERE"), (ENTERPRISE, "88.300.1/ELSEWHERE")]


def test_a_referral_to_a_handle_and_the_top_as_a_service():
    world = World(
        {
            TOP: lambda name: (
                found(name, value(1, "HS_SERV", "0.NA/0.NA"))
                if name == "0.NA/99.1"
                else refers(handle="99.1/WHERE")
                if name == "99.1/X"
                else found(name, value(1, "HS_SITE", ENTERPRISE_SITE))
            ),
            ENTERPRISE: lambda name: found(name, value(1, "URL", "there")),
        }
    )
    assert urls(world.search("99.1/X")) == ["there"]


def test_mirrors_primaries_and_latency():
    mirror, primary = site("185.1.1.3", roles=0), site("185.1.1.4")
    servers = {
        TOP: lambda name: found(name, value(1, "HS_SITE", mirror), value(2, "HS_SITE", primary)),
        "185.1.1.3:2641": lambda name: found(name, value(1, "URL", "mirror")),
        "185.1.1.4:2641": lambda name: found(name, value(1, "URL", "primary")),
    }
    world = World(servers)
    assert urls(world.search("88.300.17/A", authoritative=True)) == ["primary"]
    world.took_s = 0.2
    world.search("88.300.17/B")
    world.took_s = 0.01
    assert urls(world.search("88.300.17/C")) == ["primary"], "the quicker one"
    del servers["185.1.1.4:2641"]
    assert urls(world.search("88.300.17/D")) == ["mirror"], "the one that answers"


def test_hash_chooses_the_server_and_grpc_is_asked_where_it_is_told():
    many = site(*(f"185.1.1.{number}" for number in range(1, 5)), attributes=(("idis.grpc", "2640"),))
    world = World({TOP: lambda name: found(name, value(1, "HS_SITE", many))})
    world.search("88.300.17/P-1")
    world.search("88.300.17/P-2")
    (_, first), (_, second) = ((place.partition(":"))[::2] for place, _ in world.asked[1:])
    assert first == second == "2640"
    assert world.asked[1][0] != world.asked[2][0]


def test_aliases():
    servers = {
        TOP: lambda name: found(name, value(1, "HS_SITE", ENTERPRISE_SITE)),
        ENTERPRISE: lambda name: (
            found(name, value(1, "HS_ALIAS", f"88.1.1/A{int(name[8:]) + 1}"))
            if int(name[8:]) < 8
            else found(name, value(1, "URL", "end"))
        ),
    }
    world = World(servers)
    assert urls(world.search("88.1.1/A0", follows_aliases=True)) == ["end"]
    assert urls(world.search("88.1.1/A0")) == []
    with pytest.raises(RecursionLimit, match="more than 8 aliases"):
        world.search("88.1.1/A-1", follows_aliases=True).get()


def test_an_inactive_namespace():
    text = '<namespace status="inactive" statusmsg="企业已注销"/>'
    world = World({TOP: lambda name: found(name, value(1, "HS_NAMESPACE", text), value(2, "HS_SITE", SECONDARY_SITE))})
    with pytest.raises(PrefixNotEnabled, match="企业已注销"):
        world.search(PRODUCT).get()


def test_a_forwarder_is_asked_to_search():
    asks = []

    class Forwarding(World):
        def reply(self, ask):
            asks.append((ask.contact.place, ask.name, ask.recursive))
            return super().reply(ask)

    world = Forwarding({TOP: lambda name: found(name, value(1, "URL", "found for you"))})
    world.searcher.forwards = True
    assert urls(world.search(PRODUCT)) == ["found for you"]
    assert asks == [(TOP, PRODUCT, True)]
    world.servers = {TOP: refers(value(1, "HS_SITE", ENTERPRISE_SITE)), ENTERPRISE: missing()}
    with pytest.raises(HandleNotFound):
        world.search("88.300.17/ANOTHER").get()
    assert asks[1:] == [(TOP, "88.300.17/ANOTHER", True), (ENTERPRISE, "88.300.17/ANOTHER", False)]


# Hostile worlds: each ends within the time and the messages that one question may cost, and asks nobody forbidden.

CYCLES = {
    "two sites refer to each other": {
        TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE)),
        SECONDARY: refers(value(1, "HS_SITE", ENTERPRISE_SITE)),
        ENTERPRISE: refers(value(1, "HS_SITE", SECONDARY_SITE)),
    },
    "a prefix is referred to itself": {TOP: refers(value(1, "HS_SITE.PREFIX", site(ROOT)), of_prefix=True)},
    "prefixes are referred round": {
        TOP: refers(value(1, "HS_SITE.PREFIX", SECONDARY_SITE), of_prefix=True),
        SECONDARY: refers(value(1, "HS_SITE.PREFIX", ENTERPRISE_SITE), of_prefix=True),
        ENTERPRISE: refers(value(1, "HS_SITE.PREFIX", site(ROOT)), of_prefix=True),
    },
    "a service is its own service": {TOP: lambda name: found(name, value(1, "HS_SERV", name))},
    "two services need each other": {
        TOP: lambda name: found(name, value(1, "HS_SERV", "88.2.2/S" if "88.1.1" in name else "88.1.1/S"))
    },
    "a service per referral, without end": {
        TOP: lambda name: found(name, value(1, "HS_SERV", f"{name}.1/S".removeprefix("0.NA/")))
    },
    "referral to a handle that needs the referral": {
        TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE)),
        SECONDARY: lambda name: refers(handle=name),
    },
    "a tree of services": {
        TOP: lambda name: found(name, *(value(i, "HS_SERV", f"88.{i}{name[8:12]}.1/S{i}") for i in range(1, 60)))
    },
    "sixty sites that refuse": {
        TOP: lambda name: found(name, *(value(i, "HS_SITE", site(f"185.1.1.{i}")) for i in range(1, 61)))
    }
    | {f"185.1.1.{i}:2641": refuses() for i in range(1, 61)},
    "sixty sites that are silent": {
        TOP: lambda name: found(name, *(value(i, "HS_SITE", site(f"185.1.1.{i}")) for i in range(1, 61)))
    },
    "a thousand servers that are silent": {
        TOP: lambda name: found(
            name, value(1, "HS_SITE", site(*(f"185.1.{i // 250}.{i % 250 + 1}" for i in range(1_000))))
        )
    },
    "new sites with every referral": {TOP: lambda name: found(name, value(1, "HS_SITE", site("185.1.1.1")))}
    | {f"185.1.1.{i}:2641": refers(value(1, "HS_SITE", site(f"185.1.1.{i + 1}"))) for i in range(1, 99)},
    "octets that are no site": {TOP: lambda name: found(name, value(1, "HS_SITE", b"\xff" * 40))},
    "an answer about another name": {TOP: lambda name: found("0.NA/88.9", value(1, "HS_SITE", SECONDARY_SITE))},
    "a prefix referral for a handle": {
        TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE)),
        SECONDARY: refers(value(1, "HS_SITE.PREFIX", ENTERPRISE_SITE), of_prefix=True),
    },
    "an empty referral": {TOP: refers(of_prefix=True)},
    "a site without servers": {TOP: lambda name: found(name, value(1, "HS_SITE", HsSite(())))},
    "aliases that go round": {
        TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE)),
        SECONDARY: lambda name: found(name, value(1, "HS_ALIAS", "88.1.1/B" if name.endswith("A") else "88.1.1/A")),
    },
}


@pytest.mark.parametrize("case", CYCLES)
def test_every_search_ends(case):
    world = World(CYCLES[case])
    started_s = world.now_s
    outcome = world.search("88.1.1/A", follows_aliases=True, traced=True)
    assert isinstance(outcome.error, (RecursionLimit, UpstreamFailed, PrefixNotServed)), outcome
    assert outcome.messages == len(world.asked) <= limits.UPSTREAM_MESSAGES_MAX
    assert world.now_s - started_s <= limits.UPSTREAM_SECONDS_MAX
    assert outcome.hops


def test_names_and_words_that_are_no_text_are_told_as_far_as_they_are():
    """The steps of the search could not be written down, and whoever asked for them got a defect of this node."""
    alias = {
        TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE)),
        SECONDARY: lambda name: found(name, value(1, "HS_ALIAS", b"88.1.1/\xff")) if name == "88.1.1/A" else missing(),
    }
    refusal = {TOP: {"said": Said.REFUSED, "code": 2, "message": "no \udcff"}}
    for servers in (alias, refusal):
        outcome = World(servers).search("88.1.1/A", follows_aliases=True, traced=True)
        assert outcome.error is not None
        assert any("?" in hop.name + hop.said for hop in outcome.hops)


@pytest.mark.parametrize("port", ["1" * 5_000, "²640", "65536", "0", "-1"])
def test_a_port_that_is_none_is_no_port(port):
    """A number of more digits than Python reads was a defect of this node."""
    strange = site("185.1.1.1", attributes=(("idis.grpc", port),))
    servers = {
        TOP: lambda name: found(name, value(1, "HS_SITE", strange)),
        SECONDARY: lambda name: found(name, value(1, "URL", "u")),
    }
    assert urls(World(servers).search("88.1.1/A")) == ["u"]


HOSTS = [f"185.1.1.{number}" for number in range(1, 9)] + ["10.0.0.1", "127.0.0.1", "169.254.169.254"]


def wild(seed):
    """A world of servers that say anything, always the same of the same name."""

    def says(place):
        def answer(name):
            chance = random.Random(f"{seed} {place} {name}")
            sites = [
                site(
                    *chance.sample(HOSTS, chance.randint(1, 3)),
                    roles=chance.choice([0, 0x80]),
                    serial=chance.randint(0, 9),
                )
                for _ in range(chance.randint(0, 4))
            ]
            names = [f"88.{chance.randint(1, 3)}.{chance.randint(1, 3)}/S", "0.NA/0.NA", "0.NA/88.1", "x", name]
            values = [
                value(
                    place,
                    chance.choice(["HS_SITE", "HS_SITE.PREFIX", "HS_SITE.6"]),
                    each,
                    chance.choice([0, 60, 86_400]),
                )
                for place, each in enumerate(sites, start=1)
            ]
            for kind in ("HS_SERV", "HS_SERV.PREFIX", "HS_ALIAS"):
                if chance.random() < 0.3:
                    values.append(value(len(values) + 1, kind, chance.choice(names)))
            return chance.choice(
                [
                    found(name, *values),
                    found(name, *values),
                    found(chance.choice(names), *values),
                    refers(*values, of_prefix=True),
                    refers(*values),
                    refers(handle=chance.choice(names)),
                    missing(),
                    refuses(chance.choice([2, 3, 301])),
                    None,
                ]
            )

        return answer

    return {f"{host}:2641": says(host) for host in [ROOT, *HOSTS]}


@pytest.mark.parametrize("seed", range(300))
def test_wild_worlds(seed):
    world = World(wild(seed))
    for name in ("88.1.1/A", "88.1.1/B", "0.NA/88.1.2.3", "88.2.1/C", "88.1.1/A"):
        before, started_s = len(world.asked), world.now_s
        outcome = world.search(name, follows_aliases=True, traced=True)
        assert (outcome.found is None) != (outcome.error is None)
        assert outcome.error is None or isinstance(outcome.error, (Refused, Unavailable))
        assert outcome.messages == len(world.asked) - before <= limits.UPSTREAM_MESSAGES_MAX
        assert world.now_s - started_s <= limits.UPSTREAM_SECONDS_MAX
        world.now_s += 3
    assert {place.partition(":")[0] for place, _ in world.asked} <= {ROOT, *HOSTS[:8]}
    for key, entry in world.cache._entries.items():
        if not entry.error:
            assert fold_prefix(parse(entry.body).name) == key, "kept under the name that was asked"


FORBIDDEN = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "192.0.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
    "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_forbidden_addresses_are_never_asked(address):
    world = World({TOP: lambda name: found(name, value(1, "HS_SITE", site(address)))})
    outcome = world.search("88.1.1/A", traced=True)
    assert isinstance(outcome.error, UpstreamFailed)
    assert [place for place, _ in world.asked] == [TOP]
    assert any("not asked" in hop.said for hop in outcome.hops)


def test_ports_and_this_node_itself():
    for port in (22, 25, 80, 443, 6379, 2646):
        world = World({TOP: lambda name, port=port: found(name, value(1, "HS_SITE", site("185.1.1.1", port=port)))})
        with pytest.raises(UpstreamFailed, match="allow_ports"):
            world.search("88.1.1/A").get()
    own = [("185.1.1.1", 2641)]
    world = World({TOP: lambda name: found(name, value(1, "HS_SITE", SECONDARY_SITE))}, own=own)
    with pytest.raises(UpstreamFailed, match="is this node itself"):
        world.search("88.1.1/A").get()


def test_networks_the_operator_allows():
    servers = {
        TOP: lambda name: found(name, value(1, "HS_SITE", site("10.1.2.3", port=99))),
        "10.1.2.3:99": lambda name: found(name, value(1, "URL", "inside")),
    }
    assert urls(World(servers, allow="10.1.0.0/16, fd00::/8").search("88.1.1/A")) == ["inside"]
    assert World(servers, allow="10.2.0.0/16").search("88.1.1/A").error
