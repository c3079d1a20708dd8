"""Plain resolution for a door that answers whole read bursts: what ``Resolution`` does, with less on the way.

Questions go in as the octets that came and answers come out as the octets to send; nothing is parsed that need not be.
Policy is the door's to ask beforehand (``Core.require_resolution``), once for a caller. Counts and checksums are those
of every resolution. A question that is not plain is answered with None and belongs to ``Resolution``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.node.record_octets import FIELD_1
from resolver.node.resolve_plain import find_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolver.service.core import Core
    from resolver.service.foreign import Elsewhere

_NAME_TAG = FIELD_1[0]
_ONE_OCTET_MAX = 127
"""Largest length that protobuf writes in one octet."""
_NO_NAME = b"/"
"""Stands for what is not plain: no handle has this key."""


class Plain:
    """Answers the plain questions of a burst inside its read transaction."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def resolve(self, source: str, questions: Sequence[bytes], octets_max: int) -> list[bytes | None] | None:
        """The octets of a ResolveResponse for those of each ResolveRequest; None when one is longer than the bound.

        Counts what it answers, for the peer at an address.
        """
        keys = [
            question[2:].upper()
            if len(question) > 2 and question[0] == _NAME_TAG and question[1] == len(question) - 2 <= _ONE_OCTET_MAX
            else _NO_NAME
            for question in questions
        ]
        core = self._core
        with core.reading() as reader:
            bodies, counts = find_plain(reader, core.served, keys)
        recalled = 0
        if core.elsewhere is not None and None in bodies:
            recalled = self._recall(core.elsewhere, questions, bodies)
        if max(map(len, filter(None, bodies)), default=0) > octets_max:
            return None
        if recalled:
            core.counting.resolved("", source, recalled, recalled)
        for prefix, count in counts.items():
            core.counting.resolved(prefix, source, count, count)
        return bodies

    def _recall(self, elsewhere: Elsewhere, questions: Sequence[bytes], bodies: list[bytes | None]) -> int:
        """Answer what other nodes have answered before; how many questions that were."""
        now_s = self._core.clock.monotonic_s()
        recalled = 0
        for place, body in enumerate(bodies):
            if body is None:
                kept = elsewhere.plain(questions[place], now_s)
                if kept is not None:
                    bodies[place] = kept
                    recalled += 1
        return recalled
