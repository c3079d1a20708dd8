"""The open questions of a resolution stream (a ``Desk``), by tag.

Strategy: the tag of a question is its position in the input, so every answer says which name it is for, in
whatever order answers come. After a reconnect the open ones are asked again; an answer to a question that is
no longer open is dropped. A record that does not fit a stream answer is a miss like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import grpc

from resolver.client.failures import failure
from resolver.v1.resolution_pb2 import StreamResolveRequest, StreamResolveResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resolver.client.plans import Answer

OPEN_DEFAULT = 1_000
"""Questions in flight on a stream: one burst of the node."""


class Resolved(NamedTuple):
    """The answer to one name of a stream; ``position`` is that of the name in the input, from 0."""

    position: int
    name: str
    answer: Answer


class OpenQuestions:
    """Questions that wait for an answer, at most ``open_max``."""

    def __init__(
        self,
        *,
        types: Iterable[str] = (),
        indexes: Iterable[int] = (),
        include_restricted: bool = False,
        open_max: int = OPEN_DEFAULT,
    ) -> None:
        if open_max < 1:
            raise ValueError(f"{open_max} open questions ask nothing: give 1 or more")
        self._types = tuple(types)
        self._indexes = tuple(indexes)
        self._include_restricted = include_restricted
        self._open_max = open_max
        self._open: dict[int, str] = {}
        self._unsent: list[int] = []  # newest first, so that the next one is popped from the end
        self._arrived: list[int] = []
        self._next_tag = 0

    def accept(self, item: str) -> None:
        """Takes a name."""
        self._open[self._next_tag] = item
        self._arrived.append(self._next_tag)
        self._next_tag += 1

    def has_room(self) -> bool:
        """Whether another question may be open."""
        return len(self._open) < self._open_max

    def is_clear(self) -> bool:
        """Whether every question is answered."""
        return not self._open

    def reconnected(self) -> None:
        """All open questions must be asked again."""
        self._arrived = list(self._open)
        self._unsent = []

    def next_request(self) -> StreamResolveRequest | None:
        """The next question to send in this connection."""
        if not self._unsent:
            self._unsent, self._arrived = self._arrived[::-1], []
            if not self._unsent:
                return None
        tag = self._unsent.pop()
        return StreamResolveRequest(
            tag=tag,
            name=self._open[tag],
            types=self._types,
            indexes=self._indexes,
            include_restricted=self._include_restricted,
        )

    def take(self, response: StreamResolveResponse) -> list[Resolved]:
        """The answers to open questions. Raises CallFailed when records and tags do not fit together."""
        if len(response.records) != len(response.tags):
            raise failure(
                grpc.StatusCode.INTERNAL,
                f"the node sent {len(response.records)} records with {len(response.tags)} tags: report this with the "
                "version of the node",
            )
        answers: list[tuple[int, Answer]] = list(zip(response.tags, response.records, strict=True))
        answers += [(miss.position, miss) for miss in response.misses]
        settled: list[Resolved] = []
        for tag, answer in answers:
            if (name := self._open.pop(tag, None)) is not None:
                settled.append(Resolved(tag, name, answer))
        return settled
