"""JSON schemas (2020-12) of messages, as the JSON mapping writes and reads them.

It writes one form of each value and reads several: 64-bit numbers are written as text, and either kind is read for any
number; octets are read in both base64 alphabets, enumerators also by number, and null for any field that is not set. So
``Schemas`` are what answers have, and ``RequestSchemas`` what requests may have; a message that occurs in both has two.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from resolver.transport.http.transcoding.comments import comments
from resolver.transport.http.transcoding.json_out import is_map

if TYPE_CHECKING:
    from collections.abc import Container

    # protobuf's stubs have a class of its own for each implementation of these.
    Descriptor = Any
    EnumDescriptor = Any
    FieldDescriptor = Any

Schema = dict[str, Any]

_INT32_KIND, _BOOL, _STRING, _BYTES, _ENUM = 5, 8, 9, 12, 14
_INT32: Schema = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32: Schema = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1}
_SIGNED: Schema = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UNSIGNED: Schema = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_OCTETS: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_SCALARS: dict[int, Schema] = {
    **dict.fromkeys((5, 15, 17), _INT32),
    **dict.fromkeys((7, 13), _UINT32),
    **dict.fromkeys((3, 16, 18), _SIGNED),
    **dict.fromkeys((4, 6), _UNSIGNED),
    _BOOL: {"type": "boolean"},
    _STRING: {"type": "string"},
    _BYTES: _OCTETS,
}
"""By the numbers of descriptor.proto."""

REFERENCE = "#/components/schemas/"

_RANGES = {
    **dict.fromkeys((3, 16, 18), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((4, 6), (0, 2**64 - 1)),
    **dict.fromkeys((5, 15, 17), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((7, 13), (0, 2**32 - 1)),
}
_READ: dict[int, Schema] = {
    **{
        kind: {
            "type": ["integer", "string"],
            "minimum": least,
            "maximum": most,
            "pattern": f"^{'-?' if least else ''}[0-9]{{1,{len(str(most))}}}$",
        }
        for kind, (least, most) in _RANGES.items()
    },
    _BOOL: {"type": "boolean"},
    _STRING: {"type": "string"},
    _BYTES: {"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/_-]*=*$"},
}
"""The same as they are read."""


class Schemas:
    """The schemas of what is written: those asked for, and those that these need."""

    def __init__(self) -> None:
        self.made: dict[str, Schema] = {}

    def of(self, descriptor: Descriptor) -> Schema:
        """A reference to the schema of a message."""
        name = self._name(descriptor)
        if name not in self.made:
            schema: Schema = {"type": "object", "additionalProperties": False}
            self.made[name] = schema
            _describe(schema, descriptor.full_name)
            schema["properties"] = {field.json_name: self.of_field(field) for field in descriptor.fields}
            exclusive = [
                self._both(one.json_name, other.json_name)
                for group in descriptor.oneofs
                for one, other in combinations(group.fields, 2)
            ]
            if exclusive:
                schema["not"] = {"anyOf": exclusive}
        return {"$ref": REFERENCE + name}

    def _name(self, descriptor: Descriptor) -> str:
        return str(descriptor.name)

    def _both(self, one: str, other: str) -> Schema:
        """The schema of objects that have both of two fields that exclude each other."""
        return {"required": [one, other]}

    def of_field(self, field: FieldDescriptor) -> Schema:
        """The schema of a field."""
        if is_map(field):
            values = self._of_one(field.message_type.fields_by_name["value"])
            return _describe({"type": "object", "additionalProperties": values}, field.full_name)
        one = self._of_one(field)
        schema = {"type": "array", "items": one} if field.is_repeated else one
        return _describe(dict(schema), field.full_name)

    def _of_one(self, field: FieldDescriptor) -> Schema:
        """The schema of one value of a field."""
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.type == _ENUM:
            return self._of_enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _of_enum(self, enum: EnumDescriptor) -> Schema:
        if enum.name not in self.made:
            names = [value.name for value in enum.values]
            told = [
                f"`{value.name}`: {said}"
                for value in enum.values
                if (said := comments().get(f"{enum.full_name}.{value.name}"))
            ]
            schema: Schema = {"type": "string", "enum": names}
            _describe(schema, enum.full_name)
            if told:
                schema["description"] = "\n".join([schema.get("description", ""), *(f"* {line}" for line in told)])
            self.made[enum.name] = schema
        return {"$ref": REFERENCE + enum.name}


class RequestSchemas(Schemas):
    """The schemas of what is read. Messages that are also written have another name here."""

    def __init__(self, written: Container[str]) -> None:
        """Name schemas so that they stand beside those of what is ``written``."""
        super().__init__()
        self._written = written

    def of_field(self, field: FieldDescriptor) -> Schema:
        """The schema of a field: null is one that is not set."""
        schema = super().of_field(field)
        if "type" not in schema:
            said = {"description": schema.pop("description")} if "description" in schema else {}
            return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}], **said}
        kinds = schema["type"]
        return schema | {"type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}

    def _name(self, descriptor: Descriptor) -> str:
        return f"{descriptor.name}Input" if descriptor.name in self._written else str(descriptor.name)

    def _both(self, one: str, other: str) -> Schema:
        given = {"not": {"type": "null"}}
        return super()._both(one, other) | {"properties": {one: given, other: given}}

    def _of_one(self, field: FieldDescriptor) -> Schema:
        schema = super()._of_one(field)
        if field.message_type is not None:
            return schema
        if field.type == _ENUM:
            return {"anyOf": [schema, _READ[_INT32_KIND]]}
        return dict(_READ[field.type])


def _describe(schema: Schema, full_name: str) -> Schema:
    said = comments().get(full_name)
    if said:
        schema["description"] = said
    return schema


STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status: what went wrong, for programs and for people.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "Canonical gRPC status code."},
        "message": {"type": "string", "description": "A sentence that says what is wrong and what to do."},
        "details": {
            "type": "array",
            "description": (
                "ErrorInfo with the stable reason; BadRequest with the field at fault; RetryInfo where waiting helps."
            ),
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {
                    "@type": {"type": "string"},
                    "reason": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]+$"},
                    "domain": {"type": "string"},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                    "fieldViolations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
                        },
                    },
                    "retryDelay": {"type": "string", "pattern": "^[0-9.e+-]+s$"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
"""The schema of every failure."""
