"""``/snms/api/v3/template`` and ``/snms/api/v5/template``: metadata templates in the national form.

``/snms/api/template/v1`` is what they were before v3, for applications of that time: as v3, with industries and type
that may be left out, and ``String`` beside ``string``.

A template is named by prefix and version; the version is the label of the node's template. The form knows texts only:
a template with an item of another kind cannot be read here. v3 numbers items itself, from 2000; v5 gives the indexes
and can change a template. Items that a change leaves out stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from resolver import methods
from resolver.errors import NotFound
from resolver.handle.name import fold
from resolver.node.templates import ITEM_INDEX_MIN
from resolver.registry import template_items
from resolver.transport.http.snms import bodies
from resolver.transport.http.snms.desk import Desk, Entry, request_id_of
from resolver.transport.http.snms.envelope import Missing, Said, reply
from resolver.v1 import template_pb2 as pb

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.service import Call

NOT_STRING = "模板包含非字符串类型的数据项，不能通过该接口读取"
NO_TEMPLATE = "没有找到模板"

UNKNOWN_INDUSTRY = "-"
"""The industry of a template that names none."""

ACTIVE_CARRIER, OTHER = 1, 2
"""Types of a template: identifiers on active carriers, and all others."""

DISABLED, ENABLED = 0, 1
"""States of an item."""

_TEXTS = frozenset({pb.ITEM_KIND_UNSPECIFIED, pb.ITEM_KIND_TEXT})
_INDUSTRIES = ("industry_category", "industry_specific", "industry_trade", "industry_subclass")
_INDUSTRY_NAMES = ("industryCategory", "industrySpecific", "industryTrade", "industrySubclass")


class Templates:
    """Handlers of templates."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._templates = desk.service.templates

    def entries(self) -> list[Entry]:
        """The paths of templates."""
        v1, v3, v5 = "/snms/api/template/v1", "/snms/api/v3/template", "/snms/api/v5/template"
        return [
            Entry("GET", v1, self.get_v3, methods.GET_TEMPLATE),
            Entry("POST", v1, self.create_v1, methods.CREATE_TEMPLATE),
            Entry("DELETE", v1, self.delete, methods.DELETE_TEMPLATE),
            Entry("GET", v3, self.get_v3, methods.GET_TEMPLATE),
            Entry("GET", v5, self.get_v5, methods.GET_TEMPLATE),
            Entry("POST", v3, self.create_v3, methods.CREATE_TEMPLATE),
            Entry("POST", v5, self.create_v5, methods.CREATE_TEMPLATE),
            Entry("PUT", v5, self.update, methods.UPDATE_TEMPLATE),
            Entry("DELETE", v3, self.delete, methods.DELETE_TEMPLATE),
            Entry("DELETE", v5, self.delete, methods.DELETE_TEMPLATE),
        ]

    def _find(self, call: Call, prefix: str, version: str) -> pb.Template:
        """The template. Raises Said."""
        try:
            return self._templates.get_template(call, pb.GetTemplateRequest(prefix=prefix, label=version)).template
        except NotFound:
            raise Said(NO_TEMPLATE) from None

    async def get_v3(self, request: Request, call: Call) -> Response:
        """A template."""
        return reply(self._asked(request, call))

    async def get_v5(self, request: Request, call: Call) -> Response:
        """A template, with the member that v5 has more."""
        return reply(self._asked(request, call) | {"handle": None})

    def _asked(self, request: Request, call: Call) -> dict[str, Any]:
        prefix = bodies.query_text(request, "prefix", bodies.PREFIX_CHARACTERS_MAX)
        version = bodies.query_text(request, "version", bodies.VERSION_CHARACTERS_MAX)
        template_id = self._templates.id_of_label(prefix, version)  # also one for every prefix of the node
        if template_id is None:
            raise Said(NO_TEMPLATE)
        template = self._templates.get_template(call, pb.GetTemplateRequest(template_id=template_id)).template
        if template.deleted:
            raise Said(NO_TEMPLATE)
        if any(item.kind not in _TEXTS for item in template.items):
            raise Said(NOT_STRING)
        return _shown(template)

    async def create_v1(self, request: Request, call: Call) -> Response:
        """Create a template as before v3: what v3 wants and applications of that time do not send is filled in."""
        given = bodies.decode(await self._desk.json(request), bodies.Template)
        return await self._made(request, call, _template(_of_v1(given), numbers_items=True, needs_state=False))

    async def create_v3(self, request: Request, call: Call) -> Response:
        """Create a template whose items get their indexes here, in order."""
        return await self._create(request, call, numbers_items=True)

    async def create_v5(self, request: Request, call: Call) -> Response:
        """Create a template."""
        return await self._create(request, call, numbers_items=False)

    async def _create(self, request: Request, call: Call, *, numbers_items: bool) -> Response:
        given = bodies.decode(await self._desk.json(request), bodies.Template)
        return await self._made(request, call, _template(given, numbers_items=numbers_items, needs_state=False))

    async def _made(self, request: Request, call: Call, template: pb.Template) -> Response:
        asked = pb.CreateTemplateRequest(template=template, request_id=request_id_of(request))
        await self._templates.create_template(call, asked)
        return reply(data=True)

    async def update(self, request: Request, call: Call) -> Response:
        """Change a template: items match by index and type, others are added, none is removed.

        An item without an index is a new one.
        """
        given = bodies.decode(await self._desk.json(request), bodies.Template)
        if any(item.id_index is None for item in given.items or ()):
            prefix = bodies.text(given.prefix, "prefix", bodies.PREFIX_CHARACTERS_MAX)
            version = bodies.text(given.version, "version", bodies.VERSION_CHARACTERS_MAX)
            given = _numbered(given, self._find(call, prefix, version))
        template = _template(given, numbers_items=False, needs_state=True)
        before = self._find(call, template.prefix, template.label)
        template.template_id, template.withdrawn = before.template_id, before.withdrawn
        definitions = {item.index: item.definition for item in before.items}
        for item in template.items:
            item.definition = definitions.get(item.index, "")
        asked = pb.UpdateTemplateRequest(template=template, request_id=request_id_of(request))
        await self._templates.update_template(call, asked)
        return reply(data=True)

    async def delete(self, request: Request, call: Call) -> Response:
        """Delete a template, named in the body or in the query."""
        body = await self._desk.json(request)
        given = bodies.decode(body, bodies.TemplateName) if body.strip() else bodies.TemplateName()
        query = request.query_params
        prefix = bodies.text(given.prefix or query.get("prefix"), "prefix", bodies.PREFIX_CHARACTERS_MAX)
        version = bodies.text(given.version or query.get("version"), "version", bodies.VERSION_CHARACTERS_MAX)
        template_id = self._find(call, prefix, version).template_id
        asked = pb.DeleteTemplateRequest(template_id=template_id, request_id=request_id_of(request))
        await self._templates.delete_template(call, asked)
        return reply(data=True)


def _numbered(given: bodies.Template, before: pb.Template) -> bodies.Template:
    """A change whose items without an index have the next ones that are free. Raises Said for a type that is there."""
    types = {fold(item.type) for item in before.items}
    last = max(
        (
            ITEM_INDEX_MIN - 1,
            *(item.index for item in before.items),
            *(item.id_index or 0 for item in given.items or ()),
        )
    )
    items = []
    for place, item in enumerate(given.items or ()):
        numbered = item
        if item.id_index is None:
            if fold(item.id_type or "") in types:
                raise Said(f"参数 items[{place}].idType 不能重复，修改已有数据项请同时提供 idIndex")
            types.add(fold(item.id_type or ""))
            last += 1
            numbered = msgspec.structs.replace(item, id_index=last)
        items.append(numbered)
    return msgspec.structs.replace(given, items=items)


def _of_v1(given: bodies.Template) -> bodies.Template:
    """A template of before v3 as v3 would have it."""
    industries = {field: getattr(given, field) or UNKNOWN_INDUSTRY for field in _INDUSTRIES}
    items = [_item_of_v1(item) for item in given.items or ()]
    return msgspec.structs.replace(given, type=given.type or OTHER, items=items, **industries)


def _item_of_v1(item: bodies.TemplateItem) -> bodies.TemplateItem:
    metadata = item.metadata
    if metadata is None or metadata.type is None:
        return item
    return msgspec.structs.replace(item, metadata=msgspec.structs.replace(metadata, type=metadata.type.lower()))


def _template(given: bodies.Template, *, numbers_items: bool, needs_state: bool) -> pb.Template:
    """A template of the node. Raises Missing, Said."""
    if not given.items:
        raise Missing("items")
    template_items.require_few(len(given.items))
    prefix = bodies.text(given.prefix, "prefix", bodies.PREFIX_CHARACTERS_MAX)
    label = bodies.text(given.version, "version", bodies.VERSION_CHARACTERS_MAX)
    industries = [
        bodies.text(getattr(given, field), name, 8) for field, name in zip(_INDUSTRIES, _INDUSTRY_NAMES, strict=True)
    ]
    kind = bodies.number(given.type, "type", (ACTIVE_CARRIER, OTHER))
    template = pb.Template(
        prefix=prefix,
        label=label,
        industry_codes=industries,
        active_carrier=kind == ACTIVE_CARRIER,
        description=bodies.optional_text(given.description, "description", 1_024),
    )
    for place, item in enumerate(given.items):
        row = template.items.add()
        _fill(row, item, f"items[{place}]", needs_state=needs_state)
        row.index = ITEM_INDEX_MIN + place if numbers_items else _index(item, f"items[{place}]")
    return template


def _index(item: bodies.TemplateItem, where: str) -> int:
    if item.id_index is None:
        raise Missing(f"{where}.idIndex")
    if not ITEM_INDEX_MIN <= item.id_index < 2**32:
        raise Said(f"参数 {where}.idIndex 不能小于{ITEM_INDEX_MIN}")
    return item.id_index


def _fill(row: pb.TemplateItem, item: bodies.TemplateItem, where: str, *, needs_state: bool) -> None:
    row.name = bodies.text(item.name, f"{where}.name", 255)
    row.type = bodies.text(item.id_type, f"{where}.idType", bodies.TYPE_CHARACTERS_MAX)
    row.required = bool(item.required)
    if item.state is not None or needs_state:
        row.disabled = bodies.number(item.state, f"{where}.state", (DISABLED, ENABLED)) == DISABLED
    metadata = item.metadata
    if metadata is None:
        raise Missing(f"{where}.metadata")
    if metadata.type not in {None, "string"}:
        raise Said(f"参数 {where}.metadata.type 只能是 string")
    if metadata.min_length is None:
        raise Missing(f"{where}.metadata.minLength")
    if metadata.max_length is None:
        raise Missing(f"{where}.metadata.maxLength")
    if not 0 <= metadata.min_length <= metadata.max_length < 2**31:
        raise Said(f"参数 {where}.metadata 的 minLength 和 maxLength 不正确")
    row.kind, row.minimum, row.maximum = pb.ITEM_KIND_TEXT, metadata.min_length, metadata.max_length


def _shown(template: pb.Template) -> dict[str, Any]:
    codes = [*template.industry_codes, "", "", "", ""]
    return {
        "prefix": template.prefix,
        "version": template.label,
        **dict(zip(_INDUSTRY_NAMES, codes, strict=False)),
        "type": ACTIVE_CARRIER if template.active_carrier else OTHER,
        "description": template.description,
        "items": [
            {
                "name": item.name,
                "idType": item.type,
                "idIndex": item.index,
                "required": item.required,
                "state": DISABLED if item.disabled else ENABLED,
                "metadata": {
                    "type": "string",
                    "minLength": item.minimum,
                    "maxLength": item.maximum if item.HasField("maximum") else bodies.VALUE_CHARACTERS_MAX,
                },
            }
            for item in template.items
        ],
    }
