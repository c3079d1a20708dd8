"""From a path to the door that answers it, and from whatever that raises to an answer of its kind.

An ASGI application around starlette's routers, one for each door. It keeps what every door must: a body is refused
when it grows beyond the door's bound, whether its length was told or not; a failure gets the status
of the table in ``errors.py`` and the body of the door's API; a defect is logged and told without its trace.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Router

from resolver.errors import (
    InvalidField,
    MessageTooLarge,
    Overloaded,
)
from resolver.telemetry.calls import Operation
from resolver.transport.http import bounds, handle_proxy, handle_rest, handle_search, snms
from resolver.transport.http.door import Door, Failure, failure_of, told_plainly
from resolver.transport.http.transcoding import door as transcoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions
    from resolver.transport.http.door import AtOnce, Observe

_log = structlog.get_logger("http")

_CONTROLS = dict.fromkeys((*range(32), 127, 133, 8232, 8233), "�")

UNKNOWN = Operation("http", "other")
"""What is counted for requests whose handler does not say what was asked for."""


UNANSWERED = 499
"""What is counted as the status of a request that got none: its client has gone, or the node leaves."""


class _Held:
    """Octets of bodies that handlers of this worker may be holding."""

    octets = 0


class _Body:
    """The receiving side of a request: its body may have so many octets."""

    def __init__(self, request: Request, receive: Receive, octets_max: int, held: _Held) -> None:
        self._receive = receive
        self._octets_max = octets_max
        self._octets = 0
        self._held = held
        self._mine = 0
        headers = request.headers
        # A client that waits for "100 Continue" sends nothing unless it is asked for.
        self._is_coming = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._is_coming = self._is_coming and "expect" not in headers

    async def receive(self) -> Message:
        """The next piece. Raises MessageTooLarge."""
        message = await self._take()
        if self._octets > self._octets_max:
            raise too_large(self._octets_max)
        if self._octets_max <= bounds.WHOLE_BODY_OCTETS_MAX:
            self._mine += len(message.get("body", b""))
            self._held.octets += len(message.get("body", b""))
            if self._held.octets > bounds.BODIES_OCTETS_MAX:
                raise Overloaded("the bodies of other requests fill the memory for them: try again", retry_after_s=1.0)
        return message

    def release(self) -> None:
        """The request is answered, its body is held no more."""
        self._held.octets -= self._mine
        self._mine = 0

    async def _take(self) -> Message:
        message = await self._receive()
        self._octets += len(message.get("body", b""))
        self._is_coming = self._is_coming and message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Take what is still coming and forget it: a client that is sending hears no answer, only a broken pipe."""
        if not self._is_coming:
            return
        octets_max = self._octets + bounds.DISCARD_OCTETS_MAX
        with suppress(TimeoutError):
            async with asyncio.timeout(bounds.DISCARD_TIMEOUT_S):
                while self._is_coming and self._octets < octets_max:
                    await self._take()


def too_large(octets_max: int) -> MessageTooLarge:
    """The refusal of a body."""
    return MessageTooLarge(f"the body has more than the {octets_max} octets that this path takes: send less at a time")


class Application:
    """All doors as one ASGI application."""

    def __init__(
        self, service: Service, options: HttpOptions, observe: Observe, doors: Sequence[Door] | None = None
    ) -> None:
        self._observe = observe
        self._held = _Held()
        self._doors: list[tuple[str, Door, ASGIApp]] = []
        self.at_once: list[AtOnce] = []
        """What answers plain questions before they become requests."""
        for door in DOORS if doors is None else doors:
            router = Router(door.routes(service, options), redirect_slashes=False)
            self._doors += [(prefix, door, router) for prefix in door.prefixes]
            plain = None if door.at_once is None else door.at_once(service, options)
            if plain is not None:
                self.at_once.append(plain)
        # The longest prefix first: a path belongs to the door that claims most of it.
        self._doors.sort(key=lambda entry: -len(entry[0]))

    def _find(self, path: str) -> tuple[Door, ASGIApp]:
        for prefix, door, app in self._doors:
            if path.startswith(prefix) or path + "/" == prefix:
                return door, app
        return NOWHERE, _nothing

    def refusal(self, scope: Scope, failure: Failure) -> Response:
        """The answer to what its connection refuses before it is a whole request, in the form of its path's door."""
        scope["path"] = scope["path"].translate(_CONTROLS)
        door, _ = self._find(scope["path"])
        response = _told(door, Request(scope), failure)
        self._observe(UNKNOWN, str(response.status_code), 0.0, 1, door.name)
        return response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        said: dict[str, bool] = scope.get("state", {})
        if said.get("refused", False):
            return  # its body was no body: nothing may come of it
        started_s = time.monotonic()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body", False):
                await body.discard()
            await send(message)

        scope["app"] = self
        # What routes match; doors read names from the path as it came.
        scope["path"] = scope["path"].translate(_CONTROLS)
        door, app = self._find(scope["path"])
        scope["door"] = door.name
        request = Request(scope)
        body = _Body(request, receive, door.octets_max, self._held)
        try:
            _check_length(request, door.octets_max)
            await app(scope, body.receive, note)
        except ClientDisconnect:
            pass  # there is nobody to tell
        except Exception as error:
            failure = failure_of(error, scope["path"])
            if status:
                raise  # the answer has begun: the connection is closed, which is all that can still be said
            await _told(door, request, failure)(scope, receive, note)
        finally:
            body.release()
            operation = scope.get("operation", UNKNOWN)
            # A door whose failures have the HTTP status of a success says by itself what came of a request.
            result = scope.get("result") or str(status or UNANSWERED)
            if not said.get("refused", False):  # the refusal is counted
                self._observe(operation, result, time.monotonic() - started_s, 1, door.name)


def _check_length(request: Request, octets_max: int) -> None:
    """Refuse a body by the length it tells. Raises MessageTooLarge and InvalidField."""
    told = request.headers.get("content-length")
    if told is None:
        return
    if not (told.isascii() and told.isdigit()):
        raise InvalidField(f"Content-Length {told!r} is no number of octets")
    if len(told) > 12 or int(told) > octets_max:
        raise too_large(octets_max)


def _told(door: Door, request: Request, failure: Failure) -> Response:
    """The failure as the door's API tells it; its own defect must not go unanswered."""
    try:
        response = door.failed(request, failure)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        _log.error("defect in telling a failure", door=door.name, exc_info=error)
        return told_plainly(request, failure)
    for name, value in failure.headers.items():
        response.headers.setdefault(name, value)
    return response


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Paths of no door."""
    raise HTTPException(404)


def _no_routes(_service: Service, _options: HttpOptions) -> Sequence[BaseRoute]:
    return ()


NOWHERE = Door("none", (), _no_routes, told_plainly)
"""Answers for paths of no door."""

DOORS: tuple[Door, ...] = (
    handle_rest.DOOR,
    handle_search.DOOR,
    snms.DOOR,
    transcoding.DOOR,
    transcoding.STREAMS,
    handle_proxy.DOOR,
)
"""Every API on the HTTP port."""
