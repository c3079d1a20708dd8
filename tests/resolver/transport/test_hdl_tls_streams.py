"""Streams to mirrors in TLS: read by a client of its own, watched and cut from between, slow readers and rude ones."""

import asyncio
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from resolver.errors import MalformedMessage
from resolver.federation.connection import ServerUnreachable
from resolver.handle.codes import OpCode
from resolver.transport import hdl_streams, hdl_tcp
from resolver.wire import replication_records as records
from resolver.wire.replication_stream import TLS, Contents
from resolver.wire.requests import OfHandle
from tests.resolver.federation.test_following import dsa_key, server_context
from tests.resolver.transport.hdl_follower import (
    all_of,
    authenticated,
    filled,
    follower,
    in_tls,
    kinds,
    raw,
    records_of,
    stored,
)
from tests.resolver.transport.hdl_node import handle_node, read_exactly, read_frame, rsa_key, value
from tests.resolver.transport.hdl_tls_mirror import DUMP, OneByOne, Said, asked, between, dumped_handles, handshake

ENCRYPTED = 0x3800_0000
JAVA_8, JAVA_7 = "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One for all tests that change nothing."""
    with filled(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("TLSv1.2", {"maximum": ssl.TLSVersion.TLSv1_2, "ciphers": JAVA_8}),
        ("TLSv1.2", {"maximum": ssl.TLSVersion.TLSv1_2, "ciphers": JAVA_7}),
        ("TLSv1.3", {"minimum": ssl.TLSVersion.TLSv1_3}),
    ],
)
def test_nobody_between_reads_what_the_mirror_reads(node, worker, version, options):
    with between(node.ports[worker]) as middleman:
        connection = asked(node, port=middleman.port)
        head = read_exactly(connection, 20)
        major, minor, flags, _, session, request, sequence, octets = struct.unpack(">BBBBIIII", head)
        assert (major, minor, flags & 0xE0, session, sequence) == (2, 11, 0, 0, 0)
        payload = read_exactly(connection, octets)
        expires = payload[16:20]
        assert payload == bytes.fromhex("000003ea 00000001 98000000 0001 00 00") + expires + bytes(8)
        assert request == 102
        assert read_exactly(connection, 4) == b"\x54\x4c\x53\x00"
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        with handshake(connection, **options) as secured:
            assert secured.version() == version
            made = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))
            assert made.public_key() == rsa_key("node").to_native().public_key()
            assert [(each.oid, each.value) for each in made.subject] == [(NameOID.COMMON_NAME, "anonymous")]
            made.verify_directly_issued_by(made)
            assert (made.not_valid_before_utc.year, made.not_valid_after_utc.year) == (2000, 9999)
            found = dumped_handles(secured)
            assert secured.recv(1) == b"", "the end is said in TLS"
        assert found == stored(node)
        assert any(b"s3cret" in octets for octets in found["88.300.1/秘密"])
        for plain in (b"s3cret", b"https://example.com", b"P-100"):
            assert plain not in bytes(middleman.seen)


@pytest.mark.skipif(shutil.which("java") is None, reason="needs a JDK")
@pytest.mark.parametrize("name", ["node", "stranger"])
def test_a_mirror_in_java_takes_the_stream_by_the_key_of_the_site_only(node, name, monkeypatch):
    monkeypatch.setattr(hdl_streams, "HANDSHAKE_TIMEOUT_S", 100.0)  # its TLS takes a while to be loaded
    _, answer = authenticated(node, OpCode.DUMP_HANDLES, DUMP)
    key = rsa_key(name).to_native().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    program = ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", str(Path(__file__).with_name("TlsMirror.java")))
    command = (*program, str(node.ports[0]), answer.to_wire().hex(), key.hex())
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if name == "node":
        assert dumped_handles(Said(done.stdout)) == stored(node), done.stderr.decode()
    else:
        assert b"another key" in done.stderr
        assert done.stdout == b""


def test_old_mirrors_go_on_being_signed_for(node):
    with between(node.ports[0]) as middleman:
        connection = asked(node, port=middleman.port, version=(2, 7))
        with connection:
            assert read_frame(connection).header.response_code == 1
            found = records_of(connection, Contents.DUMP)
        assert {record.handle: record.values for record in kinds(found, records.DumpedHandle)} == stored(node)
        assert b"s3cret" in bytes(middleman.seen)


def test_an_old_mirror_that_asks_for_encryption_gets_no_plain_stream(node):
    with asked(node, version=(2, 7), flags=ENCRYPTED) as connection:
        assert read_frame(connection).header.response_code == 5
    with asked(node, version=(2, 8), flags=ENCRYPTED) as connection:
        assert read_frame(connection).header.response_code == 1
        assert read_exactly(connection, 4) == TLS


def test_a_node_whose_key_is_dsa_signs(tmp_path):
    with handle_node(tmp_path, key=dsa_key()) as node:
        node.store("88.300.1/A", value(1, "URL", "u"))
        with asked(node) as connection:
            assert read_frame(connection).header.response_code == 1
            assert read_exactly(connection, 4) == bytes(4)
        with asked(node, flags=ENCRYPTED) as connection:
            assert read_frame(connection).header.response_code == 5
        found = all_of(node, lambda client: client.dump())
        assert "88.300.1/A" in {record.handle for record in kinds(found, records.DumpedHandle)}


def test_a_short_key_serves_too(tmp_path):
    with handle_node(tmp_path, key=rsa_key("short", 1_024)) as node:
        node.store("88.300.1/A", value(1, "URL", "u"))
        found = all_of(node, lambda client: client.dump())
        assert "88.300.1/A" in {record.handle for record in kinds(found, records.DumpedHandle)}


def test_who_puts_himself_between_with_a_key_of_his_own_is_not_believed(node, tmp_path):
    """He passes on the answer, which is signed, and offers TLS of his own behind it."""
    context = server_context(tmp_path, rsa_key("stranger"))
    given = []

    def serve(listener):
        for _ in range(2):
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", node.ports[0]))
            with client, server:
                server.sendall(read_frame(client).to_wire())
                client.sendall(read_frame(server).to_wire())
                if given:
                    client.sendall(read_exactly(server, 4))
                    with suppress(OSError), context.wrap_socket(client, server_side=True) as secured:
                        secured.sendall(bytes.fromhex("00000002ff"))
                given.append(client)

    async def main():
        client = follower(node, port=listener.getsockname()[1])
        try:
            return [record async for found in client.dump() for record in found]
        finally:
            await client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(MalformedMessage, match="another key"):
            asyncio.run(main())
        thread.join(60)


@pytest.mark.parametrize("cut_at", [6_000, 14_000, 20_000])
def test_a_dump_that_was_cut_goes_on(node, cut_at):
    found = []

    async def until_cut(port):
        client = follower(node, port=port)
        try:
            async for part in client.dump():
                found.extend(part)
        finally:
            await client.close()

    with between(node.ports[0], cut_at=cut_at) as middleman, pytest.raises(ServerUnreachable):
        asyncio.run(until_cut(middleman.port))
    assert found
    assert not kinds(found, records.DumpEnds)
    last, kind = found[-1], 0
    if isinstance(last, records.DumpedHandle):
        kind = records.StartKind.HANDLES
    start = getattr(last, "handle", "")
    rest = all_of(node, lambda client: client.dump(start, kind))
    assert kinds(rest, records.DumpEnds)
    both = [*kinds(found, records.DumpedHandle), *kinds(rest, records.DumpedHandle)]
    assert {record.handle: record.values for record in both} == stored(node)


def streams_of(node):
    return [connection for door in node.tcp for connection in list(door._connections) if connection._alone is not None]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def large(directory, **options):
    """A node with more than sockets hold."""
    with handle_node(directory, workers=2, **options) as node:
        for number in range(40):
            node.store(f"88.300.1/L-{number}", value(1, "URL", bytes((number,)) * 400_000))
        for door in node.tcp:
            door._lobby._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        yield node


@pytest.mark.parametrize("worker", [0, 1])
def test_a_slow_reader_gets_everything_and_holds_little(tmp_path, worker):
    with large(tmp_path) as node, asked(node, worker=worker, holds_octets=1 << 18) as connection:
        assert read_frame(connection).header.response_code == 1
        assert read_exactly(connection, 4) == TLS
        with handshake(connection) as secured:
            until(lambda: [each for each in streams_of(node) if each._blocked is not None])
            for _ in range(20):
                time.sleep(0.01)
                (stream,) = streams_of(node)
                assert stream._transport.get_write_buffer_size() <= 3 * hdl_streams.SLICE_OCTETS
                assert stream._tls._outgoing.pending == 0
            assert dumped_handles(secured) == stored(node)


def test_who_takes_nothing_is_left_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(hdl_tcp, "WRITE_TIMEOUT_S", 0.3)
    with large(tmp_path) as node:
        held = []
        for _ in range(5):  # one more than streams at a time; the first may have ended by then
            connection = asked(node)
            if read_frame(connection).header.response_code == 1:
                assert read_exactly(connection, 4) == TLS
                held.append(handshake(connection))
            else:
                connection.close()
        assert len(held) >= 4
        until(lambda: not streams_of(node))
        monkeypatch.undo()
        with asked(node) as connection:
            assert read_frame(connection).header.response_code == 1
        for each in held:
            each.close()


def rude(connection):
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 8)


def endless(connection):
    """The start of a hello of 16 KiB in each record, and never the whole."""
    hello = b"\x01\x01\xff\xff" + bytes(1 << 17)
    for start in range(0, len(hello), 1 << 14):
        part = hello[start : start + (1 << 14)]
        connection.sendall(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)


def leaving(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def half_closed(connection):
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("behave", [rude, endless, leaving, half_closed, lambda _: None])
def test_without_a_handshake_there_is_no_stream(node, monkeypatch, behave, worker):
    monkeypatch.setattr(hdl_streams, "HANDSHAKE_TIMEOUT_S", 0.3)
    for _ in range(5):
        connection = asked(node, worker=worker)
        assert read_frame(connection).header.response_code == 1
        assert read_exactly(connection, 4) == TLS
        rest = b""
        try:
            behave(connection)
            while octets := connection.recv(1 << 16):
                rest += octets
        except OSError:
            pass
        connection.close()
        assert len(rest) < 200
        assert b"88.300" not in rest
        until(lambda: not streams_of(node))
    monkeypatch.undo()
    _, found = raw(node, OpCode.DUMP_HANDLES, DUMP)
    assert isinstance(found[-1], records.DumpEnds)


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("version", [(2, 7), (2, 11)])
def test_other_requests_of_the_connection_are_answered_before_the_stream(node, version, worker):
    client = node.client(0, version=version)
    info = client.request(OpCode.GET_SITE_INFO, OfHandle("/")).to_wire()
    with asked(node, version=version, worker=worker, before=info, more=info * 3) as connection:
        codes = [read_frame(connection).header.op_code for _ in range(5)]
        assert codes == [OpCode.GET_SITE_INFO] * 4 + [OpCode.DUMP_HANDLES]
        if version == (2, 7):
            assert records_of(connection, Contents.DUMP)
            connection.sendall(info)
            assert read_frame(connection).header.op_code == OpCode.GET_SITE_INFO
        else:
            assert read_exactly(connection, 4) == TLS
            with in_tls(connection) as secured:
                assert dumped_handles(secured) == stored(node)


@pytest.mark.parametrize("version", [(2, 7), (2, 11)])
def test_of_two_streams_on_a_connection_one_comes_after_the_other(node, version):
    _, second = authenticated(node, OpCode.DUMP_HANDLES, DUMP, version=version)
    with asked(node, version=version, more=second.to_wire()) as connection:
        assert read_frame(connection).header.response_code == 1
        if version == (2, 7):
            assert records_of(OneByOne(connection), Contents.DUMP)
            assert read_frame(connection).header.op_code == OpCode.DUMP_HANDLES
            assert records_of(connection, Contents.DUMP)
        else:
            assert read_exactly(connection, 4) == TLS
            with handshake(connection) as secured:
                assert dumped_handles(secured) == stored(node)
                assert secured.recv(1) == b"", "TLS ends with its stream and the connection with TLS"
    until(lambda: not streams_of(node))


def test_half_a_request_behind_ends_the_connection_before_anything_secret(node):
    client = node.client(0)
    info = client.request(OpCode.GET_SITE_INFO, OfHandle("/")).to_wire()
    with asked(node, more=info[:30]) as connection:
        assert read_frame(connection).header.response_code == 1
        assert read_exactly(connection, 4) == TLS
        with pytest.raises((OSError, EOFError)):
            read_exactly(connection, 1)


def test_a_worker_that_dies_in_a_secret_stream_ends_it_without_an_end(tmp_path):
    with handle_node(tmp_path, workers=2) as node:
        said = node.protocols[0].undecodable(None, 1).to_wire()

        async def dying(reader, writer):
            await reader.read(1 << 16)
            writer.write(len(said).to_bytes(4, "big") + said)
            writer.write((1 << 31 | 4).to_bytes(4, "big") + TLS)
            writer.write((1 << 31 | 1 << 29 | 6).to_bytes(4, "big") + b"s3cret")
            writer.write((1 << 31 | 1 << 29 | 500).to_bytes(4, "big") + b"cut")
            await writer.drain()
            writer.close()

        async def take_the_place_of_worker_0():
            path = tmp_path / "relay" / "0.sock"
            path.unlink()
            return await asyncio.start_unix_server(dying, path)

        _, answer = authenticated(node, OpCode.DUMP_HANDLES, DUMP)
        server = node.on_loop(take_the_place_of_worker_0())
        with between(node.ports[1]) as middleman:
            connection = socket.create_connection(("127.0.0.1", middleman.port), timeout=60)
            connection.sendall(answer.to_wire())
            assert read_exactly(connection, len(said) + 4) == said + TLS
            with handshake(connection) as secured:
                assert read_exactly(secured, 6) == b"s3cret"
                with pytest.raises(OSError, match=r"EOF|reset"):
                    secured.recv(1)
            assert b"s3cret" not in bytes(middleman.seen)
        node._loop.call_soon_threadsafe(server.close)


@pytest.mark.parametrize("worker", [0, 1])
def test_a_node_that_stops_ends_a_secret_stream_without_an_end(tmp_path, worker):
    with large(tmp_path) as node, asked(node, worker=worker) as connection:
        assert read_frame(connection).header.response_code == 1
        assert read_exactly(connection, 4) == TLS
        with handshake(connection) as secured:
            until(lambda: [each for each in streams_of(node) if each._blocked is not None])
            node.on_loop(node.tcp[worker].drain(0.1))
            with pytest.raises(OSError, match=r"EOF|reset"):
                dumped_handles(secured)
