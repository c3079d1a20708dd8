"""What one question may cost, whatever the records on its way say (the numbers and their reasons are in ``limits``)."""

from __future__ import annotations

from resolver import limits
from resolver.errors import RecursionLimit, UpstreamFailed

_LEAST_S = 0.05
"""Seconds below which asking another server is pointless."""


class Budget:
    """Counts down; each ``spend`` raises RecursionLimit when nothing is left."""

    def __init__(self, started_s: float) -> None:
        self._until_s = started_s + limits.UPSTREAM_SECONDS_MAX
        self.messages = 0
        self._referrals = 0
        self._aliases = 0

    def spend_message(self, name: str, now_s: float) -> float:
        """Seconds that one more message may take. Raises RecursionLimit, and UpstreamFailed when the time is over."""
        if self.messages >= limits.UPSTREAM_MESSAGES_MAX:
            raise RecursionLimit(
                f"{name[:200]!r} needs more than {limits.UPSTREAM_MESSAGES_MAX} questions to other nodes: its records "
                "lead too far"
            )
        left_s = self.left_s(name, now_s)
        self.messages += 1
        return min(left_s, limits.UPSTREAM_ASK_SECONDS_MAX)

    def left_s(self, name: str, now_s: float) -> float:
        """Seconds that are left for the question. Raises UpstreamFailed when the time is over."""
        left_s = self._until_s - now_s
        if left_s < _LEAST_S:
            raise UpstreamFailed(
                f"{name[:200]!r} was not found within {limits.UPSTREAM_SECONDS_MAX:g} s: try again later",
                retry_after_s=limits.FAILURE_TTL_S,
            )
        return left_s

    def spend_referral(self, name: str) -> None:
        """Follow a referral or an HS_SERV."""
        self._referrals += 1
        if self._referrals > limits.REFERRALS_MAX:
            raise RecursionLimit(
                f"{name[:200]!r} is referred on more than {limits.REFERRALS_MAX} times: its nodes refer in a circle, "
                "or too far"
            )

    def spend_alias(self, name: str) -> None:
        """Follow an alias."""
        self._aliases += 1
        if self._aliases > limits.ALIASES_MAX:
            raise RecursionLimit(f"{name[:200]!r} leads through more than {limits.ALIASES_MAX} aliases")
