"""JSON lines: one JSON object a line, one registration an object; and records as such objects.

Two spellings are read: ours, ``{"name": …, "values": [{"index", "type", "data", …}]}``, and that of
the Handle REST interface, where the name is ``handle`` and data is ``{"format", "value"}``. What a
dump adds about the past of a record (version, serial, times) is read and ignored, so a dump is an
import file. Decoding is msgspec's, one pass from text to checked structs; only a line that fails is
looked at again to say what is wrong. ``record_to_json`` is the inverse.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from resolver.errors import InvalidValue, ResolverError
from resolver.handle.value import Ttl
from resolver.intake.encoding import TextLines
from resolver.intake.predefined import admin_to_octets, index_from_text, vlist_to_octets
from resolver.intake.registration import new_handle, new_value, permissions_from_text, permissions_to_text
from resolver.intake.rows import IntakeError, Row, bad_row, nearest, refused_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from resolver.v1 import handle_pb2, registration_pb2

_IGNORED: Any = None


class JsonReference(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A value of another handle; ``handle`` and ``name`` mean the same."""

    index: int | str = 0
    handle: str = ""
    name: str = ""

    def to_parts(self) -> tuple[str, int]:
        """Handle and index."""
        index = index_from_text(self.index) if isinstance(self.index, str) else self.index
        return self.handle or self.name, index


class JsonAdmin(msgspec.Struct, forbid_unknown_fields=True):
    """An administrator as the Handle REST interface spells it."""

    handle: str
    index: int | str
    permissions: str
    legacyByteLength: Any = _IGNORED  # noqa: N815 - the spelling of the Handle REST interface


class JsonData(msgspec.Struct, forbid_unknown_fields=True):
    """Data with its format: string, base64, hex, admin or vlist."""

    format: str
    value: Any


class JsonValue(msgspec.Struct, forbid_unknown_fields=True):
    """A handle value."""

    index: int
    type: str
    data: str | JsonData | None = None
    data_base64: str | None = None
    ttl: int | str | None = None
    permissions: str | None = None
    references: list[JsonReference] | None = None
    timestamp: Any = _IGNORED
    timestamp_s: Any = _IGNORED


class JsonRecord(msgspec.Struct, forbid_unknown_fields=True):
    """A registration; ``handle`` and ``name`` mean the same."""

    name: str = ""
    handle: str = ""
    values: list[JsonValue] = []
    template_id: str = ""
    version: Any = _IGNORED
    serial: Any = _IGNORED
    create_time_us: Any = _IGNORED
    update_time_us: Any = _IGNORED
    responseCode: Any = _IGNORED  # noqa: N815 - the spelling of the Handle REST interface


_KEYS = {
    key for struct in (JsonRecord, JsonValue, JsonData, JsonReference, JsonAdmin) for key in struct.__struct_fields__
}
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`(?: - at `(.*)`)?", re.DOTALL)
_NAME_IN_TEXT = re.compile(r'"(?:name|handle)"\s*:\s*"([^"\\]{1,2048})"')


def rows(stream: BinaryIO, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a JSON lines file; empty lines are passed over. Raises IntakeError when it is no such file."""
    decode = msgspec.json.Decoder(JsonRecord).decode
    first = True
    for number, text, fault in TextLines(stream, encoding):
        if fault:
            yield bad_row(number, "INVALID_ENCODING", fault)
            continue
        if not text or text.isspace():
            continue
        if first and text.lstrip().startswith("["):
            raise IntakeError(
                "the file is one JSON array: write each object on a line of its own, without '[', ']' and the "
                "commas between",
                number=number,
            )
        first = False
        record = None
        try:
            record = decode(text)
            yield Row(number, _to_handle(record))
        except ResolverError as error:
            yield refused_row(number, error, (record.name or record.handle) if record else "")
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            yield _broken_row(number, text, error)


def record_to_json(
    record: handle_pb2.HandleRecord, values: Iterable[handle_pb2.HandleValue] | None = None
) -> dict[str, Any]:
    """The record as an object that ``rows`` reads back to the same registration.

    ``values`` are those to show instead of the record's own: stores keep the ones without public read apart.
    """
    chosen = record.values if values is None else values
    shown: dict[str, Any] = {"name": record.name, "values": [_value_to_json(value) for value in chosen]}
    for key in ("template_id", "version", "serial", "create_time_us", "update_time_us"):
        content = getattr(record, key)
        if content:
            shown[key] = content
    return shown


def _value_to_json(value: handle_pb2.HandleValue) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": value.index, "type": value.type}
    try:
        shown["data"] = value.data.decode()
    except UnicodeDecodeError:
        shown["data_base64"] = base64.b64encode(value.data).decode("ascii")
    if value.HasField("ttl_s"):
        shown["ttl"] = value.ttl_s
    elif value.HasField("ttl_until_s"):
        shown["ttl"] = datetime.fromtimestamp(value.ttl_until_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if value.HasField("permissions"):
        shown["permissions"] = permissions_to_text(value.permissions)
    if value.references:
        shown["references"] = [{"handle": entry.name, "index": entry.index} for entry in value.references]
    if value.timestamp_s:
        shown["timestamp_s"] = value.timestamp_s
    return shown


def _to_handle(record: JsonRecord) -> registration_pb2.NewHandle:
    if record.name and record.handle and record.name != record.handle:
        raise InvalidValue("'name' and 'handle' name two handles: give one of them", field="name")
    return new_handle(record.name or record.handle, [_to_value(value) for value in record.values], record.template_id)


def _to_value(value: JsonValue) -> handle_pb2.HandleValue:
    return new_value(
        value.index,
        value.type,
        _data(value),
        ttl=None if value.ttl is None else _ttl(value.ttl),
        permissions=None if value.permissions is None else permissions_from_text(value.permissions),
        references=() if value.references is None else [entry.to_parts() for entry in value.references],
    )


def _data(value: JsonValue) -> bytes:
    data = value.data
    if value.data_base64 is not None:
        if data is not None:
            raise InvalidValue(f"index {value.index} has both data and data_base64: give one of them", field="data")
        return _from_base64(value.data_base64)
    if data is None:
        raise InvalidValue(f"index {value.index} has no data: give data or data_base64", field="data")
    if isinstance(data, str):
        return data.encode()
    convert = _FORMATS.get(data.format)
    if convert is None:
        raise InvalidValue(
            f"the data format {data.format[:20]!r} of index {value.index} is not read: give one of "
            f"{', '.join(_FORMATS)}; anything else as base64",
            field="data",
        )
    return convert(data.value)


def _ttl(ttl: int | str) -> Ttl:
    if isinstance(ttl, int):
        return Ttl(ttl)
    try:
        moment = datetime.fromisoformat(ttl)
    except ValueError:
        raise InvalidValue(
            f"{ttl[:40]!r} is no TTL: give seconds as a number, or the moment of its end such as 2030-01-31T00:00:00Z",
            field="ttl",
        ) from None
    return Ttl(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()), absolute=True)


def _from_string(value: Any) -> bytes:
    return msgspec.convert(value, str).encode()


def _from_base64(value: Any) -> bytes:
    try:
        return base64.b64decode(msgspec.convert(value, str), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"the data is not base64 ({error}): encode it again", field="data") from None


def _from_hex(value: Any) -> bytes:
    try:
        return bytes.fromhex(msgspec.convert(value, str))
    except ValueError as error:
        raise InvalidValue(f"the data is not hexadecimal ({error}): give two digits an octet", field="data") from None


def _from_admin(value: Any) -> bytes:
    admin = msgspec.convert(value, JsonAdmin)
    index = index_from_text(admin.index) if isinstance(admin.index, str) else admin.index
    return admin_to_octets(admin.handle, index, admin.permissions)


def _from_vlist(value: Any) -> bytes:
    return vlist_to_octets([entry.to_parts() for entry in msgspec.convert(value, list[JsonReference])])


_FORMATS: dict[str, Callable[[Any], bytes]] = {
    "string": _from_string,
    "base64": _from_base64,
    "hex": _from_hex,
    "admin": _from_admin,
    "vlist": _from_vlist,
}


def _broken_row(number: int, text: str, error: Exception) -> Row:
    """The row of a line that is no JSON, or not the JSON asked for."""
    found = _NAME_IN_TEXT.search(text[:8192])
    name = found.group(1) if found else ""
    unknown = _UNKNOWN_FIELD.search(str(error))
    if unknown:
        key, place = unknown.group(1), unknown.group(2)
        where = f" at {place}" if place else ""
        return bad_row(
            number, "UNKNOWN_KEY", f"unknown key {key!r}{where}{nearest(key, _KEYS)}: rename or remove it", name
        )
    if isinstance(error, RecursionError):
        return bad_row(number, "MALFORMED_ROW", "the line is nested too deeply: a registration has three levels", name)
    if isinstance(error, msgspec.ValidationError):
        return bad_row(number, "MALFORMED_ROW", f"{error}: correct the row", name)
    if "truncated" in str(error):
        return bad_row(
            number, "ROW_INCOMPLETE", "the line ends in the middle of its object: write the whole row again", name
        )
    return bad_row(number, "MALFORMED_ROW", f"the line is no JSON object ({error}): correct the row", name)
