"""How long a lane lets its group fill."""

from resolver.node.group_pace import ENOUGH_ROWS_MAX, WAIT_S_MAX, WAIT_SHARE, GroupPace


def test_nobody_waits_before_the_first_commit():
    pace = GroupPace()
    assert pace.enough_rows == 0
    assert pace.wait_s(1_000.0) == 0


def test_a_call_that_comes_alone_never_waits():
    pace = GroupPace()
    pace.committed(1, 0.004, 10.0)
    assert pace.enough_rows == 0


def test_half_of_the_last_group_is_waited_for_for_a_part_of_what_it_took():
    pace = GroupPace()
    pace.committed(100, 0.001, 10.0)
    assert pace.enough_rows == 50
    assert pace.wait_s(10.0005) == 0.001 * WAIT_SHARE


def test_the_wait_is_bounded_however_long_a_commit_takes_and_however_large_it_is():
    pace = GroupPace()
    pace.committed(10_000, 60.0, 100.0)
    assert pace.enough_rows == ENOUGH_ROWS_MAX
    assert pace.wait_s(101.0) == WAIT_S_MAX


def test_after_a_pause_nobody_waits():
    pace = GroupPace()
    pace.committed(100, 0.001, 10.0)
    assert pace.wait_s(10.005) == 0
