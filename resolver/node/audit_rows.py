"""What must hold for rows of templates, logins, files and enterprise records: indexes find them, and they find back.

Judges for ``audit``, which tells what they are asked and when. Kept apart from those of records and the journal,
because these rows are few and belong to the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.templates import label_key
from resolver.v1 import stored_pb2 as stored
from resolver.v1 import template_pb2 as template
from storage.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage.engine import Reader

_VERSION_OCTETS = 8


def _version_key(row: template.Template) -> bytes:
    return row.template_id.encode() + b"\0" + row.version.to_bytes(_VERSION_OCTETS, "big")


def _judge_template(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = template.Template.FromString(body)
    if row.template_id.encode() != key:
        yield f"is the template {row.template_id!r}"
    if reader.get(Table.TEMPLATE_LABELS, label_key(row.prefix, row.label)) != key:
        yield f"cannot be found by its label {row.label!r}"
    if reader.get(Table.TEMPLATE_VERSIONS, _version_key(row)) != body:
        yield f"is not what its history says of version {row.version}"


def _judge_template_version(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = template.Template.FromString(body)
    if _version_key(row) != key:
        yield f"is version {row.version} of template {row.template_id!r}"
    current = reader.get(Table.TEMPLATES, row.template_id.encode())
    if current is None or template.Template.FromString(current).version < row.version:
        yield "is a version that its template has not reached"


def _judge_template_label(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    found = reader.get(Table.TEMPLATES, body)
    row = None if found is None else template.Template.FromString(found)
    if row is None or label_key(row.prefix, row.label) != key:
        yield f"names template {body.decode()!r}, which has another label or does not exist"


def _judge_login(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = stored.StoredLogin.FromString(body)
    if reader.get_row(Table.PRINCIPALS, row.principal_id.encode()) is None:
        yield f"belongs to principal {row.principal_id!r}, which does not exist"
    for digest in row.sessions:
        session = reader.get(Table.SESSIONS, digest)
        if session is None or stored.StoredSession.FromString(session).user_name.encode() != key:
            yield "lists a token that is not there or another's"


def _judge_session(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    row = stored.StoredSession.FromString(body)
    login = reader.get(Table.LOGINS, row.user_name.encode())
    if login is None or key not in stored.StoredLogin.FromString(login).sessions:
        yield f"is a token that user name {row.user_name!r} does not list: a new password would not end it"


def _judge_enterprise_record(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    stored.StoredEnterpriseRecord.FromString(body)
    if reader.get_row(Table.ENTERPRISES, key) is None:
        yield "is the record of an enterprise that does not exist"


def _judge_claim(reader: Reader, _: bytes, body: bytes) -> Iterator[str]:
    if reader.get_row(Table.ENTERPRISES, body) is None:
        yield f"belongs to enterprise {body.decode()!r}, which does not exist"


def _held_key(row: stored.StoredFile, key: bytes) -> bytes:
    owner = f"e:{row.enterprise_id}" if row.enterprise_id else f"p:{row.principal_id}"
    return owner.encode() + b"\0" + key


def _judge_file(reader: Reader, key: bytes, body: bytes) -> Iterator[str]:
    if reader.get_row(Table.HELD_FILES, _held_key(stored.StoredFile.FromString(body), key)) is None:
        yield "is not in the list of files of its owner"


def _judge_held_file(reader: Reader, key: bytes, _: bytes) -> Iterator[str]:
    file_id = key.partition(b"\0")[2]
    body = reader.get(Table.FILES, file_id)
    if body is None or _held_key(stored.StoredFile.FromString(body), file_id) != key:
        yield "lists a file that the owner does not have"


JUDGES: dict[Table, Callable[[Reader, bytes, bytes], Iterator[str]]] = {
    Table.TEMPLATES: _judge_template,
    Table.TEMPLATE_VERSIONS: _judge_template_version,
    Table.TEMPLATE_LABELS: _judge_template_label,
    Table.LOGINS: _judge_login,
    Table.SESSIONS: _judge_session,
    Table.ENTERPRISE_RECORDS: _judge_enterprise_record,
    Table.CLAIMS: _judge_claim,
    Table.FILES: _judge_file,
    Table.HELD_FILES: _judge_held_file,
}
"""For each table what must hold for a row, as sentences about the row that does not."""
