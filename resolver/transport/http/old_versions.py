"""Answers for clients of HTTP/1.0: what has no length ends with its connection.

uvicorn sends whatever has no length in chunks; a client of an older version does not know them and takes their lengths
for content (RFC 9112, 6.1: none may be sent to it). What is cut off looks whole to such a client; nothing helps that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def without_chunks(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """The application, whose answer to the request of ``cycle`` is sent as it is and ended by closing."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        ends_with_connection = False

        async def plainly(message: ASGISendEvent) -> None:
            nonlocal ends_with_connection
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                ends_with_connection = b"content-length" not in names
                if ends_with_connection:
                    cycle.chunked_encoding = False
                    cycle.keep_alive = False
            elif ends_with_connection and message["type"] == "http.response.body":
                cycle.expected_content_length = len(message.get("body", b""))  # the cycle holds a piece against it
            await send(message)

        await app(scope, receive, plainly)

    return answer
