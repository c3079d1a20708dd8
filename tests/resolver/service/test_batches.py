"""Batches that update and delete: a result for each row, in order, and nothing of a bad row written."""

import asyncio

import pytest

from resolver import methods
from resolver.errors import TooManyItems
from resolver.v1 import registration_pb2 as pb
from resolver.v1 import template_pb2
from tests.support.builders import PREFIX_A, PREFIX_B, value

A, B, C = (f"{PREFIX_A}/{letter}" for letter in "abc")


def run(world, main):
    async def body():
        async with world.serving() as asker:
            for name in (A, B):
                both = [value(1, "https://a.cn"), value(2000, name, "NAME")]
                await asker.ask("user_a", methods.CREATE_HANDLE, name=name, values=both)
            return await main(asker)

    return asyncio.run(body())


def row(name, *values, template_id=""):
    return pb.NewHandle(name=name, values=values or [value(2000, "new", "NAME")], template_id=template_id)


async def values_of(asker, name):
    record = (await asker.ask("user_a", methods.RESOLVE, name=name)).record
    return {each.index: each.data.decode() for each in record.values}


def reasons(answer):
    return [each.reason for each in answer.results]


@pytest.mark.parametrize("keeps", [False, True])
def test_updates_row_by_row(world, keeps):
    async def main(asker):
        rows = [row(A), row(C), row(f"{PREFIX_B}/x"), row("/x"), row(B, value(0)), row(A)]
        fields = {"template_values_only": keeps, "request_id": "u"}
        answer = await asker.ask("user_a", methods.BATCH_UPDATE_HANDLES, handles=rows, **fields)
        bad = ["HANDLE_NOT_FOUND", "PERMISSION_DENIED", "INVALID_NAME", "INVALID_VALUE"]
        assert reasons(answer) == ["UPDATED", *bad, "UNCHANGED"]
        assert answer.serial == answer.results[0].serial > 0
        assert await values_of(asker, A) == ({1: "https://a.cn"} if keeps else {}) | {2000: "new"}
        assert await values_of(asker, B) == {1: "https://a.cn", 2000: B}
        assert await asker.ask("user_a", methods.BATCH_UPDATE_HANDLES, handles=rows, **fields) == answer

    run(world, main)


def test_an_update_of_template_values_is_held_to_the_template(world):
    async def main(asker):
        items = [template_pb2.TemplateItem(index=2000, type="NAME", maximum=3)]
        template = template_pb2.Template(template_id="t", prefix=PREFIX_A, items=items)
        await asker.ask("user_a", methods.CREATE_TEMPLATE, template=template)
        fields = {"name": A, "template_values_only": True, "template_id": "t"}
        await asker.ask("user_a", methods.UPDATE_HANDLE, values=[value(2000, "abc", "NAME")], **fields)
        rows = [row(A, value(2000, "long", "NAME")), row(B, value(2001, "x", "NAME"), template_id="t")]
        request = pb.BatchUpdateHandlesRequest(handles=rows, template_values_only=True)
        answer = await asker.ask("user_a", methods.BATCH_UPDATE_HANDLES, request)
        assert reasons(answer) == ["TEMPLATE_NOT_FOLLOWED"] * 2
        assert await values_of(asker, A) == {1: "https://a.cn", 2000: "abc"}

    run(world, main)


def test_deletes_row_by_row(world):
    async def main(asker):
        request = pb.BatchDeleteHandlesRequest(names=[A, C, A, f"{PREFIX_B}/x", ""], request_id="d")
        answer = await asker.ask("user_a", methods.BATCH_DELETE_HANDLES, request)
        bad = ["HANDLE_NOT_FOUND", "HANDLE_NOT_FOUND", "PERMISSION_DENIED", "INVALID_NAME"]
        assert reasons(answer) == ["DELETED", *bad]
        assert [each.version for each in answer.results] == [2, 0, 0, 0, 0]
        await asker.ask("user_a", methods.CREATE_HANDLE, name=A, values=[value()])
        assert await asker.ask("user_a", methods.BATCH_DELETE_HANDLES, request) == answer
        assert await values_of(asker, A) == {1: "data"}

    run(world, main)


def test_no_batch_has_more_than_two_thousand_rows(world):
    async def main(asker):
        with pytest.raises(TooManyItems, match="2001"):
            await asker.ask("user_a", methods.BATCH_DELETE_HANDLES, names=[A] * 2_001)
        with pytest.raises(TooManyItems, match="2001"):
            await asker.ask("user_a", methods.BATCH_UPDATE_HANDLES, handles=[row(C)] * 2_001)
        whole = await asker.ask("user_a", methods.BATCH_DELETE_HANDLES, names=[C] * 2_000)
        assert len(whole.results) == 2_000

    run(world, main)
