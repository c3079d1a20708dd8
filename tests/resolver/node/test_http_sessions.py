"""Sessions of the REST interface: ids that say when they were made, and rows for what was proven."""

import base64

import pytest

from resolver.errors import Overloaded
from resolver.node import http_sessions
from resolver.node.http_sessions import Proven, SessionIds
from storage.tables import Table

WHO = Proven("0.NA/88.300/产品", 300, b"d" * 32, 1_000)


@pytest.fixture
def ids(randomness):
    return SessionIds(b"secret", randomness)


def test_every_worker_reads_every_id(ids, randomness):
    id_ = ids.make(1_234)
    assert len(id_) == 32
    other = SessionIds(b"secret", randomness)
    assert other.made_s(id_) == 1_234
    assert other.nonce(id_) == ids.nonce(id_)
    assert len(ids.nonce(id_)) == 16
    assert ids.nonce(ids.make(1_234)) != ids.nonce(id_)


def test_ids_of_others_and_made_up_ones_are_not_read(ids, randomness):
    id_ = ids.make(1_234)
    assert SessionIds(b"another", randomness).made_s(id_) is None
    octets = bytearray(base64.urlsafe_b64decode(id_))
    for place in range(len(octets)):
        octets[place] ^= 1
        assert ids.made_s(base64.urlsafe_b64encode(octets).decode()) is None
        octets[place] ^= 1
    for text in ("", "x", "A" * 32, "é" * 32, id_ + "=", id_[:-1], "\n" * 32):
        assert ids.made_s(text) is None


def test_what_was_proven_is_found_until_it_is_idle_or_ended(engine):
    with engine.write() as writer:
        http_sessions.store(writer, "id", WHO)
    with engine.read() as reader:
        assert http_sessions.find(reader, "id", 1_000) == WHO
        assert http_sessions.find(reader, "id", 1_000 + http_sessions.IDLE_S - 1) == WHO
        assert http_sessions.find(reader, "id", 1_000 + http_sessions.IDLE_S) is None
        assert http_sessions.find(reader, "other", 1_000) is None
    with engine.write() as writer:
        http_sessions.end(writer, "id")
        assert http_sessions.find(writer, "id", 1_000) is None


def test_the_table_is_bounded_and_ended_sessions_make_room(engine, monkeypatch):
    monkeypatch.setattr(http_sessions, "ENTRIES_MAX", 3)
    with engine.write() as writer:
        for number in range(3):
            http_sessions.store(writer, f"old-{number}", WHO)
        with pytest.raises(Overloaded):
            http_sessions.store(writer, "new", WHO)
        later = WHO._replace(used_s=1_000 + http_sessions.IDLE_S)
        http_sessions.store(writer, "new", later)
        assert writer.count(Table.HTTP_SESSIONS) == 1
        assert http_sessions.find(writer, "new", later.used_s) == later
