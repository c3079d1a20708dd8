"""What the contracts say about themselves: the comments of the ``.proto`` files, kept for the OpenAPI document.

Compiled descriptors have no comments. ``make proto`` pipes a descriptor set with its source through this module, which
writes ``resolver/v1/comments.json``: full name → comment, a line each.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import resolver

FILE = Path(resolver.__file__).parent / "v1" / "comments.json"
OWN = "resolver.v1"

_SERVICE, _MESSAGE, _ENUM = 6, 4, 5
_MEMBER = 2
_NESTED, _NESTED_ENUM = 3, 4


@cache
def comments() -> dict[str, str]:
    """The comment of every service, method, message, field and enumeration by full name."""
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _name_at(file: FileDescriptorProto, path: list[int]) -> str:
    """The full name of what a path of descriptor.proto points at; "" for parts that have no name of their own."""
    names, place, numbers = [file.package], file, list(path)
    fields = {_SERVICE: "service", _MESSAGE: "message_type", _ENUM: "enum_type"}
    while numbers:
        if len(numbers) == 1 or numbers[0] not in fields:
            return ""
        field, position, *numbers = numbers
        place = getattr(place, fields[field])[position]
        names.append(place.name)
        kind = type(place).__name__
        if kind == "DescriptorProto":
            fields = {_MEMBER: "field", _NESTED: "nested_type", _NESTED_ENUM: "enum_type"}
        elif kind == "ServiceDescriptorProto":
            fields = {_MEMBER: "method"}
        else:
            fields = {_MEMBER: "value"} if kind == "EnumDescriptorProto" else {}
    return ".".join(names)


def collect(octets: bytes) -> dict[str, str]:
    """The comments in a serialised FileDescriptorSet that was made with its source."""
    found: dict[str, str] = {}
    for file in FileDescriptorSet.FromString(octets).file:
        if file.package != OWN:
            continue
        for location in file.source_code_info.location:
            text = " ".join(location.leading_comments.split())
            name = _name_at(file, list(location.path)) if text else ""
            if name:
                found[name] = text
    return found


def to_text(found: dict[str, str]) -> str:
    """The file as it is committed."""
    return json.dumps(dict(sorted(found.items())), ensure_ascii=False, indent=0) + "\n"


if __name__ == "__main__":
    sys.stdout.write(to_text(collect(sys.stdin.buffer.read())))
