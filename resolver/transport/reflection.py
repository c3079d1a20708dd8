"""Server reflection, ``v1`` and ``v1alpha``: so that grpcurl, Postman and generated clients need no files.

Both versions have the same messages on the wire; they differ in the name of the service only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2 as pb

from resolver import limits
from resolver.methods import METHODS, Method, Shape
from resolver.transport.health import CHECK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.descriptor import FileDescriptor

    from resolver.service import Call

_V1, _V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


def _method(service: str) -> Method[pb.ServerReflectionRequest, pb.ServerReflectionResponse]:
    return Method(
        service,
        "ServerReflectionInfo",
        pb.ServerReflectionRequest,
        pb.ServerReflectionResponse,
        shape=Shape.BIDIRECTIONAL,
        octets_max=limits.SMALL_MESSAGE_OCTETS_MAX,
    )


INFO_V1 = _method(_V1)
INFO_V1ALPHA = _method(_V1ALPHA)


class Reflection:
    """Answers questions about the services of the node and the files they are written in.

    ``until_drain`` gives the questions of a stream until the worker leaves: tools keep their streams open.
    """

    def __init__(self, until_drain: Callable[[AsyncIterator[Any]], AsyncIterator[Any]]) -> None:
        self._until_drain = until_drain
        names = {method.service for method in METHODS.values()}
        # A listed service must have a file, and v1 has none here.
        self._services = sorted(names | {CHECK.service, _V1ALPHA})
        self._pool = descriptor_pool.Default()

    async def info(
        self, call: Call, requests: AsyncIterator[pb.ServerReflectionRequest]
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        """An answer to each question."""
        del call
        async for request in self._until_drain(requests):
            try:
                answer = self._answer(request)
            except KeyError:
                answer = _error(5, "this node has no such file or symbol: ask for the list of services")
            answer.valid_host = request.host
            answer.original_request.CopyFrom(request)
            yield answer

    def _answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        """The answer to one question. Raises KeyError for what the pool does not have."""
        asked = request.WhichOneof("message_request")
        if asked == "file_by_filename":
            return _files(self._pool.FindFileByName(request.file_by_filename))
        if asked == "file_containing_symbol":
            return _files(self._file_of(request.file_containing_symbol))
        if asked == "list_services":
            services = [pb.ServiceResponse(name=name) for name in self._services]
            return pb.ServerReflectionResponse(list_services_response=pb.ListServiceResponse(service=services))
        if asked == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            self._pool.FindMessageTypeByName(name)
            numbers = pb.ExtensionNumberResponse(base_type_name=name)  # proto3: no message of ours has extensions
            return pb.ServerReflectionResponse(all_extension_numbers_response=numbers)
        if asked == "file_containing_extension":
            return _error(5, "the messages of this node have no extensions")
        return _error(3, "the question names nothing: ask for a file, a symbol or the list of services")

    def _file_of(self, symbol: str) -> FileDescriptor:
        """The file of a symbol; the pool knows methods by their service only. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, name = symbol.rpartition(".")
            if name not in self._pool.FindServiceByName(service).methods_by_name:
                raise
            return self._pool.FindFileContainingSymbol(service)


def _files(file: FileDescriptor) -> pb.ServerReflectionResponse:
    """A file and all it imports, the file first."""
    found = {file.name: file}
    waiting = [file]
    while waiting:
        for imported in waiting.pop().dependencies:
            if imported.name not in found:
                found[imported.name] = imported
                waiting.append(imported)
    octets = [each.serialized_pb for each in found.values()]
    return pb.ServerReflectionResponse(file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=octets))


def _error(code: int, sentence: str) -> pb.ServerReflectionResponse:
    return pb.ServerReflectionResponse(error_response=pb.ErrorResponse(error_code=code, error_message=sentence))
