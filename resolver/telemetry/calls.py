"""What one worker has seen of its calls: plain numbers, taken once a second by whoever keeps them.

Every door counts here and nowhere else, and both the metrics and the statistics of the store are made of what is
taken, so they cannot disagree. Nothing is written and nothing is locked here: all of it runs on the worker's loop.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

GRPC = "grpc"
HDL_TCP = "hdl_tcp"
HDL_UDP = "hdl_udp"
HTTP = "http"
REST = "rest"
SNMS = "snms"
INTERNAL = "internal"
DOORS = (GRPC, HDL_TCP, HDL_UDP, HTTP, REST, SNMS, INTERNAL)
"""Names of the doors, the values of the label ``protocol``: gRPC, the Handle protocol, our JSON API, the Handle REST
API with the proxy, the national OpenAPI, and the node itself."""

CONNECTED = (GRPC, HDL_TCP, HTTP)
"""The doors that have connections of their own; the other APIs are asked over those of HTTP."""

RESOLUTION = "resolution"
REGISTRATION = "registration"
KINDS = (RESOLUTION, REGISTRATION)
"""What the national system wants the times of (运行监测 1 to 12)."""

CALL_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bucket bounds of call times: a cached resolve takes 0.1 ms, a group commit some milliseconds."""


class Called(Protocol):
    """A method as far as it is counted."""

    @property
    def service(self) -> str:
        """Full name of the service."""

    @property
    def name(self) -> str:
        """Name of the method."""

    @property
    def kind(self) -> str:
        """One of KINDS when its times are those of a resolution or registration, else ""."""


class Operation(NamedTuple):
    """A method of a door that has no gRPC methods."""

    service: str
    name: str
    kind: str = ""


class Times:
    """Calls of one method at one door: outcomes, a histogram of times, the least and the most with their moments."""

    __slots__ = ("codes", "counts", "least_s", "least_us", "most_s", "most_us", "total_s")

    def __init__(self) -> None:
        self.codes: dict[int | str, int] = {}
        self.counts = [0] * (len(CALL_BUCKETS_S) + 1)
        self.total_s = 0.0
        self.least_s = float("inf")
        self.least_us = 0
        self.most_s = -1.0
        self.most_us = 0


class Seen(NamedTuple):
    """What was counted since the last time, by door and method."""

    times: dict[tuple[str, Called], Times]
    cut_off: dict[str, int]
    """Connections cut off because of what waited for them, by door."""

    @property
    def calls(self) -> dict[tuple[str, Called, int | str], int]:
        """Calls by door, method and outcome."""
        return {(*place, code): count for place, taken in self.times.items() for code, count in taken.codes.items()}


class CallCounts:
    """Counts calls; ``observe`` costs about half a microsecond."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._times: dict[tuple[str, Called], Times] = {}
        self._cut_off: dict[str, int] = {}
        self._taken = 0

    def observe(self, method: Called, code: int | str, took_s: float, count: int = 1, door: str = GRPC) -> None:
        """Count calls that have ended, equally long and with one outcome.

        Args:
            method: What was called.
            code: Canonical gRPC code, or the name of the outcome at a door that has others.
            took_s: Seconds from request to answer.
            count: How many such calls.
            door: Where, one of DOORS.
        """
        place = (door, method)
        taken = self._times.get(place)
        if taken is None:
            taken = self._times[place] = Times()
        codes = taken.codes
        codes[code] = codes.get(code, 0) + count
        taken.counts[bisect_left(CALL_BUCKETS_S, took_s)] += count
        taken.total_s += took_s * count
        if took_s < taken.least_s:
            taken.least_s, taken.least_us = took_s, self._now_us()
        if took_s > taken.most_s:
            taken.most_s, taken.most_us = took_s, self._now_us()

    def cut_off(self, door: str, connections: int) -> None:
        """Count connections that a door has cut off because their peers did not take their answers."""
        self._cut_off[door] = self._cut_off.get(door, 0) + connections

    @property
    def seen(self) -> Seen:
        """Everything since the last time, left where it is."""
        return Seen(self._times, self._cut_off)

    def take(self) -> Seen:
        """Everything since the last time."""
        self._taken = self.count
        seen, self._times, self._cut_off = self.seen, {}, {}
        return seen

    @property
    def count(self) -> int:
        """Calls since the start, at all doors."""
        return self._taken + sum(sum(taken.codes.values()) for taken in self._times.values())
