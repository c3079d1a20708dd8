"""The way to a server that is silent: those who wait are given up together, and who comes then is not lost."""

import asyncio
import socket
import time

import pytest

from resolver import limits
from resolver.federation.gate import Gate


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(limits, "UPSTREAM_SILENT_QUESTIONS", 3)
    monkeypatch.setattr(limits, "UPSTREAM_SILENT_S", 0.2)


async def ask(gate, answered):
    """The end of a question: whether it was answered."""
    try:
        async with gate.turn(600.0):
            await answered.wait()
            gate.heard()
            return True
    except TimeoutError:
        return False


def test_who_comes_while_others_are_given_up_waits_as_they_did():
    """It met limits that were just expiring and failed as by a defect; those behind them waited their whole time."""

    async def main():
        gate, never = Gate(), asyncio.Event()
        asked = [asyncio.create_task(ask(gate, never)) for _ in range(3)]
        async with asyncio.timeout(60):
            while not any(task.done() for task in asked):
                await asyncio.sleep(0)
                asked += [asyncio.create_task(ask(gate, never)) for _ in range(len(asked) < 5_000)]
            asked += [asyncio.create_task(ask(gate, never)) for _ in range(3)]  # few would not be given up
            assert not any(await asyncio.gather(*asked))
        assert not gate._waiting

    asyncio.run(main())


def test_a_process_that_stood_still_reads_first_what_has_come():
    async def main():
        gate = Gate()

        async def asked(near):
            reader, writer = await asyncio.open_connection(sock=near)
            async with gate.turn(600.0):
                waiting.append(near)
                assert await reader.readexactly(1) == b"!"
                gate.heard()
            writer.close()
            await writer.wait_closed()

        pairs, waiting = [socket.socketpair() for _ in range(3)], []
        tasks = [asyncio.create_task(asked(near)) for near, _ in pairs]
        while len(waiting) < len(pairs):  # noqa: ASYNC110 - some turns of the loop
            await asyncio.sleep(0)
        for _, far in pairs:
            far.send(b"!")
        time.sleep(limits.UPSTREAM_SILENT_S + 0.3)  # noqa: ASYNC251 - as when the processor is taken away
        await asyncio.gather(*tasks)
        for _, far in pairs:
            far.close()

    asyncio.run(main())


def test_a_server_that_answers_some_is_not_silent():
    async def main():
        gate, slow = Gate(), asyncio.Event()
        waiting = [asyncio.create_task(ask(gate, slow)) for _ in range(5)]
        until_s = asyncio.get_running_loop().time() + 3 * limits.UPSTREAM_SILENT_S
        while asyncio.get_running_loop().time() < until_s:
            gate.heard()
            await asyncio.sleep(0)
        slow.set()
        assert all(await asyncio.gather(*waiting))

    asyncio.run(main())
