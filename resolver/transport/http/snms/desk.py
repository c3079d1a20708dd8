"""What the handlers of the SNMS door share: who calls, what is sent again, and how a handler becomes a route."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import Route

from resolver import limits
from resolver.errors import CredentialMissing, MessageTooLarge, Overloaded, ResolverError
from resolver.node.authorize import Role
from resolver.telemetry.calls import SNMS, Operation
from resolver.transport.http.calls import caller, source_of
from resolver.transport.http.snms.envelope import Said, refusal
from resolver.wire.json_members import without_mark

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.service import Call, Service
    from resolver.telemetry.calls import Called
    from resolver.transport.http.calls import HttpOptions

    Handler = Callable[[Request, Call], Awaitable[Response]]

BODY_OCTETS_MAX = 16 << 20
"""Octets of a body: 2,000 identifiers of twenty long values each."""

ONE_OCTETS_MAX = 2 * limits.SINGLE_MESSAGE_OCTETS_MAX
"""Octets of a body about one identifier or template, which is decoded in one go: the largest, twice as long in JSON."""

HELD_OCTETS_MAX = 64 << 20
"""Octets of bodies that may be coming in at once in a worker."""

HELD_OCTETS_FREE = 64 << 10
"""Octets that any body may have whatever else is coming in: single identifiers and token requests."""

KEY_CHARACTERS_MAX = 255
"""Characters of an Idempotency-Key."""


class Entry(NamedTuple):
    """One method of one path. ``operation`` is what its calls are counted as."""

    method: str
    path: str
    handler: Handler
    operation: Called
    is_public: bool = False


class Desk:
    """Service and options for the handlers of one worker."""

    def __init__(self, service: Service, options: HttpOptions) -> None:
        self.service = service
        self.options = options
        self.snms = options.snms
        self._held_octets = 0
        """Octets of bodies that are coming in."""

    async def body(self, request: Request, octets_max: int = BODY_OCTETS_MAX) -> bytes:
        """The body of a request. Raises MessageTooLarge, and Overloaded while too many bodies are coming in."""
        pieces: list[bytes] = []
        octets = 0
        try:
            async for piece in request.stream():
                octets += len(piece)
                self._held_octets += len(piece)
                if octets > octets_max:
                    raise MessageTooLarge(f"the body has more than {octets_max} octets: send less at a time")
                if octets > HELD_OCTETS_FREE and self._held_octets > HELD_OCTETS_MAX:
                    raise Overloaded("too many bodies are coming in: try again", retry_after_s=1.0)
                pieces.append(piece)
        finally:
            self._held_octets -= octets
        return b"".join(pieces)

    async def json(self, request: Request, octets_max: int = ONE_OCTETS_MAX) -> bytes:
        """The body of a request that says it is JSON, or says nothing. Raises Said."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {"", "application/json"}:
            raise Said(f"Content-Type 必须是 application/json，而不是 {kind[:80]}")
        return without_mark(await self.body(request, octets_max))

    def _call(self, request: Request, entry: Entry) -> Call:
        """Who calls. Raises CredentialMissing, CredentialInvalid.

        Whoever asks for a token may still send the one that has expired: it does not count there.
        """
        if entry.is_public:
            return self.service.call_from(source_of(request, self.options), None, SNMS)
        call = caller(request, self.service, self.options)
        if call.caller.role is Role.ANONYMOUS:
            raise CredentialMissing("a token is needed: ask /identity/token for one")
        return call

    def route(self, entries: Sequence[Entry]) -> Route:
        """The route of a path's entries: finds who calls, and puts what goes wrong in the envelope."""
        by_method = {entry.method: entry for entry in entries}

        async def endpoint(request: Request) -> Response:
            # HEAD is what GET answers without the body, which the server leaves out.
            entry = by_method["GET" if request.method == "HEAD" else request.method]
            request.scope["operation"] = entry.operation
            try:
                return await entry.handler(request, self._call(request, entry))
            except MessageTooLarge:
                raise  # its body is still coming in
            except ResolverError as error:
                response = refusal(error, mapped=self.snms.mapped_http_status)
                if response.status_code == 200:
                    request.scope["result"] = str(error.meaning.snms)
                return response

        return Route(entries[0].path, endpoint, methods=list(by_method))


def operation(name: str) -> Operation:
    """What calls of a path are counted as that is no method of the gRPC services."""
    return Operation("snms", name)


def request_id_of(request: Request) -> str:
    """The request id of an Idempotency-Key: the same key gets the first outcome again; "" without one. Raises Said."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return ""
    key = keys[0]
    if len(keys) > 1 or not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise Said(f"请求头 Idempotency-Key 须为 1 到 {KEY_CHARACTERS_MAX} 个可见 ASCII 字符，且只能出现一次")
    return "key-" + hashlib.sha256(key.encode()).hexdigest()[:56]
