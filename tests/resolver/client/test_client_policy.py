"""The retry policy, without any channel: codes, waits, budget and renewal of the credential."""

from __future__ import annotations

import random

import grpc
import pytest

from resolver.client.failures import CallFailed, failure
from resolver.client.policy import PUBLISHED, PUBLISHED_STREAMS, Attempts, RetryPolicy

Code = grpc.StatusCode


class FakeClock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Keys:
    """A credential that has these tokens one after the other."""

    def __init__(self, *tokens):
        self._tokens = list(tokens) or [""]

    def metadata(self):
        return (("authorization", self._tokens[0]),)

    def renew(self, refused):
        if self.metadata() == refused and len(self._tokens) > 1:
            self._tokens.pop(0)
        return self.metadata() != refused


def attempts(*, policy=PUBLISHED, budget_s=10.0, clock=None, share=1.0, keys=None):
    return Attempts(policy, budget_s, keys or Keys(), monotonic_s=clock or FakeClock(), random=lambda: share)


@pytest.mark.parametrize("code", list(Code))
def test_only_unavailable_and_cancelled_are_retried_without_being_asked_to(code):
    each = attempts()
    each.start()
    assert (each.wait_s(failure(code, "")) is not None) == (code in {Code.UNAVAILABLE, Code.CANCELLED})


def test_resource_exhausted_is_retried_only_when_the_node_says_when():
    each = attempts(share=0.0)
    each.start()
    assert each.wait_s(CallFailed(Code.RESOURCE_EXHAUSTED, "", retry_after_s=0.5)) == 0.5
    each.start()
    assert each.wait_s(CallFailed(Code.RESOURCE_EXHAUSTED, "")) is None


def test_waits_double_up_to_the_limit_and_attempts_end():
    each = attempts(policy=RetryPolicy(attempts_max=5, first_delay_s=1.0, delay_max_s=3.0), budget_s=100.0)
    waits = []
    for _ in range(5):
        each.start()
        waits.append(each.wait_s(failure(Code.UNAVAILABLE, "")))
    assert waits == [1.0, 2.0, 3.0, 3.0, None]


def test_jitter_takes_the_whole_range_from_zero():
    seeded = random.Random(7)
    waits = [PUBLISHED.delay_s(3, seeded.random()) for _ in range(1_000)]
    assert 0.0 <= min(waits) < 0.01
    assert 0.19 < max(waits) <= 0.2


def test_a_late_attempt_does_not_overflow():
    assert PUBLISHED_STREAMS.delay_s(10_000, 1.0) == PUBLISHED_STREAMS.delay_max_s


def test_retry_info_is_the_least_wait():
    each = attempts(share=0.0)
    each.start()
    assert each.wait_s(CallFailed(Code.UNAVAILABLE, "", retry_after_s=1.5)) == 1.5


def test_who_was_refused_together_does_not_come_back_together():
    seeded = random.Random(7)
    waits = []
    for _ in range(1_000):
        each = attempts(share=seeded.random())
        each.start()
        waits.append(each.wait_s(CallFailed(Code.UNAVAILABLE, "", retry_after_s=1.0)))
    assert 1.0 <= min(waits) < 1.01
    assert 1.24 < max(waits) <= 1.25


def test_the_spread_leaves_time_for_the_attempt():
    each = attempts(budget_s=1.1, share=1.0)
    each.start()
    assert 1.0 < each.wait_s(CallFailed(Code.UNAVAILABLE, "", retry_after_s=1.0)) < 1.06


def test_nothing_is_waited_for_beyond_the_deadline():
    clock = FakeClock()
    each = attempts(clock=clock, budget_s=2.0, share=0.0)
    each.start()
    assert each.left_s == 2.0
    clock.now_s = 1.25
    assert each.left_s == 0.75
    assert each.wait_s(CallFailed(Code.UNAVAILABLE, "", retry_after_s=0.8)) is None
    assert each.wait_s(CallFailed(Code.UNAVAILABLE, "", retry_after_s=0.7)) == 0.7


def test_only_retries_wait_for_the_channel():
    each = attempts()
    each.start()
    assert not each.is_retry
    each.start()
    assert each.is_retry


def test_a_refused_token_is_renewed_once():
    each = attempts(keys=Keys("old", "new", "newer"))
    each.start()
    assert each.wait_s(failure(Code.UNAUTHENTICATED, "")) == 0.0
    each.start()
    assert each.metadata == (("authorization", "new"),)
    assert each.wait_s(failure(Code.UNAUTHENTICATED, "")) is None


def test_a_refused_token_without_a_successor_is_final():
    each = attempts(keys=Keys("only"))
    each.start()
    assert each.wait_s(failure(Code.UNAUTHENTICATED, "")) is None


def test_a_token_that_another_call_renewed_counts_as_new():
    keys = Keys("old", "new")
    one, other = attempts(keys=keys), attempts(keys=keys)
    one.start()
    other.start()
    assert one.wait_s(failure(Code.UNAUTHENTICATED, "")) == 0.0
    assert other.wait_s(failure(Code.UNAUTHENTICATED, "")) == 0.0


def test_progress_gives_a_stream_its_whole_patience_again():
    clock = FakeClock()
    each = attempts(policy=PUBLISHED_STREAMS, clock=clock, budget_s=10.0, share=0.0)
    each.start()
    clock.now_s = 9.0
    each.progress()
    clock.now_s = 18.0
    assert each.wait_s(failure(Code.UNAVAILABLE, "")) == 0.0
    clock.now_s = 19.5
    assert each.wait_s(failure(Code.UNAVAILABLE, "")) is None


def test_a_reset_is_retried_on_streams_only():
    reset = failure(Code.INTERNAL, "Received RST_STREAM with error code 2")
    assert PUBLISHED_STREAMS.retries(reset)
    assert not PUBLISHED.retries(reset)
    assert not PUBLISHED_STREAMS.retries(failure(Code.INTERNAL, "RST_STREAM", reason="INTERNAL"))
