"""HS_ADMIN: who may administer a handle, and to do what (RFC 3651 section 3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any, ClassVar, Self

from resolver.errors import InvalidValue
from resolver.handle.value import Reference
from resolver.wire.cursor import Cursor, pack_u16, reference_to_wire
from resolver.wire.json_members import handle_to_json, member, member_flag, member_handle, member_index


class AdminPermission(IntFlag):
    """What an administrator may do; the last is in the standard and unknown to the reference server."""

    ADD_HANDLE = 0x0001
    DELETE_HANDLE = 0x0002
    ADD_DERIVED_PREFIX = 0x0004
    DELETE_DERIVED_PREFIX = 0x0008
    MODIFY_VALUE = 0x0010
    REMOVE_VALUE = 0x0020
    ADD_VALUE = 0x0040
    MODIFY_ADMIN = 0x0080
    REMOVE_ADMIN = 0x0100
    ADD_ADMIN = 0x0200
    READ_VALUE = 0x0400
    LIST_HANDLES = 0x0800
    LIST_DERIVED_PREFIXES = 0x1000

    @classmethod
    def from_text(cls, text: str) -> AdminPermission:
        """Permissions from up to 16 digits 0 or 1, the last for ADD_HANDLE. Raises InvalidValue."""
        if not 1 <= len(text) <= 16 or set(text) - {"0", "1"}:
            raise InvalidValue(
                f"{text[:20]!r} are not permissions of an administrator: give twelve digits 0 or 1", field="permissions"
            )
        return cls(int(text, 2))

    def to_text(self) -> str:
        """Twelve digits, thirteen when LIST_DERIVED_PREFIXES is set."""
        return f"{self.value:012b}"


ALL = AdminPermission(0x0FFF)
"""All permissions that the reference server knows."""

_TEXT_DIGITS = 12
_LEGACY_PADDING = b"\0\0"


@dataclass(frozen=True, slots=True)
class HsAdmin:
    """An administrator and its permissions.

    ``has_legacy_length`` says that two zero octets follow, as servers before 7.4 wrote them; they are kept because
    signatures cover them.
    """

    TYPES: ClassVar[tuple[str, ...]] = ("HS_ADMIN",)
    FORMAT: ClassVar[str] = "admin"

    admin: Reference
    permissions: AdminPermission = ALL
    has_legacy_length: bool = False

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """The administrator in the data of a value. Raises MalformedMessage."""
        cursor = Cursor(data)
        permissions = AdminPermission(cursor.take_u16("permissions"))
        admin = Reference(cursor.take_handle("administrator"), cursor.take_u32("administrator index"))
        return cls(admin, permissions, cursor.take_rest() == _LEGACY_PADDING)

    def to_wire(self) -> bytes:
        """The data of a value."""
        octets = pack_u16(self.permissions.value) + reference_to_wire(self.admin)
        return octets + _LEGACY_PADDING if self.has_legacy_length else octets

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The administrator in a JSON value. Raises InvalidValue.

        Permissions are twelve digits, ``"*"``, true (all), false or null (none), the number that the digits are in
        binary, or a list of flags. The list begins with ADD_HANDLE, which is the last digit.
        """
        admin = Reference(member_handle(value), member_index(value, "index"))
        permissions = _permissions_from_json(member(value, "permissions", ""))
        return cls(admin, permissions, member_flag(value, "legacyByteLength", default=False))

    def to_json(self) -> dict[str, Any]:
        """The JSON value. Raises InvalidValue when the administrator's name is no UTF-8."""
        document: dict[str, Any] = {
            "handle": handle_to_json(self.admin.name),
            "index": self.admin.index,
            "permissions": self.permissions.to_text(),
        }
        return document | {"legacyByteLength": True} if self.has_legacy_length else document


def _permissions_from_json(found: Any) -> AdminPermission:
    if isinstance(found, bool):
        return ALL if found else AdminPermission(0)
    if found == "*":
        return ALL
    if found is None:
        return AdminPermission(0)
    if isinstance(found, str):
        return AdminPermission.from_text(found or "0")
    if isinstance(found, int) and 0 <= found <= ALL:
        return AdminPermission(found)
    if isinstance(found, list) and len(found) <= _TEXT_DIGITS and all(isinstance(flag, bool | int) for flag in found):
        return AdminPermission(sum(1 << bit for bit, flag in enumerate(found) if flag))
    raise InvalidValue("permissions are twelve digits 0 or 1, '*' or a list of twelve flags", field="permissions")
