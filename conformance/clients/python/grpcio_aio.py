"""The dialogue by grpcio's asyncio client with code generated from proto/."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from dialogue import Dialogue, Target, arguments
from grpcio_sync import failed, generated, stub_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dialogue import Metadata


class GrpcioAio:
    """Streams are written by a generator and read while they are written."""

    compresses = True

    def __init__(self, target: Target) -> None:
        octets = target.octets()
        if target.ca:
            self.channel = grpc.aio.secure_channel(target.address, grpc.ssl_channel_credentials(**octets))
        else:
            self.channel = grpc.aio.insecure_channel(target.address)
        self._credential = (("authorization", f"Bearer {target.token}"),)

    def message(self, name: str) -> Any:
        """A generated class."""
        return generated(name)

    async def unary(
        self, method: str, request: Any, *, metadata: Metadata = (), timeout_s: float = 60.0, gzip: bool = False
    ) -> Any:
        """Call and await."""
        compression = grpc.Compression.Gzip if gzip else None
        call = stub_method(self.channel, method)
        try:
            return await call(request, timeout=timeout_s, metadata=metadata, compression=compression)
        except grpc.RpcError as error:
            raise failed(error) from None

    async def empty(self, method: str, metadata: Metadata) -> None:
        """Octets in, octets out."""
        try:
            await self.channel.unary_unary(f"/{method}")(b"", timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            raise failed(error) from None

    def _call(self, method: str, requests: Sequence[Any], timeout_s: float) -> Any:
        async def each() -> AsyncIterator[Any]:
            for request in requests:
                yield request

        request = requests[0] if method.endswith("/Watch") else each()
        return stub_method(self.channel, method)(request, timeout=timeout_s, metadata=self._credential)

    async def stream(self, method: str, requests: Sequence[Any], *, timeout_s: float = 120.0) -> AsyncIterator[Any]:
        """Read as they come."""
        try:
            async for answer in self._call(method, requests, timeout_s):
                yield answer
        except grpc.RpcError as error:
            raise failed(error) from None

    async def cancelled(self, method: str, request: Any) -> tuple[Any, int]:
        """Cancel and ask for the code."""
        call = self._call(method, [request], 120.0)
        first = await call.read()
        call.cancel()
        return first, (await call.code()).value[0]


async def main() -> None:
    """Talk."""
    where = arguments()
    stack = GrpcioAio(where)
    await Dialogue(stack, where).run()
    await stack.channel.close()


if __name__ == "__main__":
    asyncio.run(main())
