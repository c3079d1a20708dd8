"""The dialogue by grpcio's blocking client with code generated from proto/."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import grpc
from dialogue import Dialogue, Failed, Target, arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dialogue import Metadata

FILES = ("handle", "resolution", "registration", "registry", "changes", "template", "login", "mirror", "site", "node")
DETAILS = "grpc-status-details-bin"


def generated(name: str) -> Any:
    """A message class out of the generated modules."""
    package, _, short = name.rpartition(".")
    if package == "google.rpc":
        return getattr(importlib.import_module("rich_error_pb2"), short)
    for file in FILES:
        module = importlib.import_module(f"resolver.v1.{file}_pb2")
        if short in module.DESCRIPTOR.message_types_by_name:
            return getattr(module, short)
    raise LookupError(name)


def _file_of(service: str) -> str:
    """The file whose generated module has a service."""
    for file in FILES:
        if service in importlib.import_module(f"resolver.v1.{file}_pb2").DESCRIPTOR.services_by_name:
            return file
    raise LookupError(service)


def answer_of(method: str) -> Any:
    """The generated class that a method answers with; of a method no service has, that of its sisters."""
    service, _, name = method.rpartition(".")[2].partition("/")
    module = importlib.import_module(f"resolver.v1.{_file_of(service)}_pb2")
    described = module.DESCRIPTOR.services_by_name[service]
    return generated((described.methods_by_name.get(name) or described.methods[0]).output_type.full_name)


def stub_method(channel: Any, method: str) -> Any:
    """The method of a generated stub; a method no stub has, by its path."""
    service, _, name = method.rpartition(".")[2].partition("/")
    module = importlib.import_module(f"resolver.v1.{_file_of(service)}_pb2_grpc")
    stub = getattr(module, f"{service}Stub")(channel)
    if hasattr(stub, name):
        return getattr(stub, name)
    return channel.unary_unary(f"/{method}", request_serializer=lambda message: message.SerializeToString())


def failed(error: Any) -> Failed:
    """The status of an error of either of grpcio's clients."""
    details = next((octets for key, octets in error.trailing_metadata() or () if key == DETAILS), b"")
    return Failed(error.code().value[0], error.details() or "", details)


class GrpcioSync:
    """Calls block: nothing else runs in this process."""

    compresses = True

    def __init__(self, target: Target) -> None:
        octets = target.octets()
        if target.ca:
            self.channel = grpc.secure_channel(target.address, grpc.ssl_channel_credentials(**octets))
        else:
            self.channel = grpc.insecure_channel(target.address)
        self._credential = (("authorization", f"Bearer {target.token}"),)

    def message(self, name: str) -> Any:
        """A generated class."""
        return generated(name)

    def method(self, name: str) -> Any:
        """A generated method."""
        return stub_method(self.channel, name)

    async def unary(
        self, method: str, request: Any, *, metadata: Metadata = (), timeout_s: float = 60.0, gzip: bool = False
    ) -> Any:
        """Call and block."""
        compression = grpc.Compression.Gzip if gzip else None
        try:
            return self.method(method)(request, timeout=timeout_s, metadata=metadata, compression=compression)
        except grpc.RpcError as error:
            raise failed(error) from None

    async def empty(self, method: str, metadata: Metadata) -> None:
        """Octets in, octets out."""
        try:
            self.channel.unary_unary(f"/{method}")(b"", timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            raise failed(error) from None

    def _call(self, method: str, requests: Sequence[Any], timeout_s: float) -> Any:
        request = requests[0] if method.endswith("/Watch") else iter(requests)
        return self.method(method)(request, timeout=timeout_s, metadata=self._credential)

    async def stream(self, method: str, requests: Sequence[Any], *, timeout_s: float = 120.0) -> AsyncIterator[Any]:
        """Read as they come."""
        try:
            for answer in self._call(method, requests, timeout_s):
                yield answer
        except grpc.RpcError as error:
            raise failed(error) from None

    async def cancelled(self, method: str, request: Any) -> tuple[Any, int]:
        """Cancel and read on."""
        call = self._call(method, [request], 120.0)
        first = next(call)
        call.cancel()
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return first, failed(error).code
        return first, call.code().value[0]


if __name__ == "__main__":
    where = arguments()
    client = GrpcioSync(where)
    with client.channel:  # calls left to the end of the interpreter wait for its threads, which are no more
        asyncio.run(Dialogue(client, where).run())
