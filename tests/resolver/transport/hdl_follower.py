"""Handle servers that follow a node of the tests: by the product's client, and by raw messages and sockets."""

import asyncio
import os
import socket
import ssl
from contextlib import contextmanager

from cryptography import x509

from resolver.clock import SystemClock
from resolver.federation.following import FollowingClient
from resolver.federation.identity import KeyIdentity
from resolver.handle.codes import OpCode
from resolver.node import administer, hdl_resolve, record_octets
from resolver.node.handle_admin import values_of
from resolver.node.ledger import Ledger
from resolver.wire.message import Message
from resolver.wire.replication_stream import TLS, UNSIGNED, Contents, StreamReader
from resolver.wire.requests import OfHandle
from resolver.wire.signatures import verify
from resolver.wire.versions import TLS_STREAMS, Version
from storage.tables import Table
from tests.resolver.transport.hdl_node import ADMIN, PRIVATE, handle_node, read_exactly, read_frame, rsa_key, value

NAMES = [f"88.300.1/P-{number}" for number in range(120)]


@contextmanager
def filled(directory):
    """A node with two workers, some handles and one that was deleted."""
    with handle_node(directory, workers=2) as running:
        for name in NAMES:
            running.store(name, value(1, "URL", f"https://example.com/{name}"))
        running.store("88.300.1/秘密", value(1, "URL", "u"), value(300, "HS_SECKEY", b"s3cret", PRIVATE))
        remove(running, NAMES[0])
        yield running


def remove(node, name):
    now_us = node.clock.now_us()
    with node.engine.write() as writer:
        ledger = Ledger(writer, now_us)
        administer.delete(ledger, ADMIN, administer.Target.of(name, None))
        ledger.close()


def stored(node):
    """Every handle with its values as the protocol carries them."""
    with node.engine.read() as reader:
        names = [record_octets.parse(body).name for _, body in reader.scan(Table.RECORDS, b"")]
        return {name: tuple(map(hdl_resolve.value_to_wire, values_of(reader, name))) for name in names}


def follower(node, worker=0, **options):
    options.setdefault("identity", KeyIdentity("0.NA/88.300", 300, rsa_key("admin")))
    options.setdefault("server_key", node.key.public.to_wire())
    options.setdefault("port", node.ports[worker])
    return FollowingClient("127.0.0.1", clock=SystemClock(), randomness=os.urandom, **options)


def all_of(node, question, **options):
    async def main():
        client = follower(node, **options)
        try:
            return [record async for found in question(client) for record in found]
        finally:
            await client.close()

    return asyncio.run(main())


def in_tls(connection):
    """The client's end of TLS, whose server has the key of the site."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secured = context.wrap_socket(connection)
    key = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True)).public_key()
    assert key == rsa_key("node").to_native().public_key()
    return secured


def kinds(found, kind):
    return [record for record in found if isinstance(record, kind)]


def authenticated(node, op_code, body, *, worker=0, version=(2, 11), **options):
    """A client, and a request of it that has been proven."""
    client = node.client(worker, version=version)
    request = client.request(op_code, body, **options)
    challenge = Message.from_frame(client.frames(request.to_wire())[0])
    assert challenge.header.response_code == 402, challenge.body
    return client, client.answer_to(challenge, request, "300:0.NA/88.300", rsa_key("admin"))


def raw(node, op_code, body, *, worker=0, version=(2, 11), answer_at=None):
    """The records behind the answer of a client that may be given to another worker for its second message."""
    client, answer = authenticated(node, op_code, body, worker=worker, version=version)
    contents = Contents.DUMP if op_code == OpCode.DUMP_HANDLES else Contents.TRANSACTIONS
    port = node.ports[worker if answer_at is None else answer_at]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(answer.to_wire())
        message = Message.from_frame(read_frame(connection))
        if message.header.response_code != 1:
            return message, []
        if Version(*version) >= TLS_STREAMS:
            assert read_exactly(connection, 4) == TLS
            with in_tls(connection) as secured:
                found = records_of(secured, contents, start=UNSIGNED)
                assert secured.recv(1) == b"", "there is no way back from TLS"
                return message, found
        found = records_of(connection, contents)
        # The connection goes on: the next request on it is answered.
        connection.sendall(client.request(OpCode.GET_SITE_INFO, OfHandle("/")).to_wire())
        assert read_frame(connection).header.response_code == 1
        return message, found


def records_of(connection, contents, start=b""):
    """The records of a stream; ``start`` is what it says of itself when TLS has proven it."""
    key = rsa_key("node").public
    reader = StreamReader(
        contents, lambda algorithm, made, octets: verify(key, algorithm, made, octets), takes_unsigned=bool(start)
    )
    found = reader.receive_data(start)
    while not reader.is_done:
        octets = connection.recv(1 << 16)
        assert octets, "the stream ended in the middle"
        found += reader.receive_data(octets)
    assert reader.unread == b""
    return found
