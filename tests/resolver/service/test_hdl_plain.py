"""The shortest way to an answer gives the octets of the long one, and only where it may answer at all."""

import asyncio

import pytest

from resolver.node import hdl_resolve
from resolver.node.site_info import site_of
from resolver.service import hdl_plain
from resolver.service.handle_protocol import HandleOptions, HandleProtocol
from resolver.service.hdl_plain import NoRoom, PlainQuestions
from resolver.service.loop_turns import LoopTurns
from resolver.service.published_site import PublishedSite
from resolver.wire import requests
from resolver.wire.envelope import Envelope
from resolver.wire.header import Header
from resolver.wire.message import request_message
from resolver.wire.versions import Version
from storage.tables import Table
from tests.resolver.transport.hdl_node import rsa_key
from tests.support.builders import HIDDEN, NOBODY, PREFIX_A, register, value
from tests.support.damage import damage

PUBLIC = 0x1900_0000


def question(name, *, version=(2, 11), suggested=(2, 11), flags=PUBLIC, session=0, **filters):
    envelope = Envelope(Version(*version), Version(*suggested), 0, session, 77, 0, 0)
    return request_message(envelope, Header(1, 0, flags, 5, 3, 9, 0), requests.Resolution(name, **filters)).to_wire()


def run(world, check, **changes):
    async def body():
        async with world.serving(**changes) as asker:
            core = asker.service.core
            site = site_of("127.0.0.1", 2641, 2641, rsa_key("node").public.to_wire(), "test")
            protocol = HandleProtocol(core, HandleOptions(0, "88.300", site, rsa_key("node")))
            return check(
                core, PlainQuestions(core, PublishedSite(site, site), LoopTurns(core.clock.monotonic_s)), protocol
            )

    return asyncio.run(body())


@pytest.fixture
def world(world):
    many = [value(number, "x" * 40, f"T.{number}") for number in range(1, 60)]
    late = value(7, "y", "URL", ttl_until_s=2**31, references=[])
    late.references.add(name="88.300/A", index=5)
    for name, values in {
        "A": [value(1, "https://example.com/", "URL"), value(2, "轴承", "名称", ttl_s=0)],
        "LATE": [late],
        "MANY": many,
        "MIXED": [value(1, "a"), value(2, "b", permissions=HIDDEN)],
        "SECRET": [value(1, "a", permissions=NOBODY)],
        "中文": [value(1, "a")],
    }.items():
        register(world.engine, world.clock, f"{PREFIX_A}/{name}", values)
    return world


@pytest.mark.parametrize("name", ["A", "a", "LATE", "MANY", "中文", "MIXED"])
@pytest.mark.parametrize("versions", [((2, 11), (2, 11)), ((2, 3), (2, 10)), ((2, 1), (2, 1)), ((2, 10), (0, 0))])
def test_both_ways_give_the_same_octets(world, name, versions):
    asked = question(f"{PREFIX_A}/{name}", version=versions[0], suggested=versions[1])

    def check(core, plain, protocol):
        short = plain.answer(asked, "192.0.2.1")
        assert short is not None
        assert short == protocol.resolution.at_once(asked, "192.0.2.1")
        assert plain.answer(asked, "192.0.2.1") == short, "from what is kept"

    run(world, check)


@pytest.mark.parametrize(
    "asked",
    [
        question(f"{PREFIX_A}/NO"),
        question("99.1/A"),
        question(f"{PREFIX_A}/SECRET"),
        question(f"{PREFIX_A}/MIXED", flags=0x1800_0000),
        question(f"{PREFIX_A}/A", types=("URL",)),
        question(f"{PREFIX_A}/A", indexes=(1,)),
        question(f"{PREFIX_A}/A", flags=PUBLIC | 0x4000_0000),
        question(f"{PREFIX_A}/A", flags=PUBLIC | 0x0080_0000),
        question(f"{PREFIX_A}/A", session=9),
        question("A"),
        question(f"{PREFIX_A}/" + "x" * 500),
        question(f"{PREFIX_A}/A")[:-5],
        question(f"{PREFIX_A}/A")[:30],
        b"",
        bytes(60),
        request_message(
            Envelope(Version(2, 11), Version(2, 11), 0, 0, 1, 0, 0),
            Header(2, 0, PUBLIC, 0, 0, 0, 0),
            requests.OfHandle("/"),
        ).to_wire(),
    ],
)
def test_what_is_not_plain_is_left_to_the_long_way(world, asked):
    run(world, lambda core, plain, protocol: _is_none(plain.answer(asked, "192.0.2.1")))


def _is_none(answer):
    assert answer is None


def test_every_cut_and_flipped_octet_is_answered_alike_or_left(world):
    asked = question(f"{PREFIX_A}/A")

    def check(core, plain, protocol):
        for place in range(len(asked)):
            for octets in (asked[:place], asked[:place] + bytes([asked[place] ^ 0xFF]) + asked[place + 1 :]):
                short = plain.answer(octets, "192.0.2.1")
                if short is not None:
                    assert short == protocol.resolution.at_once(octets, "192.0.2.1")

    run(world, check)


def test_a_change_is_seen_at_once_and_what_is_kept_is_bounded(world, monkeypatch):
    monkeypatch.setattr(hdl_plain, "KEPT_OCTETS_MAX", 4_000)
    name = f"{PREFIX_A}/A"

    def check(core, plain, protocol):
        before = plain.answer(question(name), "192.0.2.1")
        register(world.engine, world.clock, name, [value(1, "changed", "URL")], on_existing=3)
        assert b"changed" in plain.answer(question(name), "192.0.2.1")
        assert b"changed" not in before
        for number in range(200):
            register(world.engine, world.clock, f"{PREFIX_A}/K-{number}")
            plain.answer(question(f"{PREFIX_A}/K-{number}"), "192.0.2.1")
        assert len(plain._kept) < 40

    run(world, check)


def test_a_damaged_row_is_not_served(world):
    name = f"{PREFIX_A}/A"

    def check(core, plain, protocol):
        assert plain.answer(question(name), "192.0.2.1")
        damage(world.engine, Table.RECORDS, name.encode())
        assert plain.answer(question(name), "192.0.2.1") is None

    run(world, check)


def test_without_public_resolution_nothing_is_plain(world):
    asked = question(f"{PREFIX_A}/A")
    run(world, lambda core, plain, protocol: _is_none(plain.answer(asked, "x")), public_resolution=False)


def test_what_has_no_room_is_seen_before_it_is_made_and_only_that(world, monkeypatch):
    """Over UDP two thousand values took two milliseconds to encode, to be told to ask over TCP."""
    largest = 2**31 - 1
    records = {
        "PLAIN": [value(number, "x" * 20) for number in range(1, 2_001)],
        "EMPTY": [value(largest - number, "", "T", ttl_until_s=largest) for number in range(900)],
        "LONG": [value(1, "x" * 60_000)],
        "SOME": [value(number, "x") for number in range(1, 12)],
        "ONE": [value(1, "x")],
    }
    for name, values in records.items():
        register(world.engine, world.clock, f"{PREFIX_A}/{name}", values)
    encoded = []
    encode = hdl_resolve.value_to_wire
    monkeypatch.setattr(hdl_resolve, "value_to_wire", lambda value: encoded.append(1) or encode(value))

    def asked(protocol, octets, octets_max):
        encoded.clear()
        try:
            return protocol.at_once(octets, "192.0.2.1", "hdl_udp", octets_max)
        except NoRoom:
            assert not encoded
            return None

    def check(core, plain, protocol):
        for name, values in records.items():
            for filters in ({}, {"types": ("URL", "T")}, {"indexes": (1,)}):
                octets = question(f"{PREFIX_A}/{name}", **filters)
                whole = protocol.at_once(octets, "192.0.2.1")
                for octets_max in (3 * len(octets), len(whole) - 1, len(whole), len(whole) + 1):
                    answer = asked(protocol, octets, octets_max)
                    assert answer == whole or len(whole) > octets_max
                if len(values) >= 900 and "indexes" not in filters:
                    assert asked(protocol, octets, 1_536) is None

    run(world, check)
