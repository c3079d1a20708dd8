"""A question to be searched at other nodes, and how the search ended.

What this room decides ends with "not here"; who has the answer is found by ``federation``, which stands above. These
are the values that go up and come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resolver.errors import ResolverError
    from resolver.v1 import resolution_pb2 as pb


class Question(NamedTuple):
    """What is searched. ``name`` is a handle with its prefix written out.

    ``authoritative`` asks primary sites and no cache; ``recursions`` counts the nodes that passed the question on.
    ``timeout_s`` are the seconds that who asks will wait, None when it does not say.
    """

    name: str
    follows_aliases: bool = False
    authoritative: bool = False
    traced: bool = False
    recursions: int = 0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A record, as field 1 of an answer. ``origin`` is None for one of this node's own."""

    body: bytes
    origin: pb.Origin | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a search ended: with a record, or with the reason why there is none; and what it did."""

    found: Found | None
    error: ResolverError | None
    hops: list[pb.Hop] = field(default_factory=list)
    messages: int = 0

    def get(self) -> Found:
        """The record. Raises the reason why there is none."""
        if self.error is not None:
            raise self.error.again()
        assert self.found is not None  # noqa: S101 - one of the two is set
        return self.found
