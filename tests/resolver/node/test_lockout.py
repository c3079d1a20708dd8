"""Wrong secrets: who waits, for how long, and that no clock locks anybody out for good."""

import pytest

from resolver.node.lockout import FREE_FAILURES, WAIT_MAX_S, Lockout
from storage.failures import MemoryFailures, SharedFailures

NOW = 1_800_000_000.0


@pytest.fixture(params=["memory", "file"])
def table(request, tmp_path):
    table = MemoryFailures() if request.param == "memory" else SharedFailures(tmp_path / "failures")
    yield table
    table.close()


def lock(lockout, times=FREE_FAILURES, at=NOW):
    for _ in range(times):
        lockout.failed("300:A", "net", at)


def test_it_is_for_one_identity_and_one_network(table):
    lockout = Lockout(table)
    lock(lockout, FREE_FAILURES - 1)
    assert not lockout.is_locked("300:A", "net", NOW)
    lock(lockout, 1)
    assert lockout.is_locked("300:A", "net", NOW + 1)
    assert not lockout.is_locked("300:A", "elsewhere", NOW + 1)
    assert not lockout.is_locked("300:B", "net", NOW + 1)
    assert not lockout.is_locked("300:A", "net", NOW + 11)
    lock(lockout, 1, NOW + 11)
    assert lockout.is_locked("300:A", "net", NOW + 30), "the wait grows"
    lockout.succeeded("300:A", "net")
    assert not lockout.is_locked("300:A", "net", NOW + 30)


def test_an_hour_without_a_failure_starts_anew_and_no_wait_is_longer(table):
    lockout = Lockout(table)
    lock(lockout, 40)
    assert lockout.is_locked("300:A", "net", NOW + WAIT_MAX_S - 1)
    assert not lockout.is_locked("300:A", "net", NOW + WAIT_MAX_S)
    lock(lockout, 1, NOW + WAIT_MAX_S + 1)
    assert not lockout.is_locked("300:A", "net", NOW + WAIT_MAX_S + 2)


def test_a_clock_that_was_wrong_locks_nobody_out(table):
    lockout = Lockout(table)
    lock(lockout, at=NOW + 1e9)
    assert not lockout.is_locked("300:A", "net", NOW)
    lock(lockout)
    assert lockout.is_locked("300:A", "net", NOW + 1), "and it goes on counting"


def test_names_of_any_letters(table):
    lockout = Lockout(table)
    for _ in range(FREE_FAILURES):
        lockout.failed("300:\udcff\ud800\0", "2001:db8", NOW)
    assert lockout.is_locked("300:\udcff\ud800\0", "2001:db8", NOW)


def test_two_lockouts_count_in_one_table(table):
    """As two workers do, and a lockout with another patience."""
    first, second = Lockout(table), Lockout(table)
    lock(first, FREE_FAILURES // 2)
    lock(second, FREE_FAILURES - FREE_FAILURES // 2)
    assert first.is_locked("300:A", "net", NOW)
    assert second.is_locked("300:A", "net", NOW)
    assert not Lockout(table, free_failures=100).is_locked("", "net", NOW)
