"""Pages by number: the same rows as a look at everything, whatever the slices, and turns for others between them."""

import asyncio

import pytest

from resolver.errors import CredentialMissing
from resolver.registry import enterprises
from resolver.registry.applications import Record
from resolver.service import registry_pages
from resolver.service.registry_pages import Wanted
from resolver.v1 import registry_pb2 as pb
from tests.support.builders import ADMIN, add_prefix, enterprise

PREFIXES = 60
SECOND_US = 1_000_000


@pytest.fixture
def many(world):
    """Sixty more prefixes of three more enterprises, each made a second after the one before."""
    with world.engine.write() as writer:
        for letter in "xyz":
            row = enterprise(f"ent-{letter}", name=f"企业 {letter}")
            world.clock.advance(1)
            enterprises.create(writer, ADMIN, row, world.clock.now_us(), world.randomness)
        for number in range(PREFIXES):
            world.clock.advance(1)
            name = f"88.300.{1000 + number * 7 % PREFIXES}"
            add_prefix(writer, name, f"ent-{'xyz'[number % 3]}", create_time_us=world.clock.now_us())
    return world


def run(world, who, ask):
    async def main():
        async with world.serving() as asker:
            return await ask(asker.service.registry_pages, asker.call(who))

    return asyncio.run(main())


@pytest.mark.parametrize("slice_rows", [1, 7, 1_000])
def test_pages_together_are_every_prefix_once_and_in_order(many, monkeypatch, slice_rows):
    monkeypatch.setattr(registry_pages, "ROWS_AT_ONCE", slice_rows)

    async def ask(pages, call):
        whole = await pages.prefixes(call, Wanted(0, 1_000))
        found = [await pages.prefixes(call, Wanted(number, 7)) for number in range(12)]
        return whole, found

    whole, found = run(many, "administrator", ask)
    names = [row.prefix for row in whole.rows]
    assert names == sorted(names)
    assert len(names) == whole.total >= PREFIXES + 2
    assert [row.prefix for page in found for row in page.rows] == names
    assert {page.total for page in found} == {whole.total}


def test_a_page_is_of_what_is_wanted(many):
    first_us = many.clock.now_us() - (PREFIXES - 1) * SECOND_US

    async def ask(pages, call):
        return (
            await pages.prefixes(call, Wanted(0, 1_000, name="业 y")),
            await pages.prefixes(call, Wanted(0, 1_000, prefix="88.300.100")),
            await pages.prefixes(call, Wanted(0, 1_000, from_us=first_us, before_us=first_us + 5 * SECOND_US)),
            await pages.prefixes(call, Wanted(0, 1_000, name="none of them")),
        )

    named, begun, dated, nobodys = run(many, "administrator", ask)
    assert {row.enterprise_id for row in named.rows} == {"ent-y"}
    assert named.total == PREFIXES // 3
    assert [row.prefix for row in begun.rows] == [f"88.300.{number}" for number in range(1000, 1010)]
    assert sorted(row.prefix for row in dated.rows) == sorted(f"88.300.{1000 + each * 7}" for each in range(5))
    assert nobodys == ([], 0)


def test_an_enterprise_sees_its_own_only(many):
    async def ask(pages, call):
        return await pages.prefixes(call, Wanted(0, 10)), await pages.enterprises(call, Wanted(0, 10))

    prefixes, records = run(many, "user_a", ask)
    assert [row.prefix for row in prefixes.rows] == ["88.300.10"]
    assert [record.enterprise.enterprise_id for record in records.rows] == ["ent-a"]
    assert (prefixes.total, records.total) == (1, 1)


def test_enterprises_come_oldest_first(many, monkeypatch):
    monkeypatch.setattr(registry_pages, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(registry_pages, "DOCUMENTS_AT_ONCE", 2)

    async def ask(pages, call):
        whole = await pages.enterprises(call, Wanted(0, 10))
        named = await pages.enterprises(call, Wanted(0, 2, name="企业"))
        return whole, named, await pages.enterprises(call, Wanted(1, 2, name="企业"))

    whole, first, second = run(many, "administrator", ask)
    assert [record.enterprise.enterprise_id for record in whole.rows[-3:]] == ["ent-x", "ent-y", "ent-z"]
    assert [record.enterprise.enterprise_id for record in first.rows + second.rows] == ["ent-x", "ent-y", "ent-z"]
    assert first.total == second.total == 3


def test_strangers_see_no_page(many):
    async def ask(pages, call):
        with pytest.raises(CredentialMissing):
            await pages.prefixes(call, Wanted(0, 10))
        with pytest.raises(CredentialMissing):
            await pages.enterprises(call, Wanted(0, 10))

    run(many, None, ask)


def test_others_have_their_turn_while_a_page_is_made(many, monkeypatch):
    monkeypatch.setattr(registry_pages, "ROWS_AT_ONCE", 5)
    turns = 0

    async def ask(pages, call):
        nonlocal turns

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await pages.prefixes(call, Wanted(0, 10))
        counting.cancel()

    run(many, "administrator", ask)
    assert turns >= PREFIXES // 5


def test_a_page_keeps_of_documents_what_lists_show():
    """A thousand documents of a quarter of a megabyte were kept for one page."""
    basic = {"orgName": "a", "entPrefix": "88.300.1", "orgDesc": "x" * 1_000, "unknown": "y"}
    whole = Record(pb.Enterprise(enterprise_id="e"), {"sysUser": {}, "entBasicInfo": basic, "others": [1]}, 1, 2)
    listed = registry_pages._listed(whole)
    assert listed.document == {"entBasicInfo": {"orgName": "a", "entPrefix": "88.300.1"}}
    assert listed.name == "a"
    assert registry_pages._listed(whole._replace(document={})).document == {}
