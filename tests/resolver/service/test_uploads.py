"""An upload that is refused leaves no content behind: nothing would ever remove it."""

import asyncio

import pytest

from resolver.errors import QuotaExhausted, StorageFull
from resolver.registry import files
from storage.engine import Space
from storage.files import FileStore


def jpeg(number):
    return b"\xff\xd8\xff" + b"%d" % number


def contents(directory):
    return len(tuple(FileStore(directory).digests()))


def run(world, directory, main):
    async def go():
        async with world.serving(files_dir=directory) as asker:
            await main(asker.service.applications, asker.call("user_a"))

    asyncio.run(go())


def test_nothing_is_stored_beyond_the_quota(world, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "UNLINKED_MAX", 3)

    async def main(applications, call):
        first = [await applications.upload(call, jpeg(number), f"id-{number}") for number in range(3)]
        for number in range(3, 6):
            with pytest.raises(QuotaExhausted):
                await applications.upload(call, jpeg(number), f"id-{number}")
        assert contents(tmp_path) == 3
        assert await applications.upload(call, jpeg(2), "id-2") == first[2], "a retry gets its outcome"

    run(world, tmp_path, main)


def test_nothing_is_stored_in_the_reserve(world, tmp_path, monkeypatch):
    async def main(applications, call):
        monkeypatch.setattr(world.engine, "space", lambda: Space(0, 1, 1))
        with pytest.raises(StorageFull):
            await applications.upload(call, jpeg(1), "")
        assert contents(tmp_path) == 0

    run(world, tmp_path, main)
