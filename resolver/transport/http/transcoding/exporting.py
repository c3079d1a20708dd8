"""``GET /v1/prefixes/{prefix}/handles:export``: every record of a prefix, a line each.

It asks ListHandles page by page, so that neither a transaction nor memory grows with the prefix; the caller is judged
again at each page. What is changed while an export runs is in it in one state or the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resolver.errors import InvalidField
from resolver.telemetry.calls import Operation
from resolver.transport.http.transcoding import json_in, json_out
from resolver.v1 import resolution_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from google.protobuf.message import Message

    from resolver.service import Call
    from resolver.service.core import Core

TEMPLATE = "/v1/prefixes/{prefix}/handles:export"
EXPORT = Operation("http", "ExportHandles")

PARAMETERS = ("suffix_start", "include_restricted")
"""Fields of ListHandlesRequest that an export takes."""

PAGE_RECORDS = 100
"""Records that are read and written before others have their turn."""

_BEFORE, _AFTER = (part.encode() for part in TEMPLATE.split("{prefix}"))


def prefix_of(path: bytes) -> bytes | None:
    """The prefix in the path of an export, still encoded; None for another path."""
    if path.startswith(_BEFORE) and path.endswith(_AFTER):
        prefix = path[len(_BEFORE) : -len(_AFTER)]
        return prefix if prefix and b"/" not in prefix else None
    return None


async def pages(
    core: Core,
    call: Call,
    handler: Callable[[Call, Message], pb.ListHandlesResponse],
    prefix: str,
    parameters: Sequence[tuple[str, str]],
) -> AsyncIterator[pb.ListHandlesResponse]:
    """The pages of the prefix. Raises what ListHandles raises, and InvalidField."""
    request = pb.ListHandlesRequest()
    json_in.read_parameters(request, parameters, {})
    for field, _ in request.ListFields():
        if field.name not in PARAMETERS:
            raise InvalidField(f"an export takes {' and '.join(PARAMETERS)}, not {field.name}", field=field.name)
    request.prefix = prefix
    request.include_records = True
    request.page_size = PAGE_RECORDS
    while True:
        page = handler(call, request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
        core.refuse_when_draining()
        core.identify_again(call)


def records(page: Any) -> Iterator[bytes]:
    """The lines of a page."""
    for record in page.records:
        yield json_out.to_json(record)
