"""A mirror that takes streams in TLS and has nothing of ours in it, and somebody between it and the node."""

import io
import selectors
import socket
import ssl
import threading
from contextlib import contextmanager

from resolver.handle.codes import OpCode
from resolver.wire.replication_requests import DumpHandles
from tests.resolver.transport.hdl_follower import authenticated
from tests.resolver.transport.hdl_node import read_exactly

DUMP = DumpHandles(2, 1, 0)


class Middleman:
    """Passes on what both sides say and keeps it; cuts the connection after so many octets of the server."""

    def __init__(self, port, cut_at):
        self.seen = bytearray()
        self._target, self._cut_at = port, cut_at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        threads = []
        while True:
            client, _ = self._listener.accept()
            if self._cut_at == 0:
                break
            server = socket.create_connection(("127.0.0.1", self._target))
            threads.append(threading.Thread(target=self._pass_both, args=(client, server)))
            threads[-1].start()
        client.close()
        self._listener.close()
        for thread in threads:
            thread.join(60)

    def _pass_both(self, client, server):
        passed = 0
        with client, server, selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select(60):
                    try:
                        octets = key.fileobj.recv(4_096)
                        key.data.sendall(octets)
                    except OSError:
                        return
                    self.seen += octets
                    passed += len(octets) if key.fileobj is server else 0
                    if not octets or (self._cut_at is not None and passed > self._cut_at):
                        return

    def close(self):
        self._cut_at = 0
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(60)


@contextmanager
def between(port, *, cut_at=None):
    middleman = Middleman(port, cut_at)
    try:
        yield middleman
    finally:
        middleman.close()


def handshake(connection, *, minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_3, ciphers=None):
    """TLS as the reference client has it: whoever presents the key of the site is the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = minimum, maximum
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(connection, suppress_ragged_eofs=False)


def dumped_handles(stream):
    """The handles of a dump without signatures and their values, read as the format says and with nothing of ours."""

    def number(octets):
        return int.from_bytes(read_exactly(stream, octets), "big")

    assert number(4) == 2
    found, seen = {}, []
    while (kind := number(1)) != 0xFF:
        seen.append(kind)
        if kind == 0:
            read_exactly(stream, 16)
            continue
        name = read_exactly(stream, number(4)).decode()
        if kind == 1:
            found[name] = tuple(read_exactly(stream, number(4)) for _ in range(number(4)))
        elif kind in {3, 4}:
            read_exactly(stream, 12)
        else:
            assert kind == 2
    assert seen == sorted(seen, key=(0, 3, 4, 1, 2).index)
    return found


class Said:
    """Octets that were said, taken like those of a connection."""

    def __init__(self, octets):
        self.recv = io.BytesIO(octets).read


def asked(node, *, worker=0, owner=0, port=None, more=b"", before=b"", holds_octets=0, **options):
    """A connection that has asked for a dump, between other octets; its kernel holds so many octets, or the usual."""
    _, answer = authenticated(node, OpCode.DUMP_HANDLES, DUMP, worker=owner, **options)
    connection = socket.socket()
    connection.settimeout(60)
    if holds_octets:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, holds_octets)
    connection.connect(("127.0.0.1", port or node.ports[worker]))
    connection.sendall(before + answer.to_wire() + more)
    return connection


class OneByOne:
    """A connection of which no more is taken than the stream has."""

    def __init__(self, connection):
        self._connection = connection

    def recv(self, _octets):
        return self._connection.recv(1)
