"""How a node ends that cannot go on: the sentence its operator reads."""

import asyncio
import shutil

import pytest

from resolver.app.data_dir import StoreRefused
from resolver.app.store_watch import StoreWatch
from resolver.app.supervisor import Supervisor
from resolver.config.settings import Config
from storage.lmdb_engine import LmdbEngine


class CrewOfOne:
    """A crew whose worker meets the lost file before the supervisor looks for it."""

    store_damaged = True

    def __init__(self, directory, *, at_start):
        self._directory, self._at_start = directory, at_start
        self.failed = asyncio.get_running_loop().create_future()

    async def start(self):
        shutil.rmtree(self._directory)
        self.failed.set_result("a worker's sentence, which knows of no copy")
        return not self._at_start


@pytest.mark.parametrize("at_start", [True, False])
def test_a_lost_file_that_a_worker_meets_first_is_told_with_its_copy(tmp_path, monkeypatch, at_start):
    LmdbEngine(tmp_path / "store").close()

    async def serve():
        supervisor = Supervisor(Config(), Config, say=None)
        supervisor._watch = StoreWatch(tmp_path / "store")
        monkeypatch.setattr(supervisor, "_open", lambda _: asyncio.sleep(0))
        await supervisor._serve(CrewOfOne(tmp_path / "store", at_start=at_start), None)

    with pytest.raises(StoreRefused, match="was removed under the running node: what it held is saved in"):
        asyncio.run(serve())
