"""The dialogue by a client that has no contract at all: it learns every message from the node's reflection."""

from __future__ import annotations

import asyncio
from typing import Any

from dialogue import Dialogue, Target, arguments
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpcio_sync import GrpcioSync, generated


class Reflected(GrpcioSync):
    """Methods by their descriptors; only google.rpc is known beforehand."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self._services = set(database.get_services())
        self._pool = DescriptorPool(database)

    def message(self, name: str) -> Any:
        """A class made from the reflected descriptor."""
        if name.startswith("google.rpc."):
            return generated(name)
        service = self._pool.FindServiceByName("resolver.v1.ResolutionService")  # learns its file's imports
        assert service.full_name in self._services, self._services  # noqa: S101 - the step shows it
        for other in self._services:
            if other.startswith("resolver."):
                self._pool.FindServiceByName(other)
        return GetMessageClass(self._pool.FindMessageTypeByName(name))

    def method(self, name: str) -> Any:
        """A method by its reflected shape."""
        service, _, short = name.partition("/")
        described = self._pool.FindServiceByName(service)
        path = f"/{name}"
        if short not in described.methods_by_name:
            return self.channel.unary_unary(path, lambda message: message.SerializeToString(), bytes)
        method = described.methods_by_name[short]
        kinds = {(False, False): "unary_unary", (False, True): "unary_stream", (True, True): "stream_stream"}
        make = getattr(self.channel, kinds[method.client_streaming, method.server_streaming])
        return make(path, lambda message: message.SerializeToString(), GetMessageClass(method.output_type).FromString)


if __name__ == "__main__":
    where = arguments()
    client = Reflected(where)
    with client.channel:
        asyncio.run(Dialogue(client, where).run())
