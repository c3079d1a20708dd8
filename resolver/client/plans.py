"""What the conveniences of the clients ask and make of the answers, once for both front ends.

Strategy: a ``Plan`` is a generator that yields ``Call`` after ``Call``, is sent each response (or thrown each
``CallFailed``) and returns its result. The front ends drive plans, one blocking, one with await, and know
nothing else. What yields many items is an iterator of plans, one for each batch or page; an iterator whose
next plan depends on the last, such as pages, is driven one plan at a time. Nothing here does input or output.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc

from resolver import limits, methods
from resolver.client import batches
from resolver.client.failures import OTHER_SERVER, CallFailed, failure
from resolver.client.values import to_pb
from resolver.errors import AnswerTooLarge
from resolver.handle.value import HandleValue
from resolver.v1 import handle_pb2, node_pb2, registration_pb2, resolution_pb2
from resolver.v1.handle_pb2 import HandleRecord
from resolver.v1.resolution_pb2 import ResolveMiss

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from resolver.v1.registration_pb2 import NewHandle, RowResult, WriteReceipt

Req = TypeVar("Req", bound="Message")
Resp = TypeVar("Resp", bound="Message")
T = TypeVar("T")

Values: TypeAlias = Iterable[HandleValue | handle_pb2.HandleValue]
"""Values as the conveniences take them."""

SERVERS_FOLLOWED_MAX = 2
"""Times that one row is sent on to another server of the site: shares may change in between, once."""

Answer: TypeAlias = HandleRecord | ResolveMiss
"""The outcome of one name of many."""

ASKING_FAILED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
"""Codes that say nothing of the name asked: they fail the whole question and are no miss."""


@dataclass(frozen=True, slots=True)
class Call:
    """One unary call a plan wants made."""

    method: methods.Method[Any, Any]
    request: Any
    timeout_s: float | None
    place: str = ""
    """HOST:PORT of another server of the site; empty for the client's own."""


Plan: TypeAlias = Generator[Call, Any, T]
"""Calls to make and, in the end, a result."""


def ask(method: methods.Method[Req, Resp], request: Req, timeout_s: float | None, place: str = "") -> Plan[Resp]:
    """The plan of a single call."""
    response: Resp = yield Call(method, request, timeout_s, place)
    return response


def with_request_id(method: methods.Method[Req, Resp], request: Req) -> Req:
    """The request with a fresh request_id where it has that field and the caller left it empty.

    The caller's message is not changed; it is the same object when nothing is missing.
    """
    if "request_id" not in method.request.DESCRIPTOR.fields_by_name or getattr(request, "request_id"):  # noqa: B009 - as below
        return request
    copied = method.request()
    copied.CopyFrom(request)
    setattr(copied, "request_id", str(uuid.uuid4()))  # noqa: B010 - Message has no such attribute for the checker
    return copied


def in_order(count: int, response: resolution_pb2.BatchResolveResponse) -> list[Answer]:
    """The answers of a batch of ``count`` names, in the order asked. Raises CallFailed when they do not add up."""
    records = response.records
    if len(records) == count and not response.misses:
        return list(records)
    if len(records) + len(response.misses) == count:
        missed = {miss.position: miss for miss in response.misses}
        found = iter(records)
        answers = [missed.get(position) or next(found, None) for position in range(count)]
        complete = [answer for answer in answers if answer is not None]
        if len(complete) == count:
            return complete
    raise failure(
        grpc.StatusCode.INTERNAL,
        f"the node answered {count} names with {len(records)} records and {len(response.misses)} misses that do not "
        "fit together: report this with the version of the node",
    )


def resolve(
    name: str,
    *,
    types: Iterable[str] = (),
    indexes: Iterable[int] = (),
    include_restricted: bool = False,
    timeout_s: float | None = None,
) -> Plan[HandleRecord]:
    """Resolves one handle.

    ``types`` and ``indexes`` choose values, "URL." also matches URL.X; without both, all values.
    ``include_restricted`` adds values without public read that the credential may read. Raises NotFound and
    the other ``CallFailed``.
    """
    request = resolution_pb2.ResolveRequest(
        name=name, types=types, indexes=indexes, include_restricted=include_restricted
    )
    return (yield from ask(methods.RESOLVE, request, timeout_s)).record


def resolve_many(
    names: Iterable[str],
    *,
    types: Iterable[str] = (),
    indexes: Iterable[int] = (),
    include_restricted: bool = False,
    timeout_s: float | None = None,
) -> Iterator[Plan[list[Answer]]]:
    """Resolves any number of handles: for each, in the order given, its record or a ``ResolveMiss``.

    ``position`` of a miss counts over all names from 0. The other arguments are those of ``resolve``;
    ``timeout_s`` bounds each batch. Raises ``CallFailed`` when a batch could not be asked at all.
    """
    chosen = resolution_pb2.BatchResolveRequest(types=types, indexes=indexes, include_restricted=include_restricted)
    first = 0
    for batch in batches.of_names(names):
        yield resolve_batch(batch, first, chosen, timeout_s)
        first += len(batch)


def resolve_batch(
    names: list[str], first: int, chosen: resolution_pb2.BatchResolveRequest, timeout_s: float | None
) -> Plan[list[Answer]]:
    """One batch of names of which the first has position ``first`` among all; ``chosen`` says which values."""
    request = resolution_pb2.BatchResolveRequest()
    request.CopyFrom(chosen)
    request.names.extend(names)
    response = yield from ask(methods.BATCH_RESOLVE, request, timeout_s)
    answers = in_order(len(names), response)
    for miss in response.misses:
        position = miss.position
        if miss.reason == AnswerTooLarge.reason:
            answers[position] = yield from _resolve_alone(names[position], first + position, chosen, timeout_s)
        elif first:
            answers[position] = ResolveMiss(
                position=first + position, code=miss.code, reason=miss.reason, message=miss.message
            )
    return answers


def _resolve_alone(
    name: str, position: int, chosen: resolution_pb2.BatchResolveRequest, timeout_s: float | None
) -> Plan[Answer]:
    """A record that did not fit into the answer of its batch."""
    try:
        return (
            yield from resolve(
                name,
                types=chosen.types,
                indexes=chosen.indexes,
                include_restricted=chosen.include_restricted,
                timeout_s=timeout_s,
            )
        )
    except CallFailed as failed:
        if failed.code in ASKING_FAILED:
            raise
        return ResolveMiss(position=position, code=failed.code.value[0], reason=failed.reason, message=failed.message)


def create(
    name: str,
    values: Values,
    *,
    template_id: str = "",
    on_existing: registration_pb2.OnExisting | None = None,
    mint: bool = False,
    request_id: str | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Plan[WriteReceipt]:
    """Registers a handle; the receipt names it as spelled in the record. It is durable when this returns.

    ``mint`` lets the node append a unique suffix to ``name`` (a prefix and '/', and the start of the suffix if
    wanted). ``on_existing`` None fails with AlreadyExists. ``request_id`` None takes a fresh one, so that
    retries inside this call register once; give your own to be safe over restarts of the application.
    """
    request = registration_pb2.CreateHandleRequest(
        name=name,
        values=[to_pb(value) for value in values],
        template_id=template_id,
        mint_suffix=mint,
        request_id=request_id or "",
        validate_only=validate_only,
        on_existing=on_existing,
    )
    return (yield from ask(methods.CREATE_HANDLE, request, timeout_s)).receipt


def update(
    name: str,
    values: Values,
    *,
    template_id: str = "",
    if_version: int | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Plan[WriteReceipt]:
    """Replaces all values of a handle; with ``if_version``, only if the record has it, else raises Aborted."""
    request = registration_pb2.UpdateHandleRequest(
        name=name,
        values=[to_pb(value) for value in values],
        template_id=template_id,
        request_id=request_id or "",
        if_version=if_version,
        validate_only=validate_only,
    )
    return (yield from ask(methods.UPDATE_HANDLE, request, timeout_s)).receipt


def put_values(
    name: str,
    values: Values,
    *,
    mode: registration_pb2.PutMode | None = None,
    if_version: int | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Plan[WriteReceipt]:
    """Adds values, or replaces those with the same index; ``mode`` demands that all are new or all exist."""
    request = registration_pb2.PutValuesRequest(
        name=name,
        values=[to_pb(value) for value in values],
        request_id=request_id or "",
        if_version=if_version,
        validate_only=validate_only,
        mode=mode,
    )
    return (yield from ask(methods.PUT_VALUES, request, timeout_s)).receipt


def remove_values(
    name: str,
    indexes: Iterable[int],
    *,
    if_version: int | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Plan[WriteReceipt]:
    """Removes the values with these indexes; all must exist, else raises NotFound."""
    request = registration_pb2.RemoveValuesRequest(
        name=name,
        indexes=indexes,
        request_id=request_id or "",
        if_version=if_version,
        validate_only=validate_only,
    )
    return (yield from ask(methods.REMOVE_VALUES, request, timeout_s)).receipt


def delete(
    name: str,
    *,
    if_version: int | None = None,
    request_id: str | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Plan[WriteReceipt]:
    """Deletes a handle with all its values."""
    request = registration_pb2.DeleteHandleRequest(
        name=name, request_id=request_id or "", if_version=if_version, validate_only=validate_only
    )
    return (yield from ask(methods.DELETE_HANDLE, request, timeout_s)).receipt


def create_many(
    handles: Iterable[NewHandle],
    *,
    on_existing: registration_pb2.OnExisting | None = None,
    validate_only: bool = False,
    timeout_s: float | None = None,
) -> Iterator[Plan[list[RowResult]]]:
    """Registers any number of handles in batches: a ``RowResult`` for each, in order; rows do not depend on each other.

    ``row`` counts over all handles from 0. Batches go one after the other, so the last of two rows with the
    same handle wins under ON_EXISTING_REPLACE. For imports that survive a crash of the application use
    ``ImportSession``. Raises ``CallFailed`` when a batch as a whole failed; earlier ones are durable.
    """
    first = 0
    for batch in batches.of_handles(handles):
        request = registration_pb2.BatchCreateHandlesRequest(
            handles=batch, on_existing=on_existing, validate_only=validate_only
        )
        yield _create_batch(request, first, timeout_s)
        first += len(batch)


def _create_batch(
    request: registration_pb2.BatchCreateHandlesRequest, first: int, timeout_s: float | None
) -> Plan[list[RowResult]]:
    response = yield from ask(methods.BATCH_CREATE_HANDLES, request, timeout_s)
    results = yield from at_other_servers(list(response.results), request, timeout_s)
    for result in results:
        result.row += first
    return results


def at_other_servers(
    results: list[RowResult], request: registration_pb2.BatchCreateHandlesRequest, timeout_s: float | None
) -> Plan[list[RowResult]]:
    """The results of a batch with those of rows that other servers of the site have taken; rows count from 0."""
    for _ in range(SERVERS_FOLLOWED_MAX):
        rows: dict[str, list[int]] = {}
        for result in results:
            if result.reason == OTHER_SERVER and result.details.get("grpc"):
                rows.setdefault(result.details["grpc"], []).append(result.row)
        if not rows:
            break
        for place, taken in rows.items():
            part = registration_pb2.BatchCreateHandlesRequest(
                handles=[request.handles[row] for row in taken],
                on_existing=request.on_existing,
                validate_only=request.validate_only,
            )
            if request.request_id:
                part.request_id = hashlib.sha256(f"{request.request_id} {place}".encode()).hexdigest()
            response = yield from ask(methods.BATCH_CREATE_HANDLES, part, timeout_s, place)
            for row, result in zip(taken, response.results, strict=True):
                result.row = row
                results[row] = result
    return results


def list_handles(
    prefix: str, *, suffix_start: str = "", page_size: int = limits.PAGE_MAX, timeout_s: float | None = None
) -> Iterator[Plan[list[str]]]:
    """Every handle under a prefix in key order, page after page; ``suffix_start`` narrows it."""
    request = resolution_pb2.ListHandlesRequest(prefix=prefix, suffix_start=suffix_start, page_size=page_size)
    for page in _pages(request, timeout_s):
        yield _field_of(page, "names")


def list_records(
    prefix: str,
    *,
    suffix_start: str = "",
    page_size: int = limits.PAGE_DEFAULT,
    include_restricted: bool = False,
    timeout_s: float | None = None,
) -> Iterator[Plan[list[HandleRecord]]]:
    """Every record under a prefix in key order, page after page; ``suffix_start`` narrows it."""
    request = resolution_pb2.ListHandlesRequest(
        prefix=prefix,
        suffix_start=suffix_start,
        page_size=page_size,
        include_records=True,
        include_restricted=include_restricted,
    )
    for page in _pages(request, timeout_s):
        yield _field_of(page, "records")


def _pages(
    request: resolution_pb2.ListHandlesRequest, timeout_s: float | None
) -> Iterator[Plan[resolution_pb2.ListHandlesResponse]]:
    """Each plan must be done before the next is taken: its answer names the next page."""
    tokens: list[str] = []

    def page() -> Plan[resolution_pb2.ListHandlesResponse]:
        response = yield from ask(methods.LIST_HANDLES, request, timeout_s)
        tokens.append(response.next_page_token)
        return response

    yield page()
    while tokens and (token := tokens.pop()):
        request.page_token = token
        yield page()


def _field_of(page: Plan[resolution_pb2.ListHandlesResponse], field: str) -> Plan[list[Any]]:
    response = yield from page
    return list(getattr(response, field))


def newest_serial() -> Plan[int]:
    """The serial of the newest journal entry; 0 when there is none."""
    return (yield from ask(methods.GET_NODE_INFO, node_pb2.GetNodeInfoRequest(), None)).serial
