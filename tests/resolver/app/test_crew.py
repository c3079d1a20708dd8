"""Workers are kept, replaced, rolled and drained: real processes of a stand-in that speaks the worker's protocol."""

import asyncio
import errno
import os
import signal
import sys
from contextlib import asynccontextmanager

from resolver.app.child import Child
from resolver.app.crew import Crew
from resolver.clock import SystemClock
from resolver.config.sources import load

STAND_IN = """
import json, os, resource, signal, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # where cores are written, those that crash would leave some here
assignment = json.loads(sys.stdin.readline())
def say(state, detail=""):
    os.write(assignment["status_fd"], json.dumps({"state": state, "detail": detail}).encode() + b"\\n")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
MODE
say("ready")
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    time.sleep(60)
"""
QUICK = {
    "workers.back_off_first_s": "0.02",
    "workers.back_off_max_s": "0.1",
    "drain.delay_s": "0",
    "drain.grace_s": "60",
}


@asynccontextmanager
async def crew_of(count, tmp_path, mode="", now_s=60.0, clock=None, **settings):
    clock = clock or SystemClock()
    config = load(flags=QUICK | {key.replace("__", "."): value for key, value in settings.items()})
    code = STAND_IN.replace("MODE", mode)
    spawned = []

    async def spawn(index):
        child = await Child.spawn(
            index, config, {"grpc": ("127.0.0.1", 1)}, tmp_path, clock, (sys.executable, "-c", code)
        )
        spawned.append(child)
        return child

    crew = Crew(count, spawn, lambda: config, clock, now_s=now_s)
    try:
        yield crew, spawned
    finally:
        now = asyncio.Event()
        now.set()
        await crew.stop(now)
        assert all(gone(child.pid) for child in spawned)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - looks from outside at processes
            await asyncio.sleep(0.01)


def test_killed_worker_is_replaced(tmp_path):
    async def scenario():
        async with crew_of(2, tmp_path) as (crew, spawned):
            assert await crew.start()
            assert crew.ready_count == 2
            os.kill(spawned[0].pid, signal.SIGKILL)
            await until(lambda: len(spawned) == 3 and crew.ready_count == 2)
            assert crew.restarts == 1
            assert not gone(spawned[1].pid)
            assert await crew.stop(asyncio.Event())

    asyncio.run(scenario())


def test_workers_that_never_get_ready_end_the_start(tmp_path):
    async def scenario():
        async with crew_of(2, tmp_path, "say('failed', 'no disk'); os._exit(70)") as (crew, spawned):
            assert not await crew.start()
            assert "no disk" in crew.failed.result()
            assert 5 <= len(spawned) <= 7

    asyncio.run(scenario())


def test_hopeless_worker_ends_the_start_at_once(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path, "say('failed', 'wrong protobuf'); os._exit(78)") as (crew, spawned):
            assert not await crew.start()
            assert crew.failed.result() == "wrong protobuf"
            assert len(spawned) == 1

    asyncio.run(scenario())


def test_rolling_restart_has_the_new_before_the_old_leaves(tmp_path):
    async def scenario():
        async with crew_of(2, tmp_path) as (crew, spawned):
            assert await crew.start()
            low = 2

            async def watch():
                nonlocal low
                while True:
                    low = min(low, sum(not gone(child.pid) for child in spawned if child.ready.is_set()))
                    await asyncio.sleep(0.001)

            watching = asyncio.create_task(watch())
            assert await crew.roll()
            watching.cancel()
            assert low >= 2
            assert len(spawned) == 4
            assert crew.restarts == 0
            assert [slot.child for slot in crew.slots] == spawned[2:]
            assert gone(spawned[0].pid)
            assert gone(spawned[1].pid)

    asyncio.run(scenario())


def test_rolling_restart_stops_at_a_worker_that_does_not_start(tmp_path):
    async def scenario():
        flag = tmp_path / "broken"
        mode = f"os.path.exists({str(flag)!r}) and os._exit(70)"
        async with crew_of(2, tmp_path, mode) as (crew, spawned):
            assert await crew.start()
            flag.touch()
            assert not await crew.roll()
            assert [slot.child for slot in crew.slots] == spawned[:2]
            assert crew.ready_count == 2
            flag.unlink()

    asyncio.run(scenario())


def test_silent_worker_is_killed(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path, workers__hang_timeout_s="0.05") as (crew, spawned):
            assert await crew.start()
            await asyncio.sleep(0.1)
            crew.tick()
            await until(lambda: len(spawned) == 2)
            assert gone(spawned[0].pid)

    asyncio.run(scenario())


class LeapingClock(SystemClock):
    """The clock of a process that may be held up by whoever pauses its machine."""

    paused_s = 0.0

    def monotonic_s(self):
        return super().monotonic_s() + self.paused_s


def test_a_pause_of_the_whole_machine_is_not_held_against_workers(tmp_path):
    async def scenario():
        clock = LeapingClock()
        async with crew_of(1, tmp_path, clock=clock, workers__hang_timeout_s="30") as (crew, spawned):
            assert await crew.start()
            killed = []
            spawned[0].kill = lambda: killed.append(clock.paused_s)
            crew.tick()
            clock.paused_s += 3_600
            crew.tick()
            assert killed == []
            for _ in range(31):  # what it does not say while the supervisor listens is
                clock.paused_s += 1
                crew.tick()
            assert killed[0] <= 3_631
            del spawned[0].kill

    asyncio.run(scenario())


def test_worker_that_does_not_leave_is_killed_when_told_now(tmp_path):
    async def scenario():
        mode = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        async with crew_of(1, tmp_path, mode, now_s=0.2) as (crew, _):
            assert await crew.start()
            now = asyncio.Event()
            now.set()
            assert not await crew.stop(now)

    asyncio.run(scenario())


SEES_EVERY_OTHER = """
seen = []
def on_term(*_):
    seen.append(1)
    if len(seen) == 3:
        os._exit(0)
signal.signal(signal.SIGTERM, on_term)
"""


def test_a_hurried_worker_that_missed_a_signal_is_asked_again(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path, SEES_EVERY_OTHER) as (crew, _):
            assert await crew.start()
            now = asyncio.Event()
            now.set()
            assert await crew.stop(now)

    asyncio.run(scenario())


def test_back_off_doubles_up_to_its_limit(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path) as (crew, spawned):
            assert await crew.start()
            slot = crew.slots[0]
            seen = []
            for round_number in range(4):
                os.kill(spawned[-1].pid, signal.SIGKILL)
                await until(lambda wanted=round_number + 2: len(spawned) == wanted and crew.ready_count == 1)
                seen.append(slot.back_off_s)
            assert seen == [0.02, 0.04, 0.08, 0.1]

    asyncio.run(scenario())


def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path):
    """The system may have no process, memory or descriptor to give for a moment."""

    async def scenario():
        async with crew_of(1, tmp_path) as (crew, spawned):
            assert await crew.start()
            spawn, refusals = crew._spawn, []

            async def spawn_later(index):
                if len(refusals) < 2:
                    refusals.append(index)
                    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
                return await spawn(index)

            crew._spawn = spawn_later
            os.kill(spawned[0].pid, signal.SIGKILL)
            await until(lambda: len(spawned) == 2 and crew.ready_count == 1)
            assert refusals == [0, 0]

    asyncio.run(scenario())


def test_a_start_ends_when_no_worker_can_be_started(tmp_path):
    async def scenario():
        async with crew_of(2, tmp_path) as (crew, spawned):

            async def refuse(index):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), f"worker {index}")

            crew._spawn = refuse
            assert not await crew.start()
            assert "Cannot allocate memory" in crew.failed.result()
            assert not spawned

    asyncio.run(scenario())


def test_a_rolling_restart_that_cannot_start_a_worker_leaves_the_old_ones(tmp_path):
    async def scenario():
        async with crew_of(2, tmp_path) as (crew, spawned):
            assert await crew.start()
            spawn = crew._spawn

            async def refuse(index):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), f"worker {index}")

            crew._spawn = refuse
            assert not await crew.roll()
            assert [slot.child for slot in crew.slots] == spawned
            crew._spawn = spawn
            assert await crew.roll()

    asyncio.run(scenario())


def test_a_worker_that_dies_while_it_is_replaced_is_replaced_once(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path) as (crew, spawned):
            assert await crew.start()
            spawn, gates, asked = crew._spawn, [asyncio.Event(), asyncio.Event()], []

            async def spawn_in_time(index):
                asked.append(index)
                await gates[len(asked) - 1].wait()
                return await spawn(index)

            crew._spawn = spawn_in_time
            rolling = asyncio.create_task(crew.roll())
            await until(lambda: len(asked) == 1)
            os.kill(spawned[0].pid, signal.SIGKILL)
            await until(lambda: len(asked) == 2)
            gates[0].set()
            assert await rolling
            gates[1].set()
            await until(lambda: len(spawned) == 3 and sum(not gone(child.pid) for child in spawned) == 1)
            assert crew.slots[0].child is next(child for child in spawned if not gone(child.pid))

    asyncio.run(scenario())


def test_a_started_crew_gives_up_when_its_workers_only_crash(tmp_path):
    """A damaged page may be met in every start; as long as one worker serves, the others are tried again."""

    async def scenario():
        flag = tmp_path / "damaged"
        mode = f"os.path.exists({str(flag)!r}) and os.kill(os.getpid(), signal.SIGBUS)"
        async with crew_of(2, tmp_path, mode) as (crew, spawned):
            assert await crew.start()
            flag.touch()
            os.kill(spawned[0].pid, signal.SIGKILL)
            await until(lambda: crew.crashes > 7)
            assert not crew.failed.done()
            os.kill(spawned[1].pid, signal.SIGKILL)
            assert "the last one by SIGBUS: the store is probably damaged" in await crew.failed
            assert crew.store_damaged

    asyncio.run(scenario())


def test_a_started_crew_goes_on_when_its_workers_fail_otherwise(tmp_path):
    async def scenario():
        flag = tmp_path / "full"
        mode = f"os.path.exists({str(flag)!r}) and os._exit(70)"
        async with crew_of(1, tmp_path, mode) as (crew, spawned):
            assert await crew.start()
            flag.touch()
            os.kill(spawned[0].pid, signal.SIGKILL)
            await until(lambda: crew.restarts > 7)
            flag.unlink()
            await until(lambda: crew.ready_count == 1)
            assert not crew.failed.done()

    asyncio.run(scenario())


def test_a_worker_that_finds_the_store_damaged_ends_the_crew(tmp_path):
    async def scenario():
        async with crew_of(1, tmp_path, "say('failed', 'octets are missing'); os._exit(65)") as (crew, spawned):
            assert not await crew.start()
            assert (crew.failed.result(), crew.store_damaged, len(spawned)) == ("octets are missing", True, 1)

    asyncio.run(scenario())
