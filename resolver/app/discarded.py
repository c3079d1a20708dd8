"""What a node had acknowledged and its site has not kept, written down before the copy of the primary overwrites it.

DATA_DIR/discarded.jsonl             each such change, as the journal tells it
DATA_DIR/discarded-records.jsonl     each record that such a change was the last of, in the shape idis import reads

Both are appended to: a copy that is interrupted after this has both written again, and rows that come twice change
nothing. They hold restricted values, and are for the owner alone.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import structlog
from google.protobuf import json_format

from resolver.handle.name import key_of_octets
from resolver.intake.jsonl import record_to_json
from resolver.node import mirror_copy, record_octets, values
from resolver.service.reading import stored_rows_checked
from storage.directories import sync_directory
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from resolver.v1 import changes_pb2 as changes
    from storage.engine import Engine, Reader

_log = structlog.get_logger("mirror")

BITE = 1_000
"""Changes in one read transaction: some ten milliseconds."""


def keeper(engine: Engine, root: Path, bite: int = BITE) -> Callable[[int], None]:
    """What writes down all beyond a serial; it raises OSError and StorageError, and nothing is overwritten then."""
    paths = (root / "discarded.jsonl", root / "discarded-records.jsonl")

    def keep(after_serial: int) -> None:
        with ExitStack() as stack:
            files: list[BinaryIO] = []
            lost = 0
            while True:
                with stored_rows_checked(), engine.read() as reader:
                    found = mirror_copy.discarded(reader, after_serial, bite)
                    records = [line for change in found if (line := _record_line(reader, change))]
                if not found:
                    break
                if not files:
                    files = [stack.enter_context(os.fdopen(_opened(path), "ab")) for path in paths]
                files[0].writelines(map(_change_line, found))
                files[1].writelines(records)
                lost, after_serial = lost + len(found), found[-1].serial
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        if lost:
            sync_directory(root)
            _log.error(
                "changes of this node are not those of the site",
                lost=lost,
                file=str(paths[0]),
                records=str(paths[1]),
                next="what of the records the primary is to have, idis import there brings back",
            )

    return keep


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _change_line(change: changes.Change) -> bytes:
    text = json_format.MessageToJson(change, indent=None, ensure_ascii=False, preserving_proto_field_name=True)
    return text.encode() + b"\n"


def _record_line(reader: Reader, change: changes.Change) -> bytes:
    """The record that the change left, nothing when a later one changed it again or it is deleted."""
    key = key_of_octets(change.name.encode())
    public = reader.get(Table.RECORDS, key)
    if not public:
        return b""
    record = record_octets.parse(public)
    if record.serial != change.serial:
        return b""
    restricted = reader.get(Table.RESTRICTED, key) or b""
    shown = record_to_json(record, values.joined(record.values, restricted))
    return json.dumps(shown, ensure_ascii=False).encode() + b"\n"
