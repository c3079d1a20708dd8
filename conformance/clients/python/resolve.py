"""``resolve.py generated|reflected ADDRESS NAME...``: values of handles, one JSON line each, by a client of two kinds.

``generated`` has code generated from proto/, ``reflected`` has no contract and asks the node for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc


def generated(channel: grpc.Channel) -> tuple[Any, Any]:
    """The method, and the class of its request."""
    from resolver.v1 import resolution_pb2, resolution_pb2_grpc  # noqa: PLC0415 - generated for this program

    return resolution_pb2_grpc.ResolutionServiceStub(channel).BatchResolve, resolution_pb2.BatchResolveRequest


def reflected(channel: grpc.Channel) -> tuple[Any, Any]:
    """The same, from what the node says of itself."""
    from google.protobuf.descriptor_pool import DescriptorPool  # noqa: PLC0415 - of this kind only
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415 - as above
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: PLC0415 - as above
        ProtoReflectionDescriptorDatabase,
    )

    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName("resolver.v1.ResolutionService").methods_by_name["BatchResolve"]
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    return channel.unary_unary(path, request.SerializeToString, response.FromString), request


def main() -> None:
    """Ask and print."""
    kind, address, *names = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        method, request = {"generated": generated, "reflected": reflected}[kind](channel)
        answer = method(request(names=names), timeout=60)
    for record in answer.records:
        values = {value.type: value.data.decode() for value in record.values}
        print(json.dumps({"name": record.name, "values": values}, ensure_ascii=False))


if __name__ == "__main__":
    main()
