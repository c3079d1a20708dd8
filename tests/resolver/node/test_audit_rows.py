"""Indexes of templates, logins and files: a sound store has no findings, every broken link is one."""

import asyncio
import hashlib

import pytest

from resolver import methods
from resolver.node.audit import audit
from resolver.node.audit_rows import JUDGES
from resolver.registry import passwords
from resolver.v1 import template_pb2
from storage.check import CheckReport
from storage.tables import Table
from tests.resolver.transport.http.test_snms_enterprises import JPEG, application
from tests.support.builders import PREFIX_A, dump


def findings(engine):
    report = CheckReport()
    audit(engine, report)
    return {found.table for found in report.findings}


@pytest.fixture
def furnished(memory_world, monkeypatch, tmp_path):
    monkeypatch.setattr(passwords, "LOG2_N", 4)
    world = memory_world

    async def furnish():
        async with world.serving(files_dir=tmp_path / "files") as asker:
            items = [template_pb2.TemplateItem(index=2000, type="NAME")]
            row = template_pb2.Template(template_id="t", prefix=PREFIX_A, label="1.0", items=items)
            await asker.ask("user_a", methods.CREATE_TEMPLATE, template=row)
            await asker.ask("user_a", methods.UPDATE_TEMPLATE, template=row)
            login = {"principal_id": "user-a", "user_name": "a", "password": "correct horse"}
            await asker.ask("administrator", methods.SET_PASSWORD, **login)
            await asker.ask("", methods.LOG_IN, user_name="a", password="correct horse")
            applications, admin = asker.service.applications, asker.call("administrator")
            file_id, _ = await applications.upload(admin, JPEG, "")
            await applications.upload(admin, JPEG, "")
            await applications.apply(admin, application(file_id), "")

    asyncio.run(furnish())
    return world.engine


def test_a_sound_store_has_no_findings(furnished):
    assert findings(furnished) == set()
    assert all(dump(furnished, [table]) for table in JUDGES), "every table is tried"


@pytest.mark.parametrize("table", [*JUDGES, Table.PRINCIPALS, Table.ENTERPRISES], ids=lambda table: table.name)
def test_a_row_that_is_gone_is_missed(furnished, table):
    rows = dump(furnished, [table])
    with furnished.write() as writer:
        for _, key, _ in rows:
            writer.delete(table, key)
    found = findings(furnished)
    if table in {Table.CLAIMS, Table.ENTERPRISE_RECORDS}:
        assert found == set(), "nothing is found by way of these rows"
    else:
        assert found


@pytest.mark.parametrize("table", JUDGES, ids=lambda table: table.name)
def test_a_row_under_another_key_is_found(furnished, table):
    name, key, body = dump(furnished, [table])[0]
    moved = hashlib.sha256(key).digest() if table is Table.SESSIONS else key + b"x"
    body = b"ent-none" if table is Table.CLAIMS else body
    with furnished.write() as writer:
        writer.delete(table, key)
        writer.put(table, moved, body)
    assert name in findings(furnished)
