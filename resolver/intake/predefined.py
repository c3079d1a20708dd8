"""Data of the two predefined types that text formats spell out: HS_ADMIN and HS_VLIST.

Text is ``INDEX:PERMISSIONS:HANDLE`` for an administrator and ``INDEX:HANDLE;INDEX:HANDLE`` for a
list; the octets are those of RFC 3651 sections 3.2.1 and 3.2.4 as the reference server writes them.
Numbers are big-endian; a handle is a four-octet length and its UTF-8.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

ADMIN_PERMISSION_DIGITS = 12
"""Digits of administrator permissions: leftmost 0x0800 (list handles), rightmost 0x0001 (add handle)."""


def admin_to_octets(handle: str, index: int, permissions: str) -> bytes:
    """HS_ADMIN data: two octets of permissions, the administrator's handle, four octets of its index."""
    if len(permissions) != ADMIN_PERMISSION_DIGITS or set(permissions) - {"0", "1"}:
        raise InvalidValue(
            f"{permissions[:20]!r} are not administrator permissions: give {ADMIN_PERMISSION_DIGITS} digits 0 or 1",
            field="data",
        )
    return struct.pack(">H", int(permissions, 2)) + _reference_octets(handle, index)


def admin_from_text(text: str) -> bytes:
    """HS_ADMIN data of ``INDEX:PERMISSIONS:HANDLE``, such as 300:111111111111:0.NA/88.300. Raises InvalidValue."""
    index, _, rest = text.strip().partition(":")
    permissions, colon, handle = rest.partition(":")
    if not colon or not handle:
        raise InvalidValue(
            f"{text[:80]!r} names no administrator: give INDEX:PERMISSIONS:HANDLE, such as "
            "300:111111111111:0.NA/88.300",
            field="data",
        )
    return admin_to_octets(handle, index_from_text(index), permissions)


def vlist_to_octets(references: Sequence[tuple[str, int]]) -> bytes:
    """HS_VLIST data: four octets of count, then each handle with four octets of its index."""
    return struct.pack(">I", len(references)) + b"".join(_reference_octets(*reference) for reference in references)


def vlist_from_text(text: str) -> bytes:
    """HS_VLIST data of ``INDEX:HANDLE;INDEX:HANDLE``. Raises InvalidValue."""
    references = []
    for entry in text.split(";"):
        if not entry.strip():
            continue
        index, colon, handle = entry.strip().partition(":")
        if not colon or not handle:
            raise InvalidValue(
                f"{entry[:80]!r} is no entry of a list: give INDEX:HANDLE;INDEX:HANDLE, such as 300:0.NA/88.300",
                field="data",
            )
        references.append((handle, index_from_text(index)))
    return vlist_to_octets(references)


def index_from_text(text: str) -> int:
    """The index that decimal digits spell, 0 to 4294967295. Raises InvalidValue."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= limits.INDEX_MAX):
        raise InvalidValue(f"{text[:20]!r} is no index: give a number from 0 to {limits.INDEX_MAX}", field="index")
    return int(digits)


def _reference_octets(handle: str, index: int) -> bytes:
    octets = handle.encode()
    if len(octets) > limits.NAME_OCTETS_MAX:
        raise InvalidValue(
            f"the handle referred to has {len(octets)} octets; at most {limits.NAME_OCTETS_MAX} are allowed",
            field="data",
        )
    if not 0 <= index <= limits.INDEX_MAX:
        raise InvalidValue(f"index {index} is outside 0 to {limits.INDEX_MAX}", field="index")
    return struct.pack(">I", len(octets)) + octets + struct.pack(">I", index)
