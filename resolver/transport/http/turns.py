"""A request over HTTP waits for its turn of the loop, when what it asks for is large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from resolver.service import large_records

if TYPE_CHECKING:
    from starlette.requests import Request

    from resolver.service.core import Core


async def turn_for(request: Request, core: Core, name: str, source: str) -> None:
    """Wait when the record of a name is large. Raises TurnsFull, and ClientDisconnect when nobody waits any more."""
    has_waited = await large_records.turn_for(core, name, source)
    if has_waited and request.method == "GET" and await request.is_disconnected():
        raise ClientDisconnect
