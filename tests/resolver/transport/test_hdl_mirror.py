"""The Handle doors of a mirror: it answers reads in its own name, and says that it is no primary."""

import pytest

from resolver.node import site_role
from resolver.v1 import mirror_pb2
from resolver.v1.stored_pb2 import StoredSite
from resolver.wire import requests
from storage.tables import Table
from tests.resolver.transport.hdl_node import handle_node, value

AUTHORITATIVE = 0x8000_0000


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with handle_node(tmp_path_factory.mktemp("mirror")) as node:
        yield node


def become(node, role):
    row = StoredSite(role=role, primary="primary.example:8010")
    with node.engine.write() as writer:
        writer.put(Table.META, site_role.META_KEY, row.SerializeToString(deterministic=True))

    async def look():
        node.services[0].core.poll()

    node.on_loop(look())


def created(name):
    return requests.WithValues(name, (value(1, "URL", "http://example.org/"),))


def test_mirror_answers_but_not_as_a_primary(node):
    client = node.client()
    assert client.do(100, created("88.300.1/MIRRORED")).header.response_code == 1
    questions = [
        (1, requests.Resolution("88.300.1/MIRRORED"), 0),  # the short way
        (1, requests.Resolution("88.300.1/MIRRORED", indexes=(1,)), 0x0400_0000),  # by index, with a digest
        (1, requests.Resolution("88.300.1/NOTHING"), 0),
        (1, requests.Resolution("88.300.1/NOTHING"), 0x0400_0000),
        (2, requests.OfHandle("88.300.1/MIRRORED"), 0),
    ]
    as_primary = [client.ask(op_code, body, flags=flags) for op_code, body, flags in questions]
    assert all(answer.header.flags & AUTHORITATIVE for answer in as_primary)
    become(node, mirror_pb2.SITE_ROLE_MIRROR)
    try:
        as_mirror = [client.ask(op_code, body, flags=flags) for op_code, body, flags in questions]
        refused = client.do(100, created("88.300.1/REFUSED"))
    finally:
        become(node, mirror_pb2.SITE_ROLE_PRIMARY)
    for before, after in zip(as_primary, as_mirror, strict=True):
        assert after.header.response_code == before.header.response_code
        assert not after.header.flags & AUTHORITATIVE
    assert as_primary[-1].body.site.is_primary
    assert not as_mirror[-1].body.site.is_primary
    assert refused.header.response_code == 301
    assert "primary.example:8010" in refused.body.message
    assert client.ask(2, questions[-1][1], flags=0).body.site.is_primary
    assert client.ask(1, questions[0][1], flags=0).header.flags & AUTHORITATIVE
