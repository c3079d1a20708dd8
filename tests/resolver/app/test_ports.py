"""A port is held for workers, and a foreign owner is told apart from our own workers."""

import socket

import pytest

from resolver.app.data_dir import StartRefused
from resolver.app.ports import listen, reserve
from resolver.config.endpoint import Endpoint

ANY = Endpoint("127.0.0.1", 0)


def test_held_port_takes_workers_and_no_connection():
    held = reserve("grpc", ANY)
    address = ("127.0.0.1", held.endpoint.port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=60)
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(address)
        worker.listen()
        for _ in range(20):
            socket.create_connection(address, timeout=60).close()
    held.close()


def test_second_node_of_the_same_user_is_refused():
    held = reserve("grpc", ANY)
    with pytest.raises(StartRefused, match="another process has it"):
        reserve("grpc", held.endpoint, patience_s=0.0)
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", held.endpoint.port))
        worker.listen()
        held.close()
        with pytest.raises(StartRefused, match="another process has it"):
            reserve("grpc", held.endpoint, patience_s=0.0)
    reserve("grpc", held.endpoint, patience_s=0.0).close()


def test_foreign_address_is_named():
    with pytest.raises(StartRefused, match="this machine has no such address"):
        listen("admin", Endpoint("192.0.2.1", 0))


def test_chosen_ports_differ():
    one, two = reserve("grpc", ANY), reserve("grpc", ANY)
    assert one.endpoint.port != two.endpoint.port
    one.close()
    two.close()
