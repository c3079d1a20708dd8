"""A gRPC client that knows the contract only: messages are built from the .proto files when it starts."""

from __future__ import annotations

import itertools
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.descriptor import MethodDescriptor

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "resolver.v1"


def _pool() -> descriptor_pool.DescriptorPool:
    """The contract in proto/, compiled now."""
    files = sorted(str(path) for path in (ROOT / "proto" / "resolver" / "v1").glob("*.proto"))
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "contract.bin"
        known = Path(protoc.__file__).with_name("_proto")  # the messages that come with every compiler
        arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{known}", f"--descriptor_set_out={out}"]
        arguments += ["--include_imports", *files]
        if protoc.main(arguments) != 0:
            raise SystemExit("the contract in proto/ does not compile")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)  # type: ignore[no-untyped-call]
    return pool


def described_methods() -> list[MethodDescriptor]:
    """Every method of the contract."""
    pool = _pool()
    files = sorted(path.name for path in (ROOT / "proto" / "resolver" / "v1").glob("*.proto"))
    return [
        method
        for name in files
        for service in pool.FindFileByName(f"resolver/v1/{name}").services_by_name.values()
        for method in service.methods
    ]


def unary_methods() -> list[str]:
    """Every method of the contract with one request and one answer, as ``package.Service/Method``."""
    return [
        f"{method.containing_service.full_name}/{method.name}"
        for method in described_methods()
        if not method.client_streaming and not method.server_streaming
    ]


class Refusal(Exception):
    """A call that the peer refused: status name, and what its rich error says."""

    def __init__(self, error: grpc.RpcError) -> None:
        call: Any = error
        self.code: str = call.code().name
        self.message: str = call.details() or ""
        self.reason = ""
        self.fields: list[str] = []
        self.retry_after_s: float | None = None
        for key, value in call.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._read(status_pb2.Status.FromString(value))
        super().__init__(f"{self.code} {self.reason}: {self.message}")

    def _read(self, status: status_pb2.Status) -> None:
        for detail in status.details:
            info, bad, retry = (
                error_details_pb2.ErrorInfo(),
                error_details_pb2.BadRequest(),
                error_details_pb2.RetryInfo(),
            )
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(bad):
                self.fields = [violation.field for violation in bad.field_violations]
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


class Peer:
    """A node under judgement. ``call("ResolutionService/Resolve", name=…)`` answers a message or raises Refusal."""

    def __init__(self, target: str, token: str, prefix: str, http: str = "") -> None:
        self.target = target
        self.http = http
        self.prefix = prefix
        self.token = token
        self._channel = grpc.insecure_channel(target)
        self._pool = _pool()
        self._numbers = itertools.count()
        self._run = uuid.uuid4().hex[:12]

    def fresh(self, word: str = "X") -> str:
        """A handle under the prefix that this run has not used."""
        return f"{self.prefix}/conformance-{self._run}-{word}-{next(self._numbers)}"

    def fresh_id(self, word: str) -> str:
        """An id for the registry that this run has not used."""
        return f"{word}-{self._run}-{next(self._numbers)}"

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def message(self, name: str, /, **fields: Any) -> Any:
        """A message of the contract."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))(**fields)

    def value(self, index: int, type_: str, data: bytes | str, **fields: Any) -> Any:
        """A handle value."""
        octets = data.encode() if isinstance(data, str) else data
        return self.message("HandleValue", index=index, type=type_, data=octets, **fields)

    def _method(self, name: str) -> tuple[str, Any, Any]:
        service, _, method = name.partition("/")
        described = self._pool.FindServiceByName(f"{PACKAGE}.{service}").FindMethodByName(method)
        request = message_factory.GetMessageClass(described.input_type)
        response = message_factory.GetMessageClass(described.output_type)
        return f"/{PACKAGE}.{name}", request, response

    def _metadata(self, token: str | None) -> tuple[tuple[str, str], ...]:
        token = self.token if token is None else token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, name: str, /, *, token: str | None = None, **fields: Any) -> Any:
        """One unary call; ``token=""`` sends no credential."""
        _, request, _ = self._method(name)
        return self.call_octets(name, request(**fields).SerializeToString(), token=token)

    def call_octets(self, name: str, octets: bytes, *, token: str | None = None) -> Any:
        """One unary call with the request as octets."""
        path, _, response = self._method(name)
        stub = self._channel.unary_unary(path, None, response.FromString)
        try:
            return stub(octets, timeout=60, metadata=self._metadata(token))
        except grpc.RpcError as error:
            raise Refusal(error) from None

    def stream(self, name: str, requests: Iterable[dict[str, Any]], *, token: str | None = None) -> Iterator[Any]:
        """One bidirectional call."""
        path, request, response = self._method(name)
        stub = self._channel.stream_stream(path, request.SerializeToString, response.FromString)
        try:
            yield from stub((request(**fields) for fields in requests), timeout=60, metadata=self._metadata(token))
        except grpc.RpcError as error:
            raise Refusal(error) from None

    def watch(self, **fields: Any) -> Iterator[Any]:
        """The journal."""
        path, request, response = self._method("ChangesService/Watch")
        stub = self._channel.unary_stream(path, request.SerializeToString, response.FromString)
        try:
            yield from stub(request(**fields), timeout=60, metadata=self._metadata(None))
        except grpc.RpcError as error:
            raise Refusal(error) from None

    def refused(self, name: str, /, *, token: str | None = None, **fields: Any) -> Refusal:
        """The refusal of a call that must be refused."""
        try:
            answer = self.call(name, token=token, **fields)
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"{name} was answered instead of refused: {answer}")
