"""Who may follow: not whose credential is gone, however much there is to send, and not the mirror of another site."""

import asyncio

import pytest

from resolver import methods
from resolver.errors import CredentialInvalid, InvalidTransition
from resolver.service.core import MirrorOptions
from resolver.v1 import handle_pb2, mirror_pb2, registration_pb2, registry_pb2


async def register(asker, number):
    value = handle_pb2.HandleValue(index=1, type="URL", data=b"u")
    request = registration_pb2.CreateHandleRequest(name=f"88.300.1/{number}", values=[value])
    await asker.ask("administrator", methods.CREATE_HANDLE, request)


async def key_of(asker, principal_id):
    request = registry_pb2.ListKeysRequest(principal_id=principal_id)
    return (await asker.ask("administrator", methods.LIST_KEYS, request)).keys[0].key_id


def test_a_revoked_mirror_is_refused_while_changes_never_cease(world, tmp_path):
    async def main():
        world.add_principal("mirror", "", registry_pb2.ROLE_MIRROR)
        async with world.serving(mirror=MirrorOptions(tmp_path)) as asker:
            acknowledged = asyncio.Queue()

            async def requests():
                yield mirror_pb2.FollowRequest(mirror_id="m1", epoch=1, start_sweep=True)
                while True:
                    yield mirror_pb2.FollowRequest(held=await acknowledged.get())

            async def write():
                number = 0
                while True:
                    number += 1
                    await register(asker, number)
                    await asyncio.sleep(0.1)

            async def follow():
                got = 0
                async for message in asker.stream("mirror", methods.FOLLOW, requests()):
                    acknowledged.put_nowait(message.newest)
                    got += 1
                    if got == 10:
                        key_id = await key_of(asker, "mirror")
                        await asker.ask("administrator", methods.REVOKE_KEY, key_id=key_id)

            writing = asyncio.create_task(write())
            with pytest.raises(CredentialInvalid):
                await asyncio.wait_for(follow(), 120)
            writing.cancel()

    asyncio.run(main())


@pytest.mark.parametrize("had_mirrors", [False, True])
def test_a_mirror_of_another_site_does_not_fence_this_one(world, tmp_path, had_mirrors):
    """Somebody gave a wrong address: that must not keep all enterprises from registering."""

    async def greet(asker, **fields):
        async def requests():
            yield mirror_pb2.FollowRequest(mirror_id="m1", **fields)

        async for _ in asker.stream("mirror", methods.FOLLOW, requests()):
            return

    async def main():
        world.add_principal("mirror", "", registry_pb2.ROLE_MIRROR)
        async with world.serving(mirror=MirrorOptions(tmp_path)) as asker:
            if had_mirrors:
                await greet(asker, epoch=1, start_sweep=True)
            held = mirror_pb2.MirrorPosition(serial=7, sequence=7)
            for fields in ({"held": held}, {"start_sweep": True}):  # also one that has no handles yet
                with pytest.raises(InvalidTransition, match="belongs to another site"):
                    await greet(asker, epoch=5, site_id=b"another site", **fields)
            await register(asker, 1)

    asyncio.run(main())
