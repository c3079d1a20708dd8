"""A prefix whose handles live at a site of several servers: its route is the whole site, told as it is."""

import pytest

from resolver.cli.routing import routes_from
from resolver.errors import InvalidField
from resolver.federation.roots import sites_to_octets
from resolver.node import site_info, site_record
from resolver.registry import prefixes
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import site_pb2
from resolver.wire.predefined.hs_site import HsSite

PORT = 2641


def layout(count):
    rows = [
        site_pb2.SiteServer(
            id=number,
            grpc=f"192.0.2.{number}:2640",
            site=site_info.site_of(f"192.0.2.{number}", PORT, PORT, b"", "", grpc_port=2640).to_wire(),
        )
        for number in range(1, count + 1)
    ]
    return site_pb2.SiteLayout(serial=7, hash=site_pb2.SITE_HASH_PREFIX, registry_server=1, servers=rows)


def row(**route):
    return pb.Prefix(prefix="88.300.2", hosting=pb.HOSTING_ELSEWHERE, routes=[pb.Route(**route)])


def test_the_site_file_of_several_servers_is_one_route_to_all_of_them(tmp_path):
    site = site_record.hs_site(layout(3))
    path = tmp_path / "site.json"
    path.write_bytes(sites_to_octets([site]))
    routes = routes_from([], path)
    prefixes.check_fields(pb.Prefix(prefix="88.300.2", hosting=pb.HOSTING_ELSEWHERE, routes=routes))
    for of_prefix, kind in ((False, "HS_SITE"), (True, "HS_SITE.PREFIX")):
        (value,) = site_info.site_from_routes(routes, of_prefix=of_prefix)
        assert value.type == kind
        told = HsSite.from_wire(value.data)
        assert (told.servers, told.hash_option, told.serial) == (site.servers, 0, 7)


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"site": b"?"}, "no HS_SITE"),
        ({"site": HsSite(()).to_wire()}, "needs a port"),
        ({"site": site_record.hs_site(layout(2)).to_wire(), "tcp_port": 1}, "no other fields"),
        ({"site": bytes(70_000)}, "at most"),
    ],
)
def test_a_site_that_leads_nowhere_is_refused(route, words):
    with pytest.raises(InvalidField, match=words):
        prefixes.check_fields(row(**route))
