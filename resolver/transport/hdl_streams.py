"""What follows an answer on its Handle connection: one stream at a time, in TLS from its mark on when it is secret.

A mirror that speaks 2.8 or later reads a mark behind the answer and begins a TLS handshake on the same connection, as
the client. It looks at nothing of our certificate but the key, which has to be that of the site: so we sign one with
the node's own key, as the reference server does. TLS runs over octets in memory and knows no socket; what it makes is
written by the connection, a slice at a time, so that a reader that is slow holds one slice and no more.

The connection is read for the handshake only. Whoever sends something else, leaves, or takes too long ends it, and
nothing secret is written before the handshake is done. There is no way back from TLS: the connection ends with it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from resolver.wire.message import Frame

_log = structlog.get_logger("handle")

HANDSHAKE_TIMEOUT_S = 15.0
"""Seconds from the mark to the end of the handshake, however its octets trickle in."""

SLICE_OCTETS = 1 << 16
"""Octets encrypted at a time: four records of TLS."""

HANDSHAKE_OCTETS_MAX = 1 << 16
"""Octets a client may need for a handshake in which it presents no certificate."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!SHA1:@SECLEVEL="
"""For TLS 1.2, which the reference client takes: its list has no suite of 1.3. CBC is for Java 7."""

_KEY_BITS_USUAL, _KEY_BITS_OLD = 2_048, 1_024
_SERIAL_OCTETS = 20
_FROM = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""The reference server's certificates are good for ever; RFC 5280 section 4.1.2.5 means this date so."""


class StreamKey:
    """TLS by the node's key. The context is made when the first stream wants it."""

    def __init__(self, key: RSAPrivateKey | None) -> None:
        """Without a key, as in a node whose key is DSA, no stream is asked to be secret."""
        self._key = key
        self._context: ssl.SSLContext | None = None

    async def begin(self, before: asyncio.Protocol, transport: asyncio.Transport, pending_octets: int) -> TlsStream:
        """Have the handshake on a connection that has said the mark.

        ``pending_octets`` above 0 tell that other requests have come. Raises OSError, of which SSLError is one.
        """
        if self._context is None:
            if self._key is None:
                raise OSError("the key of this node is not for TLS")
            self._context = await asyncio.to_thread(server_context, self._key)
        stream = TlsStream(before, transport, self._context)
        await stream.begin(pending_octets)
        return stream


def server_context(key: RSAPrivateKey) -> ssl.SSLContext:
    """A context for servers whose certificate is of this key. Raises OSError, of which SSLError is one.

    The ssl module reads keys from files only, so it is given one that is memory and ends here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # nobody comes back to this session
    # A short key is the node's name all the same: TLS by it is better than none.
    level = 2 if key.key_size >= _KEY_BITS_USUAL else 1 if key.key_size >= _KEY_BITS_OLD else 0
    context.set_ciphers(f"{_CIPHERS}{level}")
    made = certificate(key).public_bytes(Encoding.PEM)
    file = os.memfd_create("handle-tls", os.MFD_CLOEXEC)
    try:
        os.write(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context


def certificate(key: RSAPrivateKey) -> x509.Certificate:
    """A certificate that says nothing but the key, with the subject the reference server gives it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anonymous")])
    serial = int.from_bytes(os.urandom(_SERIAL_OCTETS), "big") >> 1
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(serial or 1).not_valid_before(_FROM).not_valid_after(_UNTIL)
    return builder.sign(key, hashes.SHA256())


class Alone:
    """Lets one request after the other have a connection for its stream, when all other requests are answered."""

    def __init__(self) -> None:
        self.waiting = 0
        """Requests whose answer is a stream, and has not ended."""
        self._holder: Frame | None = None
        self._changed = asyncio.Event()

    async def take(self, request: Frame, in_flight: Callable[[], int], is_over: Callable[[], bool]) -> None:
        """Wait for the others in flight to be answered; ``give_back`` in any case. Raises ConnectionResetError."""
        self.waiting += 1
        while self._holder is not None or in_flight() > self.waiting:
            self._changed.clear()
            await self._changed.wait()
            if is_over():
                raise ConnectionResetError("the peer has left")
        self._holder = request

    def give_back(self, request: Frame) -> None:
        """The stream has ended, or the wait for it."""
        self.waiting -= 1
        if self._holder is request:
            self._holder = None
        self.tell()

    def tell(self) -> None:
        """Another request has been answered, or the connection is over."""
        self._changed.set()


class TlsStream(asyncio.Protocol):
    """A connection from the mark of TLS on. ``begin``, then ``write``, then ``close``.

    ``before`` is the protocol it had: it goes on to be told of the end of the connection and of the pace of its reader.
    """

    def __init__(self, before: asyncio.Protocol, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        self._before = before
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._octets = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self, pending_octets: int) -> None:
        """Have the handshake, behind octets of another request if there are. Raises ConnectionError."""
        if self._transport.is_closing():
            self._fail("it has left")
        elif pending_octets:
            self._fail("half a request stands before it")
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._done
        except TimeoutError:
            self._fail("no handshake in time")
            raise ConnectionAbortedError("the mirror has not gone on in TLS in time") from None
        finally:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake; what comes behind it is of no interest."""
        if self._done.done():
            return
        self._octets += len(data)
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            if self._octets > HANDSHAKE_OCTETS_MAX:
                self._fail(f"{self._octets} octets are no handshake")
        except ssl.SSLError as error:
            self._transport.write(self._outgoing.read())  # the alert tells the mirror why
            self._fail(str(error))
        else:
            self._done.set_result(None)
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def eof_received(self) -> bool:
        """The mirror takes nothing more than it has: let the connection end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        if not self._done.done():
            self._fail("it has left")
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        """The mirror does not take its stream."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """The mirror takes its stream again."""
        self._before.resume_writing()

    async def write(self, octets: bytes, writable: Callable[[], Awaitable[None]]) -> None:
        """Write octets as the mirror takes them: ``writable`` waits for it. Raises OSError; SSLError is one."""
        for start in range(0, len(octets), SLICE_OCTETS):
            await writable()
            self._object.write(octets[start : start + SLICE_OCTETS])
            self._transport.write(self._outgoing.read())

    def close(self) -> None:
        """Say that all has been said, and close: without that the mirror knows that something is missing."""
        with suppress(ssl.SSLError):  # the mirror's own word for the end is not waited for
            self._object.unwrap()
        self._transport.write(self._outgoing.read())
        self._transport.close()

    def _fail(self, why: str) -> None:
        _log.warning("a mirror did not go on in TLS", source=self._transport.get_extra_info("peername"), why=why)
        if not self._done.done():
            self._done.set_exception(ConnectionAbortedError(f"no handshake: {why}"))
