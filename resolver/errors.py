"""Every way a request can fail, and what each door says of it.

The tree tells whose fault it is:

    ResolverError
    ├── WireError     their request is malformed: sending it again cannot help
    ├── Refused       the request is well formed and the answer is no
    └── Unavailable   we cannot serve now: a disk, a lane or another site; try again

A leaf is named by its reason, the stable text of ``google.rpc.ErrorInfo.reason``. What a reason means at each door
stands in one table, ``MEANINGS``: canonical gRPC code, Handle response code (RFC 3652 section 2.2.3 and the IDIS
additions), HTTP status and SNMS status. ``tests/resolver/test_errors.py`` holds it against the classes: it is total.

Programmer errors are ``assert`` and ``ValueError``; they are not in this tree.
"""

from __future__ import annotations

from copy import copy
from typing import ClassVar, NamedTuple, Self

DOMAIN = "idis-node"
"""Domain of every ``ErrorInfo`` this node sends."""


class Meaning(NamedTuple):
    """What one reason is called at each door."""

    grpc: int
    """Canonical gRPC status code."""
    handle: int
    """Handle response code, RFC 3652 section 2.2.3."""
    http: int
    """HTTP status."""
    snms: int
    """SNMS OpenAPI status: 1 success, -1 not logged in, -2 business failure, -3 no permission, -4 internal."""


# gRPC codes used below: 3 INVALID_ARGUMENT, 5 NOT_FOUND, 6 ALREADY_EXISTS, 7 PERMISSION_DENIED, 8 RESOURCE_EXHAUSTED,
# 9 FAILED_PRECONDITION, 10 ABORTED, 12 UNIMPLEMENTED, 13 INTERNAL, 14 UNAVAILABLE, 15 DATA_LOSS, 16 UNAUTHENTICATED.
MEANINGS: dict[str, Meaning] = {
    # WireError
    "MALFORMED_MESSAGE": Meaning(3, 4, 400, -2),
    "INVALID_NAME": Meaning(3, 102, 400, -2),
    "INVALID_PREFIX": Meaning(3, 102, 400, -2),
    "INVALID_VALUE": Meaning(3, 202, 400, -2),
    "INVALID_FIELD": Meaning(3, 4, 400, -2),
    "INVALID_PAGE_TOKEN": Meaning(3, 4, 400, -2),
    "TOO_MANY_ITEMS": Meaning(3, 4, 400, -2),
    "MESSAGE_TOO_LARGE": Meaning(8, 4, 413, -2),
    "RECORD_TOO_LARGE": Meaning(3, 202, 413, -2),
    # Refused
    "HANDLE_NOT_FOUND": Meaning(5, 100, 404, -2),
    "VALUES_NOT_FOUND": Meaning(5, 200, 404, -2),
    "HANDLE_ALREADY_EXISTS": Meaning(6, 101, 409, -2),
    "VALUE_ALREADY_EXISTS": Meaning(6, 201, 409, -2),
    "PREFIX_NOT_SERVED": Meaning(5, 301, 404, -2),
    "PREFIX_NOT_ENABLED": Meaning(9, 301, 409, -2),
    "PREFIX_ELSEWHERE": Meaning(9, 302, 409, -2),
    "VERSION_MISMATCH": Meaning(10, 2, 412, -2),
    "REQUEST_ID_REUSED": Meaning(3, 4, 422, -2),
    "IMPORT_OUT_OF_SEQUENCE": Meaning(9, 4, 409, -2),
    "TEMPLATE_NOT_FOLLOWED": Meaning(3, 202, 422, -2),
    "NOT_FOUND": Meaning(5, 100, 404, -2),
    "ALREADY_EXISTS": Meaning(6, 101, 409, -2),
    "INVALID_TRANSITION": Meaning(9, 5, 409, -2),
    "CREDENTIAL_MISSING": Meaning(16, 402, 401, -1),
    "CREDENTIAL_INVALID": Meaning(16, 403, 401, -1),
    "PERMISSION_DENIED": Meaning(7, 401, 403, -3),
    "QUOTA_EXHAUSTED": Meaning(8, 604, 429, -2),
    "DAILY_LIMIT_REACHED": Meaning(8, 603, 429, -2),
    "RATE_EXCEEDED": Meaning(8, 3, 429, -2),
    "PREFIX_LIMIT_REACHED": Meaning(8, 605, 429, -2),
    "ANSWER_TOO_LARGE": Meaning(8, 2, 413, -2),
    "RECURSION_LIMIT": Meaning(9, 6, 422, -2),
    "NOT_PRIMARY": Meaning(9, 301, 409, -2),
    "NOT_THIS_SERVER": Meaning(9, 301, 421, -2),
    "NOT_IMPLEMENTED": Meaning(12, 5, 501, -2),
    # Unavailable
    "STORAGE_FULL": Meaning(8, 3, 507, -4),
    "STORAGE_FAILED": Meaning(14, 2, 503, -4),
    "RECORD_CORRUPT": Meaning(15, 2, 500, -4),
    "OVERLOADED": Meaning(14, 3, 503, -4),
    "SHUTTING_DOWN": Meaning(14, 3, 503, -4),
    "WATCH_TOO_SLOW": Meaning(8, 3, 503, -4),
    "UPSTREAM_FAILED": Meaning(14, 2, 504, -4),
    "UNCONFIRMED": Meaning(14, 2, 503, -4),
    "SITE_CHANGING": Meaning(14, 3, 503, -4),
    "INTERNAL": Meaning(13, 2, 500, -4),
}


class ResolverError(Exception):
    """A failure with a stable reason.

    ``field`` names the request field at fault, ``retry_after_s`` when trying again makes sense.
    """

    reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.details = details or {}

    def again(self) -> Self:
        """The same failure, to be raised in place of one that is kept.

        What was raised holds on to everything its traceback has seen, read transactions among it.
        """
        return copy(self)

    @property
    def meaning(self) -> Meaning:
        """What this failure is called at each door."""
        return MEANINGS[self.reason]

    @property
    def response_code(self) -> int:
        """The Handle response code (RFC 3652 section 2.2.3)."""
        return MEANINGS[self.reason].handle


class WireError(ResolverError):
    """Their request is malformed; sending it again cannot help."""


class Refused(ResolverError):
    """The request is well formed and the answer is no."""


class Unavailable(ResolverError):
    """We cannot serve now; the same request may succeed later."""


class MalformedMessage(WireError):
    """The octets are not a message of the method."""

    reason = "MALFORMED_MESSAGE"


class InvalidName(WireError):
    """The text is not a handle."""

    reason = "INVALID_NAME"


class InvalidPrefix(WireError):
    """The text is not a prefix."""

    reason = "INVALID_PREFIX"


class InvalidValue(WireError):
    """A handle value breaks a rule of RFC 3651 section 3.1 or a limit of the node."""

    reason = "INVALID_VALUE"


class InvalidField(WireError):
    """A request field breaks a rule."""

    reason = "INVALID_FIELD"


class InvalidPageToken(WireError):
    """The page token was not made by this node for this list."""

    reason = "INVALID_PAGE_TOKEN"


class TooManyItems(WireError):
    """The request has more items than the method takes."""

    reason = "TOO_MANY_ITEMS"


class MessageTooLarge(WireError):
    """The request has more octets than the method takes."""

    reason = "MESSAGE_TOO_LARGE"


class RecordTooLarge(WireError):
    """The record would have more octets than the node stores."""

    reason = "RECORD_TOO_LARGE"


class HandleNotFound(Refused):
    """The handle is not registered."""

    reason = "HANDLE_NOT_FOUND"


class ValuesNotFound(Refused):
    """The handle is registered, the values asked for are not."""

    reason = "VALUES_NOT_FOUND"


class HandleAlreadyExists(Refused):
    """The handle is registered already."""

    reason = "HANDLE_ALREADY_EXISTS"


class ValueAlreadyExists(Refused):
    """The handle has a value with that index already."""

    reason = "VALUE_ALREADY_EXISTS"


class PrefixNotServed(Refused):
    """The node is not responsible for the prefix."""

    reason = "PREFIX_NOT_SERVED"


class PrefixNotEnabled(Refused):
    """The prefix is known and not in service."""

    reason = "PREFIX_NOT_ENABLED"


class PrefixElsewhere(Refused):
    """The handles of the prefix live in another node."""

    reason = "PREFIX_ELSEWHERE"


class VersionMismatch(Refused):
    """The record has another version than the request expects."""

    reason = "VERSION_MISMATCH"


class RequestIdReused(Refused):
    """The request id was used for another request."""

    reason = "REQUEST_ID_REUSED"


class ImportOutOfSequence(Refused):
    """The chunk does not follow the last durable one."""

    reason = "IMPORT_OUT_OF_SEQUENCE"


class TemplateNotFollowed(Refused):
    """The values break a rule of the metadata template."""

    reason = "TEMPLATE_NOT_FOLLOWED"


class NotFound(Refused):
    """A row of the registry does not exist."""

    reason = "NOT_FOUND"


class AlreadyExists(Refused):
    """A row of the registry exists already."""

    reason = "ALREADY_EXISTS"


class InvalidTransition(Refused):
    """The life cycle has no such step."""

    reason = "INVALID_TRANSITION"


class CredentialMissing(Refused):
    """The call needs a credential and brought none."""

    reason = "CREDENTIAL_MISSING"


class CredentialInvalid(Refused):
    """The credential is unknown, expired, revoked or its principal is disabled."""

    reason = "CREDENTIAL_INVALID"


class PermissionDenied(Refused):
    """The principal may not do this."""

    reason = "PERMISSION_DENIED"


class QuotaExhausted(Refused):
    """A quota of the enterprise is used up."""

    reason = "QUOTA_EXHAUSTED"


class DailyLimitReached(Refused):
    """The enterprise has made all changes its quota allows in a day."""

    reason = "DAILY_LIMIT_REACHED"


class RateExceeded(Refused):
    """The enterprise has made all changes its quota allows in a second."""

    reason = "RATE_EXCEEDED"


class PrefixLimitReached(Refused):
    """The enterprise has all prefixes its quota allows."""

    reason = "PREFIX_LIMIT_REACHED"


class AnswerTooLarge(Refused):
    """The answer would be larger than a message may be."""

    reason = "ANSWER_TOO_LARGE"


class RecursionLimit(Refused):
    """The search for an answer went round in a circle, or needs more steps than one question may cost."""

    reason = "RECURSION_LIMIT"


class NotPrimary(Refused):
    """The node is a mirror, or fenced: the primary of its site takes changes."""

    reason = "NOT_PRIMARY"


class NotThisServer(Refused):
    """Another server of the site has the handle, or takes changes of the registry."""

    reason = "NOT_THIS_SERVER"


class NotImplementedYet(Refused):
    """The node has no such operation."""

    reason = "NOT_IMPLEMENTED"


class StorageFull(Unavailable):
    """The disk or the map is full; reads go on."""

    reason = "STORAGE_FULL"


class StorageFailed(Unavailable):
    """The store failed for a reason other than space."""

    reason = "STORAGE_FAILED"


class RecordCorrupt(Unavailable):
    """A stored row does not fit its checksum; it is never served as truth."""

    reason = "RECORD_CORRUPT"


class Overloaded(Unavailable):
    """A queue is full; nothing of the request was done."""

    reason = "OVERLOADED"


class ShuttingDown(Unavailable):
    """The worker is draining; another one answers."""

    reason = "SHUTTING_DOWN"


class WatchTooSlow(Unavailable):
    """The reader of a stream does not take what it asked for."""

    reason = "WATCH_TOO_SLOW"


class UpstreamFailed(Unavailable):
    """The node that has the answer cannot be reached, or does not give one that can be believed."""

    reason = "UPSTREAM_FAILED"


class Unconfirmed(Unavailable):
    """The change is on this node's disk, and too few mirrors have said that it is on theirs: it may yet be lost."""

    reason = "UNCONFIRMED"


class SiteChanging(Unavailable):
    """The shares of the site's servers are changing: for a moment no handle may be changed."""

    reason = "SITE_CHANGING"


class InternalError(Unavailable):
    """A defect of the node; the log has the trace."""

    reason = "INTERNAL"


def leaves() -> dict[str, type[ResolverError]]:
    """Every leaf of the tree by its reason."""
    branches: list[type[ResolverError]] = [ResolverError]
    for branch in branches:
        branches += branch.__subclasses__()
    return {branch.reason: branch for branch in branches if "reason" in vars(branch)}
