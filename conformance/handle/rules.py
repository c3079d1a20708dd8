"""The table of rules of the Handle protocol, filled by the modules beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.suite import Check

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.handle.client import Peer

RULES: list[Check] = []

Rule = "Callable[[Peer], None]"


def rule(source: str, *, needs: str = "") -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    """Add a function to the rules; ``source`` says where it is written, ``needs`` what the peer must have."""

    def add(function: Callable[[Peer], None]) -> Callable[[Peer], None]:
        RULES.append(Check(function.__name__.replace("_", " "), source, function, needs))  # type: ignore[arg-type]
        return function

    return add
