"""Following a server that goes on in TLS as the reference server does, and servers that are not who they say."""

import asyncio
import datetime as dt
import os
import ssl
import time
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from resolver.clock import SystemClock
from resolver.errors import MalformedMessage
from resolver.federation.connection import ServerUnreachable
from resolver.federation.following import FollowingClient
from resolver.handle.value import HandleValue
from resolver.wire import answers, responses, signatures
from resolver.wire import replication_records as records
from resolver.wire.credential import SIGNED, Credential, signed_octets
from resolver.wire.message import Frame, Message, frame_of
from resolver.wire.private_keys import private_key_from_wire
from resolver.wire.replication_requests import RetrieveSince, RetrieveTransactions
from resolver.wire.replication_stream import TLS, StreamWriter
from resolver.wire.values import value_to_wire
from resolver.wire.versions import OWN, Version
from tests.resolver.transport.hdl_node import rsa_key
from tests.resolver.wire.vectors import octets, recorded

DUMP = [
    records.DumpBegins(),
    records.Position(5, 9),
    *(
        records.DumpedHandle(f"88.300/{number}", (value_to_wire(HandleValue(1, "URL", b"u" * 500)),))
        for number in range(300)
    ),
    records.DumpEnds(),
]


def server_context(folder, key):
    """A server's TLS with a self-signed certificate of a key."""
    native = key.to_native()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anonymous")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(native.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    made = builder.sign(native, hashes.SHA256())
    path = folder / "server.pem"
    path.write_bytes(
        native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def answer_to(octets, body, key, **other):
    """The signed answer; ``other`` fields of the envelope are those of a request that somebody has changed."""
    frame = Frame.from_wire(octets)
    request = Message.from_frame(frame._replace(envelope=frame.envelope._replace(**other)))
    message = answers.answer(request, 1, body, site_serial=1, expiration_s=int(time.time()) + 60)
    algorithm = signatures.preferred_hash(message.envelope.version, key.kind)
    covered = signed_octets(message.envelope, message.header_and_body, 0)
    made = Credential(SIGNED, algorithm, signatures.sign(key, algorithm, covered))
    return frame_of(message.envelope, message.header_and_body, made).to_wire()


@asynccontextmanager
async def serving(stream, key=None, asked=None, **other):
    """A server whose answer is followed by what ``stream(writer)`` does; ``asked`` gets the messages that came.

    ``other`` fields of the envelope are what it believes to have been asked with.
    """
    key = key or rsa_key("node")

    async def serve(reader, writer):
        try:
            head = await reader.readexactly(20)
            octets = head + await reader.readexactly(int.from_bytes(head[16:], "big"))
            message = Message.from_frame(Frame.from_wire(octets))
            if asked is not None:
                asked.append(message)
            follows = isinstance(message.body, RetrieveSince | RetrieveTransactions)
            body = responses.StreamFollows(keeps_alive=False) if follows else responses.Done()
            writer.write(answer_to(octets, body, key, **other))
            await stream(writer)
        except (OSError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def dumped(stream, site_version=OWN, **other):
    async with serving(stream, **other) as port:
        client = FollowingClient(
            "127.0.0.1",
            port,
            clock=SystemClock(),
            randomness=os.urandom,
            identity=None,
            server_key=rsa_key("node").public.to_wire(),
            site_version=site_version,
            timeout_s=60.0,
        )
        try:
            return [record async for found in client.dump() for record in found]
        finally:
            await client.close()


def in_tls(context, found=DUMP):
    async def stream(writer):
        writer.write(TLS)
        await writer.start_tls(context)
        writer.write(StreamWriter().blocks(found))
        await writer.drain()

    return stream


def test_a_stream_in_tls_by_the_key_of_the_site(tmp_path):
    assert asyncio.run(dumped(in_tls(server_context(tmp_path, rsa_key("node"))))) == DUMP


def test_tls_by_another_key_is_not_believed(tmp_path):
    with pytest.raises(MalformedMessage, match="another key"):
        asyncio.run(dumped(in_tls(server_context(tmp_path, rsa_key("stranger")))))


async def signed_stream(writer):
    made = StreamWriter(b"SHA1", lambda octets: signatures.sign(rsa_key("node"), b"SHA1", octets))
    writer.write(made.head() + made.blocks([*DUMP[:3], DUMP[-1]]))
    await writer.drain()


def test_a_server_that_was_made_to_believe_in_an_older_version_is_not_followed():
    """Whoever stands between can lower the version of a request: the stream would come in clear."""
    lowered = {"version": Version(2, 7), "suggested": Version(2, 7)}
    with pytest.raises(MalformedMessage, match=r"answers in version 2\.7 and its site says 2\.11"):
        asyncio.run(dumped(signed_stream, **lowered))
    for known in (None, Version(2, 7), Version(2, 3), Version(5, 3)):
        assert len(asyncio.run(dumped(signed_stream, known, **lowered))) == 4


def test_an_answer_to_another_request_is_not_believed():
    """An old one could be played again, with the stream that followed it."""
    with pytest.raises(MalformedMessage, match="another request"):
        asyncio.run(dumped(signed_stream, request_id=7))


def test_a_stream_signed_by_another_key_is_not_believed():
    async def stream(writer):
        made = StreamWriter(b"SHA1", lambda octets: signatures.sign(rsa_key("stranger"), b"SHA1", octets))
        writer.write(made.head() + made.blocks(DUMP[:3]))
        await writer.drain()

    with pytest.raises(MalformedMessage, match="signature in the stream is wrong"):
        asyncio.run(dumped(stream))


@pytest.mark.parametrize("octets", [b"", TLS, b"\0\0\0\0\0\0\0\4SHA1\0\0"])
def test_a_stream_that_ends_in_the_middle_may_be_asked_again(octets):
    async def stream(writer):
        writer.write(octets)
        await writer.drain()

    with pytest.raises(ServerUnreachable, match="in the middle"):
        asyncio.run(dumped(stream))


def test_noise_after_the_mark_of_tls_is_told():
    async def stream(writer):
        writer.write(TLS + b"no handshake at all, whatever it is" * 3)
        await writer.drain()

    with pytest.raises(MalformedMessage, match="does not go on in TLS"):
        asyncio.run(dumped(stream))


def dsa_key():
    vector = next(each for each in recorded("keys_and_sessions") if each["id"].startswith("keypair-dsa"))
    return private_key_from_wire(octets(vector["private_key_hex"]))


def followed(question, found, key, **options):
    """The records that a client is given by a server that signs its stream, and what the client has asked."""
    asked = []

    async def stream(writer):
        made = StreamWriter(b"SHA1", lambda octets: signatures.sign(key, b"SHA1", octets))
        writer.write(made.head() + made.blocks(found))
        await writer.drain()

    async def main():
        async with serving(stream, key, asked) as port:
            client = FollowingClient(
                "127.0.0.1",
                port,
                clock=SystemClock(),
                randomness=os.urandom,
                identity=None,
                server_key=key.public.to_wire(),
                timeout_s=60.0,
                **options,
            )
            try:
                return [record async for part in question(client) for record in part]
            finally:
                await client.close()

    return asyncio.run(main()), asked[0]


def test_a_server_with_a_dsa_key_is_asked_for_a_signed_stream():
    """From 2.8 on it would go on in TLS by its key, which no TLS of today does."""
    found, asked = followed(lambda client: client.dump(), DUMP, dsa_key())
    assert found == DUMP
    assert asked.envelope.answered_in() == Version(2, 7)


@pytest.mark.parametrize(("minor", "form"), [(6, RetrieveSince), (8, RetrieveSince), (9, RetrieveTransactions)])
def test_changes_are_asked_for_as_the_version_of_the_site_has_it(minor, form):
    sent = [records.TransactionsBegin(1, 2), records.TransactionsEnd(9)]
    found, asked = followed(
        lambda client: client.transactions(3, 4), sent, rsa_key("node"), site_version=Version(2, minor)
    )
    assert found == sent
    assert isinstance(asked.body, form)
    assert asked.envelope.version == asked.envelope.answered_in() == Version(2, minor)
