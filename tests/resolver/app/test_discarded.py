"""What a primary alone has when it becomes a mirror: it was acknowledged, and the copy is about to overwrite it."""

import io
import json

import pytest

from resolver.app.discarded import keeper
from resolver.intake import jsonl
from resolver.node import administer
from resolver.node.administer import Target
from resolver.node.ledger import Ledger, last_serial
from resolver.registry.first_start import first_start
from resolver.v1 import registration_pb2 as pb
from storage.memory_engine import MemoryEngine
from tests.support.builders import ADMIN, HIDDEN, value


class Store:
    def __init__(self, clock, randomness):
        self.clock, self.engine = clock, MemoryEngine()
        first_start(self.engine, "88.300", clock.now_us(), randomness)

    def commit(self, change):
        with self.engine.write() as writer:
            ledger = Ledger(writer, self.clock.now_us())
            change(ledger)
            ledger.close()

    def register(self, name, *values):
        draft = administer.prepare(name, values, "", 1, 1 << 20)
        self.commit(lambda ledger: administer.create(ledger, ADMIN, draft, pb.ON_EXISTING_REPLACE))

    def serial(self):
        with self.engine.read() as reader:
            return last_serial(reader)


@pytest.fixture
def store(clock, randomness):
    return Store(clock, randomness)


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("bite", [1, 2, 100])
def test_the_changes_are_told_and_each_record_once_as_an_import_reads_it(store, tmp_path, bite):
    store.register("88.300.1/BEFORE", value(1, "kept"))
    kept = store.serial()
    store.register("88.300.1/标识", value(1, "old"))
    store.register("88.300.1/GONE", value(1, "gone"))
    store.register("88.300.1/标识", value(1, "轴承"), value(2, "geheim", permissions=HIDDEN))
    store.commit(lambda ledger: administer.delete(ledger, ADMIN, Target.of("88.300.1/GONE", None)))
    keeper(store.engine, tmp_path, bite)(kept)
    told = [
        (line["name"], line["operation"].removeprefix("OPERATION_")) for line in lines(tmp_path / "discarded.jsonl")
    ]
    assert [name for name, _ in told] == ["88.300.1/标识", "88.300.1/GONE", "88.300.1/标识", "88.300.1/GONE"]
    records = tmp_path / "discarded-records.jsonl"
    (row,) = jsonl.rows(io.BytesIO(records.read_bytes()))
    assert row.handle.name == "88.300.1/标识"
    assert [each.data.decode() for each in row.handle.values] == ["轴承", "geheim"]
    assert records.stat().st_mode & 0o777 == 0o600, "values that the public may not read"


def test_without_such_changes_no_file_is_made(store, tmp_path):
    store.register("88.300.1/KEPT", value(1, "kept"))
    keeper(store.engine, tmp_path)(store.serial())
    assert not list(tmp_path.iterdir())
