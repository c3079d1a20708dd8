"""Principals: administrators of the node, enterprise users and applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.errors import InvalidField, InvalidTransition
from resolver.node.authorize import Action, Caller, require
from resolver.node.handle_keys import ROLES
from resolver.registry import rows
from resolver.v1 import registry_pb2 as pb
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.engine import Reader, Writer


def create(
    writer: Writer, caller: Caller, row: pb.Principal, now_us: int, randomness: Callable[[int], bytes]
) -> pb.Principal:
    """Create a principal."""
    require(caller, Action.ADMINISTER, "", "principals")
    if row.role not in ROLES:
        raise InvalidField(
            "role is missing: give administrator of the node, enterprise user, application or mirror",
            field="principal.role",
        )
    if row.role in {pb.ROLE_NODE_ADMINISTRATOR, pb.ROLE_MIRROR}:
        if row.enterprise_id:
            raise InvalidField(
                "administrators and mirrors of the node belong to no enterprise: leave enterprise_id out",
                field="principal.enterprise_id",
            )
    elif not row.enterprise_id:
        raise InvalidField(
            "enterprise users and applications act for an enterprise: give enterprise_id, the one they belong to",
            field="principal.enterprise_id",
        )
    else:
        thing = f"enterprise {row.enterprise_id[:64]!r}"
        rows.find(writer, Table.ENTERPRISES, row.enterprise_id.encode(), pb.Enterprise.FromString, thing)
    if not row.principal_id:
        row.principal_id = rows.mint_id("pri", randomness)
    rows.check_id(row.principal_id, "principal_id")
    rows.check_text(row.display_name, 255, "principal.display_name")
    thing = f"principal {row.principal_id!r}"
    rows.insert(writer, Table.PRINCIPALS, row.principal_id.encode(), row, now_us, thing)
    if row.enterprise_id:
        writer.put(Table.MEMBERS, member_key(row), b"")
    return row


def member_key(row: pb.Principal) -> bytes:
    """Key in MEMBERS of a principal of an enterprise."""
    return row.enterprise_id.encode() + b"\0" + row.principal_id.encode()


def load(reader: Reader, principal_id: str) -> pb.Principal:
    """A principal, whoever asks. Raises NotFound."""
    thing = f"principal {principal_id[:64]!r}"
    return rows.find(reader, Table.PRINCIPALS, principal_id.encode(), pb.Principal.FromString, thing)


def get(reader: Reader, caller: Caller, principal_id: str) -> pb.Principal:
    """A principal of the caller's enterprise; without an id, the caller itself.

    One that does not exist is refused like one of another owner, so that ids cannot be probed.
    """
    principal_id = principal_id or caller.principal_id
    body = reader.get(Table.PRINCIPALS, principal_id.encode()) if principal_id else None
    owner = None if body is None else pb.Principal.FromString(body).enterprise_id
    require(caller, Action.READ_REGISTRY, owner, f"principal {principal_id[:64]!r}")
    return load(reader, principal_id)


def page(reader: Reader, caller: Caller, enterprise_id: str, size: int, token: str) -> tuple[list[pb.Principal], str]:
    """Principals the caller may see, of one enterprise when it is named."""
    wanted = enterprise_id or caller.enterprise_id
    require(caller, Action.READ_REGISTRY, wanted, f"principals of enterprise {wanted[:64]!r}")
    if not wanted:
        return rows.page(reader, Table.PRINCIPALS, "principals ", size, token, pb.Principal.FromString)
    return rows.indexed_page(
        reader,
        Table.MEMBERS,
        wanted,
        f"principals {wanted}",
        size,
        token,
        lambda key, _: load(reader, key.decode()),
    )


def update(writer: Writer, caller: Caller, request: pb.UpdatePrincipalRequest) -> pb.Principal:
    """Disable, enable or rename a principal."""
    require(caller, Action.ADMINISTER, "", f"principal {request.principal_id[:64]!r}")
    before = load(writer, request.principal_id)
    thing = f"principal {request.principal_id!r}"
    rows.check_version(before, request.if_version if request.HasField("if_version") else None, thing)
    row = pb.Principal()
    row.CopyFrom(before)
    if request.HasField("display_name"):
        row.display_name = request.display_name
    if request.HasField("disabled"):
        if request.disabled and row.principal_id == caller.principal_id:
            raise InvalidTransition(
                "you cannot disable yourself: let another administrator do it, so that one is left", field="disabled"
            )
        row.disabled = request.disabled
    rows.check_text(row.display_name, 255, "display_name")
    rows.replace(writer, Table.PRINCIPALS, row.principal_id.encode(), row, before)
    return row
