"""Following a Handle server: its dump and its transactions, as records whose origin was proven.

Each question goes over a connection of its own, as servers of the Handle System expect, and the stream is read from
that connection behind the answer. Records count when the key of the server's site has signed them, or when the stream
goes on in TLS by a certificate with that very key: who issued it, or for which name, says nothing here.

Messages are in the version of the server's site, as old servers read the newer question for changes wrongly. A server
with a DSA key is asked in the last version whose streams it signs: TLS with such keys is no longer to be had. An answer
in an older version than asked is not taken, for the version of a request is not proven to the server: whoever stands
between could lower it to one whose streams, secret keys among them, are sent in clear.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from resolver.errors import MalformedMessage, WireError
from resolver.federation.client import TIMEOUT_S, HandleClient
from resolver.federation.connection import READ_OCTETS, HandleConnection, ServerUnreachable, cause_of, has_no_more
from resolver.handle.codes import OpCode
from resolver.wire import bounds, signatures, versions
from resolver.wire.certificates import certificate_from_der, public_key_der
from resolver.wire.envelope import OCTETS as ENVELOPE_OCTETS
from resolver.wire.envelope import Envelope
from resolver.wire.hash_selection import HashOption
from resolver.wire.keys import DsaPublicKey, public_key_from_der, public_key_from_wire
from resolver.wire.message import Frame
from resolver.wire.replication_requests import DumpHandles, RetrieveSince, RetrieveTransactions
from resolver.wire.replication_stream import Contents, StreamReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from resolver.clock import Clock
    from resolver.federation.identity import Identity
    from resolver.wire.keys import PublicKey
    from resolver.wire.message import Message
    from resolver.wire.replication_records import Record
    from resolver.wire.requests import RequestBody
    from resolver.wire.versions import Version

STREAM_TIMEOUT_S = 60.0
"""Seconds without an octet after which a stream is given up."""


class StreamConnection(HandleConnection):
    """A connection for each question; what follows the answer is read by ``read``."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        super().__init__(host, port, timeout_s=timeout_s)
        self._place = host, port
        self._answer_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self,
        frame: Frame,
        is_last: Callable[[Frame], bool] = has_no_more,  # noqa: ARG002 - no answer here has several messages
        *,
        timeout_s: float | None = None,
    ) -> list[Frame]:
        """The one message of an answer. Raises ServerUnreachable and WireError."""
        await self.close()
        host, port = self._place
        try:
            async with asyncio.timeout(self._answer_s if timeout_s is None else timeout_s):
                reader, writer = self._streams = await asyncio.open_connection(host, port, limit=READ_OCTETS)
                writer.write(frame.to_wire())
                await writer.drain()
                head = await reader.readexactly(ENVELOPE_OCTETS)
                octets = Envelope.from_wire(head).message_octets
                if octets > bounds.ANSWER_OCTETS_MAX:
                    what = "does not answer in the Handle protocol: give the port of that for TCP, often 2641"
                    raise MalformedMessage(f"{host}:{port} {what}")
                answer = Frame.from_wire(head + await reader.readexactly(octets))
        except TimeoutError:
            raise ServerUnreachable(f"{host}:{port} has not answered in time", retry_after_s=1.0) from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ServerUnreachable(f"{host}:{port} cannot be reached: {cause_of(error)}", retry_after_s=1.0) from error
        if answer.envelope.request_id != frame.envelope.request_id:
            raise MalformedMessage(f"{host}:{port} answers another request than was asked: it is not believed")
        return [answer]

    async def read(self) -> bytes:
        """The next octets of the stream. Raises ServerUnreachable, also when it has ended."""
        host, port = self._place
        assert self._streams is not None  # noqa: S101 - asked before
        try:
            async with asyncio.timeout(STREAM_TIMEOUT_S):
                octets = await self._streams[0].read(READ_OCTETS)
        except (OSError, TimeoutError) as error:
            raise ServerUnreachable(f"the stream of {host}:{port} has stopped: {error}", retry_after_s=1.0) from error
        if not octets:
            raise ServerUnreachable(f"{host}:{port} has ended the stream in the middle", retry_after_s=1.0)
        return octets

    async def write(self, octets: bytes) -> None:
        """Send octets of a handshake. Raises ServerUnreachable."""
        assert self._streams is not None  # noqa: S101 - asked before
        try:
            self._streams[1].write(octets)
            await self._streams[1].drain()
        except OSError as error:
            raise ServerUnreachable(f"the stream has stopped: {error}", retry_after_s=1.0) from error

    async def close(self) -> None:
        """End the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()


class FollowingClient(HandleClient):
    """A client that follows one server. ``close`` it at the end.

    ``server_key`` is the key in the server's HS_SITE, ``site_version`` the version there, None while it is not known.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock: Clock,
        randomness: Callable[[int], bytes],
        identity: Identity | None,
        server_key: bytes = b"",
        site_version: Version | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        key = public_key_from_wire(server_key) if server_key else None
        if site_version is not None and site_version.major != versions.OWN.major:
            site_version = None  # a site from before the versions, or of a protocol that answers in ours
        version = min(site_version or versions.OWN, versions.SHA256 if isinstance(key, DsaPublicKey) else versions.OWN)
        stream = StreamConnection(host, port, timeout_s=timeout_s)
        super().__init__(
            host,
            port,
            clock=clock,
            randomness=randomness,
            identity=identity,
            server_key=server_key,
            version=version,
            suggested=version,
            timeout_s=timeout_s,
            connection=stream,
        )
        self._stream = stream
        self._key: PublicKey | None = key
        self._least = versions.Version(0, 0) if site_version is None else version

    async def dump(self, start: str = "", kind: int = 0) -> AsyncIterator[list[Record]]:
        """Everything the server has, from a starting point on. Raises AnswerRefused, ServerUnreachable, WireError."""
        point = start.encode("utf-8", "surrogateescape") if start else None
        body = DumpHandles(HashOption.ALL, 1, 0, point, kind)
        async for found in self._follow(OpCode.DUMP_HANDLES, body, Contents.DUMP):
            yield found

    async def transactions(self, transaction_id: int, date_ms: int) -> AsyncIterator[list[Record]]:
        """The changes since a transaction. Raises as ``dump`` does."""
        since = RetrieveSince(transaction_id, date_ms, HashOption.ALL, 1, 0)
        body = since if self._version < versions.REPLICATION_STATE else RetrieveTransactions(since)
        async for found in self._follow(OpCode.RETRIEVE_TRANSACTION_LOG, body, Contents.TRANSACTIONS):
            yield found

    async def _follow(self, op_code: int, body: RequestBody, contents: Contents) -> AsyncIterator[list[Record]]:
        await self.ask(op_code, body)
        reader = StreamReader(contents, self._verify)
        tls: _Tls | None = None
        while not reader.is_done:
            octets = await self._stream.read()
            found = reader.receive_data(octets if tls is None else tls.decrypt(octets))
            if reader.wants_tls:
                tls = await self._handshake(reader.unread)
                reader.tls_began()
                found += reader.receive_data(tls.decrypt(b""))
            if found:
                yield found

    def _understood(self, frame: Frame, request: Message) -> Message:
        """As of any server, and in no older version than asked. Raises MalformedMessage."""
        message = super()._understood(frame, request)
        if message.envelope.version < self._least:
            raise MalformedMessage(
                f"the server answers in version {message.envelope.version} and its site says {self._least}: somebody "
                "may stand between us and the server, or the HS_SITE of the server is wrong"
            )
        return message

    def _verify(self, algorithm: bytes, signature: bytes, octets: bytes) -> bool:
        return self._key is not None and signatures.verify(self._key, algorithm, signature, octets)

    async def _handshake(self, octets: bytes) -> _Tls:
        """Go on in TLS with the server. Raises MalformedMessage when it does not prove the key of its site."""
        tls = _Tls()
        while not tls.handshake(octets):
            await self._stream.write(tls.to_send())
            octets = await self._stream.read()
        await self._stream.write(tls.to_send())
        if self._key is None or tls.peer_key() != self._key:
            raise MalformedMessage("the stream goes on in TLS with another key than the site's: it is not believed")
        return tls


class _Tls:
    """The client's end of TLS over octets. The certificate is only the envelope of a key."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the key is compared with that of the site instead
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing)

    def handshake(self, octets: bytes) -> bool:
        """Whether octets complete the handshake. Raises MalformedMessage."""
        self._incoming.write(octets)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise MalformedMessage(f"the stream does not go on in TLS: {error}") from error
        return True

    def to_send(self) -> bytes:
        """Octets for the server."""
        return self._outgoing.read()

    def decrypt(self, octets: bytes) -> bytes:
        """What octets say, which may be nothing yet. Raises MalformedMessage."""
        self._incoming.write(octets)
        found = bytearray()
        try:
            while part := self._object.read(READ_OCTETS):
                found += part
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            raise MalformedMessage(f"the TLS of the stream is broken: {error}") from error
        return bytes(found)

    def peer_key(self) -> PublicKey | None:
        """The key in the server's certificate."""
        der = self._object.getpeercert(binary_form=True)
        if der is None:
            return None
        try:
            return public_key_from_der(public_key_der(certificate_from_der(der)))
        except WireError:
            return None
