"""Writing through the service: validation changes nothing, retries apply once, imports resume, rows are told."""

import asyncio

import pytest

from resolver import methods
from resolver.errors import (
    CredentialMissing,
    HandleNotFound,
    ImportOutOfSequence,
    InvalidField,
    InvalidName,
    PermissionDenied,
    RecordCorrupt,
    TooManyItems,
)
from resolver.v1 import registration_pb2 as pb
from resolver.v1 import registry_pb2, template_pb2
from storage.tables import Table
from tests.support.builders import PREFIX_A, dump, journal, recount, tallies, value
from tests.support.damage import damage

UNDIVIDED = {"ImportHandles", "PromoteMirror", "FencePrimary", "ChangeSite"}
"""Writes that cannot be asked to validate only: a stream does so chunk by chunk, and a site has one primary or none."""


def new(name, data="x"):
    return pb.NewHandle(name=name, values=[value(1, data)])


def chunk(sequence, *names, import_id="load", **fields):
    rows = [new(f"{PREFIX_A}/{name}") for name in names]
    return pb.ImportHandlesRequest(import_id=import_id, sequence=sequence, handles=rows, **fields)


def run(world, main, **changes):
    async def body():
        async with world.serving(**changes) as asker:
            return await main(asker)

    return asyncio.run(body())


ROW = registry_pb2.Enterprise(enterprise_id="ent-c", name="C")
VALIDATED = [
    (methods.CREATE_HANDLE, {"name": f"{PREFIX_A}/new", "values": [value()]}),
    (methods.UPDATE_HANDLE, {"name": f"{PREFIX_A}/x", "values": [value(3)]}),
    (methods.PUT_VALUES, {"name": f"{PREFIX_A}/x", "values": [value(3)]}),
    (methods.REMOVE_VALUES, {"name": f"{PREFIX_A}/x", "indexes": [1]}),
    (methods.DELETE_HANDLE, {"name": f"{PREFIX_A}/x"}),
    (methods.BATCH_CREATE_HANDLES, {"handles": [new(f"{PREFIX_A}/new")]}),
    (methods.BATCH_UPDATE_HANDLES, {"handles": [new(f"{PREFIX_A}/x")]}),
    (methods.BATCH_DELETE_HANDLES, {"names": [f"{PREFIX_A}/x"]}),
    (methods.CREATE_ENTERPRISE, {"enterprise": ROW}),
    (methods.UPDATE_ENTERPRISE, {"enterprise": registry_pb2.Enterprise(enterprise_id="ent-a", name="other")}),
    (methods.CREATE_PREFIX, {"prefix": registry_pb2.Prefix(prefix="88.300.30")}),
    (methods.UPDATE_PREFIX, {"prefix": PREFIX_A, "status": 4}),
    (
        methods.MOVE_PREFIX,
        {"prefix": PREFIX_A, "step": 1, "to": 2, "routes": [{"address": "192.0.2.1", "tcp_port": 1}]},
    ),
    (methods.CREATE_PRINCIPAL, {"principal": registry_pb2.Principal(role=1)}),
    (methods.UPDATE_PRINCIPAL, {"principal_id": "user-a", "disabled": True}),
    (methods.CREATE_KEY, {"principal_id": "user-a", "kind": 1}),
    (methods.REVOKE_KEY, {}),
    (methods.SET_PASSWORD, {"principal_id": "user-a", "user_name": "张三", "password": "correct horse"}),
    (methods.REMOVE_LOGIN, {"user_name": "old"}),
    (methods.CREATE_TEMPLATE, {"template": template_pb2.Template(template_id="t2")}),
    (methods.UPDATE_TEMPLATE, {"template": template_pb2.Template(template_id="t", withdrawn=True)}),
    (methods.DELETE_TEMPLATE, {"template_id": "t"}),
]


def test_validation_of_every_write_changes_no_octet(world):
    async def main(asker):
        both = [value(1), value(2)]
        await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{PREFIX_A}/x", values=both)
        await asker.ask("administrator", methods.CREATE_TEMPLATE, template=template_pb2.Template(template_id="t"))
        keys = await asker.ask("administrator", methods.LIST_KEYS, principal_id="user-a")
        login = {"principal_id": "user-a", "user_name": "old", "password": "correct horse"}
        await asker.ask("administrator", methods.SET_PASSWORD, **login)
        before = dump(world.engine)
        for method, fields in VALIDATED:
            extra = {"key_id": keys.keys[0].key_id} if method is methods.REVOKE_KEY else {}
            answer = await asker.ask(
                "administrator", method, **fields, **extra, validate_only=True, request_id=f"id-{method.name}"
            )
            if hasattr(answer, "receipt"):
                assert answer.receipt.validated_only
                assert answer.receipt.serial == 0
            assert not getattr(answer, "token", ""), "a token that works nowhere was handed out"
            assert dump(world.engine) == before, method.name
        tested = {method.name for method, _ in VALIDATED}
        assert tested == {m.name for m in methods.METHODS.values() if m.writes and m.name not in UNDIVIDED}
        answers = await asker.answers("user_a", methods.IMPORT_HANDLES, [chunk(1, "i", validate_only=True)])
        assert [row.reason for row in answers[0].results] == ["CREATED"]
        assert dump(world.engine) == before

    run(world, main)


def test_validation_says_what_the_request_would(world):
    async def main(asker):
        for validate_only in (True, False):
            with pytest.raises(HandleNotFound):
                await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/none", validate_only=validate_only)
            with pytest.raises(InvalidField):
                await asker.ask(
                    "user_a",
                    methods.DELETE_HANDLE,
                    name=f"{PREFIX_A}/none",
                    request_id="x" * 65,
                    validate_only=validate_only,
                )
        await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{PREFIX_A}/x", values=[value()])
        damage(world.engine, Table.RECORDS, f"{PREFIX_A}/X".encode())
        with pytest.raises(RecordCorrupt):
            await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/x", validate_only=True)

    run(world, main)


def test_retry_beside_its_original_applies_once(world):
    async def main(asker):
        fields = {"name": f"{PREFIX_A}/", "mint_suffix": True, "values": [value()], "request_id": "one"}
        answers = await asyncio.gather(*(asker.ask("user_a", methods.CREATE_HANDLE, **fields) for _ in range(20)))
        assert len({answer.receipt.name for answer in answers}) == 1
        assert len(journal(world.engine)) == 1
        world.clock.advance(3_600)
        assert await asker.ask("user_a", methods.CREATE_HANDLE, **fields) == answers[0]

    run(world, main)

    async def restarted(asker):
        with pytest.raises(HandleNotFound):
            await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/none", request_id="two")
        await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{PREFIX_A}/none", values=[value()])
        with pytest.raises(HandleNotFound):
            await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/none", request_id="two")

    run(world, restarted)


def test_minting_needs_a_prefix_and_a_slash(world):
    async def main(asker):
        with pytest.raises(InvalidName, match="no '/'"):
            await asker.ask("administrator", methods.CREATE_HANDLE, name=PREFIX_A, mint_suffix=True, values=[value()])

    run(world, main)


def test_batch_tells_row_by_row(world):
    async def main(asker):
        rows = [new(f"{PREFIX_A}/a"), new(f"{PREFIX_A}/a"), new("88.300.20/b"), new(""), new("88.300.99/x")]
        rows += [pb.NewHandle(name=f"{PREFIX_A}/v"), new(f"{PREFIX_A}/z")]
        answer = await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=rows)
        assert [row.reason for row in answer.results] == [
            "CREATED",
            "HANDLE_ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "INVALID_NAME",
            "PREFIX_NOT_SERVED",
            "INVALID_VALUE",
            "CREATED",
        ]
        assert [row.row for row in answer.results] == list(range(7))
        assert [bool(row.message) for row in answer.results] == [bool(row.code) for row in answer.results]
        assert (answer.serial, answer.results[6].serial) == (2, 2)
        damage(world.engine, Table.RECORDS, f"{PREFIX_A}/A".encode())
        answer = await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=[rows[0], new(f"{PREFIX_A}/y")])
        assert [row.reason for row in answer.results] == ["RECORD_CORRUPT", "CREATED"]
        with pytest.raises(TooManyItems):
            await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=rows[:1] * 2_001)
        with pytest.raises(InvalidField):
            await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=rows[:1], on_existing=9)

    run(world, main)


def test_a_batch_of_new_rows_numbers_them_in_their_order(world):
    async def main(asker):
        names = [f"{PREFIX_A}/{name}" for name in "dbac"]
        await asker.ask("user_a", methods.CREATE_HANDLE, name=f"{PREFIX_A}/first", values=[value()])
        answer = await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=[new(name) for name in names])
        assert [(row.row, row.reason, row.version, row.serial) for row in answer.results] == [
            (number, "CREATED", 1, 2 + number) for number in range(4)
        ]
        assert answer.serial == 5
        for serial, name in enumerate(names, 2):
            record = (await asker.ask("user_a", methods.RESOLVE, name=name)).record
            assert (record.name, record.version, record.serial) == (name, 1, serial)
        assert tallies(world.engine) == recount(world.engine)

    run(world, main)


def test_import_over_a_restart(world):
    async def first(asker):
        answers = await asker.answers("user_a", methods.IMPORT_HANDLES, [chunk(1, "a", "b"), chunk(2, "c")])
        assert [(one.sequence, one.durable_sequence, one.repeated_chunk) for one in answers] == [
            (1, 1, False),
            (2, 2, False),
        ]
        return answers

    async def second(asker):
        answers = await asker.answers(
            "user_a", methods.IMPORT_HANDLES, [chunk(0), chunk(1, "a", "b"), chunk(2, "c"), chunk(3, "d")]
        )
        durable = [one.durable_sequence for one in answers]
        assert durable == sorted(durable)
        assert (durable[0], durable[3]) == (2, 3)
        assert [one.repeated_chunk for one in answers] == [False, True, True, False]
        return answers

    before = run(world, first)
    after = run(world, second)
    assert [one.results for one in after[1:3]] == [one.results for one in before]
    assert [serial for serial, _ in journal(world.engine)] == [1, 2, 3, 4]
    assert recount(world.engine) == tallies(world.engine)


def test_a_migration_keeps_timestamps_and_only_administrators_may(world):
    now_s = world.clock.now_us() // 1_000_000
    given = [value(1, timestamp_s=1_000), value(2), value(3, timestamp_s=now_s + 500), value(4, permissions=12)]
    given[3].timestamp_s = 2_000

    def dated(sequence, data=None, **fields):
        values = [*given[1:], value(1, data or "data", timestamp_s=3_000 if data else 1_000)]
        handle = pb.NewHandle(name=f"{PREFIX_A}/old", values=values)
        fields = {"keep_timestamps": True, "on_existing": pb.ON_EXISTING_REPLACE} | fields
        return pb.ImportHandlesRequest(import_id="move", sequence=sequence, handles=[handle], **fields)

    async def main(asker):
        with pytest.raises(PermissionDenied):
            await asker.answers("user_a", methods.IMPORT_HANDLES, [dated(1)])
        asked = {"name": f"{PREFIX_A}/old", "include_restricted": True}
        answers = await asker.answers("administrator", methods.IMPORT_HANDLES, [dated(1), dated(2)])
        assert [one.results[0].reason for one in answers] == ["CREATED", "UNCHANGED"]
        found = (await asker.ask("administrator", methods.RESOLVE, **asked)).record
        assert [each.timestamp_s for each in found.values] == [now_s, now_s, 2_000, 1_000]
        answers = await asker.answers("administrator", methods.IMPORT_HANDLES, [dated(3, "other")])
        assert [one.results[0].reason for one in answers] == ["UPDATED"]
        found = (await asker.ask("administrator", methods.RESOLVE, **asked)).record
        assert [each.timestamp_s for each in found.values] == [now_s, now_s, 2_000, 3_000]

    run(world, main)
    assert recount(world.engine) == tallies(world.engine)


def test_a_gap_is_refused_and_can_be_closed(world):
    async def main(asker):
        for _ in range(2):
            with pytest.raises(ImportOutOfSequence, match="send chunk 1"):
                await asker.answers("user_a", methods.IMPORT_HANDLES, [chunk(2, "b")])
        answers = await asker.answers("user_a", methods.IMPORT_HANDLES, [chunk(1, "a"), chunk(2, "b")])
        assert [one.durable_sequence for one in answers] == [1, 2]

    run(world, main)


def test_many_chunks_through_a_small_queue_keep_their_order(world):
    async def main(asker):
        sizes = [8, 1, 7, 2, 9, 1, 1, 30, 1]
        chunks = [chunk(number + 1, *(f"{number}-{row}" for row in range(size))) for number, size in enumerate(sizes)]
        answers = await asker.answers("user_a", methods.IMPORT_HANDLES, chunks)
        assert [one.sequence for one in answers] == list(range(1, 10))
        assert len(journal(world.engine)) == sum(sizes)

    run(world, main, lane_queue_max=10)


def test_nobody_in_particular_writes_nothing(world):
    async def main(asker):
        before = dump(world.engine)
        with pytest.raises(CredentialMissing):
            await asker.answers("", methods.IMPORT_HANDLES, [chunk(1, "a")])
        with pytest.raises(CredentialMissing):
            await asker.ask("", methods.BATCH_CREATE_HANDLES, handles=[new(f"{PREFIX_A}/a")], request_id="id")
        assert dump(world.engine) == before

    run(world, main)
