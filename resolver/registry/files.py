"""Files that applications upload, such as scans of certificates: what they may be, whose they are, what names them.

A file belongs to who uploaded it until the record of an enterprise names it, which happens once. What a file is says
its content, never its name. Both sides are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import AlreadyExists, InvalidField, NotFound, QuotaExhausted
from resolver.node.authorize import Action, Caller, Role, require
from resolver.registry import rows
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

IMAGE_OCTETS_MAX = 1 << 20
"""Octets of an image: the limit of the national interface."""

PDF_OCTETS_MAX = 5 << 20
"""Octets of a PDF: the limit of the national interface."""

UNLINKED_MAX = 100
"""Files of one principal that no record names."""

LINKED_MAX = 200
"""Files that the record of one enterprise has named so far."""

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg", IMAGE_OCTETS_MAX),
    (b"\x89PNG\r\n\x1a\n", "image/png", IMAGE_OCTETS_MAX),
    (b"%PDF-", "application/pdf", PDF_OCTETS_MAX),
)


def media_type_of(octets: bytes) -> str:
    """What a content is. Raises InvalidField for anything but JPEG, PNG and PDF of allowed size."""
    for start, media_type, octets_max in _KINDS:
        if octets.startswith(start):
            if len(octets) > octets_max:
                raise InvalidField(
                    f"the file is {media_type} and has {len(octets)} octets; at most {octets_max} are allowed",
                    field="file",
                    details={"rule": "FILE_SIZE", "megabytes": str(octets_max >> 20)},
                )
            return media_type
    raise InvalidField("the file is no JPEG, PNG or PDF: upload one", field="file", details={"rule": "FILE_KIND"})


def _held_by(owner: str) -> bytes:
    return owner.encode() + b"\0"


def _count(reader: Reader, owner: str) -> int:
    start = _held_by(owner)
    return sum(1 for _ in reader.scan(Table.HELD_FILES, start, start[:-1] + b"\x01"))


def require_uploader(caller: Caller) -> None:
    """Raise unless the caller may upload files: administrators and users of enterprises may."""
    require(caller, Action.APPLY_PREFIX, caller.enterprise_id or None, "files")


def _owner(caller: Caller) -> str:
    return f"p:{caller.principal_id}"


def require_room(reader: Reader, caller: Caller) -> None:
    """Raise QuotaExhausted for a caller who has as many files that no record names as one may have."""
    if _count(reader, _owner(caller)) >= UNLINKED_MAX:
        raise QuotaExhausted(f"{UNLINKED_MAX} files of yours wait to be named by a record: name them first")


def add(
    writer: Writer,
    caller: Caller,
    digest: bytes,
    octets: int,
    media_type: str,
    now_us: int,
    randomness: Callable[[int], bytes],
) -> str:
    """Record an upload whose content is durable, and return the id of the file. Raises QuotaExhausted."""
    require_uploader(caller)
    require_room(writer, caller)
    file_id = rows.mint_id("file", randomness)
    row = stored.StoredFile(
        digest=digest,
        octets=octets,
        media_type=media_type,
        principal_id=caller.principal_id,
        create_time_us=now_us,
    )
    writer.put(Table.FILES, file_id.encode(), row.SerializeToString())
    writer.put(Table.HELD_FILES, _held_by(_owner(caller)) + file_id.encode(), b"")
    return file_id


def link(writer: Writer, caller: Caller, file_id: str, enterprise_id: str, field: str) -> None:
    """Let the record of an enterprise name a file; naming it again in the same record changes nothing."""
    key = file_id.encode()
    body = writer.get(Table.FILES, key) if 0 < len(key) <= rows.ID_OCTETS_MAX else None
    row = None if body is None else stored.StoredFile.FromString(body)
    if row is not None and row.enterprise_id == enterprise_id:
        return
    is_own = row is not None and (caller.role is Role.NODE_ADMINISTRATOR or row.principal_id == caller.principal_id)
    if row is None or (not is_own and not row.enterprise_id):
        raise NotFound(f"{field} names no file of yours: upload it first", field=field)
    if row.enterprise_id:
        raise AlreadyExists(f"{field} names a file that another record names: upload it again", field=field)
    if _count(writer, f"e:{enterprise_id}") >= LINKED_MAX:
        raise QuotaExhausted(f"the record of the enterprise has named {LINKED_MAX} files: ask the administrator")
    row.enterprise_id = enterprise_id
    writer.put(Table.FILES, key, row.SerializeToString())
    writer.delete(Table.HELD_FILES, _held_by(f"p:{row.principal_id}") + key)
    writer.put(Table.HELD_FILES, _held_by(f"e:{enterprise_id}") + key, b"")
