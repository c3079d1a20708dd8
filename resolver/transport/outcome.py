"""What a gRPC door says of a failure: canonical status and the rich error of ``google.rpc`` (AIP-193)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import structlog
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from resolver.errors import DOMAIN, InternalError, ResolverError

if TYPE_CHECKING:
    from google.protobuf.message import Message

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that holds the serialised google.rpc.Status."""

_MESSAGE_OCTETS_MAX = 800
"""Octets of a sentence: it is sent three times, once with each octet as three, and gRPC's trailers have 8 KiB."""

_DETAIL_OCTETS_MAX = 400

_log = structlog.get_logger("door")


class Failure(NamedTuple):
    """A failed call: code, sentence, and the octets of google.rpc.Status."""

    code: int
    message: str
    details: bytes


def failure_of(error: BaseException, where: str) -> Failure:
    """The failure to send for an exception. A defect is logged with its trace and told without it."""
    if not isinstance(error, ResolverError):
        log_defect(error, where)
        error = InternalError("the node has a defect: the operator finds the trace in the log")
    code = error.meaning.grpc
    message = _cut(error.message, _MESSAGE_OCTETS_MAX)
    details = {key: _cut(text, _DETAIL_OCTETS_MAX) for key, text in error.details.items()}
    status = status_pb2.Status(code=code, message=message)
    status.details.append(_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=details)))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=message)
        status.details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    if "subject" in error.details:
        quota = error_details_pb2.QuotaFailure.Violation(subject=details["subject"], description=message)
        status.details.append(_packed(error_details_pb2.QuotaFailure(violations=[quota])))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        fraction, whole = math.modf(error.retry_after_s)
        retry.retry_delay.seconds = int(whole)
        retry.retry_delay.nanos = int(fraction * 1e9)
        status.details.append(_packed(retry))
    return Failure(code, message, status.SerializeToString())


def log_defect(error: BaseException, where: str) -> None:
    """Log a defect of ours with its trace."""
    _log.error("defect in a handler", method=where, exc_info=error)


def _cut(text: str, octets_max: int) -> str:
    """The text, or as much of its start as fits."""
    octets = text.encode("utf-8", "backslashreplace")
    return octets.decode() if len(octets) <= octets_max else octets[:octets_max].decode("utf-8", "ignore") + "…"


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
