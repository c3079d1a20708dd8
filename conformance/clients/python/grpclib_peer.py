"""The dialogue by grpclib: HTTP/2 by the ``h2`` package, sharing no code with gRPC's own stacks."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from dialogue import Dialogue, Failed, Target, arguments
from google.protobuf.empty_pb2 import Empty
from grpcio_sync import answer_of, generated
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dialogue import Metadata


class Octets(StatusDetailsCodecBase):
    """Hands the details out as they came."""

    def encode(self, status: Any, message: str | None, details: Any) -> bytes:
        """The octets; a client never sends any."""
        del status, message
        return bytes(details)

    def decode(self, status: Any, message: str | None, data: bytes) -> Any:
        """The octets."""
        del status, message
        return data


def failed(error: GRPCError) -> Failed:
    """The status of an error."""
    return Failed(error.status.value, error.message or "", error.details or b"")


def context(target: Target) -> ssl.SSLContext | None:
    """TLS as the target wants it."""
    if target.ca is None:
        return None
    made = ssl.create_default_context(cafile=str(target.ca))
    made.set_alpn_protocols(["h2"])
    if target.certificate:
        made.load_cert_chain(target.certificate, target.key)
    return made


class Grpclib:
    """Calls are opened, fed and read by hand."""

    compresses = False

    def __init__(self, target: Target) -> None:
        host, _, port = target.address.rpartition(":")
        self.channel = Channel(host, int(port), ssl=context(target), status_details_codec=Octets())
        self._credential = (("authorization", f"Bearer {target.token}"),)

    def message(self, name: str) -> Any:
        """A generated class."""
        return generated(name)

    def _open(self, method: str, request: Any, cardinality: Cardinality, timeout_s: float, metadata: Metadata) -> Any:
        answer = answer_of(method)
        return self.channel.request(
            f"/{method}", cardinality, type(request), answer, timeout=timeout_s, metadata=list(metadata)
        )

    async def unary(
        self, method: str, request: Any, *, metadata: Metadata = (), timeout_s: float = 60.0, gzip: bool = False
    ) -> Any:
        """Call and await."""
        assert not gzip  # noqa: S101 - the dialogue asks first
        try:
            async with self._open(method, request, Cardinality.UNARY_UNARY, timeout_s, metadata) as stream:
                await stream.send_message(request, end=True)
                return await stream.recv_message()
        except GRPCError as error:
            raise failed(error) from None

    async def empty(self, method: str, metadata: Metadata) -> None:
        """Empty reads any message, as one of unknown fields."""
        path, kind = f"/{method}", Cardinality.UNARY_UNARY
        try:
            async with self.channel.request(path, kind, Empty, Empty, timeout=60, metadata=list(metadata)) as stream:
                await stream.send_message(Empty(), end=True)
                await stream.recv_message()
        except GRPCError as error:
            raise failed(error) from None

    async def stream(self, method: str, requests: Sequence[Any], *, timeout_s: float = 120.0) -> AsyncIterator[Any]:
        """Write in a task of its own and read as they come."""
        watch = method.endswith("/Watch")
        kind = Cardinality.UNARY_STREAM if watch else Cardinality.STREAM_STREAM
        try:
            async with self._open(method, requests[0], kind, timeout_s, self._credential) as stream:
                await stream.send_request()

                async def write() -> None:
                    for number, request in enumerate(requests):
                        await stream.send_message(request, end=number == len(requests) - 1)

                writing = asyncio.create_task(write())
                async for answer in stream:
                    yield answer
                await writing
        except GRPCError as error:
            raise failed(error) from None
        except TimeoutError:
            raise Failed(4, "", b"") from None

    async def cancelled(self, method: str, request: Any) -> tuple[Any, int]:
        """Cancel, which has no status in grpclib: what its caller sees is that the call is over."""
        async with self._open(method, request, Cardinality.UNARY_STREAM, 120.0, self._credential) as stream:
            await stream.send_message(request, end=True)
            first = await stream.recv_message()
            await stream.cancel()
        return first, 1


async def main() -> None:
    """Talk."""
    where = arguments()
    stack = Grpclib(where)
    await Dialogue(stack, where).run()
    stack.channel.close()


if __name__ == "__main__":
    asyncio.run(main())
