"""Retries that never apply twice: the outcome of a request id, kept for at least 24 hours.

The key starts with the day, so that lookups try today and yesterday and old days are removed from the front of
the table, a few rows with each new one. The outcome is stored in the transaction of the change it tells of.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import (
    CredentialInvalid,
    CredentialMissing,
    ImportOutOfSequence,
    InvalidField,
    NotThisServer,
    PermissionDenied,
    Refused,
    RequestIdReused,
    leaves,
)
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from storage.engine import Reader, Writer

_DAY_US = limits.REQUEST_MEMORY_S // 2 * 1_000_000
_PURGED_WITH_EACH = 4


def check_request_id(request_id: str) -> None:
    """Raise InvalidField for a request id of more octets than allowed."""
    octets = len(request_id.encode())
    if octets > limits.REQUEST_ID_OCTETS_MAX:
        raise InvalidField(
            f"request_id has {octets} octets; at most {limits.REQUEST_ID_OCTETS_MAX} are allowed: use a UUID",
            field="request_id",
        )


def fingerprint(method_path: str, request: bytes) -> bytes:
    """What tells a retry from another request under the same id."""
    return hashlib.sha256(method_path.encode() + b"\0" + request).digest()


def _digest(principal_id: str, request_id: str) -> bytes:
    return hashlib.sha256(principal_id.encode() + b"\0" + request_id.encode()).digest()[:16]


def recall(reader: Reader, principal_id: str, request_id: str, request_fingerprint: bytes, now_us: int) -> bytes | None:
    """The response the request had the first time, None when it is new.

    Raises the refusal it had the first time, or RequestIdReused.
    """
    digest = _digest(principal_id, request_id)
    day = now_us // _DAY_US
    for era in (day, day - 1):
        body = reader.get(Table.OUTCOMES, era.to_bytes(4, "big") + digest)
        if body is None:
            continue
        outcome = stored.StoredOutcome.FromString(body)
        if outcome.fingerprint != request_fingerprint:
            raise RequestIdReused(
                f"request_id {request_id!r} was used for another request: make a new id for each request and keep it "
                "for retries of that one only",
                field="request_id",
            )
        if outcome.HasField("refusal"):
            refusal = outcome.refusal
            raise leaves()[refusal.reason](refusal.message, field=refusal.field, details=dict(refusal.details))
        return bytes(outcome.response)
    return None


def remember(
    writer: Writer, principal_id: str, request_id: str, request_fingerprint: bytes, response: bytes, now_us: int
) -> None:
    """Store the response of a request."""
    outcome = stored.StoredOutcome(fingerprint=request_fingerprint, time_us=now_us, response=response)
    _store(writer, principal_id, request_id, outcome)


def remember_refusal(
    writer: Writer, principal_id: str, request_id: str, request_fingerprint: bytes, refusal: Refused, now_us: int
) -> None:
    """Store that a request was refused.

    Not stored are refusals of the policy and of other servers' handles, which may change at any time, and chunks of an
    import that came too early: the same chunk is good once the one before it is there.
    """
    if isinstance(
        refusal, (PermissionDenied, CredentialMissing, CredentialInvalid, ImportOutOfSequence, NotThisServer)
    ):
        return
    outcome = stored.StoredOutcome(
        fingerprint=request_fingerprint,
        time_us=now_us,
        refusal=stored.StoredRefusal(
            reason=refusal.reason, message=refusal.message, field=refusal.field, details=refusal.details
        ),
    )
    _store(writer, principal_id, request_id, outcome)


def _store(writer: Writer, principal_id: str, request_id: str, outcome: stored.StoredOutcome) -> None:
    """Store an outcome and drop a few that nobody may ask for any more."""
    day = outcome.time_us // _DAY_US
    writer.put(Table.OUTCOMES, day.to_bytes(4, "big") + _digest(principal_id, request_id), outcome.SerializeToString())
    old = []
    for old_key, _ in writer.scan_rows(Table.OUTCOMES, stop=max(0, day - 1).to_bytes(4, "big")):
        old.append(old_key)
        if len(old) == _PURGED_WITH_EACH:
            break
    for old_key in old:
        writer.delete(Table.OUTCOMES, old_key)
