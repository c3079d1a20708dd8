"""When a failed call is tried again: the published retry policy, as data, and its bookkeeping.

Strategy: ``RETRIED`` says which codes, ``RetryPolicy`` how often and how long, ``Attempts`` counts for one
call. Both front ends ask ``Attempts`` for the arguments of each attempt and, after a failure, for the
seconds to wait or None to give up; they decide nothing themselves. A retry carries the same request and so
the same request_id, which is what makes it safe for writes. Randomness and clock are arguments. This file
knows no channel and never sleeps.

UNAVAILABLE and CANCELLED are both retried: a server that drains may end a call with either. CANCELLED
that the application caused itself never gets here, the front ends see to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.client.failures import CallFailed

RETRIED: dict[grpc.StatusCode, bool] = {
    grpc.StatusCode.UNAVAILABLE: False,
    grpc.StatusCode.CANCELLED: False,
    grpc.StatusCode.RESOURCE_EXHAUSTED: True,
}
"""The codes that are retried; True where only if the node sent RetryInfo."""

TIMEOUT_DEFAULT_S = 10.0
"""Seconds for a call with all its attempts; longer than a worker takes to restart."""

PATIENCE_DEFAULT_S = 60.0
"""Seconds that a stream goes on reconnecting without any progress; longer than a node takes to restart."""

RETRY_INFO_SPREAD = 0.25
"""Share of what RetryInfo says that is waited more, at random: whoever was refused together was told the same time, and
would be back together."""

LATEST_START_S = 0.001
"""An attempt with less time than this left is not started."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long between: exponential back-off with full jitter.

    The wait before attempt n + 1 is a random share of ``first_delay_s * factor ** (n - 1)``, at most
    ``delay_max_s``, and never less than what RetryInfo asks for, but up to ``RETRY_INFO_SPREAD`` of that more.
    ``attempts_max`` None means that only time ends the attempts. ``resets_too`` also retries streams that the
    transport broke.
    """

    attempts_max: int | None = 6
    first_delay_s: float = 0.05
    factor: float = 2.0
    delay_max_s: float = 2.0
    resets_too: bool = False

    def retries(self, failed: CallFailed) -> bool:
        """Whether the policy tries again after this failure."""
        needs_retry_info = RETRIED.get(failed.code)
        if needs_retry_info is None:
            return self.resets_too and failed.is_stream_reset
        return not needs_retry_info or failed.retry_after_s is not None

    def delay_s(self, attempts_made: int, share: float) -> float:
        """Seconds before the next attempt, for a random share from 0 to 1."""
        exponent = min(attempts_made - 1, 64)  # a float holds 2 ** 64; delay_max_s is reached long before
        return share * min(self.delay_max_s, self.first_delay_s * self.factor**exponent)


PUBLISHED = RetryPolicy()
"""The policy of calls: up to 6 attempts, 50 ms to 2 s apart."""

PUBLISHED_STREAMS = RetryPolicy(attempts_max=None, resets_too=True)
"""The policy of streams that resume: reconnect until the patience without progress is used up."""


class Credential(Protocol):
    """Where the metadata of a call comes from."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata to send now."""

    def renew(self, refused: tuple[tuple[str, str], ...]) -> bool:
        """Looks for another credential after the node refused this one; True when there is one."""


class Attempts:
    """The attempts of one call, or of one stream since its last progress.

    Before each attempt call ``start``; after a failure call ``wait_s``; on a stream call ``progress``
    whenever the node answered.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        budget_s: float,
        credential: Credential,
        *,
        monotonic_s: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._budget_s = budget_s
        self._credential = credential
        self._monotonic_s = monotonic_s
        self._random = random
        self._end_s = monotonic_s() + budget_s
        self._made = 0
        self._renewed = False
        self.metadata: tuple[tuple[str, str], ...] = ()

    def start(self) -> None:
        """Begins an attempt: fixes its metadata and counts it."""
        self.metadata = self._credential.metadata()
        self._made += 1

    @property
    def left_s(self) -> float:
        """Seconds left of the budget: the deadline of the attempt."""
        return max(LATEST_START_S, self._end_s - self._monotonic_s())

    @property
    def is_retry(self) -> bool:
        """Whether this is not the first attempt; a retry waits until the channel is ready."""
        return self._made > 1

    def progress(self) -> None:
        """The node answered: the budget starts anew."""
        self._made = 1
        self._renewed = False
        self._end_s = self._monotonic_s() + self._budget_s

    def wait_s(self, failed: CallFailed) -> float | None:
        """Seconds to wait before the next attempt; None when the failure is final."""
        left_s = self._end_s - self._monotonic_s()
        if failed.code is grpc.StatusCode.UNAUTHENTICATED and not self._renewed:
            self._renewed = True
            return 0.0 if left_s > LATEST_START_S and self._credential.renew(self.metadata) else None
        if not self._policy.retries(failed) or self._made == self._policy.attempts_max:
            return None
        share, told_s = self._random(), failed.retry_after_s or 0.0
        delay_s = self._policy.delay_s(self._made, share)
        if delay_s < told_s:
            spread_s = min(RETRY_INFO_SPREAD * told_s, (left_s - told_s) / 2)
            delay_s = told_s + share * max(0.0, spread_s)
        return delay_s if delay_s + LATEST_START_S < left_s else None
