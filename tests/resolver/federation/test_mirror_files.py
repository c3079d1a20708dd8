"""Uploaded files follow their rows to a mirror: with the first copy, with each change, and after a crash."""

import asyncio
import hashlib
import secrets
from contextlib import asynccontextmanager

import pytest

from resolver import methods
from resolver.app.data_dir import DataDir
from resolver.app.discarded import keeper
from resolver.app.mirror_service import make_mirror
from resolver.clock import SystemClock
from resolver.federation.mirror import Follower
from resolver.federation.mirror_files import FileCopies
from resolver.federation.node_channel import NodeCredentials
from resolver.node import site_role
from resolver.service import Credential
from resolver.service.core import Core, MirrorOptions
from resolver.service.mirror_files import PART_OCTETS
from resolver.v1 import mirror_pb2 as pb
from resolver.v1 import registry_pb2
from storage.files import FileStore
from storage.lmdb_engine import LmdbEngine
from tests.support.node import Failed, options


def pdf(octets, fill=b"x"):
    return b"%PDF-" + fill * (octets - 5)


def digest_of(octets):
    return hashlib.sha256(octets).digest()


SMALL, LARGE = pdf(100), pdf(2 * PART_OCTETS + 17)


class Site:
    """A primary with a door, and the place where its mirror lies."""

    def __init__(self, client, files, root):
        self.client, self.files, self.data = client, FileStore(files), DataDir(root)
        self.copies = FileStore(self.data.files)
        self.credentials = NodeCredentials(client.world.tokens["mirror"])

    async def upload(self, octets):
        call = self.client.service.call_from("192.0.2.1", Credential(token=self.client.world.tokens["user_a"]))
        await self.client.service.applications.upload(call, octets, "")

    async def copy(self):
        place = self.client.address
        await asyncio.to_thread(make_mirror, self.data.root, place, "m1", self.credentials, lambda *_: None)

    @asynccontextmanager
    async def following(self):
        """The mirror at work: its store, and what brings files over."""
        engine = LmdbEngine(self.data.store, map_octets=1 << 28)
        mirror = MirrorOptions(self.data.run)
        core = Core(engine, SystemClock(), secrets.token_bytes, options(mirror=mirror), version="test")
        copies = FileCopies(engine, self.copies)
        report, keep = self.data.run / "mirror.json", keeper(engine, self.data.root)
        follower = Follower(core, self.credentials, copies, address="", report=report, keep_discarded=keep)
        await core.start()
        task = asyncio.create_task(follower.run())
        try:
            yield engine, copies
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await core.close()
            engine.close()

    async def until_equal(self, engine):
        """Wait until the mirror has all rows."""

        def position(store):
            with store.read() as reader:
                return site_role.position(reader)

        async with asyncio.timeout(60):
            while True:
                if position(engine) == position(self.client.world.engine):
                    return
                await asyncio.sleep(0.005)


def play(world, tmp_path, main):
    async def whole():
        world.add_principal("mirror", "", registry_pb2.ROLE_MIRROR)
        async with world.door(files_dir=tmp_path / "files", mirror=MirrorOptions(tmp_path)) as client:
            await main(Site(client, tmp_path / "files", tmp_path / "mirror"))

    asyncio.run(whole())


def test_the_first_copy_and_every_change_bring_their_files(world, tmp_path):
    async def main(site):
        for octets in (SMALL, LARGE):
            await site.upload(octets)
        await site.copy()
        assert site.copies.get(digest_of(SMALL)) == SMALL
        assert site.copies.get(digest_of(LARGE)) == LARGE
        async with site.following() as (engine, copies):
            for fill in (b"1", b"2", b"3"):
                octets = pdf(5_000, fill)
                await site.upload(octets)
                await site.until_equal(engine)
                assert site.copies.get(digest_of(octets)) == octets, "a row is here only after its content"
            assert copies.missing == 0

    play(world, tmp_path, main)


def test_what_a_crash_left_out_is_fetched_before_the_next_greeting(world, tmp_path):
    async def main(site):
        await site.upload(LARGE)
        await site.copy()
        (site.data.files / site.copies.place_of(digest_of(LARGE))).unlink()
        async with site.following() as (engine, _):
            await site.upload(SMALL)
            await site.until_equal(engine)
        assert site.copies.get(digest_of(LARGE)) == LARGE

    play(world, tmp_path, main)


@pytest.mark.parametrize("damage", ["gone", "shorter", "other octets"])
def test_a_file_that_the_primary_has_lost_holds_nothing_up_and_is_counted(world, tmp_path, damage):
    async def main(site):
        await site.upload(LARGE)
        path = tmp_path / "files" / site.files.place_of(digest_of(LARGE))
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(LARGE[:-1] if damage == "shorter" else LARGE[:-1] + b"y")
        await site.copy()
        async with site.following() as (engine, copies):
            await site.upload(SMALL)
            await site.until_equal(engine)
            assert site.copies.get(digest_of(SMALL)) == SMALL
            assert copies.missing == 1
        assert not site.copies.has(digest_of(LARGE))
        path.write_bytes(LARGE)  # restored from a backup
        async with site.following() as (engine, copies):
            await site.upload(pdf(200))
            await site.until_equal(engine)
            assert copies.missing == 0
        assert site.copies.get(digest_of(LARGE)) == LARGE

    play(world, tmp_path, main)


def test_files_are_read_by_mirrors_only_and_by_digest(world, tmp_path):
    async def main(site):
        await site.upload(LARGE)
        digest = digest_of(LARGE).hex()
        read = methods.READ_FILE
        (part,) = await site.client.ask("mirror", read, pb.ReadFileRequest(sha256=digest, offset=2 * PART_OCTETS))
        assert (part.content, part.size) == (LARGE[2 * PART_OCTETS :], len(LARGE))
        (end,) = await site.client.ask("mirror", read, pb.ReadFileRequest(sha256=digest.upper(), offset=1 << 63))
        assert (end.content, end.size) == (b"", len(LARGE))
        for who in ("user_a", "app_a", ""):
            with pytest.raises(Failed) as denied:
                await site.client.ask(who, read, pb.ReadFileRequest(sha256=digest))
            assert denied.value.code.name in {"PERMISSION_DENIED", "UNAUTHENTICATED"}
        for wrong, reason in (("", "INVALID_FIELD"), ("../" * 21 + "a", "INVALID_FIELD"), ("0" * 64, "NOT_FOUND")):
            with pytest.raises(Failed) as refused:
                await site.client.ask("mirror", read, pb.ReadFileRequest(sha256=wrong))
            assert refused.value.reason == reason

    play(world, tmp_path, main)
