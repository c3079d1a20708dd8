"""A killed writer has kept every promise it made, and a writer that promises too early is found out."""

import pytest

from tests.support import crash

pytestmark = pytest.mark.system


def test_every_acknowledged_write_survives(tmp_path):
    report = crash.run(tmp_path, cycles=6)
    assert report.acknowledged > 100, "the load was no load"
    assert report.lost == []
    assert report.faults == []


def test_a_promise_before_the_commit_is_found_out(tmp_path):
    """The canary: were it to pass, the test above would prove nothing."""
    report = crash.run(tmp_path, cycles=6, answers_early=True)
    assert report.lost
    assert report.faults == [], "the store itself stays whole"
