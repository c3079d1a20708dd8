"""What a mirror without its primary writes to the log: it tries each second, perhaps for days."""

import asyncio

import pytest
from structlog.testing import capture_logs

from resolver.federation import mirror
from resolver.federation.node_channel import NodeCredentials


class Cut(mirror.Follower):
    """A follower whose attempts end as the list says, and then the task."""

    def __init__(self, path, ends):
        super().__init__(None, NodeCredentials(""), None, address="", report=path, keep_discarded=lambda _: None)
        self.ends = ends

    async def _act(self):
        if not self.ends:
            raise asyncio.CancelledError
        raise TimeoutError(self.ends.pop(0))


def test_trouble_is_logged_when_it_begins_or_changes_and_not_at_each_attempt(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "_RETRY_FIRST_S", 0.0)
    follower = Cut(tmp_path / "mirror.json", ["refused"] * 5 + ["silent"] * 5)
    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        asyncio.run(follower.run())
    assert [line["why"] for line in said] == ["refused", "silent"]


def test_trouble_that_lasts_is_logged_again(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "_RETRY_FIRST_S", 0.0)
    monkeypatch.setattr(mirror, "SAID_AGAIN_S", 0.0)
    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        asyncio.run(Cut(tmp_path / "mirror.json", ["refused"] * 3).run())
    assert len(said) == 3
