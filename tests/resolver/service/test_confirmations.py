"""What mirrors hold is shared by workers in a mapped file, whose blocks are there before anybody writes to them."""

import errno
import os

import pytest
from structlog.testing import capture_logs

from resolver.errors import StorageFull, Unconfirmed
from resolver.service.confirmations import Confirmations


def test_workers_see_what_each_of_them_notes(tmp_path):
    one, other = Confirmations(tmp_path / "mirrors", needed=1, timeout_s=0.01), Confirmations(tmp_path / "mirrors")
    assert isinstance(one.confirm(5, 7), Unconfirmed)
    other.note(other.place("m-1"), 5, 7, 1)
    assert one.confirm(5, 7) is None
    assert [held.mirror_id for held in one.held()] == ["m-1"]
    assert one.place("m-1") == other.place("m-1") == 0
    assert one.place("m-2") == 1
    one.clear()
    assert not list(other.held())
    one.close()
    other.close()


def test_the_log_says_once_that_mirrors_are_missed_and_once_that_they_are_back(tmp_path):
    """A node whose changes all fail is ready and answers: without a line of the log nobody looks for the mirror."""
    confirmations = Confirmations(tmp_path / "mirrors", needed=1, timeout_s=0.0)
    with capture_logs() as said:
        assert isinstance(confirmations.confirm(1, 1), Unconfirmed)
        assert isinstance(confirmations.confirm(2, 2), Unconfirmed)
        confirmations.note(confirmations.place("m-1"), 2, 2, 1)
        assert confirmations.confirm(2, 2) is None
        assert confirmations.confirm(2, 2) is None
    assert [(line["log_level"], line["needed"]) for line in said] == [("warning", 1), ("info", 1)]
    confirmations.close()


def test_a_full_disk_refuses_a_mirror_and_ends_no_worker(tmp_path, monkeypatch):
    """A page of the file without a block is SIGBUS for whoever writes to it."""
    path = tmp_path / "mirrors"
    with monkeypatch.context() as full:

        def no_room(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr(os, "posix_fallocate", no_room)
        confirmations = Confirmations(path, needed=1, timeout_s=0.0)
        with pytest.raises(StorageFull):
            confirmations.place("m-1")
        confirmations.note(0, 1, 1, 1)
        confirmations.clear()
        assert not list(confirmations.held())
        assert isinstance(confirmations.confirm(1, 1), Unconfirmed)
    assert confirmations.place("m-1") == 0, "it goes on when there is room"
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    confirmations.close()
