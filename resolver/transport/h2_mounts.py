"""What the HTTP/2 door does with a call: the common table by path, and header blocks turned into tickets.

A ticket is all that a connection needs to know of a call beside its messages. Two calls with equal headers have equal
tickets, so a connection may remember them; what a credential is worth is asked anew for every call.
"""

from __future__ import annotations

import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from resolver import limits
from resolver.errors import CredentialInvalid, MessageTooLarge
from resolver.methods import CREATE_HANDLE, RESOLVE, STREAM_RESOLVE, Shape
from resolver.transport import grpc_frames as frames
from resolver.transport.requests import credential_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from resolver.methods import Method
    from resolver.service import Credential
    from resolver.transport.table import Entry


class Lane(Enum):
    """How the calls of a method are run."""

    AT_ONCE = "a plain function, answered in the read burst that brought the request"
    WRITE = "a registration: plain ones go to the write lane together, the others are run as a task"
    TASK = "a coroutine function, answered when its task is done"
    STREAM = "an asynchronous generator over one request"
    DIALOGUE = "an asynchronous generator over a stream of requests"
    QUESTIONS = "the resolution stream: all questions of a read burst are answered at once"


class Mount(NamedTuple):
    """A method as this door runs it."""

    method: Method[Message, Message]
    handler: Any
    lane: Lane
    open: bool
    plain: bool = False
    """Whether the plain questions of a burst are answered together."""

    whole: bool = False
    """Whether a call is best looked at when its one request is here."""


class Ticket(NamedTuple):
    """A call as its headers describe it."""

    mount: Mount
    encoding: bytes = b"identity"
    timeout_s: float | None = None
    credential: Credential | None = None
    fault: CredentialInvalid | None = None
    """Why the credential cannot even be read."""
    anonymous: bool = True
    """Whether the headers hold no credential, readable or not."""
    whole_octets_max: int = 0
    """Octets that a request of one message may have with its prefix, and need not be looked at in parts."""


class Refusal(NamedTuple):
    """A request that is no call of this node: the whole answer."""

    answer: frames.Headers


def mounts_of(table: dict[str, Entry]) -> dict[bytes, Mount]:
    """The common table by path in octets."""
    mounts = {}
    for path, entry in table.items():
        lane = _lane(entry)
        whole = lane in {Lane.AT_ONCE, Lane.WRITE}
        mounts[path.encode()] = Mount(entry.method, entry.handler, lane, entry.open, entry.method is RESOLVE, whole)
    return mounts


def _lane(entry: Entry) -> Lane:
    """How the calls of a method are run."""
    shape = entry.method.shape
    if entry.method is CREATE_HANDLE:
        return Lane.WRITE
    if shape is Shape.UNARY:
        return Lane.TASK if inspect.iscoroutinefunction(entry.handler) else Lane.AT_ONCE
    if shape is Shape.SERVER_STREAM:
        return Lane.STREAM
    return Lane.QUESTIONS if entry.method is STREAM_RESOLVE else Lane.DIALOGUE


def ticket_of(  # noqa: PLR0911 - one line for each reason to refuse
    mounts: dict[bytes, Mount], headers: frames.Headers
) -> Ticket | Refusal:
    """What to do with a request that starts with these headers."""
    try:
        opening = frames.read_opening(headers)
    except frames.FrameError as error:
        return _refusal(error.code, error.message)
    octets = opening.octets
    if octets > limits.METADATA_OCTETS_MAX:
        return _refusal(8, f"the metadata has {octets} octets; at most {limits.METADATA_OCTETS_MAX} are allowed")
    if opening.http_method != b"POST":
        return Refusal(frames.NOT_POST)
    if not opening.is_grpc:
        return Refusal(frames.NOT_GRPC)
    mount = mounts.get(opening.path)
    if mount is None:
        return _refusal(12, "Method not found!")  # the words of grpcio, which clients know
    if opening.encoding not in frames.ENCODINGS:
        return Refusal(frames.encoding_refusal(opening.encoding))
    credential, fault = None, None
    if not mount.open:
        try:
            credential = credential_of(opening.metadata)
        except CredentialInvalid as error:
            fault = error
    return Ticket(
        mount,
        opening.encoding,
        opening.timeout_s,
        credential,
        fault,
        anonymous=credential is None and fault is None,
        whole_octets_max=mount.method.octets_max + frames.PREFIX_OCTETS,
    )


def too_large(method: Method[Message, Message], octets: int) -> MessageTooLarge:
    """The refusal of a message by the length it announces; ``octets`` is 0 when it is compressed and beyond all bounds.

    The same sentence as in ``requests.parse``, which sees messages that were received whole.
    """
    what = f"the request has {octets} octets" if octets else f"the request has over {limits.MESSAGE_OCTETS_MAX} octets"
    return MessageTooLarge(f"{what}; {method.name} takes at most {method.octets_max}: send less at a time")


def _refusal(code: int, message: str) -> Refusal:
    """The whole answer of a gRPC status without a message."""
    return Refusal((*frames.RESPONSE, *frames.status_fields(code, message)))
