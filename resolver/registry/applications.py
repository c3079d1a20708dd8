"""Applications of enterprises in the national form: enterprise, user, prefix and files in one transaction, or nothing.

A new application makes an enterprise, a user of it who can log in, and a prefix that waits for the audit of the
national node. Only an administrator files one: whoever has no credential yet is not believed. A user of an enterprise
may file again for its own: that replaces the record and applies for another prefix, and leaves the enterprise's row,
which an administrator has verified, as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from resolver.errors import AlreadyExists, InvalidField, NotFound
from resolver.handle.name import Prefix, fold
from resolver.node.authorize import Action, Caller, Role, require
from resolver.node.prefixes import prefix_row
from resolver.registry import enterprise_form, enterprises, files, logins, prefix_handles, principals, rows
from resolver.registry.undo import undone_when_refused, whole_or_nothing
from resolver.v1 import registry_pb2 as pb
from resolver.v1 import stored_pb2 as stored
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.node.ledger import Ledger
    from storage.engine import Reader, Writer

ORGANISATION, MOBILE, EMAIL = "organisation", "mobile", "email"
"""Kinds of claims: type and code of the certificate, and how the user is reached."""


class Record(NamedTuple):
    """The record of an enterprise and the row beside it."""

    enterprise: pb.Enterprise
    document: dict[str, Any]
    create_time_us: int
    update_time_us: int

    @property
    def name(self) -> str:
        """What the enterprise calls itself."""
        return str(self.document.get("entBasicInfo", {}).get("orgName", self.enterprise.name))


def _claim_key(kind: str, text: str) -> bytes:
    return f"{kind}\0{text}".encode()


def _claim(writer: Writer, kind: str, text: str, enterprise_id: str, parameter: str) -> None:
    key = _claim_key(kind, text)
    holder = writer.get(Table.CLAIMS, key)
    if holder is not None and holder != enterprise_id.encode():
        raise AlreadyExists(
            f"{parameter} belongs to another enterprise already: check it",
            field=parameter,
            details={"rule": "TAKEN", "parameter": parameter},
        )
    writer.put(Table.CLAIMS, key, enterprise_id.encode())


def _organisation(basic: dict[str, Any]) -> str:
    return f"{basic['orgCrtType']}:{basic['orgCrtCode']}"


def _cut(text: str, octets_max: int) -> str:
    """As much of a text as a row holds; the record has the whole."""
    return text.encode()[:octets_max].decode("utf-8", "ignore")


def _enterprise_row(basic: dict[str, Any], enterprise_id: str) -> pb.Enterprise:
    code = str(basic["orgCrtCode"])
    try:
        enterprises.check_credit_code(code)
    except InvalidField:
        code = ""
    contact = pb.Contact(
        name=_cut(str(basic["contactName"]), 128),
        phone=str(basic["contactPhone"]),
        email=_cut(str(basic["contactEmail"]), 128),
    )
    return pb.Enterprise(
        enterprise_id=enterprise_id, name=_cut(str(basic["orgName"]), 255), credit_code=code, contact=contact
    )


def apply(
    ledger: Ledger,
    caller: Caller,
    document: dict[str, Any],
    password: stored.StoredLogin,
    randomness: Callable[[int], bytes],
) -> str:
    """Enterprise, user, prefix and record from a checked document; the id of the enterprise."""
    require(caller, Action.ADMINISTER, "", "enterprises")
    with undone_when_refused(ledger.writer) as writer:
        enterprise_id = _make(writer, caller, document, password, ledger.now_us, randomness)
        _store(writer, caller, enterprise_id, document, None, ledger.now_us)
        # Last, because the prefix handle is the ledger's: it cannot be undone.
        _apply_for_prefix(ledger, caller, str(document["entBasicInfo"]["entPrefix"]), enterprise_id)
    return enterprise_id


def _make(
    writer: Writer,
    caller: Caller,
    document: dict[str, Any],
    password: stored.StoredLogin,
    now_us: int,
    randomness: Callable[[int], bytes],
) -> str:
    """Enterprise and user with what belongs to them only; the id of the enterprise."""
    user, basic = document["sysUser"], document["entBasicInfo"]
    enterprise_id = rows.mint_id("ent", randomness)
    if logins.find(writer, str(user["userName"])) is not None:
        raise _taken("sysUser.userName")
    for kind, text, parameter in (
        (ORGANISATION, _organisation(basic), "entBasicInfo.orgCrtCode"),
        (MOBILE, str(user["mobile"]), "sysUser.mobile"),
        (EMAIL, str(user["email"]).lower(), "sysUser.email"),
    ):
        _claim(writer, kind, text, enterprise_id, parameter)
    enterprises.create(writer, caller, _enterprise_row(basic, enterprise_id), now_us, randomness)
    principal = pb.Principal(
        role=pb.ROLE_ENTERPRISE_USER,
        enterprise_id=enterprise_id,
        display_name=_cut(str(user["userName"]), 255),
    )
    principal_id = principals.create(writer, caller, principal, now_us, randomness).principal_id
    logins.bind(writer, principal_id, str(user["userName"]), password, now_us)
    return enterprise_id


def apply_again(ledger: Ledger, caller: Caller, document: dict[str, Any]) -> str:
    """Replace the record of an enterprise that is there, and apply for its prefix; the id of the enterprise.

    The enterprise is the caller's own; for an administrator that of the certificate in the document.
    """
    basic = document["entBasicInfo"]
    enterprise_id = caller.enterprise_id
    if caller.role is Role.NODE_ADMINISTRATOR:
        holder = ledger.writer.get(Table.CLAIMS, _claim_key(ORGANISATION, _organisation(basic)))
        if holder is None:
            raise NotFound(
                "no enterprise has this certificate: file a first application", field="entBasicInfo.orgCrtCode"
            )
        enterprise_id = holder.decode()
    require(caller, Action.APPLY_PREFIX, enterprise_id or None, f"enterprise {enterprise_id[:64]!r}")
    wanted = Prefix.from_text(str(basic["entPrefix"]))
    with undone_when_refused(ledger.writer) as writer:
        body = writer.get(Table.ENTERPRISE_RECORDS, enterprise_id.encode())
        before = None if body is None else stored.StoredEnterpriseRecord.FromString(body)
        old = {} if before is None else json.loads(before.document)
        if old and _organisation(old["entBasicInfo"]) != _organisation(basic):
            writer.delete(Table.CLAIMS, _claim_key(ORGANISATION, _organisation(old["entBasicInfo"])))
        _claim(writer, ORGANISATION, _organisation(basic), enterprise_id, "entBasicInfo.orgCrtCode")
        whole = {"sysUser": old["sysUser"], **document} if "sysUser" in old else document
        _store(writer, caller, enterprise_id, whole, before, ledger.now_us)
        row = prefix_row(writer, wanted.folded)
        if row is None or row.enterprise_id != enterprise_id:
            _apply_for_prefix(ledger, caller, wanted.text, enterprise_id)
    return enterprise_id


def _taken(parameter: str) -> AlreadyExists:
    return AlreadyExists(
        f"{parameter} belongs to another enterprise already: check it",
        field=parameter,
        details={"rule": "TAKEN", "parameter": parameter},
    )


def _apply_for_prefix(ledger: Ledger, caller: Caller, text: str, enterprise_id: str) -> None:
    prefix = Prefix.from_text(text)
    if prefix_row(ledger.writer, fold(prefix.text)) is not None:
        raise _taken("entBasicInfo.entPrefix")
    row = pb.Prefix(prefix=prefix.text, enterprise_id=enterprise_id, status=pb.PREFIX_STATUS_APPLIED)
    with whole_or_nothing(ledger):  # in here: what is put back around it takes back also what would show the half
        prefix_handles.create(ledger, caller, row)


def _store(
    writer: Writer,
    caller: Caller,
    enterprise_id: str,
    document: dict[str, Any],
    before: stored.StoredEnterpriseRecord | None,
    now_us: int,
) -> None:
    for place, file_id in enterprise_form.files_of(document):
        files.link(writer, caller, file_id, enterprise_id, place)
    user = {name: content for name, content in document.get("sysUser", {}).items() if name != "password"}
    whole = document | ({"sysUser": user} if user else {})
    row = stored.StoredEnterpriseRecord(
        document=json.dumps(whole, ensure_ascii=False).encode(),
        create_time_us=now_us if before is None else before.create_time_us,
        update_time_us=now_us,
        principal_id=caller.principal_id,
    )
    writer.put(Table.ENTERPRISE_RECORDS, enterprise_id.encode(), row.SerializeToString())


def record(reader: Reader, caller: Caller, enterprise_id: str) -> Record:
    """The record of an enterprise; an empty document for one that never filed one."""
    return record_of(reader, enterprises.get(reader, caller, enterprise_id))


def record_of(reader: Reader, row: pb.Enterprise) -> Record:
    """The record beside the row of an enterprise."""
    found = _filed(reader, row)
    if found is None:
        return Record(row, {}, row.create_time_us, 0)
    return Record(row, json.loads(found.document), found.create_time_us, found.update_time_us)


def filed_us(reader: Reader, row: pb.Enterprise) -> int:
    """When the record of an enterprise was filed first; when the enterprise was made if there is none."""
    found = _filed(reader, row)
    return row.create_time_us if found is None else found.create_time_us


def _filed(reader: Reader, row: pb.Enterprise) -> stored.StoredEnterpriseRecord | None:
    body = reader.get(Table.ENTERPRISE_RECORDS, row.enterprise_id.encode())
    return None if body is None else stored.StoredEnterpriseRecord.FromString(body)


def enterprise_of_prefix(reader: Reader, text: str) -> str:
    """Who owns a prefix; "" when nobody does."""
    row = prefix_row(reader, Prefix.from_text(text).folded)
    return "" if row is None else row.enterprise_id
