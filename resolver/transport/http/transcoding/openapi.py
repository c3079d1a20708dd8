"""The OpenAPI 3.1 document of the JSON API, written from the contracts when it is first asked for.

Streams of lines have no schema for their whole in OpenAPI 3.1; ``x-item-schema`` names that of one line.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from resolver import __version__
from resolver.methods import IMPORT_HANDLES, LIST_HANDLES
from resolver.transport.http import bounds
from resolver.transport.http.transcoding import exporting
from resolver.transport.http.transcoding.bindings import Binding, bindings
from resolver.transport.http.transcoding.comments import comments
from resolver.transport.http.transcoding.schemas import REFERENCE, STATUS, RequestSchemas, Schemas
from resolver.v1 import handle_pb2, registration_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    # protobuf's stubs have a class of its own for each implementation of these.
    FieldDescriptor = Any

PATH = "/v1/openapi.json"

_LINES = "application/x-ndjson"
_ABOUT = (
    "Registers, resolves and administers identifiers of this secondary node (二级节点). The same methods as over gRPC, "
    "with the same messages in protobuf's JSON mapping. In answers 64-bit numbers are text, octets base64, and what "
    "has its default is left out; requests may also have any number as text, 64-bit ones as numbers, and null for what "
    "is not set. Names of fields may be written ttlS or ttl_s; unknown ones are refused. A handle in a path "
    "is percent-encoded; its slashes may stay. Failures are google.rpc.Status, also where a request is refused before "
    f"it is whole: 431 when its line and headers have more than {bounds.HEADER_OCTETS_MAX} octets, 408 when it takes "
    "too long to come. A write takes a request id, also as the header Idempotency-Key, and answers the stored outcome "
    "when it is sent again."
)
_EXPORT_SAID = "Every record of a prefix, a line of JSON each, in the order of names."


@cache
def document() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(_document())


class _Both:
    """The schemas of the answers, all of them from the start, and of the requests."""

    def __init__(self) -> None:
        self.answers = Schemas()
        self.answers.of(handle_pb2.HandleRecord.DESCRIPTOR)
        for binding in bindings():
            self.answers.of(binding.method.response.DESCRIPTOR)
        self.requests = RequestSchemas(self.answers.made)


def _document() -> dict[str, Any]:
    schemas = _Both()
    places: dict[str, dict[str, Any]] = {}
    for binding in bindings():
        path = binding.shown
        is_first = not any(
            each.get("operationId") == _id(binding) for place in places.values() for each in place.values()
        )
        operation = _operation(binding, schemas)
        if not is_first:
            operation["operationId"] += f"_{len(places)}"
        places.setdefault(path, {})[binding.http_method.lower()] = operation
    places[exporting.TEMPLATE] = {"get": _export(schemas)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "IDIS node", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": _tags(),
        "paths": places,
        "security": [{}, {"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**dict(sorted((schemas.answers.made | schemas.requests.made).items())), "Status": STATUS},
            "responses": {
                "Failure": {"description": "Why there is no answer.", "content": _json(REFERENCE + "Status")}
            },
        },
    }


def _json(reference: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": reference}}}


def _tags() -> list[dict[str, str]]:
    services = dict.fromkeys(binding.method.service for binding in bindings())
    return [{"name": each.rpartition(".")[2], "description": comments().get(each, "")} for each in services]


def _id(binding: Binding) -> str:
    return f"{binding.method.service.rpartition('.')[2]}_{binding.method.name}"


def _operation(binding: Binding, schemas: _Both) -> dict[str, Any]:
    method = binding.method
    said = comments().get(f"{method.service}.{method.name}", method.name)
    operation: dict[str, Any] = {
        "operationId": _id(binding),
        "tags": [method.service.rpartition(".")[2]],
        "summary": said.partition(". ")[0].rstrip("."),
        "description": said,
        "parameters": _parameters(binding, schemas),
    }
    if binding.is_dialogue:
        items: list[Any] = [schemas.requests.of(method.request.DESCRIPTOR)]
        if method is IMPORT_HANDLES:
            items.append(schemas.requests.of(registration_pb2.NewHandle.DESCRIPTOR))
        item = items[0] if len(items) == 1 else {"anyOf": items}
        operation["requestBody"] = {
            "required": False,
            "content": {_LINES: {"schema": {"type": "string"}, "x-item-schema": item}},
        }
    elif binding.has_body:
        content = {"application/json": {"schema": schemas.requests.of(method.request.DESCRIPTOR)}}
        operation["requestBody"] = {"required": False, "content": content}  # nothing is an empty message
    answer = schemas.answers.of(method.response.DESCRIPTOR)
    content = {"application/json": {"schema": answer}}
    if binding.is_stream:
        content = {_LINES: {"schema": {"type": "string"}, "x-item-schema": answer}}
        if not binding.is_dialogue:
            content["text/event-stream"] = {"schema": {"type": "string"}, "x-item-schema": answer}
    operation["responses"] = {
        "200": {"description": comments().get(method.response.DESCRIPTOR.full_name, "The answer."), "content": content},
        "default": {"$ref": "#/components/responses/Failure"},
    }
    return operation


def _parameters(binding: Binding, schemas: _Both) -> list[dict[str, Any]]:
    request: Any = binding.method.request.DESCRIPTOR
    in_path = binding.path_fields
    found = []
    for name in in_path:
        descriptor: Any = request
        field: Any = None
        for part in name.split("."):
            field = descriptor.fields_by_name[part]
            descriptor = field.message_type
        assert field is not None  # noqa: S101 - a name has a part
        schema = schemas.answers.of_field(field)
        schema["minLength"] = 1
        found.append({"name": name.rpartition(".")[2], "in": "path", "required": True, **_told(field, schema)})
    if binding.has_body and not binding.is_dialogue:
        if binding.method.writes and "request_id" in request.fields_by_name:
            said = "A name for this write, as requestId: sent again with the same one, it has the same outcome."
            schema = {"type": "string", "maxLength": 66}
            found.append({"name": "Idempotency-Key", "in": "header", "description": said, "schema": schema})
        return found
    if binding.is_dialogue:
        return found + (_import_parameters(schemas) if binding.method is IMPORT_HANDLES else [])
    return found + _query(request.fields, set(in_path), schemas)


def _query(fields: Sequence[Any], besides: set[str], schemas: _Both) -> list[dict[str, Any]]:
    return [
        {"name": field.json_name, "in": "query", **_told(field, schemas.answers.of_field(field))}
        for field in fields
        if field.name not in besides and field.message_type is None
    ]


def _told(field: FieldDescriptor, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, with its description where OpenAPI wants it."""
    said = schema.pop("description", comments().get(field.full_name, ""))
    return {"description": said, "schema": schema}


def _import_parameters(schemas: _Both) -> list[dict[str, Any]]:
    fields = [
        field
        for field in IMPORT_HANDLES.request.DESCRIPTOR.fields
        if field.name in {"import_id", "on_existing", "validate_only"}
    ]
    results = {
        "name": "results",
        "in": "query",
        "description": "Which rows the acknowledgements list: all of them, or those that failed.",
        "schema": {"type": "string", "enum": ["all", "failed"]},
    }
    return [*_query(fields, set(), schemas), results]


def _export(schemas: _Both) -> dict[str, Any]:
    fields = [field for field in LIST_HANDLES.request.DESCRIPTOR.fields if field.name in exporting.PARAMETERS]
    prefix = {"name": "prefix", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    record = schemas.answers.of(handle_pb2.HandleRecord.DESCRIPTOR)
    return {
        "operationId": "ResolutionService_ExportHandles",
        "tags": ["ResolutionService"],
        "summary": _EXPORT_SAID.rstrip("."),
        "description": _EXPORT_SAID,
        "parameters": [prefix, *_query(fields, set(), schemas)],
        "responses": {
            "200": {
                "description": "The records.",
                "content": {_LINES: {"schema": {"type": "string"}, "x-item-schema": record}},
            },
            "default": {"$ref": "#/components/responses/Failure"},
        },
    }
