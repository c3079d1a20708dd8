"""Handle values as JSON, in the form of CNRI's REST interface and of batch files.

Defaults are left out and filled in: permissions 1110, a time that is none (0) and an empty list of references are not
written.
A relative TTL is a number, an absolute one a time. Data of predefined types is shown decoded when it
decodes and reads back the same, as text when it looks like text and else in base64.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from resolver import limits
from resolver.errors import InvalidValue, WireError
from resolver.handle.value import PERMISSIONS_DEFAULT, HandleValue, Permission, Reference, Ttl
from resolver.wire.json_members import (
    member,
    member_handle,
    member_index,
    member_integer,
    member_list,
    member_text,
    text_of,
)
from resolver.wire.octets_json import octets_from_json, octets_to_json
from resolver.wire.predefined.catalog import BY_FORMAT, class_of
from resolver.wire.predefined.hs_site import HsSite

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_LETTERS_MAX = 40


def value_to_json(value: HandleValue) -> dict[str, Any]:
    """The JSON object of a value."""
    document: dict[str, Any] = {"index": value.index, "type": value.type, "data": data_to_json(value)}
    if value.permissions != PERMISSIONS_DEFAULT:
        document["permissions"] = value.permissions.to_text()
    document["ttl"] = _time_to_text(value.ttl.seconds) if value.ttl.absolute else value.ttl.seconds
    if value.timestamp_s:
        document["timestamp"] = _time_to_text(value.timestamp_s)
    if value.references:
        document["references"] = [
            {"handle": reference.name, "index": reference.index} for reference in value.references
        ]
    return document


def value_from_json(document: Any, *, timestamp_s: int, as_reference_server: bool = False) -> HandleValue:
    """The value of a JSON object; ``timestamp_s`` is for one that names no time. Raises WireError.

    ``as_reference_server`` reads permissions as CNRI's server does, which grants admin read whatever the first
    digit says; a door that must agree with it in every octet asks for that, no other should.
    """
    permissions = PERMISSIONS_DEFAULT
    found = member(document, "permissions", None)
    if found is not None:
        permissions = Permission(15) if found == "*" else Permission.from_text(text_of(found, "permissions"))
        if as_reference_server:
            permissions |= Permission.ADMIN_READ
    time = member(document, "timestamp", None)
    references = {"references": member(document, "references", None) or []}
    return HandleValue(
        member_index(document, "index"),
        member_text(document, "type"),
        data_from_json(member(document, "data")),
        _ttl_from_json(document),
        permissions,
        timestamp_s if time is None else _time_from_text(member_text(document, "timestamp"), "timestamp"),
        tuple(
            Reference(member_handle(item), member_index(item, "index"))
            for item in member_list(references, "references", items_max=limits.REFERENCES_MAX)
        ),
    )


def data_to_json(value: HandleValue) -> dict[str, Any]:
    """The data of a value as an object with format and value."""
    class_ = class_of(value.type)
    if class_ is not None and class_.FORMAT in BY_FORMAT:
        try:
            shown = class_.from_wire(value.data).to_json()
            if class_.from_json(shown).to_wire() == value.data and (class_ is not HsSite or _is_text(shown)):
                return {"format": class_.FORMAT, "value": shown}
        except WireError:
            pass
    return octets_to_json(value.data)


def _is_text(document: Any) -> bool:
    """Whether JSON can be written of it: an attribute of a site may be in another encoding than UTF-8."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def data_from_json(found: Any) -> bytes:
    """The data of a value from a bare text, number or flag, or an object with format and value. Raises WireError."""
    if isinstance(found, dict):
        class_ = BY_FORMAT.get(member_text(found, "format", "string").lower())
        if class_ is not None:
            return class_.from_json(member(found, "value")).to_wire()
    return octets_from_json(found)


def _ttl_from_json(document: Any) -> Ttl:
    found = member(document, "ttl", limits.TTL_DEFAULT_S)
    if isinstance(found, str) and not found.isdigit():
        return Ttl(_time_from_text(found, "ttl"), absolute=True)
    return Ttl(member_integer(document, "ttl", limits.TTL_DEFAULT_S, most=limits.TTL_RELATIVE_MAX_S))


def _time_to_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time_from_text(text: str, field: str) -> int:
    try:
        time = datetime.fromisoformat(text[:_TIME_LETTERS_MAX])
    except ValueError:
        raise InvalidValue(f"{field} {text[:40]!r} is no time such as 2030-01-01T00:00:00Z", field=field) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    seconds = int((time - _EPOCH).total_seconds())
    if not -(2**31) <= seconds <= limits.INDEX_MAX:
        raise InvalidValue(f"{field} {text[:40]!r} is outside the years that four octets hold", field=field)
    return seconds % 2**32
