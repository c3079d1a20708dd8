"""The longest prefix with a row decides who answers, whatever else the name looks like."""

import pytest

from resolver.errors import InvalidField
from resolver.node.authority import Above, Below, Here, authority_for, delegation
from resolver.registry import prefixes
from resolver.v1 import registry_pb2 as pb
from resolver.wire.predefined.hs_site import HsSite
from tests.resolver.transport.hdl_node import rsa_key
from tests.support.builders import ADMIN

KEY = rsa_key("node").public.to_wire()


@pytest.fixture
def reader(memory_world):
    route = pb.Route(address="2001:db8::17", tcp_port=2641, udp_port=2642, grpc_port=2640, public_key=KEY)
    with memory_world.engine.write() as writer:
        for row in (
            pb.Prefix(prefix="88.300.17", hosting=pb.HOSTING_ELSEWHERE, routes=[route]),
            pb.Prefix(prefix="88.300.17.5", hosting=pb.HOSTING_HERE),
            pb.Prefix(prefix="88.300.19", hosting=pb.HOSTING_ELSEWHERE, routes=[pb.Route(service="88.300.1/SERVICE")]),
            pb.Prefix(prefix="88.300.18", hosting=pb.HOSTING_ELSEWHERE, routes=[route], status=4),
        ):
            prefixes.create(writer, ADMIN, row, 1)
    with memory_world.engine.read() as reader:
        yield reader


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("88.300.1/ABC", Here),
        ("88.300.9/NOBODY-HAS-IT", Here),
        ("88.300.17/ABC", Below),
        ("88.300.17.6/ABC", Below),
        ("88.300.17.5/ABC", Here),
        ("88.300.17.5.1/ABC", Here),
        ("88.300.170/ABC", Here),
        ("88.300.18/ABC", Here),
        ("88.301.1/ABC", Above),
        ("88.3000.1/ABC", Above),
        ("88/ABC", Above),
        ("0.NA/88.300", Here),
        ("0.na/88.300.17", Here),
        ("0.NA/88.300.17.6", Below),
        ("0.NA/88.300.9", Here),
        ("0.NA/88", Above),
        ("0.NA/0.NA", Above),
        ("88.300.17", Here),
        ("88.300.17.6", Below),
        ("0.SITE/STATUS", Above),
        ("a" * 300 + "/x", Above),
        ("/x", Above),
        ("88.300.17.\u0000/x", Above),
        ("." * 250 + "/x", Above),
    ],
)
def test_who_answers(reader, name, expected):
    assert isinstance(authority_for(reader, name), expected)


def test_what_is_known_of_the_node_below(reader):
    below = authority_for(reader, "88.300.17.6/ABC")
    assert (below.row.prefix, below.is_exact) == ("88.300.17", False)
    assert authority_for(reader, "88.300.17/ABC").is_exact
    for of_prefix, type_ in ((False, "HS_SITE.6"), (True, "HS_SITE.PREFIX")):
        (value,) = delegation(reader, below, of_prefix=of_prefix)
        site = HsSite.from_wire(value.data)
        assert value.type == type_
        assert str(site.servers[0].ip) == "2001:db8::17"
        assert site.servers[0].public_key == KEY
        assert site.attributes == (("idis.grpc", "2640"),)


def test_a_service_handle_in_place_of_an_address(reader):
    below = authority_for(reader, "88.300.19/ABC")
    for of_prefix, type_ in ((False, "HS_SERV"), (True, "HS_SERV.PREFIX")):
        (value,) = delegation(reader, below, of_prefix=of_prefix)
        assert (value.type, value.data) == (type_, b"88.300.1/SERVICE")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "192.0.2.1"}, "at least one port"),
        ({"address": "192.0.2.1", "grpc_port": 2640}, "at least one port"),
        ({"address": "192.0.2.1", "tcp_port": 2641, "grpc_port": 70_000}, "at least one port"),
        ({"address": "example.com", "tcp_port": 2641}, "is not an IPv4"),
        ({"address": "192.0.2.1", "tcp_port": 2641, "public_key": b"key"}, "is no HS_PUBKEY"),
        ({"service": "88.300.1/S", "tcp_port": 2641}, "no address, port or key"),
        ({"service": "/S"}, "has no prefix"),
        ({}, "is not an IPv4"),
    ],
)
def test_routes_that_lead_nowhere_are_refused(memory_world, fields, words):
    row = pb.Prefix(prefix="88.300.30", hosting=pb.HOSTING_ELSEWHERE, routes=[pb.Route(**fields)])
    with memory_world.engine.write() as writer, pytest.raises(InvalidField, match=words):
        prefixes.create(writer, ADMIN, row, 1)
