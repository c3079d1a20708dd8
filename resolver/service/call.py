"""What a door tells the service about a call, and what a handler is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resolver.node.authorize import ANONYMOUS, Caller
from resolver.telemetry.calls import GRPC

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.message import Message

    Answer = Message | bytes
    UnaryHandler = Callable[["Call", Message], Answer | Awaitable[Answer]]
    StreamHandler = Callable[["Call", Message], AsyncIterator[Answer]]
    BidirectionalHandler = Callable[["Call", AsyncIterator[Message]], AsyncIterator[Answer]]
    Handler = UnaryHandler | StreamHandler | BidirectionalHandler


@dataclass(slots=True)
class Call:
    """Who calls, and from where.

    ``source`` is the peer's address without port; ``credential`` lets a long stream be judged again while it runs;
    ``door`` is one of ``telemetry.calls.DOORS``; ``timeout_s`` are the seconds the caller waits, None when it does not
    say.
    """

    caller: Caller = ANONYMOUS
    source: str = ""
    credential: Credential | None = None
    door: str = GRPC
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller presented: a token, or the digest of a verified client certificate."""

    token: str = ""
    certificate: bytes = b""
