"""What a check is: a function that takes a peer and raises AssertionError with a sentence when the peer is wrong."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.grpc_client import Peer

CHECKS: list[Check] = []

SOON_S = 30.0


@dataclass(frozen=True)
class Check:
    """One rule, where it is written, and the function that tries it."""

    name: str
    source: str
    run: Callable[[Peer], None]
    needs: str = ""
    """Attribute of the peer without which the rule cannot be tried."""


@dataclass(frozen=True)
class Verdict:
    """What became of a check; ``fault`` is empty when the peer keeps the rule."""

    check: Check
    fault: str
    seconds: float


def check(source: str, *, needs: str = "") -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    """Add a function to the checks; ``source`` says where the rule is written, ``needs`` what a peer must have."""

    def add(function: Callable[[Peer], None]) -> Callable[[Peer], None]:
        CHECKS.append(Check(function.__name__.replace("_", " "), source, function, needs))
        return function

    return add


def expect(condition: object, sentence: str) -> None:
    """Raise AssertionError with the sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def soon(holds: Callable[[], bool], sentence: str) -> None:
    """Raise AssertionError with the sentence unless the condition holds within ``SOON_S``.

    For what a worker is told of by another one within a second, on a machine that has the time for it.
    """
    until = time.monotonic() + SOON_S
    while not holds():
        expect(time.monotonic() < until, sentence)
        time.sleep(0.1)


def judge(peer: Any, checks: list[Check] | None = None) -> list[Verdict]:
    """Run every check that a peer can be asked."""
    verdicts = []
    for item in CHECKS if checks is None else checks:
        if item.needs and not getattr(peer, item.needs):
            continue
        started = time.monotonic()
        try:
            item.run(peer)
            fault = ""
        except AssertionError as error:
            fault = str(error)
        except Exception:  # noqa: BLE001 - whatever a peer provokes is its verdict
            fault = traceback.format_exc(limit=3)
        verdicts.append(Verdict(item, fault, time.monotonic() - started))
    return verdicts
