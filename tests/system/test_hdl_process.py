"""The Handle doors of real processes: keys and prefix handles of the first start, several workers, a restart."""

import json
import socket

import pytest

from resolver.wire import key_files, requests
from resolver.wire.keys import der_of_pem
from resolver.wire.private_keys import private_key_from_der
from tests.resolver.transport.hdl_node import HSJ_PUBLIC, ClientSession, HandleClient, value
from tests.system.test_process_model import serving

pytestmark = pytest.mark.system


def test_first_start_gives_a_key_that_administers_over_both_workers(tmp_path):
    directory = tmp_path / "data"
    with serving(directory, "--hdl", "127.0.0.1:0") as node:
        assert set(node.endpoints) >= {"grpc", "admin", "hdl_tcp", "hdl_udp"}
        assert node.endpoints["hdl_tcp"] == node.endpoints["hdl_udp"]
        port = int(node.endpoints["hdl_tcp"].rpartition(":")[2])
        for name in ("node_rsa.pem", "admin_rsa.pem", "admin_rsa.bin"):
            assert (directory / "credentials" / name).stat().st_mode & 0o777 == 0o600
        key = private_key_from_der(der_of_pem((directory / "credentials" / "admin_rsa.pem").read_bytes()))
        assert key_files.read_key_file((directory / "credentials" / "admin_rsa.bin").read_bytes()) == key
        client = HandleClient(port)
        site = client.ask(2, requests.OfHandle("/"), flags=HSJ_PUBLIC).body.site
        assert [door[1:] for door in site.servers[0].interfaces] == [(1, port), (0, port)]
        for number in range(8):
            body = requests.WithValues(f"88.300.1/H-{number}", (value(1, "URL", "x"),))
            assert client.do(100, body, key=key).header.response_code == 1
        for number in range(4):
            session = ClientSession(client)
            gone = session.ask(101, requests.OfHandle(f"88.300.1/H-{number}"), key=key, encrypts=True)
            assert gone.header.response_code == 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(5)
            udp.connect(("127.0.0.1", port))
            udp.send(client.request(1, requests.Resolution("88.300.1/H-7"), flags=HSJ_PUBLIC).to_wire())
            assert int.from_bytes(udp.recv(600)[24:28], "big") == 1
    with serving(directory, "--hdl", "127.0.0.1:0") as node:
        port = int(json.loads((directory / "endpoints.json").read_text())["hdl_tcp"].rpartition(":")[2])
        client = HandleClient(port)
        found = client.ask(1, requests.Resolution("0.NA/88.300", types=("HS_SITE",)), flags=HSJ_PUBLIC)
        site = client.ask(2, requests.OfHandle("/"), flags=HSJ_PUBLIC).body.site
        assert found.body.values[0].data == site.to_wire()
        assert site.servers[0].interfaces[0].port == port
        assert client.do(101, requests.OfHandle("88.300.1/H-7"), key=key).header.response_code == 1
