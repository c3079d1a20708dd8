"""What a call that failed says to the application.

Strategy: one exception, ``CallFailed``, carries everything the node told: status code, stable reason,
sentence, fields at fault and when to try again. The commonest codes have subclasses so that ``except
NotFound`` reads well; the table ``BY_CODE`` chooses. Failures are built from a gRPC error of either front
end, from a miss of a batch or from a bad row, so an application handles all three alike. This file opens
no connection and decides nothing about retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resolver.v1.registration_pb2 import RowResult
    from resolver.v1.resolution_pb2 import ResolveMiss

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries ``google.rpc.Status`` (gRPC richer error model)."""

STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
"""The enumeration by canonical number."""

RESET_TEXTS = ("RST_STREAM", "Stream removed", "stream removed", "Internal error from Core")
"""What grpcio writes when the transport, not the node, ended a stream.

The last one also hides a status of the node: grpc.aio puts it in the place of the status when a write fails
because the stream is over (grpc/grpc issue 36066).
"""


OTHER_SERVER = "NOT_THIS_SERVER"
"""Reason of what another server of the site is responsible for."""


class CallFailed(Exception):
    """A call, or one name or row of a batch, did not succeed.

    ``code`` is the gRPC status, ``reason`` the stable text to decide by (see ``resolver.errors``),
    ``message`` a sentence for people, ``field_violations`` pairs of request field and what is wrong with
    it, ``retry_after_s`` when the node said that trying again makes sense, ``metadata`` further facts.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        field_violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.domain = domain
        self.field_violations = list(field_violations)
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})
        self.asked = ""
        """HOST:PORT of the server that was asked, which may be another one than the client's; empty when not known."""

    def __str__(self) -> str:
        """Code, reason and sentence, then each field at fault."""
        head = f"{self.code.name} {self.reason}".rstrip()
        fields = "".join(f"; {field}: {text}" for field, text in self.field_violations if text != self.message)
        return f"{head}: {self.message}{fields}"

    @property
    def is_stream_reset(self) -> bool:
        """Whether the transport broke the stream and the node itself said nothing."""
        return (
            self.code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
            and not self.reason
            and any(text in self.message for text in RESET_TEXTS)
        )

    @property
    def other_place(self) -> str:
        """Where another server of the site would have taken the call, HOST:PORT; empty when that is not why."""
        return self.metadata.get("grpc", "") if self.reason == OTHER_SERVER else ""

    def copy(self) -> Self:
        """An equal exception for another waiter, so that tracebacks do not pile up on one object."""
        found = type(self)(
            self.code,
            self.message,
            reason=self.reason,
            domain=self.domain,
            field_violations=self.field_violations,
            retry_after_s=self.retry_after_s,
            metadata=self.metadata,
        )
        found.asked = self.asked
        return found


class InvalidArgument(CallFailed):
    """The request breaks a rule; ``field_violations`` says where."""


class NotFound(CallFailed):
    """The handle, value or row does not exist."""


class AlreadyExists(CallFailed):
    """The handle, value or row exists already."""


class PermissionDenied(CallFailed):
    """The principal may not do this."""


class ResourceExhausted(CallFailed):
    """A quota, the disk or a size limit is used up."""


class Aborted(CallFailed):
    """The record has another version than ``if_version``: read it again and decide anew."""


class Unavailable(CallFailed):
    """The node could not be reached, or was not able to serve, within all attempts."""


class Unauthenticated(CallFailed):
    """The credential is missing, unknown, expired or revoked."""


BY_CODE: dict[grpc.StatusCode, type[CallFailed]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
}
"""The subclass of a code; the others are plain ``CallFailed``."""


def failure(code: grpc.StatusCode, message: str, *, reason: str = "") -> CallFailed:
    """The failure of a code, in the class of that code."""
    return BY_CODE.get(code, CallFailed)(code, message, reason=reason)


def closed() -> CallFailed:
    """The failure of a call whose client was closed."""
    return failure(grpc.StatusCode.CANCELLED, "the client was closed while the call was open: close it after its calls")


def from_outcome(outcome: ResolveMiss | RowResult) -> CallFailed:
    """The failure that a miss of a batch, or a bad row, stands for."""
    code = STATUS_CODES.get(outcome.code, grpc.StatusCode.UNKNOWN)
    return failure(code, outcome.message, reason=outcome.reason)


def from_grpc(error: grpc.RpcError, asked: str = "") -> CallFailed:
    """The failure that a gRPC error of the blocking or the asyncio front end stands for; ``asked`` is HOST:PORT.

    Details that cannot be read leave the plain status; the code is never lost.
    """
    code, message = error.code(), error.details() or ""
    found = BY_CODE.get(code, CallFailed)(code, message)
    found.asked = asked
    trailing: Any = error.trailing_metadata()  # pairs in both front ends, None when the call never left
    for key, octets in trailing or ():
        if key == DETAILS_KEY and isinstance(octets, bytes):
            _read_details(found, octets)
    return found


def _read_details(found: CallFailed, octets: bytes) -> None:
    """Adds what ``google.rpc.Status`` says to a failure."""
    try:
        status = Status.FromString(octets)
        for detail in status.details:
            info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
            if detail.Unpack(info):
                found.reason, found.domain = info.reason, info.domain
                found.metadata.update(info.metadata)
            elif detail.Unpack(bad):
                found.field_violations += [(each.field, each.description) for each in bad.field_violations]
            elif detail.Unpack(retry):
                found.retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    except DecodeError:
        return
