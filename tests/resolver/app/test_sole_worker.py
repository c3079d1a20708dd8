"""One worker does what is to be done once, and goes on doing it whatever happens."""

import asyncio
import fcntl

from structlog.testing import capture_logs

from resolver.app import sole_worker
from resolver.app.sole_worker import SoleWorker


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - looks from outside
            await asyncio.sleep(0.01)


def is_free(lock):
    with lock.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_work_that_meets_a_defect_begins_again_and_disturbs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(sole_worker, "_AGAIN_S", 0.01)
    begun, beside = [], []

    async def fails_twice():
        begun.append(1)
        if len(begun) < 3:
            raise KeyError("nobody thought of this")
        await asyncio.Event().wait()

    async def goes_on():
        beside.append(1)
        await asyncio.Event().wait()

    async def scenario():
        worker = SoleWorker(tmp_path / "lock", fails_twice, goes_on)
        worker.start()
        await until(lambda: len(begun) == 3)
        assert beside == [1]
        assert not is_free(tmp_path / "lock")
        await worker.close()
        assert is_free(tmp_path / "lock")

    asyncio.run(scenario())


def test_a_lock_that_cannot_be_opened_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sole_worker, "_AGAIN_S", 0.01)
    begun = []

    async def work():
        begun.append(1)
        await asyncio.Event().wait()

    async def scenario():
        worker = SoleWorker(tmp_path / "run" / "lock", work)
        with capture_logs() as logs:
            worker.start()
            await until(lambda: len(logs) >= 2)
            (tmp_path / "run").mkdir()
            await until(lambda: begun)
        assert {log["event"] for log in logs} == {"a lock file cannot be opened, it is tried again"}
        await worker.close()

    asyncio.run(scenario())


def test_the_next_worker_takes_over_from_one_that_closes(tmp_path, monkeypatch):
    monkeypatch.setattr(sole_worker, "_LOOK_S", 0.01)
    begun = []

    def working(name):
        async def work():
            begun.append(name)
            await asyncio.Event().wait()

        return SoleWorker(tmp_path / "lock", work)

    async def scenario():
        first, second = working("first"), working("second")
        first.start()
        await until(lambda: begun == ["first"])
        second.start()
        await asyncio.sleep(0.05)
        assert begun == ["first"]
        await first.close()
        await until(lambda: begun == ["first", "second"])
        await second.close()

    asyncio.run(scenario())
