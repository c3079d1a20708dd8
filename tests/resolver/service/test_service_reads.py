"""Resolving, listing, watching and counting through the service."""

import asyncio

import pytest

from resolver import limits, methods
from resolver.errors import (
    AnswerTooLarge,
    CredentialInvalid,
    CredentialMissing,
    HandleNotFound,
    InvalidField,
    InvalidPageToken,
    PermissionDenied,
    PrefixNotServed,
    RecordCorrupt,
    ResolverError,
    ValuesNotFound,
)
from resolver.node import listing
from resolver.v1 import changes_pb2, stored_pb2
from storage.tables import Table
from tests.support.builders import HIDDEN, NOBODY, PREFIX_A, PREFIX_B, register, value
from tests.support.damage import damage

TODAY = 20260528


def run(world, main, **changes):
    async def body():
        async with world.serving(**changes) as asker:
            return await main(asker)

    return asyncio.run(body())


def data(answer):
    return [one.data for one in answer.record.values]


def test_a_prefix_that_is_not_served_is_named_as_the_caller_wrote_it(world):
    async def main(asker):
        for ask in (
            asker.ask("user_a", methods.RESOLVE, name="Some.Where/x"),
            asker.ask("administrator", methods.LIST_HANDLES, prefix="Some.Where"),
        ):
            with pytest.raises(PrefixNotServed) as caught:
                await ask
            assert "'Some.Where'" in caught.value.message
            assert caught.value.details == {"prefix": "Some.Where"}

    run(world, main)


def test_filters_and_restricted_values(world):
    given = [
        value(1, "a", "URL"),
        value(2, "b", "URL.US"),
        value(3, "c", "EMAIL"),
        value(4, "d", "KEY", permissions=HIDDEN),
        value(5, "e", "KEY", permissions=NOBODY),
    ]
    register(world.engine, world.clock, f"{PREFIX_A}/x", given)

    async def main(asker):
        async def ask(who="", **fields):
            return data(await asker.ask(who, methods.RESOLVE, name=f"{PREFIX_A}/X", **fields))

        assert await ask() == [b"a", b"b", b"c"]
        assert await ask(types=["url"]) == [b"a"]
        assert await ask(types=["URL."]) == [b"a", b"b"]
        assert await ask(types=["URL"], indexes=[3]) == [b"a", b"c"]
        with pytest.raises(ValuesNotFound):
            await ask(indexes=[4])
        with pytest.raises(CredentialMissing):
            await ask(include_restricted=True)
        for who in ("app_a", "user_b"):
            with pytest.raises(PermissionDenied):
                await ask(who, include_restricted=True)
        assert await ask("user_a", include_restricted=True) == [b"a", b"b", b"c", b"d"]
        assert await ask("administrator", include_restricted=True, indexes=[4, 5]) == [b"d"]

    run(world, main)


def test_long_handles_are_compared_whole(world):
    start = f"{PREFIX_A}/" + "L" * 600
    for end in "ab":
        register(world.engine, world.clock, start + end, [value(1, end)])

    async def main(asker):
        assert data(await asker.ask("", methods.RESOLVE, name=start.lower() + "b")) == [b"b"]
        with pytest.raises(HandleNotFound):
            await asker.ask("", methods.RESOLVE, name=start + "c")
        listed = await asker.ask("user_a", methods.LIST_HANDLES, prefix=PREFIX_A, suffix_start="l" * 600 + "A")
        assert list(listed.names) == [start + "a"]

    run(world, main)


def test_a_list_looks_at_so_many_rows_of_others_and_goes_on_there(world, monkeypatch):
    """Under 448 octets all long handles are neighbours: a list of few of them read them all at once."""
    monkeypatch.setattr(listing, "PASSED_OVER_MAX", 5)
    start = f"{PREFIX_A}/" + "L" * 600
    for number in range(20):
        register(world.engine, world.clock, f"{start}{'AB'[number % 4 == 0]}{number}", [value(1, "x")])

    async def main(asker):
        names, token, pages = [], "", 0
        while token or not pages:
            asked = {"prefix": PREFIX_A, "suffix_start": "L" * 600 + "B", "page_size": 3, "page_token": token}
            answer = await asker.ask("user_a", methods.LIST_HANDLES, **asked)
            assert len(answer.names) <= 3
            names += answer.names
            token, pages = answer.next_page_token, pages + 1
        assert sorted(names) == sorted(f"{start}B{number}" for number in range(0, 20, 4))
        assert pages >= 4

    run(world, main)


def test_damaged_rows_are_never_served(world):
    for name in "xyz":
        register(world.engine, world.clock, f"{PREFIX_A}/{name}", [value(1), value(2, permissions=HIDDEN)])
    damage(world.engine, Table.RECORDS, f"{PREFIX_A}/X".encode())
    damage(world.engine, Table.RESTRICTED, f"{PREFIX_A}/Y".encode())

    async def main(asker):
        with pytest.raises(RecordCorrupt):
            await asker.ask("", methods.RESOLVE, name=f"{PREFIX_A}/x")
        names = [f"{PREFIX_A}/{name}" for name in "xyz"]
        answer = await asker.ask("user_a", methods.BATCH_RESOLVE, names=names, include_restricted=True)
        assert [(miss.position, miss.reason) for miss in answer.misses] == [
            (0, "RECORD_CORRUPT"),
            (1, "RECORD_CORRUPT"),
        ]
        assert [record.name for record in answer.records] == [names[2]]
        with pytest.raises(RecordCorrupt):
            await asker.ask("user_a", methods.LIST_HANDLES, prefix=PREFIX_A)

    run(world, main)


def test_pages_are_complete_and_without_repeats(world):
    names = [f"{PREFIX_A}/{number:03}" for number in range(57)]
    for name in [*names, f"{PREFIX_A}0/other", f"{PREFIX_B}/other"]:
        if not name.startswith(f"{PREFIX_A}0"):
            register(world.engine, world.clock, name)

    async def main(asker):
        async def page(token="", **fields):
            fields = {"prefix": PREFIX_A, "page_size": 10, "page_token": token} | fields
            return await asker.ask("user_a", methods.LIST_HANDLES, **fields)

        for size in (1, 7, 19, 56, 57, 58, 1_000):
            found, token = [], ""
            while True:
                answer = await page(token, page_size=size)
                found += answer.names
                token = answer.next_page_token
                if not token:
                    break
            assert found == names, size
        token = (await page()).next_page_token
        for bad in ("x", "!!!", "标", token + "!", "A" * 5_000, token + "AAAA" * 300):
            with pytest.raises(InvalidPageToken):
                await page(bad)
        with pytest.raises(InvalidPageToken):
            await asker.ask("administrator", methods.LIST_HANDLES, prefix=PREFIX_B, page_token=token)
        with pytest.raises(InvalidPageToken):
            await asker.ask("administrator", methods.LIST_PREFIXES, page_token=token)
        with pytest.raises(InvalidField):
            await page(page_size=1_001)

    run(world, main)


def test_a_page_counts_restricted_octets_too(world):
    for number in range(8):
        hidden = value(2, b"h" * 900_000, permissions=HIDDEN)
        register(world.engine, world.clock, f"{PREFIX_A}/{number}", [value(1), hidden])

    async def main(asker):
        found, token = [], ""
        while True:
            answer = await asker.ask(
                "user_a",
                methods.LIST_HANDLES,
                prefix=PREFIX_A,
                include_records=True,
                include_restricted=True,
                page_token=token,
            )
            assert answer.ByteSize() <= limits.MESSAGE_OCTETS_MAX
            found += [record.name for record in answer.records]
            token = answer.next_page_token
            if not token:
                return found

    assert run(world, main) == [f"{PREFIX_A}/{number}" for number in range(8)]


async def next_of(stream):
    return await asyncio.wait_for(anext(stream), 60)


def test_watch_from_a_serial_on_and_then_what_comes(world):
    for number in range(3):
        register(world.engine, world.clock, f"{PREFIX_A}/{number}")
        register(world.engine, world.clock, f"{PREFIX_B}/{number}")

    async def main(asker):
        request = changes_pb2.WatchRequest(from_serial=2, prefixes=[PREFIX_A], include_records=True)
        stream = asker.stream("user_a", methods.WATCH, request)
        answer = await next_of(stream)
        assert [change.change.serial for change in answer.changes] == [3, 5]
        assert [change.record.name for change in answer.changes] == [f"{PREFIX_A}/1", f"{PREFIX_A}/2"]
        assert answer.through_serial == 6
        waiting = asyncio.create_task(next_of(stream))
        await asyncio.sleep(0)
        await asker.ask("user_a", methods.DELETE_HANDLE, name=f"{PREFIX_A}/1")
        answer = await waiting
        assert [change.change.operation for change in answer.changes] == [changes_pb2.OPERATION_DELETE]
        await stream.aclose()
        ended = changes_pb2.WatchRequest(from_serial=1, stop_at_end=True)
        answers = [answer async for answer in asker.stream("app_a", methods.WATCH, ended)]
        assert [change.change.serial for answer in answers for change in answer.changes] == [1, 3, 5, 7]

    run(world, main)


def test_watch_without_gaps_over_many_pages(world):
    names = [f"{PREFIX_A}/{number}" for number in range(2_500)]

    async def main(asker):
        for start in range(0, 2_500, 500):
            rows = [{"name": name, "values": [value()]} for name in names[start : start + 500]]
            await asker.ask("user_a", methods.BATCH_CREATE_HANDLES, handles=rows)
        request = changes_pb2.WatchRequest(from_serial=1, stop_at_end=True)
        answers = [answer async for answer in asker.stream("user_a", methods.WATCH, request)]
        assert [change.change.serial for answer in answers for change in answer.changes] == list(range(1, 2_501))
        assert [answer.through_serial for answer in answers] == [1_000, 2_000, 2_500]

    run(world, main)


@pytest.mark.parametrize("serial", [2, 3, 10**6, 2**64 - 1])
def test_watch_beyond_the_end_is_refused(world, serial):
    """A mirror ahead of its node must learn of it: the node was restored from a backup."""

    async def main(asker):
        request = changes_pb2.WatchRequest(from_serial=serial, stop_at_end=True)
        return [answer async for answer in asker.stream("user_a", methods.WATCH, request)]

    if serial == 2:
        register(world.engine, world.clock, f"{PREFIX_A}/x")
        assert run(world, main) == []
        return
    with pytest.raises(InvalidField, match="journal ends at 0"):
        run(world, main)


def test_revoked_credential_ends_a_waiting_watch(world):
    async def main(asker):
        stream = asker.stream("user_a", methods.WATCH, changes_pb2.WatchRequest())

        async def read():
            return [answer async for answer in stream]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        keys = await asker.ask("administrator", methods.LIST_KEYS, principal_id="user-a")
        await asker.ask("administrator", methods.REVOKE_KEY, key_id=keys.keys[0].key_id)
        with pytest.raises(CredentialInvalid):
            await asyncio.wait_for(reading, 60)

    run(world, main)


def test_resolutions_are_counted_under_prefixes_of_the_node_only(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")
    invented = ["evil1/", "evil2/" + "x" * 3_000, "evil3/x", "E" * 80 + "/x", "/x"]

    async def main(asker):
        async def miss(name):
            with pytest.raises(ResolverError):
                await asker.ask("", methods.RESOLVE, name=name)

        await asker.ask("", methods.RESOLVE, name=f"{PREFIX_A}/x")
        await miss(f"{PREFIX_A}/none")
        await asker.ask("", methods.BATCH_RESOLVE, names=[f"{PREFIX_A}/X", f"{PREFIX_A}/none", "88.300", *invented])
        for name in invented:
            await miss(name)
        answer = await asker.ask(
            "user_a", methods.GET_STATISTICS, prefix=PREFIX_A, from_day=TODAY, to_day=TODAY, include_sources=True
        )
        (day,) = answer.days
        assert (day.creates, day.resolutions, day.resolutions_found) == (1, 4, 2)
        assert [(source.address, source.resolutions) for source in day.sources] == [("192.0.2.1", 4)]
        with world.engine.read() as reader:
            assert {key[4:].decode() for key, _ in reader.scan(Table.STATISTICS)} == {"", "0.NA", "\x01", PREFIX_A}

    run(world, main)


def test_counts_are_written_at_the_end(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main(asker):
        for _ in range(5):
            await asker.ask("", methods.RESOLVE, name=f"{PREFIX_A}/x")

    run(world, main)

    async def count(asker):
        answer = await asker.ask("user_a", methods.GET_STATISTICS, prefix=PREFIX_A, from_day=TODAY)
        return answer.days[0].resolutions

    assert run(world, count) == 5


def test_statistics_that_fit_no_message(world):
    with world.engine.write() as writer:
        for number in range(40_000):
            key = TODAY.to_bytes(4, "big") + PREFIX_A.encode() + b"\0" + (f"{number:05}" * 12).encode()
            writer.put(Table.SOURCES, key, stored_pb2.StoredSource(resolutions=1).SerializeToString())
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main(asker):
        with pytest.raises(AnswerTooLarge):
            await asker.ask("user_a", methods.GET_STATISTICS, from_day=TODAY, include_sources=True)

    run(world, main)


@pytest.mark.parametrize("method", [methods.GET_STATISTICS, methods.LIST_SOURCE_STATISTICS], ids=lambda each: each.path)
@pytest.mark.parametrize(
    ("days", "field"),
    [
        ((1, 2**32 - 1), "from_day"),
        ((2**32 - 6, 2**32 - 1), "from_day"),
        ((20260101, 20261301), "to_day"),
        ((20260100, 20260101), "from_day"),
        ((20260102, 20260101), "to_day"),
    ],
)
def test_what_is_no_day_is_named(world, method, days, field):
    async def main(asker):
        with pytest.raises(InvalidField) as refused:
            await asker.ask("administrator", method, from_day=days[0], to_day=days[1])
        assert refused.value.field == field

    run(world, main)


def test_closed_resolution_is_for_known_callers(world):
    register(world.engine, world.clock, f"{PREFIX_A}/x")

    async def main(asker):
        with pytest.raises(CredentialMissing):
            await asker.ask("", methods.RESOLVE, name=f"{PREFIX_A}/x")
        assert data(await asker.ask("app_b", methods.RESOLVE, name=f"{PREFIX_A}/x")) == [b"data"]

    run(world, main, public_resolution=False)
