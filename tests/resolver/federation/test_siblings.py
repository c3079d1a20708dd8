"""Copying from the other servers of a site goes on whatever they send."""

import asyncio

from resolver.federation import siblings
from resolver.federation.siblings import Pull, Siblings


def test_a_pull_that_meets_a_defect_is_begun_again(monkeypatch):
    monkeypatch.setattr(siblings, "_RETRY_FIRST_S", 0.01)
    begun = []

    async def follow(_pull):
        begun.append(1)
        if len(begun) == 1:
            raise KeyError("nobody thought of this")
        await asyncio.Event().wait()

    async def main():
        copies = Siblings(None, None)
        monkeypatch.setattr(copies, "follow", follow)
        task = asyncio.create_task(copies._keep(Pull(2, "192.0.2.2:2640", b"")))
        async with asyncio.timeout(30):
            while len(begun) < 2:  # noqa: ASYNC110 - looks from outside
                await asyncio.sleep(0.01)
        assert "nobody thought of this" in copies.trouble
        task.cancel()

    asyncio.run(main())
