"""Server reflection, ``v1`` and ``v1alpha``: so that grpcurl, Postman and generated clients need no files.

Both versions have the same messages on the wire; they differ in the name of the service only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha._base import BaseReflectionServicer

from resolver import limits
from resolver.methods import METHODS, Method, Shape
from resolver.transport.health import CHECK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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


class Reflection(BaseReflectionServicer):  # type: ignore[misc]  # the package has no types
    """Answers questions about the services of the node."""

    def __init__(self) -> None:
        names = {method.service for method in METHODS.values()}
        super().__init__(service_names=sorted(names | {CHECK.service, _V1ALPHA}))

    async def info(
        self, call: Call, requests: AsyncIterator[pb.ServerReflectionRequest]
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        """An answer to each question."""
        del call
        async for request in requests:
            yield self._answer(request)

    def _answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        asked = request.WhichOneof("message_request")
        answer = pb.ServerReflectionResponse(
            error_response=pb.ErrorResponse(error_code=3, error_message="the question names nothing")
        )
        if asked == "file_by_filename":
            answer = self._file_by_filename(request.file_by_filename)
        elif asked == "file_containing_symbol":
            answer = self._file_containing_symbol(request.file_containing_symbol)
        elif asked == "file_containing_extension":
            extension = request.file_containing_extension
            answer = self._file_containing_extension(extension.containing_type, extension.extension_number)
        elif asked == "all_extension_numbers_of_type":
            answer = self._all_extension_numbers_of_type(request.all_extension_numbers_of_type)
        elif asked == "list_services":
            answer = self._list_services()
        answer.valid_host = request.host
        answer.original_request.CopyFrom(request)
        return answer
