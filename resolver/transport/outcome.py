"""What a gRPC door says of a failure: canonical status and the rich error of ``google.rpc`` (AIP-193)."""

from __future__ import annotations

import math
from typing import NamedTuple

import structlog
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from resolver.errors import DOMAIN, InternalError, ResolverError

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that holds the serialised google.rpc.Status."""

_log = structlog.get_logger("door")


class Failure(NamedTuple):
    """A failed call: code, sentence, and the octets of google.rpc.Status."""

    code: int
    message: str
    details: bytes


def failure_of(error: BaseException, where: str) -> Failure:
    """The failure to send for an exception. A defect is logged with its trace and told without it."""
    if not isinstance(error, ResolverError):
        _log.error("defect in a handler", method=where, exc_info=error)
        error = InternalError("the node has a defect: the operator finds the trace in the log")
    code = error.meaning.grpc
    status = status_pb2.Status(code=code, message=error.message)
    status.details.append(
        _packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.details))
    )
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        fraction, whole = math.modf(error.retry_after_s)
        retry.retry_delay.seconds = int(whole)
        retry.retry_delay.nanos = int(fraction * 1e9)
        status.details.append(_packed(retry))
    return Failure(code, error.message, status.SerializeToString())


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
