"""The write lane: acknowledged after the commit, neighbours of a bad job unharmed, overload said or waited out."""

import asyncio
import threading
import time

import pytest

from resolver.errors import (
    HandleNotFound,
    InternalError,
    Overloaded,
    RecordCorrupt,
    ShuttingDown,
    StorageFull,
    Unconfirmed,
)
from resolver.lanes import Handed, LaneOptions, WriteLane
from resolver.node import group_pace, site_role
from resolver.v1 import stored_pb2
from storage.errors import RowCorrupt
from storage.memory_engine import MemoryEngine
from storage.tables import Table
from tests.support import early
from tests.support.clock import FakeClock


class Put:
    """Stores its name; may fail in a way, may hold the lane until told."""

    frees_space = False

    def __init__(self, name, *, cost=1, fails=None, gate=None, order=None):
        self.name, self.cost, self.fails, self.gate = name.encode(), cost, fails, gate
        self.order = [] if order is None else order
        self.began = threading.Event()

    def prepare(self):
        if isinstance(self.fails, str):
            raise HandleNotFound(self.fails)

    def apply(self, ledger):
        self.began.set()
        if self.gate is not None:
            self.gate.wait(60)
        if isinstance(self.fails, Exception):
            raise self.fails
        self.order.append(self.name.decode())
        ledger.writer.put(Table.META, self.name, b"")
        return self.name.decode()


class Checked(Put):
    """A job with nothing to prepare."""

    checked = True


class Delete(Put):
    frees_space = True


class Watched(MemoryEngine):
    """Tells what is stored, and how often its writer lock was asked for."""

    locks_asked = 0

    def begin_write(self):
        self.locks_asked += 1
        return super().begin_write()

    def stored(self):
        with self.read() as reader:
            return {key.decode() for key, _ in reader.scan(Table.META)} - {"format"}


def run(main, **changes):
    """Run a test on a started lane."""
    engine = Watched(octets_max=changes.pop("octets_max", 1 << 20))

    async def body():
        lane = WriteLane(engine, FakeClock(), LaneOptions(**({"group_rows_max": 100, "queue_rows_max": 10} | changes)))
        lane.start()
        try:
            return await main(lane, engine)
        finally:
            await lane.close()

    return asyncio.run(body())


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - looks at another thread
            await asyncio.sleep(0.001)


async def waiting_for_the_lock(lane, engine, job):
    """Submit a job and wait until the lane waits with it for the lock, which the test has: it then joins late ones."""
    task = asyncio.create_task(lane.submit(job))
    await until(lambda: engine.locks_asked == 2)
    return task


async def held(lane):
    """Let the lane work on a job until the gate opens; the queue behind it fills."""
    gate = threading.Event()
    job = Put("held", gate=gate)
    task = asyncio.create_task(lane.submit(job))
    await asyncio.to_thread(job.began.wait, 60)
    return task, gate


def test_durable_before_it_is_told():
    async def main(lane, engine):
        assert await lane.submit(Put("x")) == "x"
        assert "x" in engine.stored()

    run(main)


def test_planted_fault_tells_before_it_is_durable():
    """The canary of the test above: with the planted defect the answer comes while the commit is still open."""

    async def main(lane, engine):
        commit, gate = engine.commit, threading.Event()

        def slow_commit(writer):
            gate.wait(60)
            commit(writer)

        engine.commit = slow_commit
        assert await lane.submit(Put("x")) == "x"
        early = "x" not in engine.stored()
        gate.set()
        return early

    with early.planted():
        assert run(main)


def test_waiting_jobs_share_a_commit():
    commits = []

    async def main(lane, engine):
        first, gate = await held(lane)
        others = [asyncio.create_task(lane.submit(Put(f"{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)

    run(main, on_commit=commits.append)
    assert [commit.jobs for commit in commits] == [1, 10]


def test_calls_that_come_back_one_by_one_share_a_commit(monkeypatch):
    monkeypatch.setattr(group_pace, "WAIT_S_MAX", 60.0)
    monkeypatch.setattr(group_pace, "WAIT_SHARE", 1.0)
    commits = []

    async def main(lane, _):
        lane._pace.committed(8, 60.0, time.monotonic())
        tasks = [asyncio.create_task(lane.submit(Put("first")))]
        await asyncio.sleep(0.02)
        assert not commits
        tasks += [asyncio.create_task(lane.submit(Put(f"{number}"))) for number in range(3)]
        await asyncio.gather(*tasks)

    run(main, on_commit=commits.append)
    assert [commit.jobs for commit in commits] == [4]


def test_a_lane_that_is_closed_waits_for_no_more_calls(monkeypatch):
    monkeypatch.setattr(group_pace, "WAIT_S_MAX", 60.0)
    monkeypatch.setattr(group_pace, "WAIT_SHARE", 1.0)
    commits = []

    async def main(lane, _):
        lane._pace.committed(8, 60.0, time.monotonic())
        task = asyncio.create_task(lane.submit(Put("only")))
        await asyncio.sleep(0)
        await lane.close()
        await task

    run(main, on_commit=commits.append)
    assert [commit.jobs for commit in commits] == [1]


def test_groups_are_bounded_in_rows():
    commits = []

    async def main(lane, engine):
        first, gate = await held(lane)
        others = [asyncio.create_task(lane.submit(Put(f"{number}", cost=3))) for number in range(3)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)

    run(main, group_rows_max=6, on_commit=commits.append)
    assert [commit.rows for commit in commits] == [1, 6, 3]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("no such handle", HandleNotFound),
        (HandleNotFound("in the transaction"), HandleNotFound),
        (ZeroDivisionError("a defect"), InternalError),
        (RowCorrupt("RECORDS", b"x"), RecordCorrupt),
    ],
)
def test_neighbours_of_a_bad_job_are_written(failure, told):
    async def main(lane, engine):
        first, gate = await held(lane)
        tasks = [asyncio.create_task(lane.submit(job)) for job in (Put("a"), Put("bad", fails=failure), Put("c"))]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [results[1], results[3]] == ["a", "c"]
        assert isinstance(results[2], told)
        assert engine.stored() == {"held", "a", "c"}
        assert await lane.submit(Put("later")) == "later", "the lane is gone"

    run(main)


def test_who_watches_commits_cannot_make_them_fail():
    def broken(commit):
        raise OSError("the metrics file is gone")

    async def main(lane, engine):
        assert await lane.submit(Put("x")) == "x"
        assert await lane.submit(Put("y")) == "y"

    run(main, on_commit=broken)


def test_a_group_that_is_durable_is_never_done_again():
    """Whatever goes wrong after the commit: a second time an update would count twice."""

    def broken(serial, sequence):
        raise ValueError("the file is closed")

    async def main(lane, engine):
        with engine.write() as writer:
            site_role.store(writer, stored_pb2.StoredSite(logging=True))
        order = []
        task, gate = await held(lane)
        more = [asyncio.create_task(lane.submit(Put(name, order=order))) for name in "ab"]
        await until(lambda: lane.queued_rows == 2)
        gate.set()
        told = await asyncio.gather(task, *more, return_exceptions=True)
        assert [type(each) for each in told] == [Unconfirmed] * 3
        assert order == ["a", "b"]
        assert engine.stored() >= {"held", "a", "b"}

    run(main, confirm=broken)


def test_what_a_node_does_for_itself_waits_for_no_mirror():
    """Counts are flushed every second: while mirrors are away each would hold the lane for as long as it may wait."""

    class Own(Put):
        everywhere = True

    asked = []

    async def main(lane, engine):
        with engine.write() as writer:
            site_role.store(writer, stored_pb2.StoredSite(logging=True))
        await lane.submit(Own("own"))
        assert not asked
        await lane.submit(Put("x"))
        assert len(asked) == 1

    run(main, confirm=lambda serial, sequence: asked.append(serial))


def test_overload_is_said_with_a_time_to_retry():
    async def main(lane, engine):
        first, gate = await held(lane)
        waiting = [asyncio.create_task(lane.submit(Put(f"{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        assert lane.queued_rows == 10
        with pytest.raises(Overloaded) as refusal:
            await lane.submit(Put("one too many"))
        assert refusal.value.retry_after_s > 0
        gate.set()
        await asyncio.gather(first, *waiting)
        assert "one too many" not in engine.stored()

    run(main)


def test_patient_jobs_wait_and_keep_their_order():
    """A small job must not overtake a large one: chunks of an import depend on those before them."""

    async def main(lane, engine):
        order = []
        first, gate = await held(lane)
        costs = [8, 9, 1, 10, 2, 25, 1]
        jobs = [Put(f"{number}", cost=cost, order=order) for number, cost in enumerate(costs)]
        tasks = [asyncio.create_task(lane.submit(job, patient=True)) for job in jobs]
        await asyncio.sleep(0)
        assert lane.queued_rows == 8
        gate.set()
        await asyncio.gather(first, *tasks)
        assert order == [f"{number}" for number in range(len(costs))]

    run(main)


def test_a_job_larger_than_the_queue_is_taken_alone():
    async def main(lane, engine):
        assert await lane.submit(Put("huge", cost=1_000)) == "huge"

    run(main)


def test_close_writes_what_is_queued_and_refuses_the_rest():
    async def main(lane, engine):
        first, gate = await held(lane)
        queued = asyncio.create_task(lane.submit(Put("queued")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(lane.close())
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDown):
            await lane.submit(Put("late"))
        gate.set()
        assert await asyncio.gather(first, queued) == ["held", "queued"]
        await closing
        assert engine.stored() == {"held", "queued"}

    run(main)


def test_a_caller_that_has_left_costs_nothing():
    async def main(lane, engine):
        first, gate = await held(lane)
        left = asyncio.create_task(lane.submit(Put("left")))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first
        await lane.submit(Put("next"))
        assert engine.stored() == {"held", "next"}

    run(main)


def test_full_store_takes_deletions_only():
    async def main(lane, engine):
        with engine.write() as writer:
            writer.put(Table.META, b"big", b"x" * 990_000)
        with pytest.raises(StorageFull) as refusal:
            await lane.submit(Put("x"))
        assert refusal.value.retry_after_s
        assert "free space" in refusal.value.message
        assert await lane.submit(Delete("y")) == "y"

    run(main, octets_max=1_000_000)


def test_checked_jobs_join_the_group_that_waits_for_the_lock():
    """What came while another lane had the lock is written in the same commit; what is to be prepared is not."""
    commits, order = [], []

    async def main(lane, engine):
        engine.begin_write()  # as another lane does
        first = await waiting_for_the_lock(lane, engine, Put("first", order=order))
        jobs = [Checked("a", cost=2), Checked("b"), Put("c"), Checked("d")]
        for job in jobs:
            job.order = order
        tasks = [asyncio.create_task(lane.submit(job)) for job in jobs]
        await asyncio.sleep(0)
        assert lane.queued_rows == 5
        engine.end_write()
        assert await asyncio.gather(first, *tasks) == ["first", "a", "b", "c", "d"]
        assert lane.queued_rows == 0

    run(main, on_commit=commits.append)
    assert order == ["first", "a", "b", "c", "d"]
    assert [(commit.jobs, commit.rows) for commit in commits] == [(3, 4), (2, 2)]


def test_jobs_that_join_count_against_the_size_of_the_group():
    commits = []

    async def main(lane, engine):
        engine.begin_write()
        tasks = [await waiting_for_the_lock(lane, engine, Checked("first", cost=3))]
        tasks += [asyncio.create_task(lane.submit(Checked(f"{number}", cost=2))) for number in range(3)]
        await asyncio.sleep(0)
        engine.end_write()
        await asyncio.gather(*tasks)

    run(main, group_rows_max=5, on_commit=commits.append)
    assert [commit.rows for commit in commits] == [5, 4]


@pytest.mark.parametrize("failure", [ZeroDivisionError("a defect"), RowCorrupt("RECORDS", b"x"), HandleNotFound("x")])
def test_jobs_that_join_are_neighbours_like_all_others(failure):
    async def main(lane, engine):
        engine.begin_write()
        tasks = [await waiting_for_the_lock(lane, engine, Put("first"))]
        jobs = [Checked("a"), Checked("bad", fails=failure), Checked("c")]
        tasks += [asyncio.create_task(lane.submit(job)) for job in jobs]
        await asyncio.sleep(0)
        engine.end_write()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [results[0], results[1], results[3]] == ["first", "a", "c"]
        assert isinstance(results[2], Exception)
        assert engine.stored() == {"first", "a", "c"}

    run(main)


def test_a_burst_is_taken_refused_and_settled_job_by_job():
    class Told(Handed):
        def settle(self):
            told.append((self.job.name.decode(), self.error or self.result))

    told = []

    async def main(lane, engine):
        first, gate = await held(lane)
        burst = [Told(Put(f"{number}", cost=4)) for number in range(4)]
        burst[1].left = True
        lane.hand_over(burst)
        assert [name for name, _ in told] == ["2", "3"], "a queue of ten rows has no room for these"
        assert all(isinstance(error, Overloaded) for _, error in told)
        gate.set()
        await first
        await lane.submit(Put("last"))
        assert told[2:] == [("0", "0")], "the one that has left is not written and not told"
        assert engine.stored() == {"held", "0", "last"}
        await lane.close()
        lane.hand_over([Told(Put("late"))])
        assert isinstance(told[-1][1], ShuttingDown)

    run(main)


def test_one_that_cannot_take_its_answer_keeps_no_other_from_theirs():
    class Broken(Handed):
        def settle(self):
            raise OSError("its connection is gone")

    async def main(lane, engine):
        first, gate = await held(lane)
        lane.hand_over([Broken(Put("broken"))])
        second = asyncio.create_task(lane.submit(Put("second")))
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(first, second) == ["held", "second"]
        assert engine.stored() == {"held", "broken", "second"}

    run(main)


class Together(Checked):
    """Jobs that are applied many at once, those with an even number; the others want to be applied by themselves."""

    def __init__(self, number, door, seen):
        super().__init__(f"{number}", fails=HandleNotFound("seven") if number == 7 else None)
        self.number, self.door, self.seen = number, door, seen

    @staticmethod
    def apply_all(ledger, jobs):
        jobs[0].seen.append((ledger.door, [job.number for job in jobs]))
        return [None if job.number % 2 else f"{job.number} together" for job in jobs]


def test_jobs_of_one_kind_and_door_are_applied_together_and_each_gets_its_own_result():
    async def main(lane, engine):
        first, gate = await held(lane)
        seen = []
        jobs = [*(Together(number, "grpc", seen) for number in range(5)), Put("between")]
        jobs += [Together(6, "http", seen), Together(7, "grpc", seen), Together(8, "grpc", seen)]
        tasks = [asyncio.create_task(lane.submit(job)) for job in jobs]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert seen == [("grpc", [0, 1, 2, 3, 4]), ("grpc", [7, 8])], "a job alone is applied by itself"
        assert results[1:7] == ["0 together", "1", "2 together", "3", "4 together", "between"]
        assert results[7] == "6"
        assert isinstance(results[8], HandleNotFound)
        assert results[9] == "8 together"
        assert engine.stored() == {"held", "1", "3", "between", "6"}

    run(main)
