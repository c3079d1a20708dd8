"""The Handle doors of real processes: keys and prefix handles of the first start, several workers, a restart."""

import json
import socket

import pytest

from resolver import methods
from resolver.client import Client
from resolver.v1 import registry_pb2
from resolver.wire import key_files, requests
from resolver.wire.keys import der_of_pem
from resolver.wire.message import Message
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
            udp.settimeout(60)
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


def told(values):
    return sorted((item.index, item.type, bytes(item.data)) for item in values)


def over_udp(port, message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(60)
        udp.connect(("127.0.0.1", port))
        udp.send(message.to_wire())
        return Message.from_wire(udp.recv(600))


def test_what_one_door_makes_the_others_show_at_once(tmp_path):
    """Over two workers, whichever of them the kernel gives a question to; prefixes and keys too."""
    directory = tmp_path / "data"
    with serving(directory, "--hdl", "127.0.0.1:0") as node:
        port = int(node.endpoints["hdl_tcp"].rpartition(":")[2])
        key = private_key_from_der(der_of_pem((directory / "credentials" / "admin_rsa.pem").read_bytes()))
        token = directory / "credentials" / "admin.token"
        tcp = HandleClient(port)
        with Client(node.endpoints["grpc"], token_file=token) as grpc:
            for number in range(12):
                name = f"88.300.1/ALL-{number}"
                if number % 2:
                    grpc.create(name, (value(1, "URL", "x"), value(2, "名称", "轴承")))
                else:
                    body = requests.WithValues(name, (value(1, "URL", "x"), value(2, "名称", "轴承")))
                    assert tcp.do(100, body, key=key).header.response_code == 1
                for _ in range(3):
                    asked = tcp.request(1, requests.Resolution(name), flags=HSJ_PUBLIC)
                    by_tcp, by_udp, by_grpc = tcp.send(asked), over_udp(port, asked), grpc.resolve(name)
                    assert told(by_tcp.body.values) == told(by_udp.body.values) == told(by_grpc.values)
            for number in range(6):
                prefix = f"88.300.{50 + number}"
                made = registry_pb2.CreatePrefixRequest(prefix=registry_pb2.Prefix(prefix=prefix))
                grpc.call(methods.CREATE_PREFIX, made)
                body = requests.WithValues(f"{prefix}/A", (value(1, "URL", "x"),))
                assert tcp.do(100, body, key=key).header.response_code == 1, "a new prefix is served at every worker"
                for homed in (301, 300):
                    assert tcp.do(homed, requests.OfHandle(f"0.NA/{prefix}"), key=key).header.response_code == 1
                assert told(grpc.resolve(f"{prefix}/A").values) == [(1, "URL", b"x")]
