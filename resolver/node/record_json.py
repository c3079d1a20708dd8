"""A stored record's public values as the JSON of the Handle REST interface, with as little made as possible.

Nearly all values are text of a plain type: those are written straight from the stored message.
Whatever is more goes through ``value_to_json``, which says what every form is; a test holds the two together.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from resolver.handle.name import looks_binary
from resolver.node import hdl_resolve, record_octets, values
from resolver.wire.predefined.catalog import BY_FORMAT, class_of
from resolver.wire.value_json import value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resolver.v1 import handle_pb2 as pb

_PERMISSIONS_DEFAULT = 14
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_text = msgspec.json.encode


@lru_cache(maxsize=4_096)
def _time(seconds: int) -> bytes:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


@lru_cache(maxsize=4_096)
def _type(name: str) -> bytes | None:
    """The JSON of a type whose data is shown as text; None for one that is shown decoded."""
    class_ = class_of(name)
    return None if class_ is not None and class_.FORMAT in BY_FORMAT else _text(name)


def values_of(body: bytes, indexes: Sequence[int] = (), types: Sequence[str] = ()) -> list[bytes]:
    """The JSON object of each public value of a record with one of the indexes or types; of all without both."""
    return json_of(hdl_resolve.wanted(record_octets.parse(body).values, indexes, types))


def json_of(stored: Iterable[pb.HandleValue]) -> list[bytes]:
    """The JSON object of each stored value."""
    return [_value(value) for value in stored]


def _value(value: pb.HandleValue) -> bytes:
    type_ = _type(value.type)
    data = value.data
    if type_ is None or value.references or value.WhichOneof("ttl") == "ttl_until_s" or looks_binary(data):
        return _long_way(value)
    try:
        text = _text(data.decode())
    except UnicodeDecodeError:
        return _long_way(value)
    permissions = value.permissions
    shown = b"" if permissions == _PERMISSIONS_DEFAULT else b',"permissions":"%b"' % f"{permissions:04b}".encode()
    time = b',"timestamp":"%b"' % _time(value.timestamp_s) if value.timestamp_s else b""
    made = b'{"index":%d,"type":%b,"data":{"format":"string","value":%b}%b,"ttl":%d%b}'
    return made % (value.index, type_, text, shown, value.ttl_s, time)


def _long_way(value: pb.HandleValue) -> bytes:
    document = value_to_json(values.from_pb(value))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
