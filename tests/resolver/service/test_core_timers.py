"""The timers of a worker's core go on whatever happens in one of their turns."""

import asyncio

import pytest


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - looks from outside
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["poll", "roll"])
def test_a_timer_outlives_a_defect(memory_world, name):
    """A worker whose timer had ended would never hear of a revoked key, or would count nothing any more."""

    async def scenario():
        async with memory_world.serving(watch_poll_s=0.01, statistics_flush_s=60.0) as asker:
            core = asker.service.core
            action, seen = getattr(core, name), []
            await asyncio.sleep(0)

            def fails_once():
                seen.append(1)
                if len(seen) == 1:
                    raise ZeroDivisionError
                action()

            setattr(core, name, fails_once)
            await until(lambda: len(seen) >= 2)
            delattr(core, name)

    asyncio.run(scenario())
