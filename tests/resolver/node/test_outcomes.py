"""Retries that never apply twice: the outcome of a request id, remembered and forgotten in time."""

import pytest

from resolver.errors import (
    CredentialMissing,
    HandleNotFound,
    ImportOutOfSequence,
    InvalidField,
    PermissionDenied,
    RequestIdReused,
)
from resolver.node import outcomes
from storage.lmdb_engine import LmdbEngine
from storage.tables import Table
from tests.support.clock import DAY_US, START_US

PRINT = outcomes.fingerprint("/m", b"request")


def recall(engine, request_id="id", fingerprint=PRINT, principal="p", now_us=START_US):
    with engine.read() as reader:
        return outcomes.recall(reader, principal, request_id, fingerprint, now_us)


def remember(engine, request_id="id", now_us=START_US, response=b"response"):
    with engine.write() as writer:
        outcomes.remember(writer, "p", request_id, PRINT, response, now_us)


def refuse(engine, refusal):
    with engine.write() as writer:
        outcomes.remember_refusal(writer, "p", "id", PRINT, refusal, START_US)


def test_new_request(engine):
    assert recall(engine) is None


def test_same_request_over_a_reopening(tmp_path):
    store = LmdbEngine(tmp_path / "s", map_octets=1 << 24)
    remember(store)
    store.close()
    store = LmdbEngine(tmp_path / "s", map_octets=1 << 24)
    assert recall(store) == b"response"
    store.close()


def test_empty_response_is_an_outcome_too(engine):
    remember(engine, response=b"")
    assert recall(engine) == b""


def test_others_have_their_own_ids(engine):
    remember(engine)
    assert recall(engine, principal="q") is None
    assert recall(engine, request_id="id2") is None


def test_another_request_under_the_id(engine):
    remember(engine)
    for other in (outcomes.fingerprint("/m", b"other"), outcomes.fingerprint("/n", b"request")):
        with pytest.raises(RequestIdReused):
            recall(engine, fingerprint=other)


def test_refusals_are_remembered_whole(engine):
    refuse(engine, HandleNotFound("no", field="name", details={"a": "b"}))
    with pytest.raises(HandleNotFound) as refusal:
        recall(engine)
    assert (refusal.value.message, refusal.value.field, refusal.value.details) == ("no", "name", {"a": "b"})


@pytest.mark.parametrize("refusal", [PermissionDenied, CredentialMissing, ImportOutOfSequence])
def test_refusals_that_may_change_are_not_remembered(engine, refusal):
    """A chunk that came too early is good once the one before it is there."""
    refuse(engine, refusal("not now"))
    assert recall(engine) is None


def test_kept_for_a_day_at_least_and_two_at_most(engine):
    for offset in range(0, DAY_US, DAY_US // 7):
        remember(engine, f"id{offset}", START_US + offset)
        assert recall(engine, f"id{offset}", now_us=START_US + offset + DAY_US) == b"response"
        assert recall(engine, f"id{offset}", now_us=START_US + offset + 2 * DAY_US) is None


def test_old_outcomes_are_purged(engine):
    for number in range(10):
        remember(engine, f"old{number}")
    for number in range(3):
        remember(engine, f"new{number}", START_US + 2 * DAY_US)
    with engine.read() as reader:
        assert reader.count(Table.OUTCOMES) == 3
    assert recall(engine, "new0", now_us=START_US + 2 * DAY_US) == b"response"


def test_length_of_an_id():
    outcomes.check_request_id("标" * 21)
    with pytest.raises(InvalidField):
        outcomes.check_request_id("标" * 22)
