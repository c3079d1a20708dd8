"""The gRPC door on grpcio: the reference back end, always there.

It mounts the common table with raw octets on both sides, so that stored records go out as they are, and knows how
grpcio tells of metadata, peers, deadlines and aborts. Limits are those of ``limits.py``.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from resolver import limits
from resolver.errors import WatchTooSlow
from resolver.methods import Method, Shape
from resolver.registry.keys import certificate_digest
from resolver.service import Call, Credential, Service
from resolver.transport.health import Health
from resolver.transport.outcome import DETAILS_KEY, Failure, failure_of
from resolver.transport.requests import credential_of, parse
from resolver.transport.table import Entry, table_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from google.protobuf.message import Message

    from resolver.clock import Clock
    from resolver.transport.tls import TlsFiles

    Observe = Callable[[Method[Message, Message], int, float, int], None]

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 1),
    ("grpc.max_concurrent_streams", limits.STREAMS_MAX),
    ("grpc.max_receive_message_length", limits.MESSAGE_OCTETS_MAX),
    ("grpc.max_send_message_length", limits.MESSAGE_OCTETS_MAX),
    ("grpc.max_metadata_size", limits.METADATA_OCTETS_MAX),
    ("grpc.absolute_max_metadata_size", 2 * limits.METADATA_OCTETS_MAX),
    ("grpc.server_handshake_timeout_ms", int(limits.HANDSHAKE_TIMEOUT_S * 1_000)),
    ("grpc.http2.settings_timeout", int(limits.SETTINGS_ACK_S * 1_000)),
    ("grpc.max_connection_idle_ms", int(limits.CONNECTION_IDLE_S * 1_000)),
    ("grpc.max_connection_age_ms", int(limits.CONNECTION_AGE_S * 1_000)),
    ("grpc.max_connection_age_grace_ms", int(limits.CONNECTION_AGE_GRACE_S * 1_000)),
    ("grpc.http2.max_ping_strikes", limits.PING_STRIKES_MAX),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", int(limits.PING_INTERVAL_MIN_S * 1_000)),
)
"""Channel arguments of the server, each from ``limits.py``."""

FIELD_OCTETS = 32
"""What a field of metadata counts beside its name and value (RFC 9113, section 6.5.2)."""

COLLECT_OCTETS = 1 << 20
"""Octets of refused metadata that may lie about until they are collected: with Python's objects five times as much."""

COLLECT_AFTER_S = 0.1
"""Seconds until then: grpcio has let go of them."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcioDoor:
    """One listening gRPC server of a worker."""

    def __init__(
        self,
        service: Service,
        *,
        observe: Observe,
        clock: Clock,
        reflection: bool = True,
        write_timeout_s: float = 30.0,
    ) -> None:
        self._service = service
        self._observe = observe
        self._clock = clock
        self._write_timeout_s = write_timeout_s
        self._health = Health()
        self._server = grpc.aio.server(options=OPTIONS, compression=grpc.Compression.NoCompression)
        table = table_of(service, self._health, with_reflection=reflection)
        self._server.add_generic_rpc_handlers((_Handlers({path: self._mount(e) for path, e in table.items()}),))

    async def start(self, host: str, port: int, tls: TlsFiles | None) -> int:
        """Listen; the port bound. Raises OSError when the address cannot be had."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                from resolver.transport.tls import server_credentials  # noqa: PLC0415 - only where TLS is on

                bound = self._server.add_secure_port(address, server_credentials(tls))
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from error
        await self._server.start()
        return int(bound)

    @property
    def connection_count(self) -> int:
        """Always 0: grpcio keeps its connections to itself."""
        return 0

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the state itself
        """What health says."""
        self._health.set_serving(serving)

    async def drain(self, grace_s: float) -> None:
        """Take no new calls, give those in flight some seconds, then end them."""
        self._health.leave()
        await self._server.stop(grace_s)

    def _mount(self, entry: Entry) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = entry.method
        if method.shape is Shape.UNARY:
            return grpc.unary_unary_rpc_method_handler(self._unary(entry))
        if method.shape is Shape.SERVER_STREAM:
            return grpc.unary_stream_rpc_method_handler(self._server_stream(entry))
        return grpc.stream_stream_rpc_method_handler(self._bidirectional(entry))

    def _unary(self, entry: Entry) -> Any:
        method, handler = entry.method, entry.handler

        async def answer(octets: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            started = self._clock.monotonic_s()
            try:
                response: Any = handler(self._call(entry, context), parse(method, octets))  # type: ignore[arg-type]
                if inspect.isawaitable(response):
                    response = await response
            except Exception as error:  # noqa: BLE001 - every failure becomes a status
                failure = self._failure(method, error, started)
            else:
                self._observe(method, 0, self._clock.monotonic_s() - started, 1)
                return response if type(response) is bytes else response.SerializeToString()
            del octets
            await _abort(context, failure)
            return b""

        return answer

    def _server_stream(self, entry: Entry) -> Any:
        method, handler = entry.method, entry.handler

        async def answer(octets: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            started = self._clock.monotonic_s()
            try:
                responses: Any = handler(self._call(entry, context), parse(method, octets))  # type: ignore[arg-type]
                await self._send_all(responses, context)
            except Exception as error:  # noqa: BLE001 - every failure becomes a status
                failure = self._failure(method, error, started)
            else:
                self._observe(method, 0, self._clock.monotonic_s() - started, 1)
                return
            del octets
            await _abort(context, failure)

        return answer

    def _bidirectional(self, entry: Entry) -> Any:
        method, handler = entry.method, entry.handler

        async def requests(iterator: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for octets in iterator:
                yield parse(method, octets)

        async def answer(iterator: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            started = self._clock.monotonic_s()
            try:
                responses: Any = handler(self._call(entry, context), requests(iterator))  # type: ignore[arg-type]
                await self._send_all(responses, context)
            except Exception as error:  # noqa: BLE001 - every failure becomes a status
                failure = self._failure(method, error, started)
            else:
                self._observe(method, 0, self._clock.monotonic_s() - started, 1)
                return
            await _abort(context, failure)

        return answer

    async def _send_all(self, responses: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Send a stream; a peer that takes nothing for too long is ended instead of waited for."""
        try:
            async for response in responses:
                octets = response if type(response) is bytes else response.SerializeToString()
                async with asyncio.timeout(self._write_timeout_s):
                    await context.write(octets)
        except TimeoutError:
            raise WatchTooSlow(
                f"nothing was taken from the stream for {self._write_timeout_s:g} s: read faster, and resume after the "
                "last message you have",
                retry_after_s=1.0,
            ) from None
        finally:
            await responses.aclose()

    def _call(self, entry: Entry, context: grpc.aio.ServicerContext[bytes, bytes]) -> Call:
        """Who calls. Raises CredentialInvalid."""
        source = _source(context.peer())
        if entry.open:
            return Call(source=source)
        credential = credential_of(context.invocation_metadata() or ())
        call = self._service.call_from(source, credential or _certificate(context))
        call.timeout_s = context.time_remaining()
        return call

    def _failure(self, method: Method[Message, Message], error: Exception, started: float) -> Failure:
        """The status of a failure, counted."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        failure = failure_of(error, method.path)
        self._observe(method, failure.code, self._clock.monotonic_s() - started, 1)
        return failure


async def _abort(context: grpc.aio.ServicerContext[bytes, bytes], failure: Failure) -> None:
    """End a call with the status of a failure; does not return.

    To be called outside of ``except`` and without the request at hand: grpcio keeps the exception of an abort with the
    call, in a cycle. With the frames that it went through and what it came after, two hundred refused requests of four
    mebibytes waited for the collector.
    """
    await context.abort(_CODES[failure.code], failure.message, ((DETAILS_KEY, failure.details),))


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # not subscriptable at run time
    """Finds the handler of a path, and refuses metadata beyond its bound.

    grpcio's core holds only those to the bound who have acknowledged our SETTINGS; all others may send 16 MiB, half a
    million fields, which come as half a million tuples. grpcio leaves them in a cycle with each call, and by the time
    they are garbage the collector has passed them on to its oldest generation. It looks there when a quarter has been
    added to what it found alive the last time, them included: for minutes a worker would hold forty mebibytes for
    nothing. So they are collected as soon as they are garbage.
    """

    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]]) -> None:
        self._handlers = handlers
        self._refusal = grpc.stream_stream_rpc_method_handler(_refuse)  # of a stream: it waits for no message
        self._left_octets = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """The handler of a call; None answers UNIMPLEMENTED."""
        octets = _octets_at_least(handler_call_details.invocation_metadata)
        if octets <= limits.METADATA_OCTETS_MAX:
            return self._handlers.get(handler_call_details.method)
        self._collect_soon(octets)
        return self._refusal

    def _collect_soon(self, octets: int) -> None:
        """Count metadata that is garbage in a moment, and have it collected when it is much."""
        self._left_octets += octets
        if self._left_octets > COLLECT_OCTETS:
            self._left_octets = 0
            asyncio.get_running_loop().call_later(COLLECT_AFTER_S, gc.collect)


async def _refuse(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
    """End a call that has too much metadata, which the core keeps as long as the call.

    By no abort: its exception would put the call into a cycle.
    """
    context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
    context.set_details(f"the metadata has too many octets; at most {limits.METADATA_OCTETS_MAX} are allowed")


def _octets_at_least(metadata: Sequence[tuple[str, str | bytes]]) -> int:
    """Octets of metadata; when its fields alone are beyond the bound, without what is in them."""
    octets = FIELD_OCTETS * len(metadata)
    if octets > limits.METADATA_OCTETS_MAX:
        return octets
    return octets + sum(len(key) + len(value) for key, value in metadata)


def _source(peer: str) -> str:
    """The address in grpcio's peer text: ``ipv4:1.2.3.4:567``, ``ipv6:[::1]:567`` or ``unix:``."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return kind
    return rest.rpartition(":")[0].strip("[]")


def _certificate(context: grpc.aio.ServicerContext[bytes, bytes]) -> Credential | None:
    """The verified client certificate of the connection; None without mTLS."""
    chain = context.auth_context().get("x509_pem_cert")
    if not chain:
        return None
    certificate = x509.load_pem_x509_certificate(next(iter(chain)))
    return Credential(certificate=certificate_digest(certificate.public_bytes(Encoding.DER)))
