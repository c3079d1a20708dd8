"""The h2 door with other clients than grpc.aio, and over TLS: grpc's synchronous API, grpclib, certificates."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import struct

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from resolver import methods
from resolver.clock import SystemClock
from resolver.registry import keys
from resolver.transport.health import CHECK
from resolver.transport.tls import TlsFiles
from resolver.v1 import changes_pb2, registration_pb2, registry_pb2, resolution_pb2
from tests.resolver.transport.h2_doors import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    door_of,
    goaway_of,
    h2_client,
    run,
)
from tests.support.builders import ADMIN, PREFIX_A, register, value
from tests.support.ipv6 import needs_ipv6

NAME = f"{PREFIX_A}/one"
QUESTION = resolution_pb2.ResolveRequest(name=NAME)


def test_the_synchronous_client(world):
    register(world.engine, world.clock, NAME)
    bearer = (("authorization", f"Bearer {world.tokens['user_a']}"),)

    def use(target):
        with grpc.insecure_channel(target, compression=grpc.Compression.Gzip) as channel:

            def method(kind, method):
                shape = getattr(channel, kind)
                return shape(method.path, method.request.SerializeToString, method.response.FromString)

            resolve = method("unary_unary", methods.RESOLVE)
            assert resolve(QUESTION, timeout=60).record.name == NAME
            future = resolve.future(QUESTION, timeout=60)
            assert future.result().record.name == NAME
            assert future.code() is grpc.StatusCode.OK
            with pytest.raises(grpc.RpcError) as caught:
                resolve(resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/产品"), timeout=60)
            assert "产品" in caught.value.details()
            (octets,) = [octets for key, octets in caught.value.trailing_metadata() if key.endswith("-bin")]
            info = error_details_pb2.ErrorInfo()
            status_pb2.Status.FromString(octets).details[0].Unpack(info)
            assert info.reason == "HANDLE_NOT_FOUND"
            create = method("unary_unary", methods.CREATE_HANDLE)
            request = registration_pb2.CreateHandleRequest(name=f"{PREFIX_A}/two", values=[value()])
            assert create(request, timeout=60, metadata=bearer).receipt.serial == 2
            watch = method("unary_stream", methods.WATCH)
            pages = list(watch(changes_pb2.WatchRequest(from_serial=1, stop_at_end=True), timeout=60, metadata=bearer))
            assert pages[-1].through_serial == 2
            stream = method("stream_stream", methods.STREAM_RESOLVE)
            questions = (resolution_pb2.StreamResolveRequest(tag=tag, name=NAME) for tag in range(1_000))
            tags = [tag for answer in stream(questions, timeout=60) for tag in answer.tags]
            assert tags == list(range(1_000))
            call = watch(changes_pb2.WatchRequest(from_serial=1), metadata=bearer)
            next(call)
            call.cancel()
            assert call.code() is grpc.StatusCode.CANCELLED

    async def main():
        async with world.serving() as asker, door_of("h2", asker.service) as place:
            await asyncio.to_thread(use, place.target)

    run(main())


def test_grpclib(world):
    """An HTTP/2 stack in Python that shares nothing with ours."""
    register(world.engine, world.clock, NAME)
    metadata = {"authorization": f"Bearer {world.tokens['user_a']}"}

    async def main():
        async with (
            world.serving() as asker,
            door_of("h2", asker.service) as place,
            Channel("127.0.0.1", place.port) as channel,
        ):

            def method(kind, method):
                return kind(channel, method.path, method.request, method.response)

            resolve = method(UnaryUnaryMethod, methods.RESOLVE)
            answers = await asyncio.gather(*(resolve(QUESTION, timeout=60) for _ in range(300)))
            assert {answer.record.name for answer in answers} == {NAME}
            with pytest.raises(GRPCError) as caught:
                await resolve(resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/100% 产品"))
            assert caught.value.status.value == 5
            assert "100% 产品" in caught.value.message
            assert isinstance(caught.value.details[0], error_details_pb2.ErrorInfo)
            with pytest.raises(GRPCError) as caught:
                await UnaryUnaryMethod(channel, "/x.Y/Z", QUESTION.__class__, QUESTION.__class__)(QUESTION)
            assert caught.value.status.value == 12
            create = method(UnaryUnaryMethod, methods.CREATE_HANDLE)
            big = [value(index, "x" * 90_000) for index in range(1, 11)]
            request = registration_pb2.CreateHandleRequest(name=f"{PREFIX_A}/big", values=big)
            await create(request, metadata=metadata, timeout=60)
            answer = await resolve(resolution_pb2.ResolveRequest(name=f"{PREFIX_A}/big"))
            assert len(answer.record.values) == 10
            watch = method(UnaryStreamMethod, methods.WATCH)
            pages = await watch(changes_pb2.WatchRequest(from_serial=1, stop_at_end=True), metadata=metadata)
            assert pages
            stream = method(StreamStreamMethod, methods.STREAM_RESOLVE)
            questions = [resolution_pb2.StreamResolveRequest(tag=tag, name=NAME) for tag in range(200)]
            assert [tag for answer in await stream(questions) for tag in answer.tags] == list(range(200))
            async with stream.open(timeout=60) as open_stream:
                for tag in range(5):  # one at a time, each answered before the next
                    await open_stream.send_message(resolution_pb2.StreamResolveRequest(tag=tag, name=NAME))
                    assert list((await open_stream.recv_message()).tags) == [tag]
                await open_stream.end()
            with pytest.raises((asyncio.TimeoutError, GRPCError)) as caught:  # whoever looks first
                await method(UnaryStreamMethod, methods.WATCH)(
                    changes_pb2.WatchRequest(), metadata=metadata, timeout=0.2
                )
            assert isinstance(caught.value, asyncio.TimeoutError) or caught.value.status is Status.DEADLINE_EXCEEDED

    run(main())


def issue(directory, name, *, authority=None):
    """A key pair with a certificate for loopback; signed by ``authority`` when given, else by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer = (key, subject) if authority is None else authority
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{name}.crt").write_bytes(pem)
    (directory / f"{name}.key").write_bytes(secret)
    return (key, subject), pem, secret


@pytest.fixture
def tls_files(tmp_path):
    authority, ca_pem, _ = issue(tmp_path, "ca")
    issue(tmp_path, "node", authority=authority)
    _, client_pem, client_key = issue(tmp_path, "client", authority=authority)

    def files(*, mutual):
        paths = tmp_path / "node.crt", tmp_path / "node.key", tmp_path / "ca.crt" if mutual else None
        return TlsFiles(*paths, poll_s=60.0, clock=SystemClock())

    files.ca, files.client = ca_pem, (client_key, client_pem)
    return files


async def first_octet(port, context):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    Peer.made.append(Peer(reader, writer))
    return await reader.readexactly(1)


def test_tls(world, tls_files):
    register(world.engine, world.clock, NAME, [value(index, "x" * 90_000) for index in range(1, 11)])

    async def main():
        async with world.serving() as asker, door_of("h2", asker.service, tls=tls_files(mutual=False)) as place:
            credentials = grpc.ssl_channel_credentials(tls_files.ca)
            async with grpc.aio.secure_channel(place.target, credentials) as channel:
                call = channel.unary_unary(
                    methods.RESOLVE.path, QUESTION.__class__.SerializeToString, methods.RESOLVE.response.FromString
                )
                answers = await asyncio.gather(*(call(QUESTION, timeout=60) for _ in range(30)))
                assert {len(answer.record.values) for answer in answers} == {10}
            context = ssl.create_default_context(cadata=tls_files.ca.decode())
            context.set_alpn_protocols(["http/1.1"])
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await first_octet(place.port, context)
            plain = await Peer.connect(place.port, greet=False)
            plain.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            await plain.reader.read()
            assert plain.reader.at_eof()

    run(main())


def test_a_greeting_in_tls_may_be_cut_anywhere_and_a_drain_is_told(world, tls_files):
    register(world.engine, world.clock, NAME, [value(index, "x" * 90_000) for index in range(1, 5)])

    async def main():
        context = ssl.create_default_context(cadata=tls_files.ca.decode())
        context.set_alpn_protocols(["h2"])

        async def connect(port):
            peer = Peer(*await asyncio.open_connection("localhost", port, ssl=context))
            Peer.made.append(peer)
            return peer

        async with world.serving() as asker, door_of("h2", asker.service, tls=tls_files(mutual=False)) as place:
            window = (1 << 20).to_bytes(4, "big")
            for cut in range(1, 70, 7):
                peer = await connect(place.port)
                greeting = PREFACE + bytes(3) + b"\4" + bytes(5) + b"\0\0\4\x08" + bytes(5) + window
                for piece in (greeting[:cut], greeting[cut:]):
                    peer.writer.write(piece)
                    await peer.writer.drain()
                peer.send(SETTINGS, ACK)
                peer.send(HEADERS, END_HEADERS, 1, peer.headers())
                peer.send(WINDOW_UPDATE, 0, 1, window)
                octets = QUESTION.SerializeToString()
                peer.send(DATA, END_STREAM, 1, struct.pack(">BI", 0, len(octets)) + octets)
                fields, data = await peer.answer(1)
                assert (fields["grpc-status"], len(data) > 360_000) == ("0", True)
                peer.writer.close()
            greeted, silent = await connect(place.port), await connect(place.port)
            greeted.writer.write(PREFACE)
            greeted.send(SETTINGS)
            while (await greeted.frame())[:2] != (SETTINGS, ACK):
                pass
            leaving = asyncio.create_task(place.door.drain(100.0))
            while (frame := await greeted.frame()) is not None:
                if frame[0] == PING:
                    greeted.send(PING, ACK, 0, frame[3])
            assert goaway_of(greeted) == (0, b"")
            assert await silent.frames() == []
            async with asyncio.timeout(60):
                await leaving

    run(main())


def test_mutual_tls_says_who_calls(world, tls_files):
    with world.engine.write() as writer:
        request = registry_pb2.CreateKeyRequest(
            principal_id="user-a",
            kind=registry_pb2.KEY_KIND_CERTIFICATE,
            certificate_pem=tls_files.client[1].decode(),
        )
        keys.create(writer, ADMIN, request, world.clock.now_us(), world.randomness)
    listing = resolution_pb2.ListHandlesRequest(prefix=PREFIX_A)

    async def main():
        async with world.serving() as asker, door_of("h2", asker.service, tls=tls_files(mutual=True)) as place:
            credentials = grpc.ssl_channel_credentials(tls_files.ca, *tls_files.client)
            async with grpc.aio.secure_channel(place.target, credentials) as channel:
                call = channel.unary_unary(methods.LIST_HANDLES.path, listing.__class__.SerializeToString)
                assert await call(listing, timeout=60) == b""
                create = channel.unary_unary(methods.CREATE_HANDLE.path)
                request = registration_pb2.CreateHandleRequest(name=NAME, values=[value()])
                assert await create(request.SerializeToString(), timeout=60)
                token = (("authorization", f"Bearer {world.tokens['user_b']}"),)
                with pytest.raises(grpc.aio.AioRpcError) as caught:  # a token goes before the certificate
                    await call(listing, timeout=60, metadata=token)
                assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
            nobody = grpc.ssl_channel_credentials(tls_files.ca)
            async with grpc.aio.secure_channel(place.target, nobody) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(CHECK.path)(b"", timeout=1)
                assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

    run(main())


@needs_ipv6
def test_addresses(world):
    """The peer's address is counted as its source, IPv4 through an IPv6 socket as IPv4."""
    register(world.engine, world.clock, NAME)

    async def main():
        async with world.serving() as asker:
            from resolver.transport.grpc_h2 import H2Door

            door = H2Door(asker.service, observe=lambda *_: None, clock=SystemClock())
            port = await door.start("::", 0, None)
            for host in ("127.0.0.1", "[::1]"):
                async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
                    await channel.unary_unary(methods.RESOLVE.path)(QUESTION.SerializeToString(), timeout=60)
            second = H2Door(asker.service, observe=lambda *_: None, clock=SystemClock())
            assert await second.start("::", port, None) == port
            for each in (door, second):
                await each.drain(0.0)
            asker.service.core.roll()
            waiting = asker.service.core.counting.take().waiting
            assert {place[2] for place in waiting.sources} == {"127.0.0.1", "::1"}

    run(main())


def test_health_before_and_after(world):
    async def main():
        async with h2_client(world) as client:
            (answer,) = await client.ask("", CHECK)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            client.place.door.set_serving(False)
            (answer,) = await client.ask("", CHECK)
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING

    run(main())
