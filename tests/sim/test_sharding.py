"""Runs of the sharded site, and defects that they have to find."""

import itertools

import pytest

from resolver.client import resharding
from resolver.node import share_copy, share_source, shares, site_steps
from resolver.v1 import changes_pb2, site_pb2
from tests.sim import sharding
from tests.sim.sharding import Violated, run

SEEDS = 25


def test_runs_keep_what_must_hold():
    done = [run(seed) for seed in range(SEEDS)]
    assert sum(reads for reads, _ in done) > 20 * SEEDS
    assert sum(writes for _, writes in done) > 10 * SEEDS


def test_a_seed_gives_the_same_run_however_long_it_takes(monkeypatch):
    """Leaders looked at the clock of the machine, and a busy one made them give up."""
    expected = [run(seed) for seed in range(5)]
    leaps = itertools.count(0.0, 60.0).__next__
    monkeypatch.setitem(resharding.Resharding.__init__.__kwdefaults__, "now_s", leaps)
    assert [run(seed) for seed in range(5)] == expected


def nobody_waits_for_workers(patch):
    patch.setattr(sharding, "NOTICED_S", 30.0)


def leaders_do_not_look_whether_all_is_copied(patch):
    patch.setattr(resharding.Resharding, "_is_copied", lambda *_, **__: True)


def whatever_is_there_is_answered_while_servers_switch(patch):
    patch.setattr(shares.Share, "answers", lambda self, key: bool(self.spans) or self.holds(key))


def what_is_let_go_is_taken_for_deleted(patch):
    """What was one: streams that were still open brought these entries, and the new server removed the handles."""
    patch.setattr(share_copy, "COPYING", set(site_pb2.SiteStage.values()))
    patch.setattr(share_source, "LEFT", changes_pb2.OPERATION_UNSPECIFIED)


def late_messages_are_taken(patch):
    patch.setattr(share_copy, "_follows", lambda *_: True)


def copying_begins_at_once(patch):
    take = site_steps.take
    patch.setattr(site_steps, "take", lambda ledger, request, now_us, _: take(ledger, request, now_us, 0))


@pytest.mark.parametrize(
    "plant",
    [
        nobody_waits_for_workers,
        leaders_do_not_look_whether_all_is_copied,
        whatever_is_there_is_answered_while_servers_switch,
        what_is_let_go_is_taken_for_deleted,
        pytest.param(late_messages_are_taken, marks=pytest.mark.slow),
        pytest.param(copying_begins_at_once, marks=pytest.mark.slow),
    ],
)
def test_a_planted_defect_is_found(monkeypatch, plant):
    plant(monkeypatch)
    for seed in range(300):
        try:
            run(seed)
        except Violated:
            return
    pytest.fail("no run finds it")
