"""What a run is: how many records, how long, how often, from which seed. Nothing else may change a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one run; they are part of its result."""

    records: int = 1_000_000
    """Records in the store and in every peer that holds keys."""
    seconds: float = 2.0
    """Length of one measurement of one contender."""
    warm_s: float = 0.5
    """Length of the load before each measurement; it counts for CPU and not for rates."""
    rounds: int = 3
    """Rounds; in each of them every contender is measured once, one after the other."""
    seed: int = 1
    """Seed of every name, value and order."""
    connections: int = 16
    """Connections of a network load."""
    in_flight: int = 32
    """Requests in flight on each connection."""
    workers: int = 2
    """Worker processes of the contenders with N workers."""
    minutes: float = 30.0
    """Length of a soak."""


ALL = Settings(seconds=0.8, warm_s=0.2)
"""The profile of ``make bench``: every operation in a quarter of an hour."""
