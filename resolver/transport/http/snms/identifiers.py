"""``/identityv2/data``: identifiers one by one and in batches of up to 2,000.

An identifier is a handle that follows the template of its prefix with the label ``templateVersion``. Its values are
those of the template's items; other values of the same handle, set through other doors, are neither shown nor touched.
The value at index 1001 names the template; it is shown, and clients cannot set it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from msgspec import Raw

from resolver import limits, methods
from resolver.errors import ResolverError, TemplateNotFollowed, WireError
from resolver.handle.name import Handle
from resolver.node.templates import ITEM_INDEX_MIN, REFERENCE_INDEX
from resolver.transport.http.snms import bodies
from resolver.transport.http.snms.desk import BODY_OCTETS_MAX, Desk, Entry, request_id_of
from resolver.transport.http.snms.envelope import (
    BUSINESS_FAILURE,
    NOT_FOUND,
    NOT_THERE,
    Missing,
    Said,
    message_of,
    message_of_row,
    reply,
)
from resolver.transport.http.turns import turn_for
from resolver.v1 import handle_pb2 as handle
from resolver.v1 import registration_pb2 as pb
from resolver.v1 import resolution_pb2 as resolution

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.service import Call

NO_TEMPLATE = "没有找到模板，请检查前缀和模板版本"

SLICE_ROWS = 100
"""Rows of a batch that are read before others have their turn: about a millisecond."""

G = TypeVar("G")


class Rows(Protocol):
    """The repeated field of a request that rows are put into."""

    def extend(self, rows: list[Any], /) -> None:
        """Take rows."""


class Identifiers:
    """Handlers of ``/identityv2/data``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._registration = desk.service.registration

    def entries(self) -> list[Entry]:
        """The paths of identifiers."""
        base = "/identityv2/data"
        return [
            Entry("GET", f"{base}/detail", self.detail, methods.RESOLVE),
            Entry("POST", base, self.create, methods.CREATE_HANDLE),
            Entry("PUT", base, self.update, methods.UPDATE_HANDLE),
            Entry("DELETE", base, self.delete, methods.DELETE_HANDLE),
            Entry("POST", f"{base}/batchCreate", self.batch_create, methods.BATCH_CREATE_HANDLES),
            Entry("PUT", f"{base}/batchUpdate", self.batch_update, methods.BATCH_UPDATE_HANDLES),
            Entry("DELETE", f"{base}/batchDelete", self.batch_delete, methods.BATCH_DELETE_HANDLES),
        ]

    async def detail(self, request: Request, call: Call) -> Response:
        """An identifier with the values of its template."""
        name = bodies.query_text(request, "handle", bodies.HANDLE_CHARACTERS_MAX)
        service = self._desk.service
        await turn_for(request, service.core, name, call.source)
        answer = service.resolution.resolve(call, resolution.ResolveRequest(name=_checked(name)))
        octets = answer if isinstance(answer, bytes) else await answer  # another node may have to be asked
        record = resolution.ResolveResponse.FromString(octets).record
        follows = bool(record.template_id)
        return reply(
            {
                "code": "200",
                "prefix": record.name.partition("/")[0],
                "handle": record.name,
                "templateVersion": service.templates.label_of(record.template_id) if follows else None,
                "value": [_shown(value) for value in record.values if _is_shown(value, follows=follows)],
            }
        )

    async def create(self, request: Request, call: Call) -> Response:
        """Register an identifier."""
        given = bodies.decode(await self._desk.json(request), bodies.Identifier)
        new = self._reader().read(given)
        asked = pb.CreateHandleRequest(name=new.name, template_id=new.template_id, request_id=request_id_of(request))
        asked.values.extend(new.values)
        await self._registration.create_handle(call, asked)
        return reply(data=True)

    async def update(self, request: Request, call: Call) -> Response:
        """Replace the values of an identifier."""
        given = bodies.decode(await self._desk.json(request), bodies.Identifier)
        new = self._reader().read(given)
        asked = pb.UpdateHandleRequest(
            name=new.name,
            template_id=new.template_id,
            request_id=request_id_of(request),
            template_values_only=True,
        )
        asked.values.extend(new.values)
        await self._registration.update_handle(call, asked)
        return reply(data=True)

    async def delete(self, request: Request, call: Call) -> Response:
        """Delete an identifier, named in the body, or in the query where something on the way drops bodies."""
        body = await self._desk.json(request)
        given = bodies.decode(body, bodies.Named) if body.strip() else bodies.Named()
        wanted = given.handle or request.query_params.get("handle")
        name = _checked(bodies.text(wanted, "handle", bodies.HANDLE_CHARACTERS_MAX))
        asked = pb.DeleteHandleRequest(name=name, request_id=request_id_of(request))
        await self._registration.delete_handle(call, asked)
        return reply(data=True)

    async def batch_create(self, request: Request, call: Call) -> Response:
        """Register many identifiers; the overall status is 1 whatever becomes of each."""
        asked = pb.BatchCreateHandlesRequest(request_id=request_id_of(request))
        batch = await _Rows.read(await self._identifiers(request), self._reader().read, asked.handles)
        octets = await self._registration.batch_create_handles(call, asked)
        rows = pb.BatchCreateHandlesResponse.FromString(octets).results
        return reply(batch.told(rows, _name_of, _message))

    async def batch_update(self, request: Request, call: Call) -> Response:
        """Replace the values of many identifiers."""
        asked = pb.BatchUpdateHandlesRequest(request_id=request_id_of(request), template_values_only=True)
        batch = await _Rows.read(await self._identifiers(request), self._reader().read, asked.handles)
        octets = await self._registration.batch_update_handles(call, asked)
        rows = pb.BatchUpdateHandlesResponse.FromString(octets).results
        return reply(batch.told(rows, _name_of, _message))

    async def batch_delete(self, request: Request, call: Call) -> Response:
        """Delete many identifiers: an array of names, or an object with such an array as ``handles``."""
        body = await self._desk.json(request, BODY_OCTETS_MAX)
        if body.lstrip()[:1] == b"{":
            body = bytes(bodies.decode(body, dict[str, Raw]).get("handles", b"[]"))
        names = await bodies.decode_each(body, str)
        asked = pb.BatchDeleteHandlesRequest(request_id=request_id_of(request))
        batch = await _Rows.read(
            names, lambda name: _checked(bodies.text(name, "handle", bodies.HANDLE_CHARACTERS_MAX)), asked.names
        )
        octets = await self._registration.batch_delete_handles(call, asked)
        rows = pb.BatchDeleteHandlesResponse.FromString(octets).results
        return reply(batch.told(rows, lambda name: name, _code_and_message))

    async def _identifiers(self, request: Request) -> Sequence[bodies.Identifier | Said]:
        return await bodies.decode_each(await self._desk.json(request, BODY_OCTETS_MAX), bodies.Identifier)

    def _reader(self) -> _Reader:
        return _Reader(self._desk)


class _Rows:
    """The rows of a batch: the good ones go to the service together, the others have their answer already."""

    def __init__(self, given: Sequence[Any]) -> None:
        self._given = given
        self._errors: dict[int, ResolverError] = {}

    @classmethod
    async def read(cls, given: Sequence[G | Said], read: Callable[[G], Any], good: Rows) -> _Rows:
        """Read every row and put the good ones into ``good``, in slices: others have their turn between two."""
        rows = cls(given)
        for start in range(0, len(given), SLICE_ROWS):
            if start:
                await asyncio.sleep(0)
            good.extend(rows._read(start, given[start : start + SLICE_ROWS], read))
        return rows

    def _read(self, start: int, given: Sequence[G | Said], read: Callable[[G], Any]) -> list[Any]:
        good = []
        for place, row in enumerate(given, start):
            if isinstance(row, Said):
                self._errors[place] = row
                continue
            try:
                good.append(read(row))
            except ResolverError as error:
                self._errors[place] = error
        return good

    def told(
        self,
        rows: Sequence[pb.RowResult],
        name_of: Callable[[Any], str | None],
        tell: Callable[[str, bool], dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """What became of each row, in the order of the request."""
        answered = iter(rows)
        told = []
        for place, given in enumerate(self._given):
            error = self._errors.get(place)
            if error is not None:
                name = None if isinstance(given, Said) else name_of(given)
                told.append({"handle": name, **tell(message_of(error), False)})
            else:
                row = next(answered)
                told.append({"handle": name_of(given), **tell(message_of_row(row), not row.code)})
        return told


def _name_of(given: bodies.Identifier) -> str | None:
    return given.handle


def _message(words: str, is_good: bool) -> dict[str, Any]:  # noqa: ARG001, FBT001 - the two tellers have one shape
    return {"msg": words}


def _code_and_message(words: str, is_good: bool) -> dict[str, Any]:  # noqa: FBT001 - the two tellers have one shape
    # The documents print another sentence here than for one that is deleted by itself.
    return {"code": 1 if is_good else BUSINESS_FAILURE, "msg": NOT_THERE if words == NOT_FOUND else words}


def _checked(name: str) -> str:
    """The name when it is a handle with a suffix: without '/' it would name a prefix. Raises Said."""
    try:
        Handle.from_text(name)
    except WireError as error:
        raise Said(f"参数 handle 不是正确的标识: {error.message}", field="handle") from None
    if "/" not in name:
        raise Said("参数 handle 不是正确的标识: 缺少前缀与后缀之间的 /", field="handle")
    return name


def _is_shown(value: handle.HandleValue, *, follows: bool) -> bool:
    """Values of items and the one that names the template; of a handle without a template every text."""
    if follows and value.index < ITEM_INDEX_MIN and value.index != REFERENCE_INDEX:
        return False
    try:
        value.data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: handle.HandleValue) -> dict[str, Any]:
    data = {"format": "string", "value": value.data.decode()}
    return {"auth": None, "index": value.index, "type": value.type, "data": data}


class _Reader:
    """From the objects of a request to rows of the service; templates are looked up once for each prefix and label."""

    def __init__(self, desk: Desk) -> None:
        self._templates = desk.service.templates
        self._reference_type = desk.snms.reference_type
        self._known: dict[tuple[str, str], str] = {}

    def read(self, given: bodies.Identifier) -> pb.NewHandle:
        """A row. Raises Missing, Said, TemplateNotFollowed."""
        name = bodies.text(given.handle, "handle", bodies.HANDLE_CHARACTERS_MAX)
        if "/" not in name:
            _checked(name)  # all else of a name is checked by the registration
        version = bodies.text(given.template_version, "templateVersion", bodies.VERSION_CHARACTERS_MAX)
        if not given.value:
            raise Missing("value")
        values = [_value(value) for value in given.value]
        if len({value.index for value in values}) != len(values):
            raise Said("参数 value 中的索引不能重复")
        template_id = self._template_id(name.partition("/")[0], version)
        if self._reference_type:
            reference = handle.HandleValue(index=REFERENCE_INDEX, type=self._reference_type, data=version.encode())
            values.insert(0, reference)
        return pb.NewHandle(name=name, template_id=template_id, values=values)

    def _template_id(self, prefix: str, version: str) -> str:
        place = (prefix, version)
        found = self._known.get(place)
        if found is None:
            found = self._templates.id_of_label(prefix, version)
            if found is None:
                raise Said(NO_TEMPLATE, field="templateVersion")
            self._known[place] = found
        return found


def _value(given: bodies.Value) -> handle.HandleValue:
    """A value. Raises Missing, Said, TemplateNotFollowed."""
    index, kind, content = given.index, given.type, given.data
    if (
        index is not None
        and kind
        and content is not None
        and content.format == "string"
        and content.value is not None
        and ITEM_INDEX_MIN <= index <= limits.INDEX_MAX
        and len(kind) <= bodies.TYPE_CHARACTERS_MAX
        and len(content.value) <= bodies.VALUE_CHARACTERS_MAX
    ):
        with suppress(UnicodeEncodeError):
            return handle.HandleValue(index=index, type=kind, data=content.value.encode())
    return _refuse(given)


def _refuse(given: bodies.Value) -> NoReturn:
    """Say what is wrong with a value that is not as it should be."""
    index, content = given.index, given.data
    if index is None:
        raise Missing("index")
    if index == REFERENCE_INDEX or not ITEM_INDEX_MIN <= index <= limits.INDEX_MAX:
        rule = "RESERVED" if index == REFERENCE_INDEX else "UNKNOWN_INDEX"
        details = {"rule": rule, "index": str(index)}
        raise TemplateNotFollowed(f"index {index} is no index of a template item", details=details)
    if content is None:
        raise Missing("data")
    if content.format is None:
        raise Missing("format")
    if content.format != "string":
        raise Said("参数 format 只能是 string")
    if content.value is None:
        raise Missing("data.value")
    bodies.text(given.type, "type", bodies.TYPE_CHARACTERS_MAX)
    bodies.optional_text(content.value, "data.value", bodies.VALUE_CHARACTERS_MAX)
    raise Said("参数 value 不正确")
