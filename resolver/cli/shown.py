"""Records, receipts and misses as people and scripts see them.

In JSON a record is what ``idis import`` reads back (``record_to_json``), so the output of a resolution is an
import file. For people a record is its name and one line for each value; data that is no text is base64.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resolver.cli.output import one_line, padded, to_json
from resolver.intake.jsonl import record_to_json
from resolver.intake.registration import permissions_to_text
from resolver.intake.results import code_name

if TYPE_CHECKING:
    from resolver.v1.handle_pb2 import HandleRecord, HandleValue
    from resolver.v1.registration_pb2 import WriteReceipt
    from resolver.v1.resolution_pb2 import ResolveMiss

__all__ = ["miss_to_json", "moment", "receipt_text", "record_text", "record_to_json", "to_json"]


def record_text(record: HandleRecord) -> str:
    """A record in lines: name and version, then index, type, TTL, permissions and data of each value."""
    lines = [f"{one_line(record.name)}  version {record.version}  changed {moment(_changed_us(record))}"]
    lines += [value_text(value) for value in record.values]
    return "\n".join(lines)


def _changed_us(record: HandleRecord) -> int:
    return record.update_time_us or record.create_time_us


def value_text(value: HandleValue) -> str:
    """A value in one line: index, type, TTL, permissions, data, references."""
    ttl = f"until {moment(value.ttl_until_s * 1_000_000)}" if value.HasField("ttl_until_s") else f"{value.ttl_s} s"
    data = _data_text(value)
    references = "".join(f"  -> {each.index}:{one_line(each.name)}" for each in value.references)
    permissions = permissions_to_text(value.permissions)
    return f"{value.index:>10}  {padded(one_line(value.type), 14)}  {ttl:>8}  {permissions}  {data}{references}"


def _data_text(value: HandleValue) -> str:
    """The data of a value: what it means for the types the Handle System defines, text, or base64."""
    if value.type.upper().startswith("HS_"):
        from resolver.node.values import from_pb  # noqa: PLC0415 - loads the codec, for these types only
        from resolver.wire.value_json import data_to_json  # noqa: PLC0415 - as above

        document = data_to_json(from_pb(value))
        if document["format"] not in {"string", "base64"}:
            return json.dumps(document["value"], ensure_ascii=False, separators=(",", ":"))
    try:
        return one_line(value.data.decode())
    except UnicodeDecodeError:
        return f"base64 {base64.b64encode(value.data).decode('ascii')}"


def moment(time_us: int) -> str:
    """A time in microseconds since 1970-01-01T00:00:00Z as ISO 8601 in seconds; ``never`` for 0."""
    if not time_us:
        return "never"
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def receipt_text(receipt: WriteReceipt, done: str) -> str:
    """What a write did, in one line; ``done`` is the word for it, such as ``registered``."""
    name = one_line(receipt.name)
    if receipt.validated_only:
        return f"{name}  valid, nothing was written"
    if not receipt.serial:
        return f"{name}  unchanged, version {receipt.version}"
    return f"{name}  {done}, version {receipt.version}, serial {receipt.serial}"


def miss_to_json(name: str, miss: ResolveMiss) -> dict[str, Any]:
    """A name without a record: the name and why."""
    return {"name": name, "error": {"code": code_name(miss.code), "reason": miss.reason, "message": miss.message}}
