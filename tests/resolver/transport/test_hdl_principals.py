"""Keys that the registry gave principals, used at the Handle doors; and handles that name no administrator."""

import pytest

from resolver.node import handle_admin
from resolver.registry import prefix_handles, principals
from resolver.v1 import registry_pb2 as pb
from resolver.wire import requests
from tests.resolver.transport.hdl_node import ADMIN, handle_node, rsa_key, value
from tests.support.builders import ledger_on

USER, APP = "300:0.NA/88.300.20", "301:0.NA/88.300.20"


@pytest.fixture
def node(tmp_path):
    with handle_node(tmp_path) as node:
        node.add_enterprise("ent-a", "88.300.20")
        node.keys = {}
        for who, role in (("user", pb.ROLE_ENTERPRISE_USER), ("app", pb.ROLE_APPLICATION)):
            row = pb.Principal(principal_id=who, role=role, enterprise_id="ent-a")
            request = pb.CreateKeyRequest(principal_id=who, kind=3, public_key=rsa_key(who).public.to_wire())
            with ledger_on(node.engine, node.clock) as ledger:
                principals.create(ledger.writer, ADMIN, row, ledger.now_us, node.randomness)
                node.keys[who] = prefix_handles.create_key(ledger, ADMIN, request, node.randomness).key.key_id
        yield node


def create(node, name, identity=USER, key="user"):
    body = requests.WithValues(name, (value(1, "URL", "x"), value(2, "URL", "y")))
    return node.client().do(100, body, identity, rsa_key(key)).header.response_code


def test_a_user_registers_and_its_principal_is_in_the_journal(node):
    assert create(node, "88.300.20/A") == 1
    with node.engine.read() as reader:
        assert len(handle_admin.values_of(reader, "88.300.20/A")) == 2


def log_in(node):
    """A connection that has logged in as IDIS clients do."""
    client = node.client(version=(2, 10), flags=0, keep=True)
    login = client.request(2001, requests.Login("0.NA/88.300.20", 300), flags=0x0080_0000)
    challenge = client.send(login)
    answer = client.answer_to(challenge, login, USER, rsa_key("user"))
    assert client.send(answer).header.response_code == 1
    return client


def test_an_idis_login_changes_what_names_no_administrator(node):
    name, client = "88.300.20/NO-ADMIN", log_in(node)
    steps = [
        (100, requests.WithValues(name, (value(1, "URL", "x"), value(2, "EMAIL", "y")))),
        (102, requests.WithValues(name, (value(6, "URL", "z"),))),
        (104, requests.WithValues(name, (value(6, "EMAIL", "w"),))),
        (103, requests.RemoveValues(name, (6,))),
        (1, requests.Resolution(name)),
        (101, requests.OfHandle(name)),
    ]
    for op_code, body in steps:
        assert client.ask(op_code, body).header.response_code == 1, op_code
    node.add_enterprise("ent-b", "88.300.21", "91110000600037341L")
    node.store("88.300.21/B", value(1, "URL", "b"))
    assert client.ask(101, requests.OfHandle("88.300.21/B")).header.response_code == 400
    client.close()


def test_to_handle_clients_what_names_no_administrator_is_closed(node):
    name = "88.300.20/CLOSED"
    assert create(node, name) == 1
    found = node.client().do(101, requests.OfHandle(name), USER, rsa_key("user"))
    assert found.header.response_code == 400


def test_an_application_may_not_register(node):
    assert create(node, "88.300.20/B", APP, "app") == 400


def test_revoked_keys_and_disabled_principals_are_refused(node):
    with ledger_on(node.engine, node.clock) as ledger:
        prefix_handles.revoke_key(ledger, ADMIN, node.keys["user"])
    assert create(node, "88.300.20/C") == 403
    assert node.client().do(105, requests.OfHandle("0.NA/88.300.20"), APP, rsa_key("app")).header.response_code == 1
    with ledger_on(node.engine, node.clock) as ledger:
        principals.update(ledger.writer, ADMIN, pb.UpdatePrincipalRequest(principal_id="app", disabled=True))
    assert node.client().do(105, requests.OfHandle("0.NA/88.300.20"), APP, rsa_key("app")).header.response_code == 403
