"""Enterprises: the organisations that register identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import limits
from resolver.errors import AlreadyExists, InvalidField
from resolver.node.authorize import Action, Caller, require
from resolver.node.listing import start_of
from resolver.registry import rows
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer

CREDIT_CODE_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Alphabet of the unified social credit code (GB 32100-2015): no I, O, S, V, Z."""

_WEIGHTS = tuple(pow(3, power, 31) for power in range(17))


def check_credit_code(code: str) -> None:
    """Raise InvalidField unless the text is a unified social credit code (GB 32100-2015).

    18 characters; the last is a check character over the first 17, weights 3^i modulo 31.
    """
    if len(code) != 18 or any(letter not in CREDIT_CODE_LETTERS for letter in code):
        raise InvalidField(
            f"credit_code {code[:32]!r} is not a unified social credit code: it has 18 of 0-9 and A-Z without I, O, S, "
            "V, Z",
            field="enterprise.credit_code",
        )
    total = sum(CREDIT_CODE_LETTERS.index(letter) * weight for letter, weight in zip(code[:17], _WEIGHTS, strict=True))
    expected = CREDIT_CODE_LETTERS[-total % 31]
    if code[17] != expected:
        raise InvalidField(
            f"credit_code {code!r} has a wrong check character: the last should be {expected!r}; look for a typing "
            "error",
            field="enterprise.credit_code",
        )


def _check(row: pb.Enterprise) -> None:
    rows.check_enum(pb.EnterpriseStatus, row.status, "enterprise.status")
    rows.check_id(row.enterprise_id, "enterprise_id")
    rows.check_text(row.name, 255, "enterprise.name", required=True)
    rows.check_text(row.contact.name, 128, "enterprise.contact.name")
    rows.check_text(row.contact.phone, 32, "enterprise.contact.phone")
    rows.check_text(row.contact.email, 128, "enterprise.contact.email")
    rows.check_text(row.description, limits.DESCRIPTION_OCTETS_MAX, "enterprise.description")
    if row.credit_code:
        check_credit_code(row.credit_code)


def _claim_credit_code(writer: Writer, row: pb.Enterprise) -> None:
    """Bind the credit code to the enterprise. Raises AlreadyExists when another has it."""
    key = row.credit_code.encode()
    holder = writer.get(Table.CREDIT_CODES, key)
    if holder is not None and holder.decode() != row.enterprise_id:
        raise AlreadyExists(
            f"credit code {row.credit_code} belongs to enterprise {holder.decode()!r} already: a code names one "
            "enterprise",
            field="enterprise.credit_code",
        )
    writer.put(Table.CREDIT_CODES, key, row.enterprise_id.encode())


def create(
    writer: Writer, caller: Caller, row: pb.Enterprise, now_us: int, randomness: Callable[[int], bytes]
) -> pb.Enterprise:
    """Register an enterprise."""
    require(caller, Action.ADMINISTER, "", "enterprises")
    if not row.enterprise_id:
        row.enterprise_id = rows.mint_id("ent", randomness)
    row.status = row.status or pb.ENTERPRISE_STATUS_ENABLED
    _check(row)
    key = row.enterprise_id.encode()
    if writer.get(Table.ENTERPRISES, key) is None and row.credit_code:
        _claim_credit_code(writer, row)
    rows.insert(writer, Table.ENTERPRISES, key, row, now_us, f"enterprise {row.enterprise_id!r}")
    return row


def get(reader: Reader, caller: Caller, enterprise_id: str, credit_code: str = "") -> pb.Enterprise:
    """An enterprise by id or by credit code; without either, the caller's own.

    An answer of no names what was asked, never whom a credit code belongs to.
    """
    thing = f"enterprise {(enterprise_id or credit_code or caller.enterprise_id)[:64]!r}"
    if not enterprise_id and credit_code:
        holder = reader.get(Table.CREDIT_CODES, credit_code[:32].encode() or b"-")
        enterprise_id = "" if holder is None else holder.decode()
    elif not enterprise_id:
        enterprise_id = caller.enterprise_id
    require(caller, Action.READ_REGISTRY, enterprise_id, thing)
    return rows.find(reader, Table.ENTERPRISES, enterprise_id.encode(), pb.Enterprise.FromString, thing)


def page(reader: Reader, caller: Caller, size: int, token: str) -> tuple[list[pb.Enterprise], str]:
    """Enterprises the caller may see: all, or its own."""
    require(caller, Action.READ_REGISTRY, caller.enterprise_id, "enterprises")
    if caller.enterprise_id:
        start_of("enterprises", token, b"")
        return ([] if token else [get(reader, caller, caller.enterprise_id)]), ""
    return rows.page(reader, Table.ENTERPRISES, "enterprises", size, token, pb.Enterprise.FromString)


def update(writer: Writer, caller: Caller, row: pb.Enterprise, if_version: int | None) -> pb.Enterprise:
    """Replace an enterprise; an unspecified status stays as it is."""
    require(caller, Action.ADMINISTER, "", f"enterprise {row.enterprise_id[:64]!r}")
    _check(row)
    key = row.enterprise_id.encode()
    thing = f"enterprise {row.enterprise_id!r}"
    before = rows.find(writer, Table.ENTERPRISES, key, pb.Enterprise.FromString, thing)
    rows.check_version(before, if_version, thing)
    row.status = row.status or before.status
    if row.credit_code != before.credit_code:
        if row.credit_code:
            _claim_credit_code(writer, row)
        if before.credit_code:
            writer.delete(Table.CREDIT_CODES, before.credit_code.encode())
    rows.replace(writer, Table.ENTERPRISES, key, row, before)
    return row
