"""Random histories on every engine against a model of a few lines: dictionaries and a copy of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage.lmdb_engine import LmdbEngine
from storage.memory_engine import MemoryEngine
from storage.tables import Table

TABLES = st.sampled_from([Table.RECORDS, Table.CHANGES])
KEYS = st.one_of(
    st.binary(min_size=1, max_size=2),
    st.sampled_from([b"88.1/A", b"88.1/B", b"k" * 448, b"k" * 511, b"\xff" * 511]),
)
BODIES = st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"x" * 2000, b"y" * 9000]))


class EngineHistory(RuleBasedStateMachine):
    """One writer, one reader that keeps its moment, and what both must see."""

    kind = ""

    @initialize()
    def begin(self):
        self.path = Path(tempfile.mkdtemp(prefix="model-"))
        self.engine = LmdbEngine(self.path / "store") if self.kind == "lmdb" else MemoryEngine()
        self.committed = {Table.RECORDS: {}, Table.CHANGES: {}}
        self.pending = None
        self.writer = None
        self.held = None

    def teardown(self):
        if self.writer is not None:
            self.leave_write(ValueError())
        self.leave_held()
        self.engine.close()
        shutil.rmtree(self.path)

    def leave_write(self, error):
        self.block.__exit__(type(error) if error else None, error, None)
        self.writer = None

    def leave_held(self):
        if self.held is not None:
            self.held[0].__exit__(None, None, None)
            self.held = None

    @precondition(lambda self: self.writer is None)
    @rule()
    def write(self):
        self.block = self.engine.write()
        self.writer = self.block.__enter__()
        self.pending = {table: dict(rows) for table, rows in self.committed.items()}

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, key=KEYS, body=BODIES)
    def put(self, table, key, body):
        self.writer.put(table, key, body)
        self.pending[table][key] = body

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, rows=st.lists(st.tuples(KEYS, BODIES, st.just(0)), max_size=8))
    def put_many(self, table, rows):
        self.writer.put_many(table, rows)
        self.pending[table].update({key: body for key, body, _ in rows})

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, key=KEYS, body=BODIES)
    def append(self, table, key, body):
        if key > max(self.pending[table], default=b""):
            self.writer.append(table, key, body)
            self.pending[table][key] = body
        else:
            with pytest.raises(ValueError, match="is not greater"):
                self.writer.append(table, key, body)

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, key=KEYS)
    def delete(self, table, key):
        assert self.writer.delete(table, key) is (self.pending[table].pop(key, None) is not None)

    @precondition(lambda self: self.writer is not None)
    @rule()
    def commit(self):
        self.leave_write(None)
        self.committed = self.pending

    @precondition(lambda self: self.writer is not None)
    @rule()
    def abort(self):
        self.leave_write(ValueError("abort"))

    @rule()
    def hold(self):
        self.leave_held()
        block = self.engine.read()
        self.held = (block, block.__enter__(), {table: dict(rows) for table, rows in self.committed.items()})

    @rule(table=TABLES, start=st.one_of(st.just(b""), KEYS), stop=st.one_of(st.none(), KEYS), reverse=st.booleans())
    def scan(self, table, start, stop, reverse):
        views = [(self.writer, self.pending)] if self.writer is not None else []
        views += [self.held[1:]] if self.held else []
        for reader, rows in views:
            inside = {key: body for key, body in rows[table].items() if key >= start and (stop is None or key < stop)}
            assert list(reader.scan(table, start, stop, reverse=reverse)) == sorted(inside.items(), reverse=reverse)

    @invariant()
    def everybody_sees_what_they_must(self):
        views = [(self.writer, self.pending)] if self.writer is not None else []
        views += [self.held[1:]] if self.held else []
        for reader, rows in views:
            self.compare(reader, rows)
        with self.engine.read() as reader:
            self.compare(reader, self.committed)

    def compare(self, reader, rows):
        for table, expected in rows.items():
            assert reader.count(table) == len(expected)
            assert reader.last_key(table) == max(expected, default=None)
            assert dict(reader.scan(table)) == expected


class LmdbHistory(EngineHistory):
    kind = "lmdb"


class MemoryHistory(EngineHistory):
    kind = "memory"


STEPS = settings(
    max_examples=25,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLmdbHistory = LmdbHistory.TestCase
TestLmdbHistory.settings = STEPS
TestMemoryHistory = MemoryHistory.TestCase
TestMemoryHistory.settings = STEPS
