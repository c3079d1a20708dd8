"""Names of other nodes at the Handle doors: who is referred, who is searched for, and what each version is told."""

import socket

import pytest

from resolver.node.ledger import Ledger
from resolver.registry import prefix_handles
from resolver.v1 import registry_pb2
from resolver.wire import requests
from resolver.wire.message import Message
from resolver.wire.predefined.hs_site import HsSite
from tests.resolver.transport.hdl_node import ADMIN, handle_node, rsa_key, value
from tests.support.searching import be_patient, searching

PLAIN = 0x0900_0000
RECURSIVE = 0x1900_0000
DO_NOT_REFER = 0x0010_0000
AUTHORITATIVE = 0x8000_0000


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    be_patient(monkeypatch)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A node that routes 88.300.20 to another one, which holds handles of it."""
    with handle_node(tmp_path_factory.mktemp("below")) as below, handle_node(tmp_path_factory.mktemp("here")) as here:
        key = rsa_key("node").public.to_wire()
        route = registry_pb2.Route(address="127.0.0.1", tcp_port=below.port, udp_port=below.port, public_key=key)
        for node, row in (
            (below, registry_pb2.Prefix(prefix="88.300.20")),
            (below, registry_pb2.Prefix(prefix="88.300.20.5")),
            (here, registry_pb2.Prefix(prefix="88.300.20", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])),
        ):
            with node.engine.write() as writer:
                ledger = Ledger(writer, node.clock.now_us())
                prefix_handles.create(ledger, ADMIN, row)
                ledger.close()
            node.on_loop(_refresh(node))
        below.store("88.300.20/Product", value(1, "URL", "https://below"), value(2, "DESC", "产品"))
        below.store("88.300.20/ALIAS", value(1, "HS_ALIAS", "88.300.20/Product"))
        yield here, below


async def _refresh(node):
    node.services[0].core.refresh()


def ask(node, name, *, flags=PLAIN, version=(2, 11), recursions=0, **filters):
    client = node.client(version=version)
    message = client.request(1, requests.Resolution(name, **filters), flags=flags)
    if recursions:
        header = message.header._replace(recursion_count=recursions)
        octets = header.to_wire() + message.header_and_body[24:]
        message = Message(message.envelope, header, message.body, octets)
    return client.send(message)


def code(answer):
    return answer.header.response_code


def urls(answer):
    return [each.data for each in answer.body.values if each.type == "URL"]


def test_service_referral(tree):
    here, below = tree
    for name in ("88.300.20/Product", "88.300.20/NOT-EVEN-THERE", "88.300.20.5/X"):
        answer = ask(here, name)
        assert code(answer) == 302
        assert answer.body.handle == ""
        (site,) = [HsSite.from_wire(each.data) for each in answer.body.values if each.type == "HS_SITE"]
        assert site.servers[0].interfaces[0].port == below.port
        assert site.servers[0].public_key == rsa_key("node").public.to_wire()
    assert code(ask(here, "88.300.20/Product", flags=PLAIN | DO_NOT_REFER)) == 301
    assert code(ask(here, "10.1000/182")) == 301


@pytest.mark.parametrize(
    ("version", "expected"), [((2, 11), 303), ((2, 10), 303), ((2, 9), 303), ((2, 5), 303), ((2, 4), 100)]
)
def test_prefix_referral_by_version(tree, version, expected):
    answer = ask(tree[0], "0.NA/88.300.20.5", version=version)
    assert code(answer) == expected
    if expected == 303:
        assert {each.type for each in answer.body.values} == {"HS_SITE.PREFIX"}
        assert answer.body.handle == ""


def test_no_prefix_referral_where_none_is_wanted_or_needed(tree):
    here, _ = tree
    assert code(ask(here, "0.NA/88.300.20.5", flags=PLAIN | DO_NOT_REFER)) == 100
    assert code(ask(here, "0.NA/88.300.20")) == 1, "who allots a prefix describes it"
    assert code(ask(here, "0.NA/88.300.77")) == 100
    assert code(ask(here, "0.NA/88.301")) == 100


def change(node, op_code, body, *, flags=0x1800_0000, version=(2, 11)):
    return node.client(version=version).ask(op_code, body, flags=flags)


def test_changes_of_a_derived_prefix_that_is_elsewhere_are_referred(tree):
    """A client from 2.10 on follows; the handle of the prefix that is routed is here, and is changed here."""
    here, _ = tree
    name = "0.NA/88.300.20.5"
    given = requests.WithValues(name, (value(1, "URL", "u"),))
    bodies = {100: given, 101: requests.OfHandle(name), 102: given, 103: requests.RemoveValues(name, (1,)), 104: given}
    for op_code, body in bodies.items():
        answer = change(here, op_code, body)
        assert (code(answer), answer.body.handle) == (303, ""), op_code
        assert {each.type for each in answer.body.values} == {"HS_SITE.PREFIX"}
        assert code(change(here, op_code, body, flags=0x1800_0000 | DO_NOT_REFER)) != 303
        assert code(change(here, op_code, body, version=(2, 9))) != 303
    assert code(change(here, 101, requests.OfHandle("0.NA/88.300.20"))) == 402


def test_searching_for_those_who_ask(tree):
    here, _ = tree
    with searching(here) as upstream:
        answer = ask(here, "88.300.20/Product", flags=RECURSIVE)
        assert code(answer) == 1
        assert urls(answer) == [b"https://below"]
        assert answer.body.handle == "88.300.20/Product"
        assert not answer.header.flags & AUTHORITATIVE
        assert upstream.messages == 1
        again = ask(here, "88.300.20/Product", flags=RECURSIVE)
        assert (again.header._replace(expiration_s=0), again.body) == (
            answer.header._replace(expiration_s=0),
            answer.body,
        )
        assert urls(ask(here, "88.300.20/Product", flags=0)) == [b"https://below"], "an IDIS client sets no flags"
        assert upstream.messages == 1
        assert code(ask(here, "88.300.20/Product", flags=PLAIN)) == 302, "who does not ask for it is referred"
        assert urls(ask(here, "88.300.20/Product", flags=RECURSIVE, types=("DESC",))) == []
        assert code(ask(here, "88.300.20/Product", flags=RECURSIVE, types=("EMAIL",))) == 200
        assert code(ask(here, "88.300.20/NO", flags=RECURSIVE)) == 100
        assert code(ask(here, "88.300.20/Product", flags=RECURSIVE | AUTHORITATIVE)) == 1
        assert code(ask(here, "88.300.20/A", flags=RECURSIVE, recursions=9)) == 100
        assert code(ask(here, "88.300.20/B", flags=RECURSIVE, recursions=10)) == 6


def test_prefix_handles_of_others_for_old_and_new_clients(tree):
    here, _ = tree
    with searching(here):
        assert code(ask(here, "0.NA/88.300.20.5", flags=RECURSIVE)) == 303
        for version in ((2, 9), (2, 4)):
            answer = ask(here, "0.NA/88.300.20.5", flags=RECURSIVE, version=version)
            assert code(answer) == 1
            assert "HS_SITE" in {each.type for each in answer.body.values}


def test_over_udp_and_certified(tree):
    here, _ = tree
    with searching(here, certifies="all"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(60)
        udp.connect(("127.0.0.1", here.port))
        for _ in range(2):
            request = here.client().request(1, requests.Resolution("88.300.20/Product"), flags=RECURSIVE)
            udp.send(request.to_wire())
            answer = Message.from_wire(udp.recv(600))
            assert (code(answer), answer.envelope.request_id) == (1, request.envelope.request_id)
        assert ask(here, "88.300.20/Product", flags=RECURSIVE | 0x4000_0000).credential is not None


def test_recursion_can_be_turned_off(tree, tmp_path):
    _, below = tree
    with handle_node(tmp_path, recursion=False) as here:
        route = registry_pb2.Route(address="127.0.0.1", tcp_port=below.port)
        with here.engine.write() as writer:
            ledger = Ledger(writer, here.clock.now_us())
            row = registry_pb2.Prefix(prefix="88.300.20", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
            prefix_handles.create(ledger, ADMIN, row)
            ledger.close()
        with searching(here) as upstream:
            assert code(ask(here, "88.300.20/Product", flags=RECURSIVE)) == 302
            assert upstream.messages == 0


def test_a_node_below_that_is_gone(tree, tmp_path):
    with handle_node(tmp_path) as here, socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))  # it never listens: whoever comes is refused
        route = registry_pb2.Route(address="127.0.0.1", tcp_port=mute.getsockname()[1])
        with here.engine.write() as writer:
            ledger = Ledger(writer, here.clock.now_us())
            row = registry_pb2.Prefix(prefix="88.300.20", hosting=registry_pb2.HOSTING_ELSEWHERE, routes=[route])
            prefix_handles.create(ledger, ADMIN, row)
            ledger.close()
        with searching(here):
            answer = ask(here, "88.300.20/Product", flags=RECURSIVE)
            assert code(answer) == 2
            assert "has answered" in answer.body.message
